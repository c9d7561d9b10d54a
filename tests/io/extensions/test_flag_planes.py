"""What bits of flags mean, and which bit a cosmic ray gets."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from deepcr_ccd.batch.job import Job, run_job
from deepcr_ccd.batch.options import FileOptions
from deepcr_ccd.io.extensions.flag_planes import read_flag_plane
from deepcr_ccd.io.fits_file import FitsFile
from deepcr_ccd.nddata.observatories import HST_BAD_BITS

LSST = {"BAD": 0, "SAT": 1, "INTRP": 2, "CR": 3, "EDGE": 4, "DETECTED": 5}
LSST |= {"DETECTED_NEGATIVE": 6, "SUSPECT": 7, "NO_DATA": 8}


def plane(kind="MASK", dtype=np.int32, named=None, hst=False, **options):
    hdu = fits.ImageHDU(np.zeros((4, 5), dtype), name=kind)
    for name, bit in (named or {}).items():
        hdu.header[f"HIERARCH MP_{name}"] = bit
    observatory = "hst" if hst else None
    return read_flag_plane(hdu, 1, kind, (4, 5), observatory=observatory, **options)


@pytest.mark.parametrize(
    ("facts", "bad", "bit"),
    [
        ({"kind": "DQ"}, ~4096, 4096),
        ({"kind": "DQ", "hst": True}, HST_BAD_BITS, 4096),
        ({"kind": "DQ", "dq_bit": 64}, ~64, 64),
        ({"kind": "DQ", "bad_bits": 3}, 3, 4096),
        ({"kind": "BPM"}, ~8, 8),
        ({"kind": "BPM", "dq_bit": 16, "bad_bits": 7}, 7, 16),
        ({"kind": "MASK"}, None, 1),
        ({"kind": "MASK", "dq_bit": 1}, None, 1),
        ({"kind": "MASK", "dq_bit": 32}, ~32, 32),
        ({"kind": "MASK", "bad_bits": 6}, 6, 1),
        ({"named": LSST}, 1 | 2 | 4 | 16 | 256, 8),
        ({"named": LSST, "bad_bits": 1 << 7}, 1 << 7, 8),
        ({"named": LSST, "dq_bit": 1 << 20}, 1 | 2 | 4 | 16 | 256, 1 << 20),
        ({"named": LSST, "dq_bit": 2}, 1 | 4 | 16 | 256, 2),
        ({"named": LSST, "hst": True, "kind": "DQ"}, 1 | 2 | 4 | 16 | 256, 8),
        ({"named": {"DETECTED": 5, "CR": 0}}, 0, 1),
    ],
)
def test_which_bits(facts, bad, bit):
    found = plane(**facts)
    assert (found.convention.bad, found.convention.cosmic_ray) == (bad, bit)
    # LSST has a bit for pixels that were interpolated.
    replaced = bit | (4 if facts.get("named") == LSST else 0)
    assert found.convention.replaced == replaced
    found.check_bit()


def bad(values, *kind, **options):
    return plane(*kind, **options).convention.is_bad(values).tolist()


def test_bad_pixels():
    values = np.array([0, 1, 8, 32, 33, 40, 4096, -1])
    assert plane(named=LSST).convention.is_bad(values).tolist() == [
        0,
        1,
        0,
        0,
        1,
        0,
        0,
        1,
    ]
    assert bad(values) == [0, 1, 1, 1, 1, 1, 1, 1]
    assert bad(values, "DQ") == [0, 1, 1, 1, 1, 1, 0, 1]
    assert bad(values, bad_bits=0) == [0] * 8
    lowest = np.array([-32768], np.int16)
    assert bad(lowest, named={"BAD": 20, "CR": 3}) == [0]
    assert bad(lowest, named={"BAD": 15, "CR": 3}) == [1]
    huge = np.array([1e30, -1e30, 2.0**40, 4096], np.float32)
    assert bad(huge, "DQ", bad_bits=1) == [1, 1, 0, 0]
    floats = np.array([0, 1, 0.5, np.nan, np.inf, 4096], dtype=np.float32)
    assert bad(floats, "DQ") == [0, 1, 0, 1, 1, 0]
    assert bad(floats, "MASK") == [0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("dtype", "bit", "most"),
    [
        ("u1", 256, 128),
        ("i2", 1 << 15, 1 << 14),
        ("u2", 1 << 16, 1 << 15),
        ("i4", 1 << 31, 1 << 30),
        ("u4", 1 << 32, 1 << 31),
        ("f4", 1 << 24, 1 << 23),
    ],
)
def test_bits_have_to_fit(dtype, bit, most):
    plane("DQ", dtype, dq_bit=most).check_bit()
    name = np.dtype(dtype).name
    with pytest.raises(
        ValueError, match=f"dq_bit={bit} does not fit into DQ of {name}"
    ):
        plane("DQ", dtype, dq_bit=bit).check_bit()


def test_planes_without_one_for_cosmic_rays():
    with pytest.raises(ValueError, match="MASK names its bit planes, and none of them"):
        plane(named={"BAD": 0}).check_bit()
    plane(named={"BAD": 0}, dq_bit=2).check_bit()
    for number in (70, -1, 3.0, "3"):
        named = {"BAD": 0, "CR": number}
        message = f"and MP_CR={number!r} is no whole number from 0 to 62: dq_bit="
        with pytest.raises(ValueError, match=message):
            plane(named=named).check_bit()
        plane(named=named, dq_bit=2).check_bit()
        message = f"the header of MASK has MP_CR={number!r}: allowed are whole"
        with pytest.raises(ValueError, match=message):
            plane(named=named, dq="lsst")
    with pytest.raises(ValueError, match=r"2\*\*MP_CR=1048576 does not fit into MASK"):
        plane("MASK", np.int16, named={"CR": 20}).check_bit()
    with pytest.raises(ValueError, match=r"2\*\*MP_INTRP=1048576 does not fit into"):
        plane("MASK", np.int16, named={"CR": 3, "INTRP": 20}, dq_bit=2).check_bit()


def test_masks_of_good_pixels_are_refused():
    hdu = fits.ImageHDU(np.ones((4, 5), np.uint8), name="MASK")
    hdu.header["HDUCLAS3"] = "MASKONE"
    with pytest.raises(ValueError, match="MASK is one where pixels are good"):
        read_flag_plane(hdu, 1, "MASK", (4, 5))


def exposure(path, mask, name="MASK", named=None, compressed=False):
    """A frame with one track, and its flags; returns where the track is."""
    data = np.random.default_rng(0).normal(100, 5, (80, 80)).astype(np.float32)
    track = np.zeros(data.shape, dtype=bool)
    track[50, 50:60] = True
    data[track] += 500
    kind = fits.CompImageHDU if compressed else fits.ImageHDU
    hdu = kind(mask, name=name)
    for plane_name, bit in (named or {}).items():
        hdu.header[f"HIERARCH MP_{plane_name}"] = bit
    image = fits.ImageHDU(data, name="IMAGE")
    fits.HDUList([fits.PrimaryHDU(), image, hdu]).writeto(path)
    return track


def cleaned(path, **options):
    out = path.with_name("out.fits")
    row = run_job(Job(path, out), FileOptions(**options), replace=True)
    assert row["status"] == "done", row["message"]
    with fits.open(out) as hdus:
        assert len(hdus) == 3
        return row, hdus[1].header["CRNSKIP"], hdus[2].data


@pytest.mark.parametrize("compressed", [False, True])
def test_lsst(tmp_path, compressed):
    mask = np.zeros((80, 80), np.int32)
    mask[45:55, 45:65] |= 1 << 5  # DETECTED
    mask[:, 0] |= 1
    mask[50, 50:52] |= 1 << 3  # a cosmic ray found before
    track = exposure(tmp_path / "a.fits", mask, named=LSST, compressed=compressed)
    _, skipped, new = cleaned(tmp_path / "a.fits")
    assert skipped == 80
    flagged = (new & 8) > 0
    assert flagged[track].all()
    # Those that were filled are INTRP too.
    np.testing.assert_array_equal((new & 4) > 0, flagged)
    np.testing.assert_array_equal(new & ~(8 | 4), mask & ~8)
    _, _, new = cleaned(tmp_path / "a.fits", inpaint=None)
    np.testing.assert_array_equal(new & ~8, mask & ~8)
    _, skipped, new = cleaned(tmp_path / "a.fits", bad_bits=32, dq_bit=1 << 10)
    assert skipped == 200
    np.testing.assert_array_equal(new & ~(1 << 10 | 4), mask)
    assert not ((new >> 10) & 1)[track].any()


def test_bpm_of_banzai(tmp_path):
    bpm = np.zeros((80, 80), np.uint8)
    bpm[:, :2] = 1
    bpm[50, 55:60] = 8
    track = exposure(tmp_path / "a.fits", bpm, "BPM")
    row, skipped, new = cleaned(tmp_path / "a.fits")
    assert (skipped, row["images_total"]) == (160, 1)
    assert (new == 8)[track].all()
    np.testing.assert_array_equal(new & ~np.uint8(8), bpm & ~np.uint8(8))
    _, skipped, new = cleaned(tmp_path / "a.fits", bad_bits=8, dq_bit=64)
    assert skipped == 5
    assert (new[50, 50:55] == 64).all()
    assert (new[50, 55:60] == 8).all()


def test_several_planes_of_flags(tmp_path):
    """All hide their bad pixels; cosmic rays go into DQ."""
    bpm, dq = np.zeros((80, 80), np.uint8), np.zeros((80, 80), np.int16)
    bpm[:, 0], dq[:, 1] = 1, 4
    track = exposure(tmp_path / "a.fits", bpm, "BPM")
    with fits.open(tmp_path / "a.fits", "append") as hdus:
        hdus.append(fits.ImageHDU(dq, name="DQ"))
    row = run_job(Job(tmp_path / "a.fits", tmp_path / "b.fits"), FileOptions())
    assert row["status"] == "done"
    with fits.open(tmp_path / "b.fits") as hdus:
        assert hdus[1].header["CRNSKIP"] == 160
        assert (hdus["DQ"].data == 4096)[track].all()
        np.testing.assert_array_equal(hdus["BPM"].data, bpm)


def test_a_bit_that_does_not_fit_is_an_error_before_any_work(tmp_path):
    path = tmp_path / "a.fits"
    exposure(path, np.zeros((80, 80), np.uint8), "DQ")
    row = run_job(Job(path, tmp_path / "b.fits"), FileOptions())
    assert row["status"] == "failed"
    assert "a.fits[IMAGE,1]: 4096, the number of cosmic rays unless" in row["message"]
    assert not (tmp_path / "b.fits").exists()
    assert row["seconds"] < 2
    # a mask of its own needs no such bit
    masks = FileOptions(masks_only=True)
    assert run_job(Job(path, tmp_path / "b.fits"), masks)["status"] == "done"


def test_flags_that_hide_most_of_a_frame_are_wondered_at(tmp_path):
    mask = np.full((80, 80), 32, np.int16)
    mask[:20] = 0
    exposure(tmp_path / "a.fits", mask)
    image = FitsFile(tmp_path / "a.fits").images[0]
    with pytest.warns(AstropyUserWarning, match="MASK hides 75 % of the pixels, as no"):
        assert image.read().mask.sum() == 4800
    # Ones are clear, and so are bits that the user names.
    assert not FitsFile(tmp_path / "a.fits", bad_bits=1).images[0].read().mask.any()
    exposure(tmp_path / "b.fits", (mask > 0).astype(np.uint8))
    assert FitsFile(tmp_path / "b.fits").images[0].read().mask.sum() == 4800
