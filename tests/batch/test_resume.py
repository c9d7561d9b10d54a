"""Nothing is lost: results never go onto inputs, nor onto what others made."""

import bz2
import gzip
import lzma
import os
import threading

import numpy as np
import pytest
from astropy.io import fits
from sample_files import contents, write_night

from deepcr_ccd import clean_files
from deepcr_ccd.batch import outputs
from deepcr_ccd.batch.job import Job, run_job
from deepcr_ccd.batch.listing import find_files
from deepcr_ccd.batch.options import FileOptions
from deepcr_ccd.cli import main
from deepcr_ccd.io.atomic import atomic_path
from deepcr_ccd.pipeline.fill import load_fill

ANY_MODE = pytest.mark.parametrize(
    "mode", [{}, {"overwrite": True}, {"resume": True}, {"masks_only": True}]
)


@pytest.fixture
def night(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write_night(tmp_path / "night", 2)


def link_folder(raw, out):
    out.symlink_to(raw.parent, target_is_directory=True)


def link_file(raw, out):
    out.mkdir()
    (out / raw.name).symlink_to(raw)


def hard_link(raw, out):
    out.mkdir()
    os.link(raw, out / raw.name)


def cross_link(raw, out):
    """The result of one input would replace the other."""
    out.mkdir()
    os.link(raw.with_name("frame001.fits"), out / raw.name)


@ANY_MODE
@pytest.mark.parametrize("link", [link_folder, link_file, hard_link, cross_link])
def test_no_input_is_replaced(night, tmp_path, mode, link):
    before = contents(tmp_path / "night")
    link(night[0], tmp_path / "out")
    with pytest.raises(ValueError, match=r"is the input .*frame00[01]\.fits, and"):
        clean_files(night, tmp_path / "out", **mode)
    assert contents(tmp_path / "night") == before


@pytest.mark.parametrize("output", [".", "../night", "deep/..", "absent/.."])
@pytest.mark.parametrize("option", ["--resume", "--overwrite", None])
@pytest.mark.usefixtures("night")
def test_the_command_does_not_either(tmp_path, monkeypatch, output, option):
    before = contents(tmp_path / "night")
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "night")
    os.mkdir("deep")
    for files in (["frame000.fits"], ["."], ["frame*.fits"]):
        words = ["clean", *files, "-o", output, *([option] if option else [])]
        assert main(words) == 1
    os.rmdir("deep")
    assert not os.path.exists("absent")
    assert contents(tmp_path / "night") == before


def test_an_input_that_comes_to_the_output_meanwhile_is_kept(night, tmp_path):
    """The folder for results becomes a link to that of the inputs, in mid-run."""
    before = contents(tmp_path / "night")
    out, used = tmp_path / "out", []

    def report(row):
        if not used:
            used.append(row)
            out.rename(tmp_path / "moved")
            out.symlink_to(tmp_path / "night", target_is_directory=True)

    table = clean_files(night, out, overwrite=True, workers=1, report=report)
    assert table["status"].tolist() == ["done", "failed"]
    assert contents(tmp_path / "night") == before


def test_what_came_meanwhile_is_not_replaced(night, tmp_path):
    path, out = night[0], tmp_path / "a.fits"
    job = Job(path, out, output_state=None)
    out.write_text("notes")
    for how in ({"replace": True}, {"resume": True}, {}):
        row = run_job(job, FileOptions(), **how)
        assert row["status"] == "failed"
        assert "meanwhile" in row["message"] or "exists" in row["message"]
        assert out.read_text() == "notes"


@pytest.mark.parametrize("other", ["notes", "frame", "empty", "link"])
def test_resume_replaces_only_results(night, tmp_path, other):
    out = tmp_path / "out"
    clean_files(night, out)
    there = out / "frame000.fits"
    there.unlink()
    if other == "notes":
        there.write_text("clouds")
    elif other == "frame":
        fits.PrimaryHDU(np.zeros((5, 5))).writeto(there)
    elif other == "empty":
        there.touch()
    else:
        there.symlink_to(tmp_path / "nowhere")
    before = there.read_bytes() if there.exists() else os.readlink(there)
    table = clean_files(night, out, resume=True)
    assert table["status"].tolist() == ["failed", "skipped"]
    assert "exists and is no result of deepcr_ccd" in table["message"][0]
    assert (there.read_bytes() if there.exists() else os.readlink(there)) == before
    table = clean_files(night, out, resume=True, overwrite=True)
    assert table["status"].tolist() == ["done", "skipped"]
    assert not there.is_symlink()


@pytest.mark.parametrize("suffix", ["", ".gz", ".bz2", ".xz"])
@pytest.mark.parametrize("damage", ["cut", "no count", "text", "no extension"])
def test_what_is_wrong_with_results_is_done_again(night, tmp_path, suffix, damage):
    pack = {".gz": gzip, ".bz2": bz2, ".xz": lzma}.get(suffix)
    raw = tmp_path / "in" / f"a.fits{suffix}"
    raw.parent.mkdir()
    content = night[0].read_bytes()
    raw.write_bytes(pack.compress(content) if pack else content)
    out = tmp_path / "out" / raw.name
    clean_files([raw], out.parent)
    whole = out.read_bytes()
    plain = pack.decompress(whole) if pack else whole
    if damage == "cut":
        changed = plain[: 2880 * 3]
    elif damage == "no count":
        changed = plain.replace(b"CRNPIX  ", b"CRNPIXX ")
    elif damage == "text":
        place = plain.index(b"CRNPIX  =")
        changed = plain[: place + 10] + b"'many' ".ljust(20) + plain[place + 30 :]
    else:
        changed = plain[: -2880 * 3]  # of MASK: its header, and two blocks of data
        assert changed == plain[: plain.index(b"XTENSION")]
    assert changed != plain
    out.write_bytes(pack.compress(changed) if pack else changed)
    assert clean_files([raw], out.parent, resume=True)["status"].tolist() == ["done"]
    assert out.read_bytes() == whole
    if pack and suffix != ".bz2":  # of whose first block nothing can be read
        out.write_bytes(whole[:-300])
        table = clean_files([raw], out.parent, resume=True)
        assert table["status"].tolist() == ["done"]
        assert out.read_bytes() == whole
    table = clean_files([raw], out.parent, resume=True)
    assert table["status"].tolist() == ["skipped"]


def test_another_filling_model_is_noticed(night, tmp_path, monkeypatch):
    out = tmp_path / "out"
    clean_files(night[:1], out)

    def other(*arguments):
        model = load_fill(*arguments)
        changed = model.to("cpu")
        changed = type(model)(model.card, model.network, device="cpu")
        changed._fingerprint = "another"
        return changed

    monkeypatch.setattr("deepcr_ccd.batch.options.load_fill", other)
    for options, status in (
        ({}, "done"),
        ({"inpaint": "median"}, "done"),
        ({"inpaint": "median"}, "skipped"),
    ):
        table = clean_files(night[:1], out, resume=True, **options)
        assert table["status"].tolist() == [status]
    monkeypatch.undo()
    # Where no network fills, none matters.
    table = clean_files(night[:1], out, resume=True, inpaint="median")
    assert table["status"].tolist() == ["skipped"]


@pytest.mark.parametrize("recursive", [False, True])
def test_results_are_no_inputs(tmp_path, monkeypatch, recursive):
    write_night(tmp_path / "night", 2)
    monkeypatch.chdir(tmp_path)
    words = ["clean", "night", "-o", "night/cleaned", "--resume"]
    words += ["--recursive"] if recursive else []
    for _ in range(3):
        assert main(words) == 0
        found = sorted(p.name for p in (tmp_path / "night/cleaned").iterdir())
        assert found == ["frame000.fits", "frame001.fits"]
    assert len(find_files(["night"], recursive=True, output="elsewhere")) == 4
    for pattern in ("night/**/*.fits", "night/*", "n*/*/../*.fits"):
        found = find_files([pattern], recursive=True, output="night/cleaned")
        assert [p.name for p, _ in found] == ["frame000.fits", "frame001.fits"]
    (tmp_path / "link").symlink_to("night/cleaned", target_is_directory=True)
    for output in ("night/cleaned", "link"):
        found = find_files(["night"], recursive=True, output=output)
        assert [str(p) for p, _ in found] == [
            "night/frame000.fits",
            "night/frame001.fits",
        ]
    # What is asked for by name in a folder below that for results is taken.
    found = find_files(["night/cleaned"], output="night")
    assert len(found) == 2


def test_places_that_differ_by_case(night, tmp_path, monkeypatch):
    places = {night[0]: "a.fits", night[1]: "A.fits"}
    table = clean_files(places, tmp_path / "out")
    assert table["status"].tolist() == ["done", "done"]
    monkeypatch.setattr(outputs, "_ignores_case", lambda _: True)
    with pytest.raises(ValueError, match="two inputs would both be written to"):
        clean_files(places, tmp_path / "out", overwrite=True)
    monkeypatch.undo()
    (tmp_path / "same").symlink_to("out", target_is_directory=True)
    places = {night[0]: "out/b.fits", night[1]: "same/./b.fits"}
    with pytest.raises(ValueError, match="two inputs would both be written to"):
        clean_files(places, tmp_path)


def test_one_file_named_twice_is_one(night):
    found = find_files([night[0], "night/frame000.fits", "./night/../night"])
    assert [str(place) for _, place in found] == ["frame000.fits", "frame001.fits"]


def test_two_runs_at_once_share_a_folder(night, tmp_path):
    tables = []

    def run():
        tables.append(clean_files(night, tmp_path / "out", resume=True, workers=1))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = contents(tmp_path / "out")
    assert sorted(expected) == ["frame000.fits", "frame001.fits"]
    assert len(tables) == 2
    assert {status for t in tables for status in t["status"]} <= {"done", "skipped"}
    table = clean_files(night, tmp_path / "out", resume=True)
    assert table["status"].tolist() == ["skipped", "skipped"]


@pytest.mark.skipif(os.name != "posix", reason="needs modes of POSIX")
@pytest.mark.parametrize(
    ("mode", "umask", "expected"),
    [(0o644, 0o022, 0o644), (0o600, 0o022, 0o600), (0o664, 0o077, 0o600),
     (0o666, 0o027, 0o640), (0o755, 0o022, 0o644), (0o440, 0o022, 0o440)],
)  # fmt: skip
def test_results_have_the_mode_of_the_input(night, tmp_path, mode, umask, expected):
    night[0].chmod(mode)
    before = os.umask(umask)
    try:
        clean_files(night[:1], tmp_path / "out")
        clean_files(night[:1], tmp_path / "masks", masks_only=True)
    finally:
        os.umask(before)
    for folder in ("out", "masks"):
        result = tmp_path / folder / night[0].name
        assert result.stat().st_mode & 0o7777 == expected


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz", "a.fits.bz2"])
def test_planted_links_are_not_followed(tmp_path, monkeypatch, name):
    """Whoever sees a partial file cannot have it written elsewhere."""
    victim, path = tmp_path / "victim", tmp_path / "shared" / name
    victim.write_text("precious")
    path.parent.mkdir()
    path.symlink_to(victim)
    with atomic_path(path, overwrite=True) as partial:
        for seen in path.parent.iterdir():
            for ending in (".gz", ".bz2", ".part", ".part.gz"):
                os.symlink(victim, f"{seen}{ending}")
        folder = partial.parent.stat()
        assert folder.st_mode & 0o077 == 0
        partial.write_bytes(b"content")
    assert victim.read_text() == "precious"
    assert path.is_file() and not path.is_symlink()
    # A name that is taken is none to write to.
    monkeypatch.setattr("tempfile._name_sequence", iter("xxy"))
    with atomic_path(tmp_path / "b", overwrite=True) as partial:
        taken = partial.parent
    taken.symlink_to(tmp_path / "shared", target_is_directory=True)
    before = sorted(path.parent.iterdir())
    with atomic_path(tmp_path / "b", overwrite=True) as partial:
        assert partial.parent.name == taken.name.replace("x.part", "y.part")
        assert sorted(path.parent.iterdir()) == before
    assert taken.is_symlink()


def test_long_names(night, tmp_path):
    raw = tmp_path / ("n" * 240 + ".fits")
    raw.write_bytes(night[0].read_bytes())
    table = clean_files([raw], tmp_path / "out")
    assert table["status"].tolist() == ["done"]
    assert [p.name for p in (tmp_path / "out").iterdir()] == [raw.name]
