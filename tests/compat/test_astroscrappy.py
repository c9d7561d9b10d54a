import inspect
import logging
from functools import partial

import astroscrappy
import numpy as np
import pytest
from astropy.utils.exceptions import AstropyUserWarning
from conftest import random_model
from scipy import ndimage

import deepcr_ccd
from deepcr_ccd import DeepCRWarning, cosmicray_probability
from deepcr_ccd.compat import astroscrappy as scrappy
from deepcr_ccd.compat.lacosmic_arguments import IGNORED
from deepcr_ccd.pipeline import detect as detection

# A published model, unless a test says otherwise.
detect_cosmics = partial(deepcr_ccd.detect_cosmics, model="ACS-WFC")
cosmicray_deepcr = partial(deepcr_ccd.cosmicray_deepcr, model="ACS-WFC")


@pytest.fixture
def frame(ccd):
    return ccd.data.copy()


def test_signature_is_that_of_astroscrappy():
    theirs = inspect.signature(astroscrappy.detect_cosmics).parameters
    ours = inspect.signature(deepcr_ccd.detect_cosmics).parameters
    positional = [
        p for p in ours.values() if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    assert [p.name for p in positional] == list(theirs)
    for parameter in positional:
        assert parameter.default == theirs[parameter.name].default, parameter.name
    added = [p.name for p in ours.values() if p not in positional]
    assert added == [
        "model",
        "threshold",
        "extend_threshold",
        "target_fpr",
        "grow",
        "device",
        "precision",
        "engine",
        "tile_size",
    ]
    assert {k: theirs[k].default for k in IGNORED} == IGNORED


def test_return_order_and_types(frame):
    before = frame.copy()
    crmask, cleanarr = detect_cosmics(frame)
    theirs = astroscrappy.detect_cosmics(frame)
    for ours, other in zip((crmask, cleanarr), theirs, strict=True):
        assert ours.dtype == other.dtype
        assert ours.shape == other.shape
    np.testing.assert_array_equal(frame, before)
    np.testing.assert_array_equal(crmask, cosmicray_deepcr(frame)[1])
    np.testing.assert_array_equal(cleanarr[~crmask], frame[~crmask])


def test_gain_takes_adu_to_electron_and_back(frame):
    crmask, cleanarr = detect_cosmics(frame)
    mask2, clean2 = detect_cosmics(frame / 2, gain=2.0)
    np.testing.assert_array_equal(mask2, crmask)
    np.testing.assert_allclose(2 * clean2, cleanarr, rtol=1e-5)


def test_inmask(frame):
    crmask, _ = detect_cosmics(frame)
    y, x = np.argwhere(crmask)[0]
    inmask = np.zeros(frame.shape, dtype=bool)
    inmask[y, x] = True
    got, cleanarr = detect_cosmics(frame, inmask=inmask)
    assert not got[y, x]
    assert cleanarr[y, x] == frame[y, x]


def test_satlevel_is_in_electron(frame):
    """A star at the level is excluded with a cosmic ray on it; others are flagged."""
    y, x = np.indices(frame.shape)
    frame += 70000 * np.exp(-((y - 60) ** 2 + (x - 50) ** 2) / 2 / 3**2)
    frame[60, 40:60] += 60000
    frame[20, 30:36] = 40000
    for satlevel, examined in ((65536.0, False), (1e6, True), (np.inf, True)):
        crmask, _ = detect_cosmics(frame, gain=2.0, satlevel=satlevel)
        assert crmask[60, 49:52].all() == examined
        assert crmask[20, 30:36].all()


def test_inbkg_is_taken_out_of_detection_and_stays_in_the_result(frame):
    y = np.indices(frame.shape)[0]
    lines = 400.0 * np.exp(-0.5 * ((y - 50) / 1.0) ** 2)
    crmask, cleanarr = detect_cosmics(frame)
    got, clean = detect_cosmics(frame + lines.astype(np.float32), inbkg=lines)
    assert (got == crmask).mean() > 0.9995
    both = got & crmask
    np.testing.assert_allclose((clean - lines)[both], cleanarr[both], rtol=1e-3)
    # Its level alone changes nothing.
    level = np.full(frame.shape, 30.0)
    np.testing.assert_array_equal(detect_cosmics(frame, inbkg=level)[0], crmask)


def clean_with(crmask, frame, cleantype):
    """The cleaned frame for a mask that is given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            scrappy.detection, "find_cosmic_rays", lambda *_, **__: crmask.copy()
        )
        return detect_cosmics(frame, cleantype=cleantype)[1]


@pytest.mark.parametrize("cleantype", ["medmask", "meanmask", "idw"])
def test_cleantypes_fill_as_astroscrappy_does(frame, cleantype):
    """The fills of the same mask are the same, where enough of 5x5 px are good."""
    crmask, expected = astroscrappy.detect_cosmics(
        frame, niter=1, cleantype=cleantype, sigclip=8, objlim=10
    )
    good = ndimage.convolve((~crmask).astype(int), np.ones((5, 5), int))
    compared = crmask & (good >= 8)
    if cleantype == "medmask":
        # Of an even number astroscrappy takes the lower middle one, we the mean.
        compared &= good % 2 == 1
    compared[:3] = compared[-3:] = compared[:, :3] = compared[:, -3:] = False
    assert compared.sum() > 15
    cleanarr = clean_with(crmask, frame, cleantype)
    np.testing.assert_allclose(cleanarr[compared], expected[compared], rtol=1e-4)


def test_cleantype_median_is_the_plain_5x5_median(frame):
    crmask, _ = detect_cosmics(frame)
    crmask[:2] = crmask[-2:] = crmask[:, :2] = crmask[:, -2:] = False
    cleanarr = clean_with(crmask, frame, "median")
    expected = ndimage.median_filter(frame, 5)
    np.testing.assert_array_equal(cleanarr[crmask], expected[crmask])


def test_parameters_of_lacosmic_are_logged(frame, caplog):
    """Pipelines in which warnings are errors go on."""
    with caplog.at_level(logging.INFO, "deepcr_ccd"):
        detect_cosmics(frame, sigclip=5, objlim=8.0, psfk=np.ones((3, 3)))
    assert "no effect with model 'ACS-WFC': sigclip, objlim, psfk" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO, "deepcr_ccd"):
        detect_cosmics(frame, sigclip=4.5, niter=4, sepmed=True, fsmode="median")
    assert not caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"sigclip": 15.0, "sigfrac": 0.5, "objlim": 1.0, "niter": 1},
        {"niter": 6.0, "sepmed": False, "fsmode": "convolve", "psfmodel": "moffat"},
        {"psfmodel": "gaussy", "psffwhm": 3.3, "psfsize": 9, "psfbeta": 3},
        {"gain": True, "readnoise": 0.0, "satlevel": np.inf, "cleantype": "idw"},
        {"gain": 1, "sepmed": 1, "sigclip": np.inf, "cleantype": "medmask"},
    ],
)
def test_ordinary_values_do_not_warn(frame, options):
    assert detect_cosmics(frame, **options)[0].any()


def test_no_passes_find_nothing(frame):
    for niter in (0, -1):
        crmask, cleanarr = detect_cosmics(frame, niter=niter)
        assert not crmask.any()
        np.testing.assert_array_equal(cleanarr, frame)
        assert not np.shares_memory(cleanarr, frame)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"fsmode": "x"}, ValueError, "fsmode='x' is unknown; allowed are median, con"),
        (
            {"psfmodel": "airy"},
            ValueError,
            "psfmodel='airy' is unknown; allowed are ga",
        ),
        ({"psfmodel": None}, ValueError, "psfmodel=None is unknown"),
        ({"sigclip": "high"}, TypeError, "sigclip='high' must be a number"),
        ({"objlim": None}, TypeError, "objlim=None must be a number"),
        ({"sigfrac": np.nan}, ValueError, "sigfrac=nan must be a number"),
        ({"niter": [4]}, TypeError, r"niter=\[4\] must be a number"),
        ({"gain": False}, TypeError, "gain=False must be a number"),
    ],
)
def test_values_that_mean_nothing(frame, options, error, match):
    with pytest.raises(error, match=match):
        detect_cosmics(frame, **options)


def test_gain_of_true_is_one(frame):
    for ours, one in zip(
        detect_cosmics(frame, gain=True), detect_cosmics(frame, gain=1.0), strict=True
    ):
        np.testing.assert_array_equal(ours, one)


@pytest.mark.filterwarnings("ignore:.*of the examined pixels")
def test_numbers_for_planes(frame):
    """A background and a variance that are the same everywhere."""
    how = {"model": random_model(unit=None, transform="noise", threshold=0.5)}
    plane = np.full(frame.shape, 30.0)
    for name in ("inbkg", "invar"):
        one = detect_cosmics(frame, **{name: 30.0}, **how)
        for got, expected in zip(
            one, detect_cosmics(frame, **{name: plane}, **how), strict=True
        ):
            np.testing.assert_array_equal(got, expected)


def test_invar_warns_where_it_has_no_use(frame):
    with pytest.warns(DeepCRWarning, match="invar= has no effect") as caught:
        detect_cosmics(frame, invar=np.full(frame.shape, 64.0))
    assert caught[0].filename == __file__
    assert issubclass(DeepCRWarning, AstropyUserWarning)


@pytest.mark.filterwarnings("ignore:.*of the examined pixels")
def test_models_in_units_of_the_noise(frame):
    """What is given of the noise takes effect, and the unit has none."""
    model = random_model(unit=None, transform="noise", threshold=0.0)

    def examine(frame, **options):
        with pytest.MonkeyPatch.context() as patch:
            seen = []

            def find(plane, bad, model, thresholds, grow, **facts):
                assert grow == 0
                seen.append(
                    detection.cosmic_ray_probability(plane, bad, model, **facts)
                )
                return seen[0] > thresholds.seed

            patch.setattr(detection, "find_cosmic_rays", find)
            detect_cosmics(frame, model=model, satlevel=np.inf, **options)
            return seen[0]

    expected = examine(frame)
    assert np.ptp(expected) > 0.01
    for scale in (0.01, 100):
        np.testing.assert_allclose(examine(frame * scale), expected, atol=1e-3)
    noisy = examine(frame, readnoise=25.0)
    assert np.abs(noisy - expected).max() > 0.01
    # In electron, both of them, whatever the frame's unit.
    np.testing.assert_allclose(
        examine(frame / 2, gain=2.0, readnoise=25.0), noisy, atol=1e-3
    )
    # Where there is more noise, the variance says; how much there is, the frame.
    variance = np.full(frame.shape, 9.0**2)
    np.testing.assert_allclose(examine(frame, invar=variance), expected, atol=1e-3)
    variance[40:60] = 40.0**2
    part = np.abs(examine(frame, invar=variance) - expected).max(axis=1)
    assert part[45:55].min() > 1.5 * part[:20].max()
    background = np.full(frame.shape, 60.0)
    flat = examine(frame, inbkg=background)
    np.testing.assert_allclose(flat, expected, atol=0.02)


def test_positional_arguments(frame):
    expected = detect_cosmics(frame / 2, gain=2.0, readnoise=3.0)
    got = detect_cosmics(frame / 2, None, None, None, 4.5, 0.3, 5.0, 2.0, 3.0)
    for ours, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(ours, other)


def test_model_threshold_and_float64(frame):
    wide = frame.astype(np.float64)
    crmask, cleanarr = detect_cosmics(wide, model="decam", threshold=0.9)
    p = cosmicray_probability(frame, model="decam")
    np.testing.assert_array_equal(crmask, p > 0.9)
    assert cleanarr.dtype == np.float64


def test_nan_is_not_examined(frame):
    frame[10, 10] = np.nan
    crmask, cleanarr = detect_cosmics(frame)
    assert not crmask[10, 10]
    assert np.isnan(cleanarr[10, 10])


def test_verbose_says_what_was_found(frame, caplog, capsys):
    with caplog.at_level(logging.INFO, logger="deepcr_ccd.compat.astroscrappy"):
        crmask, _ = detect_cosmics(frame, verbose=True)
    assert f"{crmask.sum()} cosmic pixels" in caplog.text
    assert capsys.readouterr().out == f"{crmask.sum()} cosmic pixels\n"
    detect_cosmics(frame)
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"cleantype": "mean"}, ValueError, "cleantype='mean' is unknown; allowed"),
        ({"inmask": np.zeros((2, 2), bool)}, ValueError, "inmask has shape"),
        ({"inbkg": np.zeros((2, 2))}, ValueError, r"inbkg has shape \(2, 2\)"),
        ({"invar": np.full((8, 8), "a")}, TypeError, "invar must hold real"),
        ({"satlevel": "high"}, ValueError, "satlevel='high'"),
        ({"gain": 0}, ValueError, "gain=0 must be positive"),
        ({"readnoise": -1.0}, ValueError, "readnoise=-1.0"),
    ],
)
def test_bad_arguments(options, error, match):
    with pytest.raises(error, match=match):
        detect_cosmics(np.zeros((8, 8)), **options)


def test_one_frame_at_a_time():
    with pytest.raises(ValueError, match=r"indat has shape \(2, 4, 4\)"):
        detect_cosmics(np.zeros((2, 4, 4)))
