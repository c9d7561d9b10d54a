"""The result is built from the user's own object, and shares nothing with it."""

import tracemalloc
import weakref

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import (
    CCDData,
    InverseVariance,
    NDData,
    NDDataRef,
    NDUncertainty,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.utils.exceptions import AstropyUserWarning

from deepcr_ccd import cosmicray_deepcr, inpaint
from deepcr_ccd.inpainting.local import fill_pixels
from deepcr_ccd.nddata.frame import read_frame


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    data = rng.normal(300, 18, (64, 70)).astype("f4")
    data[20, 20:26] += 2000
    return data


STRUCK = np.s_[20, 20:26]


def test_meta_is_a_copy_of_the_users(data):
    ccd = CCDData(data, unit="adu")
    meta = {"A": False, "B": None, "C": True, "data": ccd.data, "frame": ccd}
    meta |= {"mask": None, "list": [1]}
    ccd.meta = meta
    for result in (cosmicray_deepcr(ccd), inpaint(ccd, ccd.data > 1000)):
        assert result.meta["A"] is False
        assert result.meta["B"] is None
        assert result.meta["C"] is True
        np.testing.assert_array_equal(result.meta["data"], ccd.data)
        assert not np.shares_memory(result.meta["data"], ccd.data)
        assert result.meta["list"] == [1]
        assert result.meta["list"] is not meta["list"]
        assert result.meta["frame"] is result
        assert (result.data[STRUCK] < 500).all()
    assert ccd.meta["frame"] is ccd


@pytest.mark.parametrize("value", [False, None, np.ma.nomask])
def test_masks_that_say_nothing(data, value):
    for meta in ({"A": False}, {}):
        frame = NDData(data, mask=value, meta=meta)
        cleaned = cosmicray_deepcr(frame, add_keyword=False)
        assert cleaned.meta == meta
        assert cleaned.mask.shape == data.shape
        assert cleaned.mask[STRUCK].all()


class ViewOfData(CCDData):
    """Its data are another array each time."""

    @property
    def data(self):
        return self._data.view()

    @data.setter
    def data(self, value):
        self._data = value


class CopyOfData(NDData):
    """Its data cannot be set."""

    @property
    def data(self):
        return self._data.copy()


class StoredElsewhere(NDDataRef):
    """Its data are kept under another name."""

    @property
    def data(self):
        return self._store

    @data.setter
    def data(self, value):
        self._store = value


class Scaled(NDData):
    """Its data are computed, and cannot be set."""

    @property
    def data(self):
        return 2 * self._data


class OwnArguments(CCDData):
    """A class whose constructor takes something else."""

    def __init__(self, data, observer):
        super().__init__(data, unit="adu")
        self.observer = observer
        self.log = ["taken"]


@pytest.mark.parametrize("kind", [ViewOfData, CopyOfData, StoredElsewhere])
def test_classes_with_data_of_their_own(data, kind):
    frame = kind(data.copy(), unit="adu")
    if kind is StoredElsewhere:
        frame.data = data.copy()
    before = frame.data.copy()
    cleaned = cosmicray_deepcr(frame)
    assert type(cleaned) is kind
    assert cleaned.mask[STRUCK].all()
    assert (cleaned.data[STRUCK] < 500).all()
    np.testing.assert_array_equal(frame.data, before)


def test_data_that_cannot_be_set_are_refused_before_the_work(data, monkeypatch):
    def fail(*_, **__):
        raise AssertionError

    monkeypatch.setattr("deepcr_ccd.core.cosmicray.clean_frame", fail)
    with pytest.raises(TypeError, match="Scaled.data cannot be set"):
        cosmicray_deepcr(Scaled(data, unit="adu"))


def test_attributes_of_subclasses_are_copies(data):
    frame = OwnArguments(data.copy(), "Vera")
    frame.log.append(frame)
    cleaned = cosmicray_deepcr(frame)
    assert type(cleaned) is OwnArguments
    assert cleaned.observer == "Vera"
    assert cleaned.log == ["taken", cleaned]
    assert (cleaned.data[STRUCK] < 500).all()


def test_results_share_no_memory(data):
    ccd = CCDData(
        data.copy(),
        unit="adu",
        mask=np.zeros(data.shape, bool),
        uncertainty=StdDevUncertainty(np.full(data.shape, 18.0)),
        flags=np.zeros(data.shape, int),
        psf=np.ones((3, 3)),
    )
    for result in (
        cosmicray_deepcr(ccd),
        cosmicray_deepcr(ccd, inpaint=None),
        cosmicray_deepcr(ccd, threshold=1.0),
        inpaint(ccd, ccd.data > 1000),
        inpaint(ccd, ccd.data > 1e6),
    ):
        for name in ("data", "mask", "flags", "psf"):
            assert not np.shares_memory(getattr(result, name), getattr(ccd, name)), name
        assert not np.shares_memory(result.uncertainty.array, ccd.uncertainty.array)
        assert result.uncertainty.parent_nddata is result
        assert ccd.uncertainty.parent_nddata is ccd
        assert result.header is not ccd.header


def test_nothing_large_is_copied_twice():
    shape = (1000, 1000)
    ccd = CCDData(
        np.ones(shape, "f4"),
        unit="adu",
        mask=np.zeros(shape, bool),
        uncertainty=StdDevUncertainty(np.ones(shape, "f4")),
    )
    frame = read_frame(ccd)
    crmask = np.zeros(shape, bool)
    crmask[::9, ::9] = True
    cleaned, sigma = frame.copy_data(), np.ones(crmask.sum(), "f4")
    tracemalloc.start()
    try:
        result = frame.rebuild(cleaned, sigma, crmask=crmask)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result.data is cleaned
    # The mask and the uncertainty: 1 and 4 bytes a pixel.
    assert peak < 6.5e6


# uncertainties


class MyStdDev(StdDevUncertainty):
    pass


class MyVariance(VarianceUncertainty):
    """A subclass that takes other arguments, and has an attribute."""

    def __init__(self, values, source="model", **options):
        super().__init__(values, **options)
        self.source = source


class Required(InverseVariance):
    def __init__(self, array, quality):
        super().__init__(array)
        self.quality = quality


def full(value, data):
    return np.full(data.shape, value)


@pytest.mark.parametrize(
    ("make", "power"),
    [
        (lambda data: MyStdDev(full(18.0, data)), 1),
        (lambda data: MyVariance(full(324.0, data), source="gain"), 2),
        (lambda data: Required(full(1 / 324, data), quality=3), -2),
        (lambda _: StdDevUncertainty(18.0), 1),
        (lambda _: StdDevUncertainty(np.float32(18)), 1),
        (lambda _: VarianceUncertainty(np.array(324)), 2),
        (lambda _: InverseVariance(1 / 324), -2),
        (lambda _: StdDevUncertainty(18.0 * u.adu), 1),
        (lambda data: StdDevUncertainty(np.full(data.shape[1], 18.0)), 1),
        (lambda data: StdDevUncertainty(np.full((data.shape[0], 1), 18)), 1),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_kinds_of_uncertainty(data, make, power, lazy):
    given = make(data)
    source = data
    if lazy:
        source = pytest.importorskip("dask.array").from_array(data, 40)
    ccd = NDData(source, unit="adu", uncertainty=given)
    cleaned = cosmicray_deepcr(ccd, inpaint="mean")
    got = cleaned.uncertainty
    assert type(got) is type(given)
    crmask = np.asarray(cleaned.mask)
    array = np.asarray(got.array)
    assert array.shape == data.shape
    _, sigma = fill_pixels(data, crmask, None, "mean")
    np.testing.assert_allclose(array[crmask], sigma**power, rtol=1e-4)
    np.testing.assert_allclose(array[~crmask], 18.0**power, rtol=1e-6)
    assert got.parent_nddata is cleaned
    assert np.shape(given.array) == np.shape(make(data).array)
    for name in ("source", "quality"):
        assert getattr(got, name, None) == getattr(given, name, None)


class Foreign(NDUncertainty):
    """A kind of its own, which nobody can say how to renew."""

    @property
    def uncertainty_type(self):
        return "quantiles"

    def _data_unit_to_uncertainty_unit(self, value):  # noqa: ARG002
        return None

    def _nothing(self, *_):
        raise NotImplementedError

    _propagate_add = _propagate_subtract = _nothing
    _propagate_multiply = _propagate_divide = _propagate_collapse = _nothing


@pytest.mark.parametrize("kind", [UnknownUncertainty, Foreign])
@pytest.mark.parametrize("function", ["clean", "inpaint"])
def test_unknown_kinds_of_uncertainty_warn(data, kind, function):
    ccd = NDData(data, unit="adu", uncertainty=kind(full(9.0, data)))
    with pytest.warns(AstropyUserWarning, match=f"type {kind.__name__}, which") as said:
        if function == "clean":
            result = cosmicray_deepcr(ccd)
        else:
            result = inpaint(ccd, data > 1000)
    assert said[0].filename == __file__
    assert type(result.uncertainty) is kind
    np.testing.assert_array_equal(result.uncertainty.array, 9)
    # Nothing is filled, so nothing is stale.
    cosmicray_deepcr(ccd, inpaint=None)
    cosmicray_deepcr(ccd, threshold=1.0)


@pytest.mark.parametrize("shape", [(3, 3), (5,), (2, 64, 70)])
def test_uncertainties_of_another_shape_are_refused_before_the_work(data, shape):
    ccd = CCDData(data, unit="adu")
    ccd.uncertainty = StdDevUncertainty(np.ones(shape))
    with pytest.raises(ValueError, match=r"uncertainty of ccd has shape .* \(64, 70\)"):
        cosmicray_deepcr(ccd)


def test_uncertainties_without_values(data):
    ccd = CCDData(data, unit="adu", uncertainty=StdDevUncertainty(None))
    assert cosmicray_deepcr(ccd).uncertainty.array is None


def test_frames_can_be_let_go(data):
    """No result keeps the user's frame alive."""
    ccd = CCDData(
        data.copy(), unit="adu", uncertainty=StdDevUncertainty(full(9.0, data))
    )
    watched = weakref.ref(ccd)
    result = cosmicray_deepcr(ccd)
    del ccd
    assert watched() is None
    assert result.uncertainty.parent_nddata is result
