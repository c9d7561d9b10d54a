"""What ships, ``universal`` and ``universal-inpaint``, on frames never seen before."""

import importlib.resources

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData
from scipy import ndimage, signal

from deepcr_ccd import (
    cosmicray_deepcr,
    cosmicray_probability,
    detect_cosmics,
    list_models,
    load_model,
)
from deepcr_ccd.demo import example_frame
from deepcr_ccd.evaluation.scores import RocCurve
from deepcr_ccd.pipeline.fill import Fill, fill_frame
from deepcr_ccd.simulation.camera import CameraSimulator, LabelThresholds
from deepcr_ccd.simulation.cosmic_rays import simulate_deposit
from deepcr_ccd.simulation.scenes import make_scene

THREE = np.ones((3, 3), dtype=bool)

SHIPPED = ["universal", "universal-fast", "universal-thorough"]
#: For what must hold of the default, the fast and the thorough model alike.
every_model = pytest.mark.parametrize("model", SHIPPED)


def observations(kind, number=3, seed=8):
    """Held-out frames: scenes and tracks of seeds that training does not use."""
    rng = np.random.default_rng([seed, 31337])
    scenes = np.stack([make_scene(rng, 192, kind) for _ in range(4)])
    deposits = [simulate_deposit(rng) for _ in range(500)]
    camera = CameraSimulator(scenes, [deposits], 192, LabelThresholds(pixel=1.0))
    return [camera.observe(np.random.default_rng([seed, i])) for i in range(number)]


def test_it_is_the_default(ccd):
    cleaned = cosmicray_deepcr(ccd)
    assert cleaned.header["CRMODEL"] == "universal"
    assert cleaned.header["CRFILL"] == "network"
    assert list_models()["name"][:4].tolist() == [
        "universal",
        "universal-fast",
        "universal-inpaint",
        "universal-thorough",
    ]


def test_cards_tell_how_models_were_made():
    for name in (*SHIPPED, "universal-inpaint"):
        card = load_model(name, device="cpu").card
        assert card.instrument == "any"
        assert card.unit is None
        for field in ("training_data", "scores", "citation", "license", "description"):
            assert getattr(card, field), field
    folder = importlib.resources.files("deepcr_ccd") / "data"
    sizes = [p.stat().st_size for p in folder.iterdir() if p.suffix == ".safetensors"]
    assert len(sizes) == 4
    assert sum(sizes) < 4e6


@pytest.mark.parametrize(("factor", "shift"), [(0.01, 0), (1000, 0), (1, 5000)])
def test_the_unit_does_not_matter(ccd, factor, shift):
    expected = cosmicray_probability(ccd)
    wide = CCDData(ccd.data.astype(float) * factor + shift, unit=u.Jy)
    np.testing.assert_allclose(cosmicray_probability(wide), expected, atol=0.02)
    cleaned = cosmicray_deepcr(wide)
    reference = cosmicray_deepcr(ccd)
    assert (cleaned.mask == reference.mask).mean() > 0.9995
    both = cleaned.mask & reference.mask
    np.testing.assert_allclose(
        (cleaned.data[both] - shift) / factor, reference.data[both], rtol=0.02, atol=1
    )


def test_tiles_do_not_matter(ccd):
    expected = cosmicray_probability(ccd)
    for tile_size in (16, 50):
        got = cosmicray_probability(ccd, tile_size=tile_size)
        np.testing.assert_allclose(got, expected, atol=1e-5)


@every_model
def test_pure_noise(rng, model):
    frame = rng.normal(100, 10, (1024, 1024)).astype(np.float32)
    assert cosmicray_deepcr(frame, model=model, inpaint=None)[1].sum() <= 3


@every_model
@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("sparse", 90),
        ("extragalactic", 85),
        ("cluster", 75),
        ("spectrum", 72),
    ],
)
def test_cosmic_rays_are_found_and_sources_kept(kind, least, model):
    roc = RocCurve()
    for item in observations(kind):
        p = cosmicray_probability(item.frame, model=model)
        roc.add(p, item.truth, item.ignore)
        clean = ~item.truth & ~item.ignore
        assert (p[clean] > 0.5).mean() < 2e-3
    assert 100 * roc.tpr_at(5e-4) > least


def blurred(fine, fwhm):
    """Blur a scene on a grid four times as fine, and sum it to pixels."""
    fine = ndimage.gaussian_filter(fine, 4 * fwhm / 2.355)
    return fine.reshape(fine.shape[0] // 4, 4, -1, 4).sum(axis=(1, 3))


def planet(_):
    y, x = np.mgrid[:1024, :1024] / 4 - 128
    body = np.clip(1 - (np.hypot(y, x) / 80) ** 2, 0, None) ** 0.3
    return blurred(3000 / 16 * body * (1 + 0.2 * np.sin(y / 5)), 1.5) + 5


def field_stop(_):
    y, x = np.mgrid[:256, :256] - 128
    return 1 + 1500 * ndimage.gaussian_filter(1.0 * (np.hypot(y, x) < 110), 1.5)


def overscan(_):
    frame = np.full((256, 256), 1500.0)
    frame[:, :20] = frame[:, -20:] = 0
    return frame


def stars(rng):
    fine = np.zeros((1024, 1024))
    fine[tuple(rng.integers(0, 1024, (2, 200)))] = 10 ** rng.uniform(2.5, 4.5, 200)
    return fine


def sharp_stars(rng):
    """Stars with the wings that stars have, of a FWHM of 1.5 px."""
    y, x = np.mgrid[-64:65, -64:65] / 4
    star = (1 + (x**2 + y**2) / 2.16) ** -3.0
    seen = signal.fftconvolve(stars(rng), star / star.sum(), "same")
    return np.maximum(seen, 0).reshape(256, 4, 256, 4).sum(axis=(1, 3)) + 20


def bare_stars(rng):
    """Stars without wings, of a FWHM of 1.8 px."""
    return blurred(stars(rng), 1.8) + 20


def vignetted_stars(rng):
    """Stars as sharp_stars has them, on a sky that falls steeply along two edges."""
    y, x = np.mgrid[:256, :256]
    light = 1 - 0.8 * np.exp(-y / 25) - 0.8 * np.exp(-(255 - x) / 25)
    return np.clip(light, 0, None) * (6 * sharp_stars(rng) + 10000)


def soft_stars(rng):
    return blurred(stars(rng), 2.5) + 20


def fibres(_):
    y, x = np.mgrid[:1024, :256]
    trace = (y / 4 - 0.01 * x) % 6 - 3
    light = np.exp(-0.5 * trace**2) * (400 + 300 * np.sin(x / 9 + np.sin(y // 24)))
    return light.reshape(256, 4, 256).mean(axis=1) + 5


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (planet, 20),
        (field_stop, 10),
        (overscan, 10),
        (sharp_stars, 20),
        (vignetted_stars, 40),
        (bare_stars, 80),
        (soft_stars, 20),
        (fibres, 30),
    ],
)
def test_sources_like_cosmic_rays_are_kept(make, most):
    """Sharp limbs, edges of light, and stars and fibres as sharp as cosmic rays."""
    rng = np.random.default_rng(12)
    scene = make(rng)
    frame = rng.poisson(scene) + rng.normal(0, 4, scene.shape)
    assert cosmicray_deepcr(frame, inpaint=None)[1].sum() <= most


def test_borders_without_data_are_not_flagged():
    rng = np.random.default_rng(12)
    frame = rng.poisson(500, (256, 256)) + rng.normal(0, 4, (256, 256))
    y, x = np.mgrid[:256, :256]
    frame[np.hypot(y - 100, x - 120) > 130] = 0
    frame[y < 0.3 * x - 20] = 0
    assert cosmicray_deepcr(frame, inpaint=None)[1].sum() <= 20


@every_model
def test_the_frame_of_astroscrappys_own_tests(model):
    from astroscrappy.tests import fake_data

    np.random.seed(200)  # noqa: NPY002
    frame, affected = fake_data.make_fake_data()
    crmask, _ = detect_cosmics(frame, model=model)
    assert affected.sum() == 100
    assert (crmask & affected).sum() == 100
    # Peaks of the noise above four sigma, in a megapixel.
    assert (crmask & ~ndimage.binary_dilation(affected, THREE)).sum() < 20


@every_model
def test_a_real_spectrum(model):
    folder = importlib.resources.files("astroscrappy") / "tests" / "data"
    frame = fits.getdata(str(folder / "gmos.fits"), "SCI").astype(np.float32)
    crmask, cleaned = detect_cosmics(frame, model=model)
    groups, number = ndimage.label(ndimage.binary_dilation(crmask, THREE), THREE)
    sizes = np.sort(ndimage.sum_labels(crmask, groups, np.arange(1, number + 1)))
    # Two long tracks, and next to nothing else on sky lines and noise.
    assert (sizes[-2:] > 40).all()
    assert sizes[:-2].sum() < 15
    assert cleaned[crmask].max() < frame[crmask].max() / 2


@every_model
def test_a_real_star_is_not_flagged(model):
    ccd, _, origin = example_frame()
    if "simulated" in origin:
        pytest.skip("ccdproc's frame is absent")
    crmask = cosmicray_deepcr(ccd, model=model).mask
    _, number = ndimage.label(crmask, THREE)
    assert 12 <= number <= 24
    stars = np.zeros_like(crmask)
    for y, x in ((432, 434), (38, 152), (316, 385)):
        stars[y - 12 : y + 13, x - 12 : x + 13] = True
    assert not (crmask & stars).any()


@pytest.mark.parametrize(
    ("kind", "gain"),
    [("cluster", 5), ("extragalactic", 5), ("spectrum", 8), ("sparse", 8)],
)
def test_fills_are_nearer_the_truth_than_medians(kind, gain):
    model = load_model("universal-inpaint", device="cpu")
    squares = np.zeros(2)
    for item in observations(kind, number=12, seed=3):
        for i, fill in enumerate((Fill("network", model), Fill("median"))):
            value, sigma = fill_frame(
                item.frame, item.truth, None, fill, cr_affected=item.truth
            )
            squares[i] += np.sum((value - item.noiseless[item.truth]) ** 2.0)
            # A coarse converter can make all neighbours of a pixel alike.
            places = np.argwhere(item.truth)[~(sigma > 0)]
            for y, x in places:
                near = slice(max(y - 2, 0), y + 3), slice(max(x - 2, 0), x + 3)
                assert np.ptp(item.frame[near][~item.truth[near]]) == 0
    assert gain * squares[0] < squares[1], squares


@pytest.fixture(scope="module")
def affected_stars():
    """A frame of sharp stars, with rays on the cores of some and on sky; its truth."""
    rng = np.random.default_rng(5)
    y, x = np.indices((400, 400))
    truth = np.full(y.shape, 60.0)
    rows, columns = (g.ravel() for g in np.mgrid[20:390:22, 20:390:22])
    for row, column in zip(rows, columns, strict=True):
        place = row + rng.uniform(-0.5, 0.5), column + rng.uniform(-0.5, 0.5)
        square = (y - place[0]) ** 2 + (x - place[1]) ** 2
        height = 10 ** rng.uniform(3, 4.5)
        truth += height * (1 + square / 1.1) ** -2.6
    affected = np.zeros(y.shape, dtype=bool)
    charge = np.zeros(y.shape)
    cores = rng.choice(rows.size, 40, replace=False)
    for i, (row, column) in enumerate(zip(rows[cores], columns[cores], strict=True)):
        row, column = row + 11 * (i % 2), column + 11 * (i % 2)
        for step in range(-2, 3):
            place = row + step, column + (step if i % 3 else 0)
            affected[place], charge[place] = True, rng.uniform(300, 3000)
    frame = rng.poisson(truth + charge) + rng.normal(0, 5, y.shape)
    return frame.astype(np.float32), truth, affected


@pytest.mark.parametrize("with_values", [False, True])
def test_cores_of_sharp_stars_are_restored(affected_stars, with_values):
    """Other stars tell how high they rise, and what is values limits it."""
    frame, truth, affected = affected_stars
    model = load_model("universal-inpaint", device="cpu")
    values = affected if with_values else None
    target = truth[affected]
    errors = [
        fill_frame(frame, affected, None, fill, cr_affected=values)[0] - target
        for fill in (Fill("network", model), Fill("median"))
    ]
    core = target > 300
    assert core.sum() > 30
    share = np.sum(errors[0][core] ** 2) / np.sum(errors[1][core] ** 2)
    assert share < (0.2 if with_values else 0.45)
    # On sky nothing is left of a ray.
    sky = target < 75
    assert sky.sum() > 50
    assert np.abs(np.median(errors[0][sky])) < 3
    assert np.sqrt(np.mean(errors[0][sky] ** 2)) < 12


def test_thorough_is_the_mean_of_four_rotations():
    plain, thorough = (
        load_model(name, device="cpu", precision="float32") for name in SHIPPED[::2]
    )
    assert (plain.card.turns, thorough.card.turns) == (1, 4)
    assert plain.fingerprint == thorough.fingerprint
    tpr = []
    for model in (plain, thorough):
        roc = RocCurve()
        for item in observations("resolved", 6):
            roc.add(model.probability(item.frame), item.truth, item.ignore)
        tpr.append(roc.tpr_at(5e-4))
    assert tpr[1] > tpr[0]
