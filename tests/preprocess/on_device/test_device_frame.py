"""A frame on a device has the pixels, and gives the measurements, of one in memory.

Without a GPU, the device is torch's CPU.
"""

import numpy as np
import pytest
import torch

from deepcr_ccd.preprocess.background import measure_background
from deepcr_ccd.preprocess.known_noise import KnownNoise
from deepcr_ccd.preprocess.network_input import NetworkInput
from deepcr_ccd.preprocess.normalize import Linear, NoiseUnits, in_noise_units
from deepcr_ccd.preprocess.on_device import check, memory
from deepcr_ccd.preprocess.on_device import frame as device_frame
from deepcr_ccd.preprocess.on_device.check import is_as_in_memory
from deepcr_ccd.preprocess.on_device.frame import copy_to_device
from deepcr_ccd.preprocess.on_device.normalize import normalization_on_device
from deepcr_ccd.tiling.tiles import plan_tiles

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DTYPES = ["u1", "i1", "i2", ">i2", "u2", ">u2", "i4", "u4", "i8", "f2", "f4", ">f4"]
DTYPES += ["f8", ">f8"]


def field(rng, shape=(150, 133), noise=5.0):
    frame = rng.normal(60, noise, shape)
    frame[rng.random(shape) < 0.02] += 60
    return frame


def on_both(data, bad=None, factor=1.0):
    """Return a frame in memory, and the same on the device."""
    here, there = (NetworkInput(data, factor, bad, 20) for _ in range(2))
    there.device_frame = copy_to_device(there, DEVICE)
    return here, there


def tiles_of(shape, reflect=True):
    return plan_tiles(shape, 64, halo=24, stride=8, reflect=reflect)


@pytest.mark.parametrize("reflect", [True, False])
@pytest.mark.parametrize("factor", [1.0, 2.5, 1e-9])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pixels_are_the_same(dtype, factor, reflect, rng):
    data = field(rng).astype(dtype)
    here, there = on_both(data, factor=factor)
    for tile in tiles_of(data.shape, reflect):
        pixels = there.device_frame.pixels(tile).cpu().numpy()
        assert pixels.dtype == np.float32
        np.testing.assert_array_equal(pixels, here.read(tile))


@pytest.mark.parametrize("dtype", ["u2", "u4", "f8", "i8"])
def test_the_largest_numbers(dtype):
    kind = np.dtype(dtype)
    ends = np.finfo(kind) if kind.kind == "f" else np.iinfo(kind)
    data = np.array([[ends.max, ends.min], [0, ends.max // 2]], kind)
    here, there = on_both(data)
    (tile,) = plan_tiles((2, 2), 2, halo=0, stride=1)
    pixels = there.device_frame.pixels(tile).cpu().numpy()
    np.testing.assert_array_equal(pixels, here.read(tile))


@pytest.mark.parametrize("fraction", [0.001, 0.3])
def test_bad_pixels_are_filled_alike(fraction, rng):
    data = field(rng).astype(np.float32)
    bad = rng.random(data.shape) < fraction
    bad[20:90, 30:110] = True
    data[bad] = rng.choice([np.nan, np.inf, -np.inf, 70000, 3], bad.sum())
    here, there = on_both(data, bad)
    for tile in tiles_of(data.shape):
        pixels = there.device_frame.pixels(tile).cpu().numpy()
        assert np.isfinite(pixels).all()
        np.testing.assert_array_equal(pixels, here.read(tile))


def test_rows_are_copied_a_few_at_a_time(monkeypatch, rng):
    monkeypatch.setattr(memory, "PIXELS_AT_A_TIME", 1000)
    # A view that is not contiguous, in another byte order.
    data = field(rng, (200, 300)).astype(">f4")[::2, ::3]
    before = data.copy()
    _, there = on_both(data)
    np.testing.assert_array_equal(there.device_frame.raw.cpu().numpy(), data)
    np.testing.assert_array_equal(data, before)


def assert_same_maps(got, expected):
    for name in ("background", "rms", "dark_offset", "dark_rms"):
        one, other = getattr(got, name), getattr(expected, name)
        assert (one is None) == (other is None), name
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6, err_msg=name)


CASES = {
    "plain": {},
    "integers": {"dtype": "i2"},
    "coarse": {"noise": 0.6, "dtype": "i2"},
    "constant": {"noise": 0.0},
    "bad": {"bad": 0.05},
    "mostly bad": {"bad": 0.9},
    "dark": {"dark": 40.0},
    "dark and bad": {"dark": 40.0, "bad": 0.05},
    "small": {"shape": (20, 17)},
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_background_and_noise_are_the_same(case, rng):
    data = field(rng, case.get("shape", (300, 333)), case.get("noise", 5.0))
    data[:120, :150] -= case.get("dark", 0)
    data = data.astype(case.get("dtype", "f4"))
    bad = None
    if "bad" in case:
        bad = rng.random(data.shape) < case["bad"]
        data[bad] = np.nan
    here, there = on_both(data, bad)
    expected = measure_background(here, bad)
    assert_same_maps(measure_background(there, bad), expected)
    if "dark" in case:
        assert expected.dark_offset is not None
    # Given with pixels that are filled already, as for Model.probability.
    if bad is None:
        hidden = rng.random(data.shape) < 0.05
        assert_same_maps(
            measure_background(there, hidden), measure_background(here, hidden)
        )
        assert_same_maps(measure_background(there), expected)


def test_measuring_in_bands_changes_nothing(monkeypatch, rng):
    _, there = on_both(field(rng, (300, 333)).astype("f4"))
    whole = measure_background(there)
    monkeypatch.setattr(type(there.device_frame), "samples_at_a_time", 100)
    assert_same_maps(measure_background(there), whole)


def test_measuring_where_memory_runs_out(monkeypatch, rng):
    _, there = on_both(field(rng, (300, 333)).astype("f4"))
    whole = measure_background(there)
    right, most = device_frame.measure_cells, 2

    def measure(values, good, samples, enough):
        if len(values(0, 0)) > most:
            raise torch.OutOfMemoryError
        return right(values, good, samples, enough)

    monkeypatch.setattr(device_frame, "measure_cells", measure)
    assert_same_maps(measure_background(there), whole)
    most = 0
    with pytest.raises(torch.OutOfMemoryError):
        measure_background(there)


NORMALIZED = {
    "plain": {},
    "dark": {"dark": 40.0},
    "dithered": {"noise": 0.3, "dtype": "i2"},
    "floor": {"readnoise": 5.5},
    "bad": {"bad": 0.05},
}


@pytest.mark.parametrize("case", NORMALIZED.values(), ids=NORMALIZED)
def test_the_input_of_the_network_is_the_same(case, rng):
    data = field(rng, (300, 333), case.get("noise", 5.0))
    # A gradient, whose interpolation has to be the same.
    data += np.linspace(0, 9, 333)
    data[:120, :150] -= case.get("dark", 0)
    data = data.astype(case.get("dtype", "f4"))
    bad = None
    if "bad" in case:
        bad = rng.random(data.shape) < case["bad"]
        data[bad] = np.nan
    here, there = on_both(data, bad)
    facts = {"readnoise": case["readnoise"]} if "readnoise" in case else {}
    units = in_noise_units(here, bad, **facts)
    assert bool(units.digit) == ("noise" in case)
    assert (units.noise.dark_offset is not None) == ("dark" in case)
    on_device = in_noise_units(there, bad, **facts)
    assert_same_maps(on_device.noise, units.noise)
    assert (on_device.digit, on_device.floor) == (units.digit, units.floor)
    prepare = normalization_on_device(on_device, DEVICE)
    for tile in tiles_of(data.shape, reflect=False):
        numbers = prepare(there.device_frame.pixels(tile), tile).cpu().numpy()
        # Rounded in float32, a level of 100 differs by 4e-6.
        error = 1e-5 if case.get("noise", 5) > 1 else 4e-5
        np.testing.assert_allclose(numbers, units(here.read(tile), tile), atol=error)
    # Nothing is written into the frame.
    np.testing.assert_array_equal(there.device_frame.raw.cpu().numpy(), data)


@pytest.mark.parametrize("slope", [0.0, 1.2])
@pytest.mark.parametrize(("power", "dtype"), [(1, "f4"), (2, ">f8"), (-2, "f4")])
def test_known_noise_is_the_same(power, dtype, slope, rng):
    # Noisier lines, a star, and pixels of unknown noise.
    data = rng.normal(100, 5, (300, 333))
    noise = np.full(data.shape, 5.0)
    noise[100:110] = 25
    data[100:110] = rng.normal(100, 25, (10, 333))
    data[200:215, 50:60] += 3000
    noise[200:215, 50:60] = 60
    array = (noise**power).astype(dtype)
    array[30:35, 40:45] = np.nan
    array[60, 70] = 0
    here, there = on_both(data.astype(np.float32))
    known = KnownNoise(array, power, 1.0, "uncertainty")
    units = in_noise_units(here, None, known_noise=known)
    # Whether photon noise of objects is subtracted.
    units.known.slope = slope
    prepare = normalization_on_device(units, DEVICE)
    for tile in tiles_of(data.shape, reflect=False):
        numbers = prepare(there.device_frame.pixels(tile), tile).cpu().numpy()
        assert np.isfinite(numbers).all()
        np.testing.assert_allclose(numbers, units(here.read(tile), tile), atol=1e-5)
    # A piece of a frame, and what is no array, are left to the processor.
    assert normalization_on_device(units.with_known(origin=(1, 0)), DEVICE) is None
    odd = units.with_known(array=array.astype(np.longdouble))
    assert normalization_on_device(odd, DEVICE) is None


@pytest.mark.parametrize("linear", [Linear(0, 1), Linear(30, 7)])
def test_linear_transforms(linear, rng):
    data = field(rng).astype(np.float32)
    data[3, 4] = 1e30
    here, there = on_both(data)
    prepare = normalization_on_device(linear, DEVICE)
    for tile in tiles_of(data.shape):
        numbers = prepare(there.device_frame.pixels(tile), tile).cpu().numpy()
        np.testing.assert_allclose(numbers, linear(here.read(tile), tile), rtol=1e-6)


def test_what_is_prepared_in_memory(rng, monkeypatch):
    data = field(rng).astype(np.float32)
    level = measure_background(data)
    assert (
        normalization_on_device(
            NoiseUnits(level, np.zeros_like(data), None, 0.0), DEVICE
        )
        is None
    )
    assert normalization_on_device(lambda values, _: values, DEVICE) is None
    piece = NetworkInput(data, shape=(500, 500), origin=(10, 20))
    assert copy_to_device(piece, DEVICE) is None
    assert copy_to_device(NetworkInput(data.astype("u8")), DEVICE) is None
    monkeypatch.setattr(memory, "free_memory", lambda _: 4 * data.nbytes - 1)
    assert copy_to_device(NetworkInput(data), DEVICE) is None
    monkeypatch.setattr(memory, "free_memory", lambda _: 4 * data.nbytes)
    assert copy_to_device(NetworkInput(data), DEVICE) is not None
    hidden = np.zeros(data.shape, dtype=bool)
    hidden[3, 4] = True
    assert copy_to_device(NetworkInput(data, bad=hidden), DEVICE) is None


def test_a_device_without_enough_memory(rng, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(device_frame, "copy_array", fail)
    assert copy_to_device(NetworkInput(field(rng)), DEVICE) is None


def test_the_trial(monkeypatch):
    assert is_as_in_memory(DEVICE)
    right = check.normalization_on_device

    def wrong(units, device):
        prepare = right(units, device)
        return lambda values, tile: prepare(values, tile) + 0.01

    monkeypatch.setattr(check, "normalization_on_device", wrong)
    assert not is_as_in_memory(DEVICE)

    def absent(*_):
        raise NotImplementedError

    monkeypatch.setattr(check, "normalization_on_device", absent)
    assert not is_as_in_memory(DEVICE)
