"""The options of cleaning: one object, checked once, and shared by all functions."""

import dataclasses
import inspect

import numpy as np
import pytest
from astropy import units as u

from deepcr_ccd import (
    cosmicray_deepcr,
    cosmicray_probability,
    detect_cosmics,
    inpaint,
    load_model,
)
from deepcr_ccd.batch.options import FileOptions
from deepcr_ccd.choices import FILL_METHODS
from deepcr_ccd.cli.parser import build_parser
from deepcr_ccd.inpainting.local import LOCAL_METHODS
from deepcr_ccd.models import loaded_network, zoo
from deepcr_ccd.options import CleanOptions
from deepcr_ccd.segmentation.growth import grow_mask

EXACT = {"model": "universal", "device": "cpu", "precision": "float32"}


def names(options):
    return [field.name for field in dataclasses.fields(options)]


def test_every_option_reaches_the_function_the_files_and_the_command():
    parameters = inspect.signature(cosmicray_deepcr).parameters
    assert set(names(CleanOptions)) < set(parameters)
    for name in names(CleanOptions):
        field = CleanOptions.__dataclass_fields__[name]
        assert parameters[name].default == field.default, name
    typed = build_parser().parse_args(["clean", "a.fits", "-o", "out"])
    missing = {name for name in names(FileOptions) if not hasattr(typed, name)}
    # An option of the command "mask".
    assert missing == {"probability"}
    given = {
        name: getattr(typed, name) for name in names(FileOptions) if name not in missing
    }
    assert FileOptions(**given) == FileOptions()
    others = inspect.signature(detect_cosmics).parameters
    shared = {"grow", "device", "precision", "engine", "tile_size", "target_fpr"}
    assert shared < set(others) and shared < set(parameters)
    probability = inspect.signature(cosmicray_probability).parameters
    of_masks = {"threshold", "extend_threshold", "target_fpr", "grow", "inpaint"}
    assert set(names(CleanOptions)) - set(probability) == of_masks


def test_hints_name_every_fill_method():
    assert FILL_METHODS == ("auto", *LOCAL_METHODS, "network")


def test_options_do_not_change():
    options = CleanOptions(grow=1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.grow = 2


@pytest.mark.parametrize("kind", [CleanOptions, FileOptions])
@pytest.mark.parametrize(
    "options, error, match",
    [
        ({"grow": -1}, ValueError, r"grow=-1 must be a radius >= 0 in px"),
        ({"grow": np.nan}, ValueError, r"grow=nan"),
        ({"tile_size": 0}, ValueError, r"tile_size=0 must be at least 1 px"),
        ({"tile_size": "64"}, TypeError, r"tile_size='64' must be a whole number"),
        ({"inpaint": "medain"}, ValueError, r"inpaint='medain' is unknown; allowed"),
        ({"inpaint": 0}, ValueError, r"inpaint=0 is unknown"),
        ({"gain": -2.0}, ValueError, r"gain=-2.0 must be positive, in electron/adu"),
        ({"gain": 2 * u.m}, ValueError, r"gain=<Quantity 2. m> has the unit m"),
        ({"readnoise": -1}, ValueError, r"readnoise=-1 must not be negative"),
        ({"readnoise": [5]}, TypeError, r"readnoise=\[5\] must be a number"),
        ({"satlevel": np.nan}, ValueError, r"satlevel=nan must be finite"),
        ({"satlevel": np.ones(2)}, TypeError, r"satlevel=array.* must be a number"),
    ],
)
def test_what_is_not_allowed(kind, options, error, match):
    with pytest.raises(error, match=match):
        kind(**options)
    if kind is CleanOptions:
        with pytest.raises(error, match=match):
            cosmicray_deepcr(np.ones((20, 20)), **options)


@pytest.mark.parametrize("no_level", [np.inf, "inf", float("inf"), "auto", None])
def test_what_is_allowed(no_level):
    options = CleanOptions(satlevel=no_level, gain="GAIN", readnoise=3 * u.adu)
    assert options.fill_method == "auto"
    assert CleanOptions(inpaint=None).fill_method is None
    assert CleanOptions(inpaint=False).fill_method is None
    assert FileOptions(inpaint="none").fill_method is None
    assert FileOptions(masks_only=True).fill_method is None
    for method in FILL_METHODS:
        assert FileOptions(inpaint=method).fill_method == method


def test_keywords_of_other_metadata_may_have_any_name(ccd):
    """FITS keywords have rules, which those of a dictionary need not keep."""
    ccd = ccd.copy()
    ccd.meta = {"gain (e/adu)": 2.0}
    how = {"gain": "gain (e/adu)", "model": "decam"}
    assert cosmicray_deepcr(ccd, **how).mask.any()
    with pytest.raises(ValueError, match="neither a number nor a header keyword"):
        FileOptions(**how)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_engine_and_precision_of_every_function(ccd, engine, monkeypatch):
    pytest.importorskip(engine)
    model = load_model("universal", device="cpu", precision="float32", engine=engine)
    how = {"device": "cpu", "precision": "float32", "engine": engine}
    expected = cosmicray_deepcr(ccd, model=model)
    probability = cosmicray_probability(ccd, model=model)
    crmask, cleaned = detect_cosmics(ccd.data, model=model)
    ran = []
    build = loaded_network.build_engine

    def build_engine(name, *arguments, **options):
        ran.append((name, arguments[2], options.get("precision")))
        return build(name, *arguments, **options)

    monkeypatch.setattr(loaded_network, "build_engine", build_engine)
    zoo._load_file.cache_clear()
    result = cosmicray_deepcr(ccd, inpaint=None, **how)
    np.testing.assert_array_equal(result.mask, expected.mask)
    assert {(name, precision) for name, precision, _ in ran} == {(engine, "float32")}
    np.testing.assert_array_equal(cosmicray_deepcr(ccd, **how).data, expected.data)
    np.testing.assert_array_equal(cosmicray_probability(ccd, **how), probability)
    for ours, theirs in zip(
        detect_cosmics(ccd.data, **how), (crmask, cleaned), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    for function in (cosmicray_deepcr, cosmicray_probability, detect_cosmics):
        with pytest.raises(ValueError, match="engine='jax' is unknown"):
            function(ccd.data, engine="jax")


def test_grow_and_tile_size_of_detect_cosmics(ccd):
    crmask, _ = detect_cosmics(ccd.data, **EXACT)
    grown, cleaned = detect_cosmics(ccd.data, grow=1.5, tile_size=32, **EXACT)
    assert grown.sum() > crmask.sum() > 0
    np.testing.assert_array_equal(grown, grow_mask(crmask, 1.5))
    np.testing.assert_array_equal(cleaned[~grown], ccd.data[~grown])
    with pytest.raises(ValueError, match="tile_size=0"):
        detect_cosmics(ccd.data, tile_size=0)


def test_precision_and_tile_size_of_inpaint(ccd):
    mask = np.zeros(ccd.shape, bool)
    mask[40:43, 50:54] = True
    how = {"model": "ACS-WFC-F606W-2-32", "method": "network", "device": "cpu"}
    exact, _ = inpaint(ccd.data, mask, precision="float32", **how)
    tiled, _ = inpaint(ccd.data, mask, precision="float32", tile_size=16, **how)
    np.testing.assert_allclose(tiled, exact, rtol=1e-5)
    model = load_model(how["model"], device="cpu", task="inpaint", precision="bfloat16")
    rough, _ = inpaint(ccd.data, mask, model=model, method="network")
    np.testing.assert_array_equal(
        inpaint(ccd.data, mask, precision="bfloat16", **how)[0], rough
    )
    assert (rough[mask] != exact[mask]).any()
    for wrong in ({"precision": "int8"}, {"precision": "double"}, {"tile_size": 0}):
        ((name, value),) = wrong.items()
        with pytest.raises(ValueError, match=f"{name}={value!r}"):
            inpaint(ccd.data, mask, **wrong)
