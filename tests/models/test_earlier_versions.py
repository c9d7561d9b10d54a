"""Files and cards that version 0.1 wrote load, and give what they gave then.

``tests/data/version_0.1`` holds small models with random weights, a frame and what they
made of it, and the cards of the models that were shipped. They are never made anew: a
format that changes gets a folder of its own.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from deepcr_ccd import load_model
from deepcr_ccd.models.card import ModelCard
from deepcr_ccd.models.provenance import Provenance

FOLDER = Path(__file__).parents[1] / "data" / "version_0.1"
SHIPPED = ("universal", "universal-fast", "universal-thorough", "universal-inpaint")


@pytest.fixture(scope="module")
def expected():
    with np.load(FOLDER / "expected.npz") as arrays:
        return dict(arrays)


def load(name, **options):
    options = {"device": "cpu", "precision": "float32", "engine": "torch"} | options
    return load_model(FOLDER / f"{name}.safetensors", **options)


@pytest.mark.parametrize("name", SHIPPED)
def test_cards_of_shipped_models(name):
    text = (FOLDER / f"{name}.json").read_text()
    card = ModelCard.from_json(text)
    written = json.loads(card.to_json())
    for field, value in json.loads(text).items():
        assert written[field] == value, field


def test_what_the_card_of_the_default_model_means():
    card = ModelCard.from_json((FOLDER / "universal.json").read_text())
    assert (card.name, card.task, card.unit) == ("universal", "mask", None)
    assert (card.architecture, card.transform) == ("unet", "noise")
    assert card.fill == "universal-inpaint"
    assert card.scale_free
    assert card.measures_noise
    assert card.uses_noise_facts == {"background", "known_noise", "readnoise"}
    assert card.threshold_for(1e-4) == pytest.approx(card.calibration["0.0001"])


def test_every_field_of_a_card():
    card = load("detect").card
    # What came later is empty.
    provenance = {field.name for field in dataclasses.fields(Provenance)}
    assert not any(getattr(card, field) for field in provenance)
    assert {k: v for k, v in vars(card).items() if k not in provenance} == {
        "name": "detect",
        "task": "mask",
        "architecture": "unet",
        "arguments": {
            "in_channels": 1,
            "width": [4, 6],
            "levels": 2,
            "stem": 2,
            "merge": 1,
            "skip": "add",
        },
        "unit": "electron",
        "transform": "noise",
        "transform_arguments": {"cell": 32},
        "turns": 4,
        "threshold": 0.4,
        "extend_threshold": 0.2,
        "calibration": {"0.0001": 0.9, "0.001": 0.6, "0.01": 0.3},
        "recalibration": ((0.05, 0.05), (0.5, 0.4), (1.0, 1.0)),
        "ranges": [[-1.0, 5.0], [0.0, 6.5], [0.0, 4.0], [-2.0, 3.0], [0.0, 2.5]],
        "fill": "fill",
        "instrument": "HST ACS/WFC",
        "filters": ["F606W", "F814W"],
        "domain": {"INSTRUME": "ACS", "DETECTOR": "WFC"},
        "training_data": "random weights",
        "scores": {"AUC": 0.5, "by filter": {"F606W": 0.6}},
        "citation": "Nobody 2025",
        "license": "BSD-3-Clause",
        "description": "A test of files.",
    }
    assert card.measures_noise
    assert not load("scaled").card.measures_noise
    assert card.thresholds() == (0.4, 0.2)
    assert card.threshold_for(0.001) == pytest.approx(0.6)
    assert card.covers({"INSTRUME": "ACS", "DETECTOR": "WFC", "FILTER1": "F814W"})


def test_a_detection_model_in_noise_units(expected):
    found = load("detect").probability(expected["frame"], bad=expected["bad"])
    np.testing.assert_allclose(found, expected["probability"], atol=1e-4)


def test_a_detection_model_run_by_openvino(expected):
    pytest.importorskip("openvino")
    model = load("detect", engine="openvino")
    found = model.probability(expected["frame"], bad=expected["bad"])
    np.testing.assert_allclose(found, expected["probability"], atol=1e-4)


def test_a_detection_model_with_a_constant_scale(expected):
    found = load("scaled").probability(expected["frame"], bad=expected["bad"])
    np.testing.assert_allclose(found, expected["scaled"], atol=1e-4)


def test_an_inpainting_unet(expected):
    frame, mask, bad = (expected[key] for key in ("frame", "mask", "bad"))
    fill, least = load("fill-unet").fill(frame, mask, bad=bad)
    np.testing.assert_allclose(fill, expected["fill-unet"], rtol=1e-4)
    assert (least == -np.inf).all()


def test_an_inpainting_network_of_cutouts(expected):
    frame, mask, bad = (expected[key] for key in ("frame", "mask", "bad"))
    model = load("fill-window")
    fill, least = model.fill(frame, mask, bad=bad, cr_affected=expected["cr"])
    np.testing.assert_allclose(fill, expected["fill-window"], rtol=1e-3, atol=0.05)
    np.testing.assert_allclose(least, expected["least-window"], rtol=1e-3, atol=0.05)
    assert np.isfinite(least).any()
