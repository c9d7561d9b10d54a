import gzip
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits
from sample_files import hst_like

from deepcr_ccd import cosmicray_deepcr
from deepcr_ccd.cli import main
from deepcr_ccd.io.fits_file import FitsFile


@pytest.fixture
def run(capsys):
    def run(*arguments):
        status = main([str(a) for a in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_clean(run, tmp_path, ccd):
    path = hst_like(tmp_path / "a_flc.fits", ccd)
    status, out, err = run("clean", path, "-o", tmp_path / "out", "--threshold", 0.3)
    assert (status, err) == (0, "")
    expected = cosmicray_deepcr(FitsFile(path).images[0].read(), threshold=0.3)
    n = expected.header["CRNPIX"]
    assert f"a_flc.fits: {2 * expected.header['CRNOBJ']} cosmic rays, {2 * n} px" in out
    with fits.open(tmp_path / "out" / "a_flc.fits") as hdus:
        np.testing.assert_array_equal(hdus["SCI", 1].data, expected.data)
        assert hdus["SCI", 2].header["CRTHRESH"] == 0.3
        assert ((hdus["DQ", 1].data & 4096) > 0).sum() == n + 3


def test_outputs_are_not_replaced_unasked(run, tmp_path, ccd):
    path = hst_like(tmp_path / "a.fits", ccd, two=False)
    assert run("clean", path, "-o", tmp_path / "out")[0] == 0
    first = (tmp_path / "out" / "a.fits").read_bytes()
    status, _, err = run("clean", path, "-o", tmp_path / "out", "--grow", 2)
    assert status == 1
    assert err == (
        f"deepcr-ccd: error: {tmp_path / 'out' / 'a.fits'} exists; "
        "--overwrite replaces it\n"
    )
    assert (tmp_path / "out" / "a.fits").read_bytes() == first
    assert run("clean", path, "-o", tmp_path / "out", "--overwrite")[0] == 0
    # The folder of the input itself is no exception.
    assert run("clean", path, "-o", tmp_path)[0] == 1


def test_mask(run, tmp_path, ccd):
    path = hst_like(tmp_path / "a.fits", ccd)
    assert run("mask", path, "-o", tmp_path / "out")[0] == 0
    with fits.open(tmp_path / "out" / "a.fits") as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "CRMASK", "CRMASK"]
        assert hdus[1].data.sum() == hdus[1].header["CRNPIX"] > 50
        assert hdus[1].header["CRFILL"] == "none"


def test_units_and_gain(run, tmp_path, ccd):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(ccd.data / 2, fits.Header({"GAIN": 2.0})).writeto(path)
    out = tmp_path / "out"

    def run_acs(*arguments):
        return run(*arguments, "--model", "ACS-WFC")

    # The default takes any unit.
    assert run("clean", path, "-o", tmp_path / "any")[0] == 0
    status, _, err = run_acs("clean", path, "-o", out)
    assert status == 1
    assert "has no BUNIT" in err
    # In the words of the command, or of Python.
    said = err.replace("unit='", "--unit ").replace("'", "").replace("gain=", "--gain")
    assert "give --unit electron, or --unit adu and --gain" in said
    assert err.count("\n") == 1
    assert run_acs("clean", path, "-o", out, "--unit", "adu")[0] == 1
    assert run_acs("clean", path, "-o", out, "--gain", "GAIN")[0] == 0
    n = fits.getheader(out / "a.fits")["CRNPIX"]
    run_acs("clean", path, "-o", out, "--unit", "adu", "--gain", 2, "--overwrite")
    assert fits.getheader(out / "a.fits")["CRNPIX"] == n
    run_acs("clean", path, "-o", out, "--unit", "electron", "--overwrite")
    assert fits.getheader(out / "a.fits")["CRNPIX"] != n
    # A standardised model needs neither.
    status, *_ = run("clean", path, "-o", out, "--model", "WFC3-UVIS", "--overwrite")
    assert status == 0
    status, _, err = run("clean", path, "-o", tmp_path / "x", "--unit", "furlong")
    assert status == 1
    assert "unit 'furlong' is unknown" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clean", "absent.fits", "-o", "out"], "absent.fits"),
        (["clean", "text.fits", "-o", "out"], "SIMPLE"),
        (["clean", "a.fits", "-o", "out", "--model", "best"], "'best' is unknown"),
        (["clean", "a.fits", "-o", "out", "--threshold", "2"], "--threshold 2.0"),
        (["clean", "a.fits", "-o", "out", "--device", "cuda:9"], "is absent"),
        (["clean", "a.fits", "-o", "out", "--dq-bit", "5"], "--dq-bit 5"),
        (["clean", "a.fits", "b/a.fits", "-o", "out"], "two inputs would both"),
        (["clean", "a.fits", "-o", "text.fits"], "text.fits"),
        (["models", "best"], "'best' is unknown"),
    ],
)
def test_errors_are_one_line(run, tmp_path, ccd, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    hst_like(tmp_path / "a.fits", ccd, two=False)
    (tmp_path / "text.fits").write_text("not FITS\n" * 1000)
    status, _, err = run(*arguments)
    assert status == 1
    assert err.startswith("deepcr-ccd: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not list(tmp_path.glob("out/*"))


def test_debug_shows_the_traceback(run, tmp_path):
    for arguments in (
        ["--debug", "clean", "absent.fits", "-o", tmp_path],
        ["clean", "absent.fits", "-o", tmp_path, "--debug"],
    ):
        status, _, err = run(*arguments)
        assert status == 1
        assert "Traceback" in err


def test_truncated_file(run, tmp_path, ccd):
    path = hst_like(tmp_path / "a.fits", ccd)
    whole = path.read_bytes()
    for length in (len(whole) // 3, len(whole) // 2, len(whole) - 3000):
        path.write_bytes(whole[:length])
        status, _, err = run("clean", path, "-o", tmp_path / "out")
        assert status == 1
        assert "is truncated" in err
        assert err.splitlines()[-1].startswith(f"deepcr-ccd: error: {path}")
        assert not list(tmp_path.glob("out/*"))
    packed = tmp_path / "a.fits.gz"
    packed.write_bytes(gzip.compress(whole)[:-1000])
    status, _, err = run("clean", packed, "-o", tmp_path / "out")
    assert status == 1
    assert "truncated or corrupt" in err


def test_missing_padding_is_forgiven(run, tmp_path, ccd):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(ccd.data).writeto(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: 2880 + ccd.data.nbytes])
    run("clean", path, "-o", tmp_path / "out", "--unit", "electron")
    with fits.open(tmp_path / "out" / "a.fits") as hdus:
        assert len(hdus) == 2
        assert hdus["MASK"].data.sum() == hdus[0].header["CRNPIX"] > 50


def test_warnings_are_one_line(run, tmp_path, ccd):
    path = hst_like(tmp_path / "a.fits", ccd, two=False)
    status, _, err = run("clean", path, "-o", tmp_path / "out", "--gain", 1)
    assert status == 0
    assert err.startswith(f"deepcr-ccd: warning: {path}: --gain has no effect")
    assert err.count("\n") == 1


def test_models(run):
    status, out, _ = run("models")
    assert status == 0
    lines = out.splitlines()
    assert "name" in lines[0]
    assert max(map(len, lines)) <= 80
    assert "example_model" not in out
    assert any(line.startswith("WFC3-UVIS ") and "mask" in line for line in lines)
    status, out, _ = run("models", "decam")
    assert status == 0
    assert "unit                 adu" in out
    assert "threshold            0.5" in out
    assert "citation             Zhang & Bloom 2020" in out
    status, out, _ = run("models", "universal-inpaint")
    assert status == 0
    assert "threshold" not in out


def test_usage_errors_exit_with_2(run):
    for arguments in ([], ["clean"], ["fly"]):
        with pytest.raises(SystemExit) as caught:
            run(*arguments)
        assert caught.value.code == 2


def test_demo(run, tmp_path):
    out = tmp_path / "demo"
    status, text, err = run("demo", "-o", out)
    assert (status, err) == (0, "")
    assert "model: universal" in text
    with fits.open(out / "a8280271_clean.fits") as hdus:
        header = hdus[0].header
        assert 12 <= header["CRNOBJ"] <= 24
        assert hdus["MASK"].data.sum() == header["CRNPIX"]
        assert f"found: {header['CRNOBJ']} cosmic rays, {header['CRNPIX']} px" in text
        # The stars are whole.
        assert hdus[0].data[420:445, 425:445].max() > 1000
    assert (out / "a8280271.png").read_bytes()[:4] == b"\x89PNG"
    assert run("demo", "-o", out)[0] == 0
    (out / "a8280271.png").write_bytes(b"\x89PNG of somebody else")
    status, _, err = run("demo", "-o", out)
    assert status == 1
    assert "is not from a demo; --overwrite replaces it" in err
    assert run("demo", "-o", out, "--overwrite")[0] == 0


def test_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "deepcr_ccd", "models", "universal"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("name                 universal")
