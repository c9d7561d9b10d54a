import numpy as np
import pytest
from astropy.io import fits

from deepcr_ccd.simulation.psf import make_psf, read_psf
from deepcr_ccd.simulation.scenes import KINDS, make_scene


def test_psf_has_the_width_it_says():
    for seed in range(8):
        psf, fwhm = make_psf(np.random.default_rng(seed))
        assert psf.sum() == pytest.approx(1, rel=1e-4)
        above = (psf > psf.max() / 2).sum() / 16
        assert 2 * np.sqrt(above / np.pi) == pytest.approx(fwhm, rel=0.35)


def write_psf(path, width, size=61):
    """Write an elongated star of a width in px, a quarter of a pixel off its centre."""
    y, x = np.mgrid[:size, :size] - size // 2
    star = np.exp(-(((x - 0.25) / width) ** 2) / 2 - (y / width / 1.2) ** 2 / 2)
    fits.writeto(path, star / star.sum())
    return star / star.sum()


def test_psf_of_a_file_is_what_pixels_see(tmp_path):
    star = write_psf(tmp_path / "psf.fits", 1.0)
    psf = read_psf(tmp_path / "psf.fits", size=21)
    assert psf.shape == (81, 81)
    np.testing.assert_allclose(psf[::4, ::4], star[20:41, 20:41], atol=1e-4)
    # However a star lies in its pixel, all of its light is collected.
    for phase in range(4):
        assert psf[phase::4, phase::4].sum() == pytest.approx(1, rel=2e-3)


def test_psf_of_a_file_binned(tmp_path):
    write_psf(tmp_path / "psf.fits", 4.0)
    sharp = read_psf(tmp_path / "psf.fits", binning=4, size=15)
    y, x = np.mgrid[:61, :61] / 4 - 30 / 4
    expected = np.exp(-((x - 0.06) ** 2) / 2 - (y / 1.2) ** 2 / 2)
    expected *= 16 / expected.sum()
    middle = np.s_[4:-4, 4:-4]
    # A pixel four times as wide widens it by 4 %.
    np.testing.assert_allclose(
        psf_width(sharp), psf_width(expected[2:-2, 2:-2]) * 1.04, rtol=0.03
    )
    assert sharp[middle].sum() == pytest.approx(expected[middle].sum(), rel=0.02)


def psf_width(psf):
    """Return the second moment of a star along x, in fine pixels."""
    x = np.arange(psf.shape[1])
    fraction = psf.sum(axis=0) / psf.sum()
    return np.sqrt(fraction @ (x - fraction @ x) ** 2)


@pytest.mark.parametrize("image", [np.zeros((5, 5)), np.ones(5)])
def test_no_psf(image, tmp_path):
    fits.writeto(tmp_path / "psf.fits", image)
    with pytest.raises(ValueError, match="no point spread function"):
        read_psf(tmp_path / "psf.fits")


@pytest.mark.parametrize("kind", KINDS)
def test_scenes_through_a_given_psf(kind, tmp_path):
    write_psf(tmp_path / "psf.fits", 0.6)
    psf = read_psf(tmp_path / "psf.fits")
    ratios = []
    for seed in range(5):
        made = make_scene(np.random.default_rng(seed), 96, kind)
        scene = make_scene(np.random.default_rng(seed), 96, kind, psf)
        assert scene.shape == (96, 96)
        assert (scene >= 0).all()
        assert np.array_equal(scene, made) == (kind == "spectrum")
        ratios.append(scene.sum() / made.sum())
    # The same sources, in other pixels: as much light, but for stars at an edge.
    assert np.median(ratios) == pytest.approx(1, abs=0.05)
