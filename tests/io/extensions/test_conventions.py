"""Files with flags in the convention of each observatory, cleaned and written."""

import json
import warnings

import numpy as np
import pytest
from astropy.io import fits

from deepcr_ccd import DeepCRWarning, clean_files
from deepcr_ccd.batch.options import FileOptions
from deepcr_ccd.cli import main
from deepcr_ccd.io.fits_file import FitsFile


def exposure(path, dtype, bad, found=0, kind="DQ", **header):
    """A frame with a track of 10 px, one of them bad, and one flagged as a CR."""
    data = np.random.default_rng(0).normal(100, 5, (80, 80)).astype(np.float32)
    data[50, 50:60] += 500
    flags = np.zeros(data.shape, dtype)
    flags[:, 0] = flags[50, 50] = bad
    flags[50, 55] = found
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(data, name="SCI"),
        fits.ImageHDU(flags, name=kind),
    ]
    hdus[0].header.update(header)
    fits.HDUList(hdus).writeto(path)
    return flags


def track():
    where = np.zeros((80, 80), dtype=bool)
    where[50, 51:60] = True
    return where


def cleaned(path, **options):
    (row,) = clean_files(path, path.parent / "out", **options)
    assert row["status"] == "done", row["message"]
    with fits.open(path.parent / "out" / path.name) as hdus:
        return hdus["SCI"].header["CRNSKIP"], hdus[2].data.copy()


@pytest.mark.parametrize("inpaint", ["median", None])
@pytest.mark.parametrize(
    ("name", "dtype", "bad", "found", "flagged", "filled", "kind"),
    [
        ("hst", np.int16, 16, 4096, 4096, 4096, "DQ"),
        ("jwst", np.uint32, 1 | 1 << 30, 4, 4, 4, "DQ"),
        ("gemini", np.uint16, 64, 8, 8, 8, "DQ"),
        ("des", np.int16, 2, 16, 16, 16 | 4, "MASK"),
        ("eso", np.int32, 8192, 32, 32, 16, "DQ"),
        ("eso", np.uint32, 1 << 31, 32, 32, 16, "DQ"),
    ],
)
def test_bits(tmp_path, name, dtype, bad, found, flagged, filled, kind, inpaint):
    path = tmp_path / "a.fits"
    flags = exposure(path, dtype, bad, found, kind)
    skipped, new = cleaned(path, dq=name, inpaint=inpaint)
    assert skipped == 81
    number = flagged if inpaint is None else filled
    expected = np.where(track(), flags | dtype(number), flags)
    np.testing.assert_array_equal(new, expected)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
def test_codes(tmp_path, dtype):
    path = tmp_path / "a.fits"
    flags = exposure(path, dtype, 3, 7)
    skipped, new = cleaned(path, dq="noirlab")
    assert skipped == 81
    np.testing.assert_array_equal(new, np.where(track(), 5, flags))
    assert new.dtype.kind == np.dtype(dtype).kind


@pytest.mark.parametrize(
    ("header", "bad", "bit"),
    [
        ({"TELESCOP": "HST"}, 16, 4096),
        ({"TELESCOP": "JWST"}, 1, 4),
        ({"TELESCOP": "Gemini-North"}, 16, 8),
        ({"INSTRUME": "MUSE"}, 256, 32),
    ],
)
def test_by_default_the_telescope_says_it(tmp_path, header, bad, bit):
    path = tmp_path / "a.fits"
    flags = exposure(path, np.int32, bad, 0, **header)
    skipped, new = cleaned(path, inpaint=None)
    assert skipped == 81
    np.testing.assert_array_equal(new, np.where(track(), bit, flags))
    # What the user says comes first.
    _, new = cleaned(path, inpaint=None, dq={"cosmic_ray": 32768}, overwrite=True)
    np.testing.assert_array_equal(new, np.where(track(), 32768, flags))


def test_bits_in_place_of_those_of_a_convention(tmp_path):
    path = tmp_path / "a.fits"
    flags = exposure(path, np.int32, 2, 0)
    skipped, new = cleaned(path, dq="jwst", dq_bit=16, bad_bits=3)
    assert skipped == 81
    np.testing.assert_array_equal(new, np.where(track(), 16, flags))
    for option in ({"dq_bit": 8}, {"bad_bits": 8}):
        (name,) = option
        with pytest.raises(ValueError, match=f"{name}=8 is of bits, and dq='noirlab'"):
            FileOptions(dq="noirlab", **option)
        with pytest.raises(ValueError, match="has codes: give a dictionary"):
            FitsFile(path, dq="noirlab", **option)
    with pytest.raises(ValueError, match="dq='hts' is unknown: did you mean 'hst'"):
        FileOptions(dq="hts")


def test_only_the_plane_of_cosmic_rays_has_the_convention(tmp_path):
    path = tmp_path / "a.fits"
    exposure(path, np.int32, 256)
    mask = np.zeros((80, 80), np.uint8)
    mask[:, 1] = 1  # a telluric feature, if it were Euro3D's
    fits.append(path, mask, fits.Header({"EXTNAME": "MASK"}))
    skipped, _ = cleaned(path, dq="eso")
    assert skipped == 161


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dq": "hst"}, "dq='hst': the number 4096 of cosmic rays does not fit"),
        ({"dq": "hst", "dq_bit": 256}, "dq_bit=256 does not fit"),
        ({"dq": {"cosmic_ray": 1 << 20}}, r"dq['cosmic_ray']=1048576 does not fit"),
        (
            {"dq": {"cosmic_ray": 8, "replaced": 1 << 20}},
            "dq['replaced']=1048576 does not fit",
        ),
        (
            {"dq": {"cosmic_ray": 300, "bad": [1], "codes": True}},
            "dq['cosmic_ray']=300 does not fit",
        ),
        ({}, "4096, the number of cosmic rays unless dq= or dq_bit= names another, "),
    ],
)
def test_numbers_that_do_not_fit(tmp_path, options, message):
    path = tmp_path / "a.fits"
    exposure(path, np.uint8, 1)
    (row,) = clean_files(path, tmp_path / "out", **options)
    assert row["status"] == "failed"
    assert f"a.fits[SCI,1]: {message}" in row["message"]
    assert row["message"].endswith("does not fit into DQ of uint8")


def test_the_number_of_an_observatory_that_the_header_names(tmp_path):
    path = tmp_path / "a.fits"
    exposure(path, np.uint8, 1, TELESCOP="HST")
    (row,) = clean_files(path, tmp_path / "out")
    assert "4096, the number of cosmic rays of 'hst', does not fit" in row["message"]


def test_bits_that_plio_cannot_compress(tmp_path):
    path = tmp_path / "a.fits"
    flags = exposure(path, np.int32, 1)
    with fits.open(path) as hdus:
        hdus[2] = fits.CompImageHDU(flags, name="DQ", compression_type="PLIO_1")
        hdus.writeto(path, overwrite=True)
    (row,) = clean_files(path, tmp_path / "out", dq_bit=1 << 24)
    message = "dq_bit=16777216 does not fit into DQ of int32 in PLIO_1, which has 24"
    assert message in row["message"]
    _, new = cleaned(path, dq_bit=1 << 23)
    np.testing.assert_array_equal(new, np.where(track(), 1 << 23, flags))


@pytest.mark.parametrize("value", [0.5, 2.0**27, 1e30])
def test_flags_of_floats_that_cannot_take_a_bit(tmp_path, value):
    path = tmp_path / "a.fits"
    exposure(path, np.float32, 1, value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (row,) = clean_files(path, tmp_path / "out", dq="gemini")
    if value == 1e30:
        # It is no number of flags, and the pixel is excluded.
        assert row["status"] == "done"
        return
    assert f"DQ is {value!r} at a cosmic ray; allowed are whole" in row["message"]
    assert "that have room for dq='gemini': the number 8 of" in row["message"]


def test_lsst_needs_its_keywords(tmp_path):
    path = tmp_path / "a.fits"
    exposure(path, np.int32, 1)
    with pytest.raises(ValueError, match=r"a.fits\[SCI,1\]: dq='lsst' takes the"):
        FitsFile(path, dq="lsst")


def test_files_without_flags_are_named(tmp_path):
    path = tmp_path / "a.fits"
    exposure(path, np.int32, 1, kind="SKY")
    with pytest.warns(DeepCRWarning, match="dq= has no effect: a.fits has no flags"):
        FitsFile(path, dq="noirlab")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not FitsFile(path).images[0].flags


def test_the_command(tmp_path, capsys):
    path = tmp_path / "a.fits"
    flags = exposure(path, np.uint16, 4)
    out = ["-o", str(tmp_path / "out"), "--json"]
    assert main(["clean", str(path), "--dq", "gemini", *out]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "done"
    with fits.open(tmp_path / "out" / "a.fits") as hdus:
        np.testing.assert_array_equal(hdus["DQ"].data, np.where(track(), 8, flags))
    with pytest.raises(SystemExit):
        main(["clean", str(path), "--dq", "hts", *out])
    error = capsys.readouterr().err
    assert "'hts'" in error and "noirlab" in error
    assert main(["clean", str(path), "--dq", "noirlab", "--dq-bit", "8", *out]) == 1
    assert (
        "--dq-bit 8 is of bits, and --dq noirlab has codes" in capsys.readouterr().err
    )
