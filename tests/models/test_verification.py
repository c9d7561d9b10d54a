"""Test inputs in model files, digests of weights, and what is said of them."""

import dataclasses
import json
import pickle
import struct

import numpy as np
import pytest
import safetensors.torch
import torch
from astropy import units as u
from astropy.nddata import CCDData
from conftest import random_model

from deepcr_ccd import list_models, load_model
from deepcr_ccd.cli import main
from deepcr_ccd.models.card import ModelCard
from deepcr_ccd.models.model import Model
from deepcr_ccd.models.verification import digest_of
from deepcr_ccd.models.weights import read_card, write_weights
from deepcr_ccd.simulation.reference_frame import make_reference_frame


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "mine.safetensors"
    random_model().save(path)
    return path


def load(path):
    return load_model(path, device="cpu", precision="float32", engine="torch")


def rewrite(path, **changed):
    """Change tensors of a file; None leaves one out."""
    tensors = safetensors.torch.load_file(path) | changed
    tensors = {key: value for key, value in tensors.items() if value is not None}
    card = read_card(path).to_json()
    safetensors.torch.save_file(tensors, path, {"card": card})


def test_every_model_that_ships_is_verified():
    for row in list_models():
        if row["source"] in ("shipped", "published"):
            found = load_model(row["name"], task=row["task"], device="cpu").verify()
            assert found.passed, str(found)
            assert not found.failed


def test_the_reference_frame_is_seeded_and_ordinary():
    frame, truth = make_reference_frame()
    again, _ = make_reference_frame()
    np.testing.assert_array_equal(frame, again)
    assert (make_reference_frame(3)[0] != frame).any()
    assert frame.shape == truth.shape == (128, 128)
    assert (frame == frame.astype(np.int16)).all()
    assert 50 < np.median(frame) < 70
    assert 40 < truth.sum() < 400


def test_a_file_holds_its_test(saved):
    model = load(saved)
    frame, _ = make_reference_frame()
    np.testing.assert_array_equal(model.test.frame, frame)
    expected = model.probability(frame)
    np.testing.assert_allclose(model.test.output, expected, atol=5e-4)
    assert model.card.test_tolerance == 0.002
    assert "simulated" in model.card.test_origin
    assert model.card.sha256 == digest_of(model.network.state_dict())
    found = model.verify()
    assert found.passed
    assert str(found).splitlines()[0] == "random: verified"
    assert "largest difference" in str(found)
    assert "verified" in found._repr_html_()


def test_an_inpainting_model_holds_its_mask(tmp_path):
    path = tmp_path / "fill.safetensors"
    random_model("inpaint").save(path)
    model = load(path)
    _, truth = make_reference_frame()
    np.testing.assert_array_equal(model.test.mask, truth)
    assert model.test.output.shape == (truth.sum(),)
    assert model.verify().passed


def test_other_weights_fail(saved):
    tensors = safetensors.torch.load_file(saved)
    rewrite(saved, **{"out.bias": tensors["out.bias"] + 0.5})
    found = load(saved).verify()
    assert found.failed
    assert not found.passed
    lines = str(found).splitlines()
    assert lines[0] == "random: FAILED"
    assert lines[1].startswith("weights: FAILED, sha256 ")
    assert lines[2].startswith("test input: FAILED, largest difference")


def test_another_output_fails(saved):
    output = safetensors.torch.load_file(saved)["test.output"]
    output[5, 7] = 1 - output[5, 7].round()
    rewrite(saved, **{"test.output": output})
    found = load(saved).verify()
    assert found.checks["weights"][0] is True
    assert found.checks["test input"][0] is False
    assert "exceeded in 1 of 16384 values" in str(found)


def test_files_without_a_test_are_not_verified(tmp_path):
    path = tmp_path / "old.safetensors"
    model = random_model()
    card = json.loads(model.card.to_json())
    state = {key: one.contiguous() for key, one in model.network.state_dict().items()}
    safetensors.torch.save_file(state, path, {"card": json.dumps(card)})
    found = load(path).verify()
    assert not found.passed
    assert not found.failed
    assert str(found).startswith("random: not verified\nweights: not checked")


def test_a_test_goes_where_the_model_goes(saved):
    model = load(saved)
    for other in (model.to(precision="bfloat16"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other.test.output, model.test.output)
        assert other.verify().passed


def test_a_frame_of_ones_own(tmp_path, rng):
    frame = rng.normal(100, 5, (64, 80)).astype(np.float32)
    model = random_model().with_test(frame, origin="mine", tolerance=0.01)
    model.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.test.frame, frame)
    assert (again.card.test_origin, again.card.test_tolerance) == ("mine", 0.01)
    assert again.verify().passed


@pytest.mark.parametrize(
    ("shape", "value", "match"),
    [
        ((70,), 0, r"frame of shape \(70,\) must be \(ny, nx\), from 64 to 512 px"),
        ((70, 600), 0, "from 64 to 512 px a side"),
        ((63, 80), 0, "from 64 to 512 px a side"),
        ((70, 70), np.nan, "or NaN"),
        ((70, 70), 1e20, "numbers beyond"),
    ],
)
def test_frames_that_cannot_be_used(shape, value, match):
    with pytest.raises(ValueError, match=match):
        random_model().with_test(np.full(shape, value, dtype=np.float32))
    with pytest.raises(ValueError, match="mask must be True at some pixels"):
        random_model("inpaint").with_test(np.zeros((70, 70)))


ONES = np.ones((64, 64), dtype=np.float32)
WRONG_FRAMES = {
    "text": ("abc", "frame is a str of <U3: it must be a plain array of real"),
    "ragged": ([[1, 2], [3]], "frame is a list: it must be a plain array of real"),
    "complex": (ONES * 1j, "frame is a ndarray of complex64: it must be"),
    "Quantity": (ONES * u.electron, "frame is a Quantity, whose unit and mask would"),
    "CCDData": (CCDData(ONES, unit="adu"), "frame is a CCDData, whose unit and mask"),
    "masked": (np.ma.MaskedArray(ONES), "frame is a MaskedArray, whose unit and mask"),
}


@pytest.mark.parametrize("case", WRONG_FRAMES)
def test_frames_that_would_lose_something_are_refused(case):
    frame, match = WRONG_FRAMES[case]
    with pytest.raises(TypeError, match=match):
        random_model().with_test(frame, origin="mine")


def test_masks_that_would_be_ignored_are_refused():
    for mask in ("rubbish", ONES > 0):
        with pytest.raises(ValueError, match="mask= is for inpainting models"):
            random_model().with_test(mask=mask)
    for mask in ("rubbish", ONES):
        with pytest.raises(TypeError, match="mask .*bool"):
            random_model("inpaint").with_test(ONES, mask)


def test_what_cannot_be_saved(tmp_path):
    model = random_model()
    for path in ("", tmp_path):
        with pytest.raises(ValueError, match="path=.* must be the path of a file"):
            model.save(path)
    with pytest.raises(TypeError, match="test='x' must be a ModelTest or None"):
        Model(model.card, model.network, device="cpu", test="x")


BAD_TESTS = {
    "no output": ({"test.output": None}, "have test.input, test.output, not test.inp"),
    "a mask": (
        {"test.mask": torch.ones(128, 128, dtype=torch.bool)},
        "have test.input, test.output, not test.input, test.mask",
    ),
    "unknown": ({"test.more": torch.zeros(2, 2)}, "'test.more' is unknown"),
    "NaN": ({"test.input": torch.full((128, 128), torch.nan)}, "or NaN"),
    "whole": ({"test.input": torch.zeros(4, 4, dtype=torch.int64)}, "holds I64, not"),
    "wide": ({"test.input": torch.zeros(1, 4096)}, r"has shape \(1, 4096\), not"),
    "tiny": ({"test.input": torch.zeros(1, 1)}, "not .* from 64 to 512 px a side"),
    "empty": ({"test.input": torch.zeros(0, 4)}, "has shape"),
    "other": ({"test.output": torch.zeros(64, 64)}, r"has shape \(64, 64\), not \(128"),
}


@pytest.mark.parametrize("case", BAD_TESTS)
def test_tests_that_are_refused(case, saved):
    changed, match = BAD_TESTS[case]
    rewrite(saved, **changed)
    with pytest.raises(ValueError, match=match) as caught:
        load(saved)
    assert str(saved) in str(caught.value)
    assert "\n" not in str(caught.value)


def sparse(path, header):
    """Write a file with a header, whose tensors are a hole on the disk."""
    text = json.dumps(header).encode()
    last = max(v["data_offsets"][1] for k, v in header.items() if k[:2] != "__")
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + last)


def test_weights_of_gigabytes_are_refused_unread(tmp_path, monkeypatch):
    """A sparse file of 14 GB that is whole, and fits its card."""
    from deepcr_ccd.models.networks.build import plan_network

    arguments = {"in_channels": 1, "width": 6000, "levels": 2}
    arguments["width"] = [6000, 12000]
    card = ModelCard(name="huge", task="mask", architecture="unet", arguments=arguments)
    header, begin = {"__metadata__": {"card": card.to_json()}}, 0
    for key, value in plan_network("unet", arguments).state_dict().items():
        end = begin + 4 * value.numel()
        header[key] = {
            "dtype": "F32",
            "shape": list(value.shape),
            "data_offsets": [begin, end],
        }
        begin = end
    assert begin > 1e10
    path = tmp_path / "huge.safetensors"
    sparse(path, header)

    def read(*_):
        raise AssertionError("the tensors are read")

    monkeypatch.setattr("deepcr_ccd.models.weights.restore_network", read)
    with pytest.raises(ValueError, match=r"would take .* GB, not 2 GB at most"):
        load(path)


def test_cards_of_100_megabytes_are_refused_unread(tmp_path):
    path = tmp_path / "card.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 100_000_000) + b"{")
        file.truncate(100_000_100)
    with pytest.raises(ValueError, match="header of 100000000 bytes is longer"):
        load(path)


@pytest.mark.parametrize("levels", [200, 900, 10_000])
def test_cards_of_many_levels_are_refused(levels, saved):
    card = json.loads(read_card(saved).to_json()) | {"scores": {}}
    nested = '{"a":' * levels + "1" + "}" * levels
    text = json.dumps(card).replace('"scores": {}', f'"scores": {nested}')
    assert nested in text
    tensors = safetensors.torch.load_file(saved)
    safetensors.torch.save_file(tensors, saved, {"card": text})
    with pytest.raises(ValueError, match="within") as caught:
        load(saved)
    assert len(str(caught.value)) < 600


PROVENANCE = {
    "version": ("1.0\n2.0", "on one line"),
    "date": ("yesterday", "a day as in"),
    "authors": ("A. Nonymous", "a list of text"),
    "contact": ("a\x1b[31m", "on one line"),
    "doi": ("abc", "a DOI as in"),
    "parent": ("../universal", "a name of up to"),
    "origin": ({"file": 3}, "a mapping of text"),
    "datasets": ([{"name": 3}], "a list of mappings"),
    "fwhm_range": ([8, 1], "a lowest and a highest number"),
    "background_range": ([float("nan"), 1], "a lowest and a highest number"),
    "benchmark": ({"name": ["a"]}, "a mapping of words"),
    "test_tolerance": (1, "a number from 0 to 0.05, or None"),
    "sha256": ("12", "64 hexadecimal digits"),
}


@pytest.mark.parametrize("field", PROVENANCE)
def test_fields_are_checked(field):
    value, match = PROVENANCE[field]
    with pytest.raises(ValueError, match=f"card of 'm': {field}=.* must be .*{match}"):
        ModelCard(name="m", task="mask", architecture="unet", **{field: value})


@pytest.mark.parametrize("date", ["2026-W01-1", "20261127", "2026-02-30", 20261127])
def test_dates_are_written_in_one_way(date):
    with pytest.raises(ValueError, match=r"date=.* must be a day as in '2026-11-27'"):
        ModelCard(name="m", task="mask", architecture="unet", date=date)


def test_turns_are_whole_numbers():
    with pytest.raises(ValueError, match=r"turns=4.0; allowed are \(1, 2, 4\)"):
        ModelCard(name="m", task="mask", architecture="unet", turns=4.0)


@pytest.mark.parametrize("tolerance", [1, -0.1, np.nan, "0.01", True])
def test_tolerances_that_tell_nothing_are_refused(tolerance):
    with pytest.raises(ValueError, match="tolerance=.* must be a number from 0 to 0.0"):
        random_model().with_test(tolerance=tolerance)


def test_fields_are_kept_and_shown(tmp_path):
    fields = {
        "version": "1.2",
        "date": "2026-11-27",
        "authors": ["A. Nonymous", "B. <Other>"],
        "contact": "https://example.org",
        "doi": "10.3847/1538-4357/ab3fa6",
        "parent": "universal",
        "origin": {"file": "a.pth"},
        "datasets": [{"name": "Darks", "archive": "MAST", "identifiers": ["o1", "o2"]}],
        "intended_use": "Imaging.",
        "known_limits": "Spectra.",
        "fwhm_range": [1.2, 8],
        "background_range": [0, 2000],
        "benchmark": {"name": "standard", "version": 1},
    }
    path = tmp_path / "m.safetensors"
    model = random_model(**fields)
    model.save(path)
    card = read_card(path)
    assert {key: getattr(card, key) for key in fields} == fields
    facts = card.facts()
    assert facts["data sets"] == ["Darks (MAST; o1, o2)"]
    assert facts["FWHM of its training (px)"] == "1.2 to 8"
    assert facts["benchmark"] == "standard 1"
    shown = card._repr_html_()
    for text in ("1.2 to 8", "Nonymous", "&lt;Other&gt;", "Spectra.", card.sha256):
        assert text in shown
    # A model of other weights has no digest of these.
    write_weights(path, model.network.state_dict(), dataclasses.replace(card))
    assert read_card(path).test_tolerance is None


def test_the_command(saved, tmp_path, capsys):
    assert main(["models", "verify", str(saved), "decam"]) == 0
    said = capsys.readouterr().out
    assert "random: verified" in said
    assert "decam: verified" in said
    old = tmp_path / "old.safetensors"
    rewrite(saved, **{"test.input": None, "test.output": None})
    saved.rename(old)
    assert main(["models", "verify", str(old)]) == 1
    assert "test input: not checked, the file has none" in capsys.readouterr().out
    assert main(["models", "add-test", str(old)]) == 0
    assert main(["models", "verify", str(old)]) == 0
    capsys.readouterr()
    assert main(["models", "verify", "decam", str(tmp_path / "no.safetensors")]) == 1
    assert "no.safetensors" in capsys.readouterr().err
    assert main(["models", "verify", "nothing"]) == 1
    assert "'nothing' is unknown" in capsys.readouterr().err


def test_a_model_whose_output_is_no_number_is_saved_without_a_test(tmp_path):
    model = random_model()
    with torch.no_grad():
        model.network.out.bias.fill_(torch.nan)
    with pytest.warns(UserWarning, match="saved without a test input"):
        Model(model.card, model.network, device="cpu").save(tmp_path / "m.safetensors")


def test_add_test_keeps_all_else_in_the_file(saved, tmp_path):
    tensors = safetensors.torch.load_file(saved)
    later = json.loads(read_card(saved).to_json()) | {"later": {"field": [1]}}
    metadata = {"card": json.dumps(later), "format": "pt"}
    weights = {key: one for key, one in tensors.items() if key[:5] != "test."}
    safetensors.torch.save_file(weights, saved, metadata)
    saved.chmod(0o600)
    link = tmp_path / "link.safetensors"
    link.symlink_to(saved)
    assert main(["models", "add-test", str(link)]) == 0
    assert link.is_symlink()
    assert saved.stat().st_mode & 0o777 == 0o600
    with safetensors.safe_open(saved, "pt") as file:
        found = file.metadata()
    assert found["format"] == "pt"
    assert json.loads(found["card"])["later"] == {"field": [1]}
    after = safetensors.torch.load_file(saved)
    assert all(torch.equal(after[key], one) for key, one in weights.items())
    assert load(link).verify().passed


def test_add_test_replaces_a_test_only_where_asked(saved, tmp_path, rng, capsys):
    own = tmp_path / "own.safetensors"
    frame = rng.normal(100, 5, (64, 64)).astype(np.float32)
    random_model().with_test(frame, origin="a real cutout").save(own)
    rewrite(saved, **{"test.input": None, "test.output": None})
    before = own.read_bytes(), saved.read_bytes()
    assert main(["models", "add-test", str(saved), str(own)]) == 1
    said = capsys.readouterr().err
    assert "has a test input (a real cutout); --overwrite replaces it" in said
    assert (own.read_bytes(), saved.read_bytes()) == before
    assert main(["models", "add-test", "--overwrite", str(saved), str(own)]) == 0
    assert "simulated" in load(own).card.test_origin
