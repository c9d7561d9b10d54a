import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from sample_files import series

from deepcr_ccd.cli import main
from deepcr_ccd.evaluation.frames import read_labelled_frames, simulate_frames
from deepcr_ccd.evaluation.report import evaluate, load_methods


@pytest.fixture
def exposures(tmp_path):
    """Three exposures of one pointing, as files, and the charge of cosmic rays."""
    frames, charges = series(3, seed=4)
    paths = []
    for number, frame in enumerate(frames):
        hdu = fits.PrimaryHDU(frame.astype(np.float32))
        hdu.header["BUNIT"] = "electron"
        paths.append(tmp_path / f"exp{number}.fits")
        hdu.writeto(paths[-1])
    return paths, charges


def with_truth(path, frame, truth, ignore=None):
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(frame, name="SCI")])
    hdus["SCI"].header["BUNIT"] = "electron"
    hdus.append(fits.ImageHDU(truth.astype(np.uint8), name="TRUTH"))
    if ignore is not None:
        hdus.append(fits.ImageHDU(ignore.astype(np.uint8), name="IGNORE"))
    hdus.writeto(path)
    return path


def test_command_writes_table_curves_and_figure(tmp_path, exposures, capsys):
    paths, _ = exposures
    out = tmp_path / "out"
    arguments = ["evaluate", *map(str, paths), "-o", str(out), "--simulate", "sparse"]
    arguments += ["--number", "1", "--lacosmic", "--readnoise", "4"]
    arguments += ["--models", "universal", "ACS-WFC"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    table = Table.read(out / "scores.ecsv")
    assert set(table["kind"]) == {"files", "sparse"}
    assert table["method"][:3].tolist() == [
        "universal",
        "ACS-WFC",
        "astroscrappy, tuned",
    ]
    assert table["TPR at 0.5%"][0] > 90
    assert "files: 3 frames" in shown
    assert f"{table['TPR at 0.5%'][0]:g}" in shown
    curves = Table.read(out / "roc.ecsv")
    of_one = curves[(curves["kind"] == "files") & (curves["method"] == "universal")]
    assert (np.diff(of_one["tpr"]) >= 0).all()
    at = np.interp(0.005, of_one["fpr"], of_one["tpr"])
    assert 100 * at == pytest.approx(table["TPR at 0.5%"][0], abs=1)
    assert (out / "roc.png").read_bytes()[:4] == b"\x89PNG"
    # Results are not replaced unasked.
    assert main(arguments) == 1
    assert "--overwrite replaces it" in capsys.readouterr().err


def test_repeated_exposures_are_labelled(exposures):
    paths, charges = exposures
    items = read_labelled_frames(paths, readnoise=4.0)
    for item, charge in zip(items, charges, strict=True):
        strong = (charge > 100) & ~item.ignore
        assert item.truth[strong].mean() > 0.9
        assert item.readnoise == 4


def test_truth_from_the_file(tmp_path):
    rng = np.random.default_rng(0)
    frame = rng.normal(50, 5, (40, 40)).astype(np.float32)
    frame[3, 3] = np.nan
    truth = np.zeros(frame.shape, bool)
    truth[10, 10:15] = truth[3, 3] = True
    ignore = np.zeros(frame.shape, bool)
    ignore[10, 14] = True
    path = with_truth(tmp_path / "a.fits", frame, truth, ignore)
    (item,) = read_labelled_frames([path])
    assert np.isfinite(item.frame).all()
    assert item.truth.sum() == 4
    assert item.ignore.sum() == 2
    assert item.ignore[3, 3]


def test_truth_that_does_not_fit(tmp_path, exposures):
    frame = np.ones((40, 40), np.float32)
    whole = with_truth(tmp_path / "a.fits", frame, frame > 2)
    with pytest.raises(ValueError, match="has no extension TRUTH, and others have"):
        read_labelled_frames([whole, exposures[0][0]])
    small = with_truth(tmp_path / "b.fits", frame, np.zeros((39, 40)))
    with pytest.raises(ValueError, match=r"TRUTH has shape \(39, 40\)"):
        read_labelled_frames([small])


@pytest.mark.parametrize("number", [1, 2])
def test_frames_without_cosmic_rays(tmp_path, capsys, number):
    rng = np.random.default_rng(0)
    paths = []
    for i in range(number):
        frame = rng.normal(50, 5, (40, 40)).astype(np.float32)
        truth = np.zeros(frame.shape)
        # One that is ignored does not count.
        truth[3, 3] = i
        paths.append(with_truth(tmp_path / f"{i}.fits", frame, truth, truth))
    arguments = ["evaluate", *map(str, paths), "-o", str(tmp_path / "out")]
    assert main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "the frames have no CR-affected pixel" in line
    assert not (tmp_path / "out").exists()
    # Beside frames that have some.
    simulated = ["--simulate", "sparse", "--number", "1", "--lacosmic"]
    assert main([*arguments, *simulated]) == 0
    table = Table.read(tmp_path / "out" / "scores.ecsv")
    rates = np.array([list(row)[2:] for row in table], float)
    own = table["kind"] == "files"
    assert own.sum() == 2
    assert np.isnan(rates[own]).all()
    assert (rates[~own][0] > 0).all()
    curves = Table.read(tmp_path / "out" / "roc.ecsv")
    tpr = np.ma.filled(curves["tpr"], np.nan)
    np.testing.assert_array_equal(np.isnan(tpr), curves["kind"] == "files")
    assert (tmp_path / "out" / "roc.png").exists()


def test_exposures_without_cosmic_rays(tmp_path, capsys):
    rng = np.random.default_rng(0)
    paths = [tmp_path / "a.fits", tmp_path / "b.fits"]
    for path in paths:
        fits.writeto(path, rng.normal(50, 5, (64, 64)).astype(np.float32))
    arguments = ["evaluate", *map(str, paths), "-o", str(tmp_path / "out")]
    assert main([*arguments, "--unit", "electron"]) == 1
    assert "no CR-affected pixel" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_second_exposure_of_itself(tmp_path, exposures, capsys):
    (first, second, _), _ = exposures
    (tmp_path / "link.fits").symlink_to(first)
    (tmp_path / "sub").mkdir()
    same = (first, tmp_path / "sub" / ".." / first.name, tmp_path / "link.fits")
    for again in same:
        given = [str(path) for path in (first, second, again)]
        assert main(["evaluate", *given, "-o", str(tmp_path / "out")]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{again} is given twice" in line
        assert "must be different files" in line
        assert not (tmp_path / "out").exists()


def test_simulated_frames_are_reproducible():
    one, other = (simulate_frames("cluster", 2, size=64, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one[1].frame, other[1].frame)
    assert not np.array_equal(one[0].frame, one[1].frame)
    with pytest.raises(ValueError, match="kind='galaxies' is unknown; allowed are"):
        simulate_frames("galaxies")


def test_frames_through_a_point_spread_function(tmp_path):
    sharp = np.zeros((41, 41))
    sharp[20, 20] = 1
    fits.writeto(tmp_path / "psf.fits", sharp)
    own, through = (
        simulate_frames("cluster", 2, size=64, seed=3, psf=psf)
        for psf in (None, tmp_path / "psf.fits")
    )
    # Light that is in one pixel stands out more.
    assert through[0].noiseless.max() > 1.5 * own[0].noiseless.max()
    fits.writeto(tmp_path / "none.fits", 0 * sharp)
    with pytest.raises(ValueError, match="holds no point spread function"):
        evaluate([], tmp_path, simulate=["sparse"], psf=tmp_path / "none.fits")


def test_nothing_to_judge_on(tmp_path):
    with pytest.raises(ValueError, match="give files, or kinds to simulate"):
        evaluate([], tmp_path)
    with pytest.raises(ValueError, match="number=0 must be at least 1"):
        evaluate([], tmp_path, simulate=["sparse"], number=0)


def test_methods_by_name():
    assert "decam" in load_methods(["published"])
    with pytest.raises(ValueError, match="not for 'mask'"):
        load_methods(["universal-inpaint"])
