"""The recipes of docs/pipelines.rst run, on stand-ins of what frameworks give them."""

import runpy
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

RECIPES = Path(__file__).parents[1] / "docs" / "recipes"
LEVEL = 500.0


def load(name):
    return runpy.run_path(str(RECIPES / f"{name}.py"))


def make_frame(seed=0):
    """A frame with a track of 10 px, its noise, and one bad pixel on the track."""
    data = np.random.default_rng(seed).normal(100, 5, (80, 80)).astype(np.float32)
    data[50, 50:60] += 500
    noise = np.full(data.shape, 5, np.float32)
    bad = np.zeros(data.shape, dtype=bool)
    bad[:, 0] = bad[50, 50] = True
    track = np.zeros(data.shape, dtype=bool)
    track[50, 51:60] = True
    return data, noise, bad, track


class Stage:
    """As ``banzai.stages.Stage``."""

    def __init__(self, runtime_context):
        self.runtime_context = runtime_context

    def run(self, images):
        return [self.do_stage(image) for image in images]


def as_memmap(path, array):
    """BANZAI's arrays are mapped from temporary files."""
    mapped = np.memmap(path, dtype=array.dtype, shape=array.shape, mode="w+")
    mapped[:] = array
    return mapped


def test_banzai(monkeypatch, tmp_path):
    stages = types.ModuleType("banzai.stages")
    stages.Stage = Stage
    monkeypatch.setitem(sys.modules, "banzai", types.ModuleType("banzai"))
    monkeypatch.setitem(sys.modules, "banzai.stages", stages)
    data, noise, bad, track = make_frame()
    mask = bad.astype(np.uint8) | (track & (np.arange(80) == 55)).astype(np.uint8) * 8
    before = mask.copy()
    mask = as_memmap(tmp_path / "mask", mask)
    image = types.SimpleNamespace(
        data=as_memmap(tmp_path / "data", data),
        uncertainty=as_memmap(tmp_path / "noise", noise),
        mask=mask,
        meta=fits.Header({"SATURATE": 60000.0}),
    )
    stage = load("banzai_stage")["CosmicRayFlagger"](runtime_context=None)
    (result,) = stage.run([image])
    assert result is image
    assert image.mask is mask
    np.testing.assert_array_equal(mask, np.where(track, before | 8, before))
    np.testing.assert_array_equal(image.data, make_frame()[0])
    assert image.meta["L1NCRPIX"] == 9


class Extension:
    """What the recipe uses of a slice of AstroData."""

    def __init__(self, data, mask, variance, in_adu):
        self.data, self.mask, self.variance, self.in_adu = data, mask, variance, in_adu

    shape = property(lambda self: self.data.shape)

    def is_in_adu(self):
        return self.in_adu

    def reset(self, data, *, mask, variance):
        self.__init__(data, mask, variance, self.in_adu)


class AstroData(list):
    """Extensions, with the name of their file."""

    filename = "N1.fits"

    def update_filename(self, suffix, strip):
        assert strip
        self.filename = f"N1{suffix}.fits"


class Primitives:
    """Notes which primitives a recipe calls."""

    def __init__(self, inputs):
        self.streams, self.called = {"main": inputs}, []

    def __getattr__(self, name):
        return lambda **_: self.called.append(name)


def test_dragons():
    data, noise, bad, track = make_frame()
    bits = bad.astype(np.uint16) | 2 * (track & (np.arange(80) == 55)).astype(np.uint16)
    ad = AstroData(
        [
            Extension(data, bits, noise**2, False),
            Extension(data / 2, None, None, True),
        ]
    )
    recipe = load("dragons_recipe")
    p = Primitives([ad])
    recipe["reduce"](p)
    assert p.called[-2:] == ["mosaicDetectors", "storeProcessedScience"]
    np.testing.assert_array_equal(ad[0].mask, np.where(track, bits | 8, bits))
    np.testing.assert_array_equal(ad[0].data, data)
    np.testing.assert_array_equal(ad[0].variance, noise**2)
    assert ad[0].mask.dtype == ad[1].mask.dtype == np.uint16
    assert (ad[1].mask[50, 50:60] == 8).all()
    assert ad[1].variance is None
    assert ad.filename == "N1_CRMasked.fits"
    recipe["flag_cosmic_rays"]([ad], fill="median")
    assert ad[0].data[track].max() < 150
    assert ad[0].data[50, 50] == data[50, 50]


def test_ccdproc(tmp_path):
    pytest.importorskip("ccdproc")
    rng = np.random.default_rng(3)
    for number in range(3):
        sky = make_frame(number)[0]
        shifted = np.roll(sky, 12 * number, axis=0)
        for kind, frame in (
            ("BIAS", rng.normal(LEVEL, 2, sky.shape)),
            ("FLAT", LEVEL + rng.normal(20000, 100, sky.shape)),
            ("LIGHT", LEVEL + shifted),
        ):
            header = fits.Header({"IMAGETYP": kind})
            path = tmp_path / f"{kind}{number}.fits"
            fits.writeto(path, frame.astype(np.float32), header)
    night = load("ccdproc_pipeline")["reduce_night"]
    combined = night(tmp_path, tmp_path / "combined.fits")
    assert combined.unit == "adu"
    tracks = [(50 + 12 * number) % 80 for number in range(3)]
    for row in tracks:
        assert abs(np.mean(combined.data[row, 50:60]) - 100) < 10
    assert (tmp_path / "combined.fits").exists()
