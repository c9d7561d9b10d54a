import json
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData
from sample_files import contents, write_night

from deepcr_ccd import clean_files, cosmicray_deepcr
from deepcr_ccd.batch import files as batch
from deepcr_ccd.batch.files import find_files
from deepcr_ccd.batch.job import Job
from deepcr_ccd.cli import main
from deepcr_ccd.io.atomic import remove_stale
from deepcr_ccd.io.fits_file import FitsFile


@pytest.fixture
def night(tmp_path):
    return write_night(tmp_path / "night", 4)


def test_table_says_what_happened(night, tmp_path):
    rows = []
    table = clean_files(night, tmp_path / "out", report=rows.append)
    assert table["status"].tolist() == ["done"] * 4
    assert table["file"].tolist() == [str(path) for path in night]
    assert len(rows) == 4
    for row, path in zip(table, night, strict=True):
        expected = cosmicray_deepcr(FitsFile(path).images[0].read())
        assert row["pixels"] == expected.header["CRNPIX"] > 0
        assert row["objects"] == expected.header["CRNOBJ"]
        assert row["seconds"] > 0
        with fits.open(row["output"]) as hdus:
            np.testing.assert_allclose(hdus[0].data, expected.data, rtol=1e-5)


def test_places_may_be_given(night, tmp_path):
    places = {night[0]: "a.fits", str(night[1]): "deep/b.fits"}
    table = clean_files(places, tmp_path / "out")
    assert table["status"].tolist() == ["done"] * 2
    assert (tmp_path / "out" / "a.fits").is_file()
    assert (tmp_path / "out" / "deep" / "b.fits").is_file()


def test_more_files_are_at_work_where_they_are_small(night, tmp_path):
    jobs = [Job(path, path) for path in night]
    threads = torch.get_num_threads()
    assert batch._most_workers(jobs) == threads + 2
    large = tmp_path / "large.fits"
    with open(large, "wb") as file:
        file.truncate(batch.SMALL_FILE + 1)
    assert batch._most_workers([*jobs, Job(large, large)]) == threads + 1
    gone = tmp_path / "gone.fits"
    assert batch._most_workers([Job(gone, gone)]) == threads + 1


@pytest.mark.parametrize("workers", [1, 3])
def test_bad_files_do_not_keep_the_others(night, tmp_path, workers):
    whole = night[1].read_bytes()
    night[1].write_bytes(whole[: len(whole) // 2])
    night[2].write_text("no FITS")
    table = clean_files(night, tmp_path / "out", workers=workers)
    assert table["status"].tolist() == ["done", "failed", "failed", "done"]
    assert "truncated" in table["message"][1]
    assert sorted(contents(tmp_path / "out")) == ["frame000.fits", "frame003.fits"]


def test_full_disk_leaves_nothing(night, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("deepcr_ccd.io.fits_file.rewrite", full)
    table = clean_files(night, tmp_path / "out")
    assert set(table["status"]) == {"failed"}
    assert "No space left" in table["message"][0]
    assert contents(tmp_path / "out") == {}


def test_resume_leaves_out_what_is_right(night, tmp_path):
    out = tmp_path / "out"
    clean_files(night[:2], out)
    before = contents(out)
    stamps = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    with pytest.raises(FileExistsError, match="exists; overwrite=True replaces it"):
        clean_files(night, out)
    table = clean_files(night, out, resume=True)
    assert table["status"].tolist() == ["skipped", "skipped", "done", "done"]
    assert table["pixels"].min() > 0
    assert {n: (out / n).stat().st_mtime_ns for n in stamps} == stamps
    # Another threshold, input or a broken output are done again.
    table = clean_files(night, out, resume=True, threshold=0.9)
    assert set(table["status"]) == {"done"}
    assert contents(out)["frame000.fits"] != before["frame000.fits"]
    clean_files(night, out, resume=True)
    assert contents(out)["frame000.fits"] == before["frame000.fits"]
    (out / "frame001.fits").write_bytes(before["frame001.fits"][:3000])
    night[2].write_bytes(night[3].read_bytes())
    table = clean_files(night, out, resume=True)
    assert table["status"].tolist() == ["skipped", "done", "done", "skipped"]


def test_masks_only(night, tmp_path):
    clean_files(night[:1], tmp_path / "out", masks_only=True)
    with fits.open(tmp_path / "out" / "frame000.fits") as hdus:
        assert hdus["CRMASK"].data.sum() == hdus["CRMASK"].header["CRNPIX"]
        assert hdus["CRMASK"].header["CRFILL"] == "none"
    table = clean_files(night[:1], tmp_path / "out", masks_only=True, resume=True)
    assert table["status"].tolist() == ["skipped"]


def test_find_files(tmp_path):
    write_night(tmp_path / "a", 2)
    write_night(tmp_path / "a" / "deep", 1)
    (tmp_path / "a" / "notes.txt").write_text("clouds")
    a = tmp_path / "a"
    names = ["frame000.fits", "frame001.fits"]
    for item in (a, a / "*.fits"):
        assert [str(place) for _, place in find_files([item])] == names
    found = find_files([a], recursive=True)
    assert [str(place) for _, place in found] == ["deep/frame000.fits", *names]
    listed = tmp_path / "list.txt"
    listed.write_text(f"{a}/frame001.fits\n\n{a}/frame000.fits\n")
    found = find_files([f"@{listed}", a / "frame001.fits"])
    assert [str(place) for _, place in found] == names[::-1]
    with pytest.raises(ValueError, match="two inputs would both be written to"):
        find_files([a / "frame000.fits", a / "deep" / "frame000.fits"])
    with pytest.raises(ValueError, match="matches no file"):
        find_files([a / "x*.fits"])
    with pytest.raises(ValueError, match="holds no FITS file"):
        (tmp_path / "empty").mkdir()
        find_files([tmp_path / "empty"])


def test_collections_of_ccdproc(night, tmp_path):
    ccdproc = pytest.importorskip("ccdproc")
    collection = ccdproc.ImageFileCollection(night[0].parent)
    table = clean_files(collection, tmp_path / "out")
    assert table["status"].tolist() == ["done"] * 4


def test_wrong_options_are_found_before_any_work(night, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(
        TypeError,
        match="clean_files has no argument sigclip=: there is nothing to tune",
    ):
        clean_files(night, out, sigclip=4)
    with pytest.raises(ValueError, match="workers=0 must be"):
        clean_files(night, out, workers=0)
    with pytest.raises(ValueError, match="'best' is unknown"):
        clean_files(night, out, model="best")
    assert not out.exists()


def test_warnings_stay_with_their_file(night, tmp_path):
    ccd = CCDData.read(night[2])
    ccd.unit = u.electron
    table = clean_files(night, tmp_path / "out", gain=2.0, workers=2)
    assert all("gain= has no effect" in message for message in table["message"])


def test_command(night, tmp_path, capsys):
    night[1].write_text("no FITS")
    folder = str(night[0].parent)
    assert main(["clean", folder, "-o", str(tmp_path / "out"), "--json"]) == 1
    captured = capsys.readouterr()
    rows = [json.loads(line) for line in captured.out.splitlines()]
    assert sorted(row["status"] for row in rows) == ["done"] * 3 + ["failed"]
    assert "1 of 4 files failed" in captured.err
    arguments = ["mask", folder, "-o", str(tmp_path / "masks"), "--quiet"]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 2
    night[1].write_bytes(night[0].read_bytes())
    assert main([*arguments[:4], "--resume"]) == 0
    assert capsys.readouterr().out.count("skipped") == 3


ENDLESS = """
import sys, time
from pathlib import Path
from deepcr_ccd.io.atomic import atomic_path

with atomic_path(Path(sys.argv[1]), overwrite=True) as partial:
    partial.write_text("half")
    time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_what_a_killed_run_leaves_is_removed(tmp_path):
    path = tmp_path / "a.fits"
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(path)])
    while not [p for p in tmp_path.iterdir() if p.stat().st_size]:
        time.sleep(0.01)
    remove_stale([path])
    assert len(list(tmp_path.iterdir())) == 1  # it is at work on it
    process.kill()
    process.wait()
    assert not path.exists()
    remove_stale([path])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["../x.fits", "a/../../x.fits", "absolute"])
def test_results_stay_in_their_folder(tmp_path, place):
    night = write_night(tmp_path / "night", 1)
    if place == "absolute":
        place = str(tmp_path / "x.fits")
    with pytest.raises(ValueError, match="must be a place in the folder of output="):
        clean_files({night[0]: place}, tmp_path / "out")
    assert not (tmp_path / "x.fits").exists()
    assert not (tmp_path / "out").exists()


def test_frames_in_memory_are_no_files(tmp_path, ccd):
    with pytest.raises(TypeError, match="files holds a CCDData, and no path; for"):
        clean_files([ccd], tmp_path / "out")
