"""The standard benchmark, and its scores in the cards of model files."""

import dataclasses
import json
import os

import numpy as np
import pytest
from astropy.io import fits

from deepcr_ccd import load_model
from deepcr_ccd.cli import main
from deepcr_ccd.evaluation import benchmark
from deepcr_ccd.evaluation.benchmark import BENCHMARK, SEED, run_benchmark
from deepcr_ccd.evaluation.card_scores import (
    differing_scores,
    read_scores,
    write_scores,
)
from deepcr_ccd.evaluation.frames import simulate_frames
from deepcr_ccd.models.weights import read_card, read_weights, write_weights

#: Numbers of CR-affected pixels on one small frame of each kind.
AFFECTED = [16, 27, 14, 48, 92, 8, 41, 61, 122]


@pytest.fixture
def small(monkeypatch):
    """A benchmark of two kinds, one frame each."""
    monkeypatch.setattr(benchmark, "KINDS", ("sparse", "disks"))
    monkeypatch.setattr(benchmark, "NUMBER", 1)
    monkeypatch.setattr(benchmark, "SIZE", 96)
    monkeypatch.setattr(benchmark, "QUICK_SIZE", 96)


@pytest.fixture
def model_file(tmp_path):
    """A model of one's own."""
    card, state = read_weights(_shipped("universal-fast"))
    path = tmp_path / "mine.safetensors"
    card = dataclasses.replace(card, name="mine", scores={"HST": 93.5})
    write_weights(path, state, card)
    return path


def _shipped(name):
    from importlib.resources import files

    return files("deepcr_ccd") / "data" / f"{name}.safetensors"


def tensors_of(path):
    content = path.read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]


def change_card(path, **changes):
    """Rewrite fields of the card under ``scores["benchmark"]``, as a forger might."""
    card, state = read_weights(path)
    entry = {**card.scores["benchmark"], **changes}
    card = dataclasses.replace(card, scores={**card.scores, "benchmark": entry})
    write_weights(path, state, card)


def test_frames_of_this_version_stay():
    """Whoever changes the simulated frames gives the benchmark a new version."""
    assert BENCHMARK == {"name": "standard", "version": "1"}
    assert (benchmark.NUMBER, benchmark.SIZE, SEED) == (24, 256, 20_000)
    affected = [
        int(simulate_frames(kind, 1, size=96, seed=SEED)[0].truth.sum())
        for kind in benchmark.KINDS
    ]
    assert affected == AFFECTED


@pytest.mark.usefixtures("small")
def test_a_model_beside_universal(model_file):
    lines = []
    result = run_benchmark(model_file, report=lines.append)
    assert lines == ["scored sparse", "scored disks"]
    assert result.table["method"].tolist() == ["mine", "universal"] * 2
    scores = result.scores()
    assert list(scores) == ["sparse", "disks"]
    assert all(0 <= low <= high <= 100 for low, high in scores.values())
    # The same frames and the same scores again; others with another seed.
    again = run_benchmark(load_model(model_file, device="cpu"))
    assert again.entry() == result.entry()
    assert run_benchmark(model_file, seed=1).affected != result.affected


@pytest.mark.usefixtures("small")
def test_which_model_wins():
    class Fixed:
        def table(self, *_, **__):
            from astropy.table import Table

            names = ("kind", "method", "TPR at 0.05%", "TPR at 0.5%")
            rows = [
                ("sparse", "mine", 90.0, 95.0), ("sparse", "universal", 89.0, 99.0),
                ("disks", "mine", 80.0, 95.0), ("disks", "universal", 90.0, 90.0),
                ("slits", "mine", 80.4, 95.0), ("slits", "universal", 80.0, 90.0),
            ]  # fmt: skip
            return Table(rows=rows, names=names)

    affected = {"sparse": 1, "disks": 1, "slits": 1}
    result = benchmark.BenchmarkResult("mine", "universal", Fixed(), affected)
    assert result.differing_kinds() == (["sparse"], ["disks"])
    assert result.describe()[-3:] == [
        "mine is better than universal on: sparse",
        "worse on: disks",
        "within 0.5 % on: slits",
    ]
    quick = dataclasses.replace(result, quick=True).describe()
    assert quick[-1] == (
        "too few frames to tell whether mine is better than universal: run it in full"
    )
    assert not any("better than universal on" in line for line in quick)


@pytest.mark.usefixtures("small")
def test_universal_is_not_compared_with_itself():
    result = run_benchmark("universal", quick=True)
    assert "better" not in "\n".join(result.describe())
    assert "quick form" in result.describe()[0]


@pytest.mark.usefixtures("small")
def test_a_changed_universal_has_a_name_of_its_own(tmp_path):
    card, state = read_weights(_shipped("universal-fast"))
    path = tmp_path / "universal.safetensors"
    write_weights(path, state, dataclasses.replace(card, name="universal"))
    result = run_benchmark(path)
    assert result.model == "universal (yours)"
    write_scores(path, result)
    assert read_scores(path)["scores"] == result.scores()


@pytest.mark.usefixtures("small")
def test_scores_are_written_into_the_card(model_file, tmp_path):
    before, tensors = read_card(model_file), tensors_of(model_file)
    model_file.chmod(0o640)
    link = tmp_path / "link.safetensors"
    link.symlink_to(model_file)
    result = run_benchmark(model_file)
    write_scores(link, result)
    assert link.is_symlink()
    assert model_file.stat().st_mode & 0o777 == 0o640
    assert tensors_of(model_file) == tensors
    card = read_card(model_file)
    assert card.scores == {"HST": 93.5, "benchmark": result.entry()}
    changed = {f.name for f in dataclasses.fields(card)} - {"scores", "benchmark"}
    for name in changed:
        assert getattr(card, name) == getattr(before, name), name
    entry = read_scores(model_file)
    assert {key: entry[key] for key in ("name", "version", "seed")} == {
        **BENCHMARK,
        "seed": SEED,
    }
    assert entry["affected_pixels"] == result.affected
    # Again, without traces of before; and the model still runs.
    write_scores(model_file, result)
    assert read_scores(model_file) == entry
    frame = np.zeros((32, 32), np.float32)
    assert load_model(model_file, device="cpu").probability(frame).shape == (32, 32)
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []


@pytest.mark.usefixtures("small")
def test_the_test_input_stays(tmp_path):
    path = tmp_path / "mine.safetensors"
    load_model("universal-fast", device="cpu").save(path)
    assert read_card(path).test_tolerance is not None
    write_scores(path, run_benchmark(path))
    assert load_model(path, device="cpu").verify().passed


@pytest.mark.usefixtures("small")
def test_fields_of_later_versions_stay(model_file):
    content = model_file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    card = {**json.loads(header["__metadata__"]["card"]), "of_later": [1, 2]}
    header["__metadata__"] = {"card": json.dumps(card), "format": "pt"}
    new = json.dumps(header).encode()
    model_file.write_bytes(len(new).to_bytes(8, "little") + new + content[8 + length :])
    write_scores(model_file, run_benchmark(model_file))
    content = model_file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    assert length % 8 == 0
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    assert metadata["format"] == "pt"
    card = json.loads(metadata["card"])
    assert card["of_later"] == [1, 2]
    assert card["benchmark"] == BENCHMARK


@pytest.mark.usefixtures("small")
def test_nothing_is_half_written(model_file, monkeypatch):
    result = run_benchmark(model_file)
    before = model_file.read_bytes()

    def fail(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            write_scores(model_file, result)
    assert model_file.read_bytes() == before
    other = dataclasses.replace(result, model="other")
    with pytest.raises(ValueError, match="is of 'mine', the scores are of 'other'"):
        write_scores(model_file, other)
    with pytest.raises(ValueError, match="quick=True gives no scores"):
        write_scores(model_file, dataclasses.replace(result, quick=True))
    with pytest.raises(FileNotFoundError):
        write_scores(model_file.with_name("no.safetensors"), result)
    assert model_file.read_bytes() == before
    assert [p.name for p in model_file.parent.iterdir()] == [model_file.name]


@pytest.mark.usefixtures("small")
def test_claims_are_recomputed(model_file):
    result = run_benchmark(model_file)
    write_scores(model_file, result)
    assert differing_scores(read_scores(model_file), result) == []
    true = result.entry()
    for claim, found in (
        ({"sparse": [100.0, 100.0], "disks": true["scores"]["disks"]}, "sparse: [100"),
        ({"sparse": true["scores"]["sparse"]}, "disks: None in the card"),
        ({**true["scores"], "moons": [99, 99]}, "moons: not in this benchmark"),
        ({**true["scores"], "disks": "good"}, "disks: good in the card"),
        ({**true["scores"], "disks": [True, 1]}, "disks: [True, 1] in the card"),
    ):
        (line,) = differing_scores({**true, "scores": claim}, result)
        assert line.startswith(found)
    affected = {**true["affected_pixels"], "sparse": 3}
    (line,) = differing_scores({**true, "affected_pixels": affected}, result)
    assert line.startswith("sparse: 3 affected pixels in the card")
    assert len(differing_scores({**true, "affected_pixels": None}, result)) == 2


@pytest.mark.usefixtures("small")
def test_cards_without_scores_of_this_version(model_file):
    with pytest.raises(ValueError, match="holds no scores of the benchmark; write="):
        read_scores(model_file)
    write_scores(model_file, run_benchmark(model_file))
    change_card(model_file, version="0")
    with pytest.raises(ValueError, match="benchmark 'standard', version '0'; this"):
        read_scores(model_file)
    change_card(model_file, **BENCHMARK, seed=-1)
    with pytest.raises(ValueError, match="of seed=-1"):
        read_scores(model_file)
    change_card(model_file, seed=SEED, scores=[1])
    with pytest.raises(ValueError, match="are damaged"):
        read_scores(model_file)


@pytest.mark.usefixtures("small")
def test_frames_of_ones_own(model_file, tmp_path):
    item = simulate_frames("sparse", 1, size=96, seed=5)[0]
    path = tmp_path / "night.fits"
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(item.frame, name="SCI")])
    hdus["SCI"].header["BUNIT"] = "electron"
    hdus.append(fits.ImageHDU(item.truth.astype(np.uint8), name="TRUTH"))
    hdus.writeto(path)
    result = run_benchmark(model_file, frames=[path])
    assert result.table["kind"][0] == "own frames"
    entry = result.entry()
    assert set(entry["scores"]) == {"sparse", "disks"}
    assert len(entry["own_frames"]["scores"]) == 2
    assert differing_scores(entry, result) == []
    without = run_benchmark(model_file).entry()
    assert differing_scores(without, result) == [
        "own frames: the card's scores are of other files"
    ]
    entry["own_frames"]["scores"] = [100.0, 100.0]
    assert differing_scores(entry, result)[0].startswith("own frames: [100.0")


def test_own_frames_without_cosmic_rays(model_file, tmp_path):
    frame = np.random.default_rng(0).normal(50, 5, (40, 40)).astype("f4")
    hdus = fits.HDUList([fits.PrimaryHDU(frame)])
    hdus[0].header["BUNIT"] = "electron"
    hdus.append(fits.ImageHDU(np.zeros(frame.shape, "u1"), name="TRUTH"))
    hdus.writeto(tmp_path / "night.fits")
    with pytest.raises(ValueError, match="frames= have no CR-affected pixel"):
        run_benchmark(model_file, frames=[tmp_path / "night.fits"])


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"seed": -1}, ValueError, "seed=-1 must not be negative"),
        ({"seed": 1.5}, TypeError, "seed=1.5 must be a whole number"),
        ({"seed": True}, TypeError, "seed=True must be a whole number"),
        ({"frames": ["no.fits"]}, FileNotFoundError, "no.fits"),
    ],
)
def test_wrong_arguments(options, error, match):
    with pytest.raises(error, match=match):
        run_benchmark("universal-fast", **options)
    with pytest.raises(ValueError, match="universal-inpaint"):
        run_benchmark("universal-inpaint")


@pytest.mark.usefixtures("small")
def test_the_command(model_file, capsys):
    command = ["models", "benchmark", str(model_file)]
    assert main([*command, "--quick"]) == 0
    assert "too few frames to tell whether mine is better" in capsys.readouterr().out
    assert main([*command, "--check"]) == 1
    assert "no scores of the benchmark; --write adds" in capsys.readouterr().err
    assert main([*command, "--write"]) == 0
    assert f"wrote the scores into {model_file}" in capsys.readouterr().out
    assert main([*command, "--check"]) == 0
    assert "are those measured now" in capsys.readouterr().out
    scores = read_scores(model_file)["scores"]
    change_card(model_file, scores={**scores, "disks": [100.0, 100.0]})
    before = model_file.read_bytes()
    assert main([*command, "--check"]) == 1
    assert "disks: [100.0, 100.0] in the card, [" in capsys.readouterr().err
    assert model_file.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["universal", "--write"], "--write needs a model file, not 'universal'"),
        (["FILE", "--write", "--quick"], "--write needs the full benchmark"),
        (["FILE", "--write", "--seed", "3"], "--write takes no --seed 3"),
        (["universal", "--check"], "--check needs a model file"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_options(model_file, arguments, match, capsys):
    words = [str(model_file) if word == "FILE" else word for word in arguments]
    before = model_file.read_bytes()
    assert main(["models", "benchmark", *words]) == 1
    assert match in capsys.readouterr().err
    assert model_file.read_bytes() == before
