"""Two thresholds: cosmic rays are followed from their seeds to their faint ends."""

import dataclasses
import json
import logging

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData
from conftest import random_model
from scipy import ndimage

from deepcr_ccd import (
    clean_files,
    cosmicray_deepcr,
    cosmicray_probability,
    deepCR,
    detect_cosmics,
    load_model,
)
from deepcr_ccd.models.model import Model, ModelCard
from deepcr_ccd.pipeline.detect import threshold_mask
from deepcr_ccd.segmentation.hysteresis import (
    CERTAIN_PROBABILITY,
    MAX_STEPS,
    Thresholds,
    apply_hysteresis,
    threshold_levels,
)

EIGHT_CONNECTED = np.ones((3, 3))
WIDE = {"threshold": 0.9, "extend_threshold": 0.02}


def hysteresis(probability, seed, extend):
    """Seeds, and components above the lower threshold that contain a certain one."""
    labels, number = ndimage.label(probability > extend, EIGHT_CONNECTED)
    kept = np.zeros(number + 1, dtype=bool)
    kept[labels[probability > max(seed, CERTAIN_PROBABILITY)]] = True
    kept[0] = False
    return kept[labels] | (probability > seed)


@pytest.fixture(scope="module")
def model():
    found = load_model("universal", device="cpu", precision="float32")
    card = dataclasses.replace(found.card, threshold=0.9, extend_threshold=0.02)
    return Model(card, found.network, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def spiral():
    """A long track that winds over the frame, bright here and faint there."""
    rng = np.random.default_rng(5)
    data = rng.normal(200, 14, (170, 190))
    turn = np.linspace(1, 14, 4000)
    places = np.rint([85 + 5 * turn * np.sin(turn), 95 + 5 * turn * np.cos(turn)])
    rows, columns = places.astype(int)
    data[rows, columns] += 14 * (9 + 8 * np.sin(9 * turn))
    return data.astype(np.float32)


@pytest.mark.parametrize("shape", [(60, 71), (1, 40), (40, 1), (2, 2)])
@pytest.mark.parametrize("fraction", [0.05, 0.3])
def test_groups_with_a_certain_pixel_are_flagged_whole(shape, fraction, rng):
    # These are dense enough for nothing to be out of reach.
    for _ in range(20):
        probability = np.where(rng.random(shape) < fraction, rng.random(shape), 0)
        expected = hysteresis(probability, 0.6, 0.1)
        found = apply_hysteresis(
            threshold_levels(probability, Thresholds(0.6, 0.1).cuts)
        )
        assert found.dtype == bool
        np.testing.assert_array_equal(found, expected)
        one = apply_hysteresis(threshold_levels(probability, Thresholds(0.6, 0.6).cuts))
        np.testing.assert_array_equal(one, probability > 0.6)


def test_tracks_are_followed_for_a_limited_distance():
    probability = np.zeros((40, 3 * MAX_STEPS))
    probability[5, 10:] = 0.3
    probability[5, 10] = 0.9
    found = threshold_mask(probability, Thresholds(0.5, 0.2))
    assert found[5].sum() == MAX_STEPS + 1
    # Steps are counted along the track, not across.
    probability[:] = 0
    probability[2:38, 10] = probability[2:38, 12] = probability[38, 11] = 0.3
    probability[2, 10] = 0.9
    found = threshold_mask(probability, Thresholds(0.5, 0.2))
    assert found[2 : MAX_STEPS + 3, 10].all()
    assert found.sum() == MAX_STEPS + 1


def test_uncertain_cosmic_rays_are_not_followed():
    probability = np.zeros((9, 30))
    probability[4, 3:12] = probability[4, 18:27] = 0.3
    probability[4, 5], probability[4, 20], probability[4, 22] = 0.7, 0.7, 0.88
    found = threshold_mask(probability, Thresholds(0.5, 0.2))
    expected = np.zeros((9, 30), bool)
    expected[4, 5] = expected[4, 18:27] = True
    np.testing.assert_array_equal(found, expected)
    # Nor is anything below a threshold that is higher than what is sure.
    found = threshold_mask(probability, Thresholds(0.9, 0.2))
    assert not found.any()


def test_ends_of_rows_are_not_connected():
    probability = np.zeros((3, 10))
    probability[0, 9], probability[1, 0], probability[2, 9] = 0.3, 0.9, 0.3
    found = threshold_mask(probability, Thresholds(0.5, 0.2))
    np.testing.assert_array_equal(found, probability > 0.5)


def test_excluded_pixels_break_tracks():
    probability = np.zeros((9, 20))
    probability[4, 3:17] = 0.3
    probability[4, 3] = 0.9
    probability[:, 9] = np.nan
    before = probability.copy()
    found = threshold_mask(probability, Thresholds(0.5, 0.2))
    np.testing.assert_array_equal(found.nonzero(), ([4] * 6, range(3, 9)))
    np.testing.assert_array_equal(probability, before)
    # What is grown, is grown from all of it, and after.
    found = threshold_mask(probability, Thresholds(0.5, 0.2), grow=1)
    assert found.sum() == 6 + 6 + 6 + 1


def test_tiles_stacks_and_chunks_equal_the_whole(spiral, model):
    """A track that crosses dozens of chunks is one track."""
    da = pytest.importorskip("dask.array")
    probability = cosmicray_probability(spiral, model=model, tile_size=400)
    expected = hysteresis(probability, 0.9, 0.02)
    assert expected.sum() > 1.15 * (probability > 0.9).sum() > 300
    options = {"model": model, "inpaint": None}
    crmask = cosmicray_deepcr(spiral, tile_size=16, **options)[1]
    np.testing.assert_array_equal(crmask, expected)
    stack = np.stack([spiral, spiral[::-1]])
    both = cosmicray_deepcr(stack, **options)[1]
    np.testing.assert_array_equal(both[0], expected)
    alone = cosmicray_deepcr(spiral[::-1], **options)[1]
    np.testing.assert_array_equal(both[1], alone)
    for chunks in ((20, 23), (170, 9), ((50, 3, 117), (95, 95))):
        lazy = da.from_array(spiral, chunks)
        found = cosmicray_deepcr(lazy, **options)[1]
        assert found.chunks == lazy.chunks
        np.testing.assert_array_equal(found.compute(), expected)
    lazy = da.from_array(stack, (1, 60, 60))
    np.testing.assert_array_equal(
        cosmicray_deepcr(lazy, grow=2.3, **options)[1].compute(),
        cosmicray_deepcr(stack, grow=2.3, **options)[1],
    )


def test_bad_pixels_in_memory_and_in_chunks(spiral, model):
    da = pytest.importorskip("dask.array")
    data, mask = spiral.copy(), np.zeros(spiral.shape, bool)
    mask[:, 130:132] = True
    data[60] = np.nan
    probability = cosmicray_probability(CCDData(data, mask=mask, unit="adu"))
    with np.errstate(invalid="ignore"):
        expected = hysteresis(probability, 0.9, 0.02)
    ccd = CCDData(data, mask=mask, unit="adu")
    found = cosmicray_deepcr(ccd, inpaint=None, **WIDE)
    lazy = CCDData(da.from_array(data, (31, 47)), mask=mask, unit="adu")
    chunked = cosmicray_deepcr(lazy, model=model, inpaint=None)
    assert expected.sum() > 300
    # But for what runs along masked pixels as if it leaked from them.
    assert not (found.mask & ~mask & ~expected).any()
    assert (found.mask & expected).sum() > 0.9 * expected.sum()
    exact = cosmicray_deepcr(ccd, model=model, inpaint=None)
    np.testing.assert_array_equal(chunked.mask.compute(), exact.mask)


def test_which_thresholds_are_used():
    model = random_model(threshold=0.6, extend_threshold=0.2)
    plain = random_model(threshold=0.6)
    calibrated = random_model(
        threshold=0.6, extend_threshold=0.2, calibration={"1e-4": 0.9, "1e-2": 0.3}
    )
    assert model.card.thresholds(None, None) == (0.6, 0.2)
    assert plain.card.thresholds(None, None) == (0.6, 0.6)
    assert model.card.thresholds(0.9, None) == (0.9, 0.2)
    assert model.card.thresholds(0.1, None) == (0.1, 0.1)
    assert plain.card.thresholds(None, 0.3) == (0.6, 0.3)
    for off in (0.6, 1):
        assert model.card.thresholds(None, off) == (0.6, 0.6)
    assert calibrated.card.thresholds(target_fpr=1e-3) == pytest.approx((0.6, 0.6))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"extend_threshold": 0.7}, "extend_threshold=0.7 must not be above .* 0.5"),
        ({"extend_threshold": -0.1}, "extend_threshold=-0.1 must be a probability"),
        ({"extend_threshold": np.nan}, "extend_threshold=nan must be a probability"),
        ({"extend_threshold": "low"}, "extend_threshold='low' must be a probability"),
        (
            {"threshold": 0.2, "extend_threshold": 0.3},
            "extend_threshold=0.3 must not be above the threshold, 0.2; 1 uses the "
            "threshold alone",
        ),
        (
            {"extend_threshold": 0.3, "target_fpr": 1e-3},
            "give extend_threshold= or target_fpr=, not both",
        ),
    ],
)
def test_bad_thresholds(ccd, options, match):
    with pytest.raises(ValueError, match=match):
        cosmicray_deepcr(ccd, model=random_model(), **options)


def test_cards():
    card = ModelCard(name="x", task="mask", architecture="unet", extend_threshold=0.1)
    assert ModelCard.from_json(card.to_json()) == card
    fields = json.loads(card.to_json())
    del fields["extend_threshold"]
    assert ModelCard.from_json(json.dumps(fields)).extend_threshold is None
    for wrong in (0.7, -0.1):
        with pytest.raises(ValueError, match="extend_threshold=.* is not in .0, 0.5."):
            dataclasses.replace(card, extend_threshold=wrong)
    # Published models run as they were published.
    assert load_model("ACS-WFC", device="cpu").card.extend_threshold is None


def test_thresholds_in_the_header_and_the_command(tmp_path, ccd):
    cleaned = cosmicray_deepcr(ccd, **WIDE)
    assert cleaned.header["CRTHRESH"] == 0.9
    assert cleaned.header["CREXTEND"] == 0.02
    path = tmp_path / "a.fits"
    fits.writeto(path, ccd.data, fits.Header({"BUNIT": "adu"}))
    clean_files([path], tmp_path / "out", masks_only=True, **WIDE)
    with fits.open(tmp_path / "out" / "a.fits") as hdus:
        assert hdus[-1].header["CREXTEND"] == 0.02
        np.testing.assert_array_equal(hdus[-1].data > 0, cleaned.mask)
    again = {**WIDE, "masks_only": True, "resume": True}
    row = clean_files([path], tmp_path / "out", **again)
    assert row["status"][0] == "skipped"
    row = clean_files([path], tmp_path / "out", **(again | {"extend_threshold": 1}))
    assert row["status"][0] == "done"
    assert row["pixels"][0] < cleaned.header["CRNPIX"]


def test_the_original_class_has_one_threshold(tmp_path, spiral, model):
    path = tmp_path / "wide.safetensors"
    model.save(path)
    mask = deepCR(mask=str(path)).clean(spiral, threshold=0.9, inpaint=False)
    probability = cosmicray_probability(spiral, model=path, precision="float32")
    np.testing.assert_array_equal(mask > 0, probability > 0.9)


def test_sigfrac_says_how_far_the_thresholds_are_apart(spiral, model):
    found = [
        detect_cosmics(spiral, sigfrac=value, model=model)[0]
        for value in (1.5, 1.0, 0.5, 0.3, 0.1)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    probability = cosmicray_probability(spiral, model=model)
    np.testing.assert_array_equal(found[1], probability > 0.9)
    np.testing.assert_array_equal(found[3], detect_cosmics(spiral, model=model)[0])
    for fewer, more in zip(found[1:], found[2:], strict=False):
        assert not (fewer & ~more).any()
        assert fewer.sum() < more.sum()


@pytest.mark.parametrize("options", [{"extend_threshold": 0.1}, {"threshold": 0.01}])
def test_sigfrac_that_has_no_effect_is_logged(spiral, model, options, caplog):
    with caplog.at_level(logging.INFO, logger="deepcr_ccd.compat.astroscrappy"):
        crmask, _ = detect_cosmics(spiral, sigfrac=0.5, model=model, **options)
    assert "no effect with model 'universal': sigfrac" in caplog.text
    expected, _ = detect_cosmics(spiral, model=model, **options)
    np.testing.assert_array_equal(crmask, expected)
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="deepcr_ccd.compat.astroscrappy"):
        detect_cosmics(spiral, sigfrac=0.5, model=model)
    assert "no effect" not in caplog.text


def test_sigfrac_is_not_negative(spiral, model):
    with pytest.raises(ValueError, match="sigfrac=-0.1 must not be negative"):
        detect_cosmics(spiral, sigfrac=-0.1, model=model)
