"""What FITS files store: rounding, ranges, BLANK, flags, checksums, what is behind."""

import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.utils import minversion

from deepcr_ccd.batch.job import Job, run_job
from deepcr_ccd.batch.options import FileOptions
from deepcr_ccd.io.extensions.mask_extensions import write_masks
from deepcr_ccd.io.fits_file import FitsFile
from deepcr_ccd.io.fits_image import CleanedImage
from deepcr_ccd.io.rewriting.header_cards import edit_header
from deepcr_ccd.io.rewriting.number_format import NumberFormat

PLACES = (np.array([0, 1, 2, 2]), np.array([3, 0, 1, 4]))
SHAPE = (4, 6)
BITS = {"u1": 8, "i1": 8, "i2": 16, "u2": 16, "i4": 32, "u4": 32, "i8": 64, "u8": 64}

#: What is added to stored numbers of types that FITS has not.
ZERO = {"i1": -128, "u2": 1 << 15, "u4": 1 << 31, "u8": 1 << 63}


def rewrite(path, values=(1.0, 2.0, 3.0, 4.0), sigma=None, **options):
    """Write a file with four of its pixels filled; return the new path."""
    out = path.with_name("out.fits")
    file = FitsFile(path, **options)
    result = CleanedImage(PLACES, np.asarray(values), sigma, [("CRNPIX", 4, "")])
    file.write(out, [result] * len(file.images), overwrite=True)
    return out


def stored(path, ext=0):
    with fits.open(path, do_not_scale_image_data=True) as hdus:
        return np.array(hdus[ext].data)


def write_stored(path, data, compressed=False, **cards):
    """Write numbers as they shall be stored, and cards that say what they mean."""
    # Types that FITS lacks are written with BZERO.
    hdu = fits.ImageHDU(data, name="SCI")
    if compressed:
        if data.dtype.str[1:] in ("i1", "u8") and not minversion("astropy", "8.0"):
            pytest.skip("earlier versions of astropy write other numbers than these")
        kind = "GZIP_1" if data.dtype.itemsize == 8 else "RICE_1"
        hdu = fits.CompImageHDU(data, name="SCI", compression_type=kind)
    hdu.header.update(cards)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


def scale_in_place(path, ext=1, **cards):
    """Say that what is stored is scaled, and change no stored number."""
    with fits.open(path, "update", do_not_scale_image_data=True) as hdus:
        hdus[ext].header.update(cards)
    return path


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", list(BITS))
def test_values_are_exact_and_in_range(tmp_path, dtype, compressed):
    limits = np.iinfo(dtype)
    data = np.arange(24, dtype=dtype).reshape(SHAPE) + np.array(limits.max - 50, dtype)
    path = write_stored(tmp_path / "a.fits", data, compressed)
    out = rewrite(path, [103.4, -1e30, 1e30, 7.6])
    new = fits.getdata(out, "SCI")
    assert new.dtype.newbyteorder("=") == data.dtype
    expected = data.copy()
    expected[PLACES] = np.array([103, limits.min, limits.max, 8], dtype)
    np.testing.assert_array_equal(new, expected)


def test_integers_of_64_bits_are_filled(tmp_path):
    data = np.random.default_rng(0).poisson(100, (96, 96)).astype("u8")
    data[40, 30:36] += np.uint64(5000)
    for dtype in ("u8", "i8"):
        path = tmp_path / f"{dtype}.fits"
        fits.PrimaryHDU(data.astype(dtype)).writeto(path)
        row = run_job(Job(path, tmp_path / f"{dtype}_out.fits"), FileOptions())
        assert row["status"] == "done"
        new = fits.getdata(tmp_path / f"{dtype}_out.fits")
        assert new.dtype.newbyteorder("=") == dtype
        assert ((new[40, 30:36] > 70) & (new[40, 30:36] < 130)).all()


@pytest.mark.parametrize("scale", [0.25, 3.0, -2.0, 1e-17])
def test_scaled_values_go_to_the_nearest(tmp_path, scale):
    path = write_stored(tmp_path / "a.fits", np.zeros(SHAPE, "i2"))
    scale_in_place(path, BSCALE=scale, BZERO=10 * scale)
    values = scale * np.array([14.4, 14.6, -20.2, 1e9])
    out = rewrite(path, values)
    np.testing.assert_array_equal(stored(out, 1)[PLACES], [4, 5, -30, 32767])


def test_scales_that_give_no_numbers_are_refused(tmp_path):
    path = write_stored(tmp_path / "a.fits", np.zeros(SHAPE, "i2"))
    scale_in_place(path, BSCALE=0.0)
    with pytest.raises(ValueError, match=r"BSCALE=0\.0 and BZERO=0 give no numbers"):
        rewrite(path)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_floats_keep_their_range(tmp_path, dtype):
    data = np.full(SHAPE, 5, dtype)
    data[3, 0], data[3, 1], data[3, 2] = np.nan, -0.0, np.inf
    path = write_stored(tmp_path / "a.fits", data)
    out = rewrite(path, [np.nan, 1e300, np.inf, -0.0])
    new = fits.getdata(out, "SCI")
    expected = data.copy()
    largest = np.finfo("f4").max if dtype == "f4" else 1e300
    expected[PLACES] = [np.nan, largest, np.inf, -0.0]
    assert new.tobytes() == expected.astype(new.dtype).tobytes()


def test_a_fill_that_is_no_number_leaves_an_integer(tmp_path):
    path = write_stored(tmp_path / "a.fits", np.full(SHAPE, 9, "i2"))
    new = fits.getdata(rewrite(path, [np.nan, 2, np.inf, 4]), "SCI")
    np.testing.assert_array_equal(new[PLACES], [9, 2, 9, 4])


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", list(BITS))
def test_no_fill_equals_blank(tmp_path, dtype, compressed):
    zero = ZERO.get(dtype, 0)
    data = np.full(SHAPE, 9, dtype)
    data[3, 0] = 20
    path = write_stored(tmp_path / "a.fits", data, compressed, BLANK=20 - zero)
    out = rewrite(path, [19.8, 20.3, 20.0, 22.0])
    np.testing.assert_array_equal(
        stored(out, 1)[PLACES].astype(object) + zero, [19, 21, 21, 22]
    )
    assert stored(out, 1)[3, 0] == 20 - zero


@pytest.mark.parametrize(("blank", "value"), [(-32768, -1e6), (32767, 1e6)])
def test_no_fill_becomes_blank_at_the_end_of_the_range(tmp_path, blank, value):
    path = write_stored(tmp_path / "a.fits", np.zeros(SHAPE, "i2"), BLANK=blank)
    out = rewrite(path, [value, 0, 0, 0])
    assert stored(out, 1)[PLACES].tolist() == [blank - np.sign(blank), 0, 0, 0]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["i2", "u2", "u4", "u1"])
def test_blank_pixels_are_not_examined(tmp_path, dtype, compressed):
    """Also in unsigned images, where astropy does not see them."""
    zero = ZERO.get(dtype, 0)
    data = np.full(SHAPE, 9, dtype)
    data[3, 2:4] = 100
    path = write_stored(tmp_path / "a.fits", data, compressed, BLANK=100 - zero)
    ccd = FitsFile(path).images[0].read()
    bad = ~np.isfinite(ccd.data)
    if ccd.mask is not None:
        bad |= ccd.mask
    np.testing.assert_array_equal(bad, data == 100)


def test_blank_is_heeded_beside_dq_and_under_zblank(tmp_path):
    data = np.full(SHAPE, 9, "u2")
    data[3, 2:4] = 100
    dq = np.zeros(SHAPE, "i2")
    dq[0] = 4
    path = write_stored(tmp_path / "a.fits", data, BLANK=100 - 32768)
    fits.append(path, dq, fits.Header({"EXTNAME": "DQ"}))
    mask = FitsFile(path).images[0].read().mask
    np.testing.assert_array_equal(mask, (data == 100) | (dq == 4))

    packed = write_stored(tmp_path / "b.fits", data, True)
    with fits.open(packed, "update", disable_image_compression=True) as hdus:
        hdus[1].header["ZBLANK"] = 100 - 32768
    np.testing.assert_array_equal(FitsFile(packed).images[0].read().mask, data == 100)
    out = rewrite(packed, [100, 99.9, 100.1, 4])
    np.testing.assert_array_equal(fits.getdata(out, "SCI")[PLACES], [101, 99, 101, 4])


def test_blank_pixels_stay_when_a_frame_is_cleaned(tmp_path):
    rng = np.random.default_rng(1)
    data = rng.poisson(300, (96, 96)).astype("u2")
    data[40, 30:36] += 2000
    data[60:70, 60:70] = 65535
    path = write_stored(tmp_path / "a.fits", data, BLANK=32767)
    row = run_job(Job(path, tmp_path / "out.fits"), FileOptions())
    assert row["status"] == "done"
    new = fits.getdata(tmp_path / "out.fits", "SCI")
    assert (new[60:70, 60:70] == 65535).all()
    assert (new[40, 30:36] < 400).all()
    assert fits.getval(tmp_path / "out.fits", "CRNSKIP", "SCI") == 100


def dq_file(path, data, **cards):
    """Write an image with flags, stored as they are given."""
    path = write_stored(path, np.zeros(SHAPE, "f4"))
    fits.append(path, data, fits.Header({"EXTNAME": "DQ"}))
    return scale_in_place(path, 2, **cards) if cards else path


@pytest.mark.parametrize(
    ("dtype", "cards"),
    [
        ("i2", {}),
        ("i2", {"BSCALE": 1.0, "BZERO": 32768.0}),
        ("i2", {"BSCALE": 2.0, "BZERO": 0.0}),
        ("i2", {"BSCALE": 0.5, "BZERO": 0.0}),
        ("i4", {"BSCALE": 0.25, "BZERO": 0.0}),
        ("u2", {}),
        ("u4", {}),
        ("i8", {}),
        ("u8", {}),
        ("f4", {}),
        ("f8", {"BSCALE": 0.5, "BZERO": 8.0}),
    ],
)
def test_flags_are_kept_whatever_their_format(tmp_path, dtype, cards):
    data = (np.arange(24).reshape(SHAPE) * 4).astype(dtype)
    path = dq_file(tmp_path / "a.fits", data, **cards)
    before = fits.getdata(path, "DQ")
    out = rewrite(path, dq_bit=4096)
    expected = before.astype("i8")
    expected[PLACES] |= 4096
    after = fits.getdata(out, "DQ")
    assert after.dtype == before.dtype
    np.testing.assert_array_equal(after, expected)


@pytest.mark.parametrize(
    ("dtype", "bit", "cards"),
    [
        ("u1", 256, {}),
        ("i2", 32768, {}),
        ("u2", 65536, {}),
        ("i2", 65536, {"BSCALE": 1.0, "BZERO": 32768.0}),
        ("i2", 4096, {"BSCALE": 3.0, "BZERO": 0.0}),
        ("i2", 1, {"BSCALE": 2.0, "BZERO": 0.0}),
    ],
)
def test_flags_that_do_not_fit_are_an_error(tmp_path, dtype, bit, cards):
    path = dq_file(tmp_path / "a.fits", np.full(SHAPE, 2, dtype), **cards)
    with pytest.raises(ValueError, match=f"dq_bit={bit} does not fit into DQ"):
        rewrite(path, dq_bit=bit, bad_bits=0)
    assert [p.name for p in tmp_path.iterdir()] == ["a.fits"]


def test_flags_that_are_no_whole_numbers_are_an_error(tmp_path):
    path = dq_file(tmp_path / "a.fits", np.full(SHAPE, 2, "f4"), BSCALE=1.0, BZERO=0.5)
    with pytest.raises(ValueError, match=r"DQ is 2\.5 at a cosmic ray; .* dq_bit=1 in"):
        rewrite(path, dq_bit=1, bad_bits=0)
    assert [p.name for p in tmp_path.iterdir()] == ["a.fits"]


@pytest.mark.parametrize("kind", ["CHECKSUM", "DATASUM"])
@pytest.mark.parametrize("compressed", [False, True])
def test_sums_are_renewed(tmp_path, kind, compressed):
    """Of images, flags and noise, constant ones too, and of what is added."""
    image = fits.CompImageHDU if compressed else fits.ImageHDU
    constant = fits.ImageHDU(name="ERR")
    constant.header.update({"NPIX1": 6, "NPIX2": 4, "PIXVALUE": 2.0})
    hdus = [
        fits.PrimaryHDU(),
        image(np.zeros(SHAPE, "i2"), name="SCI"),
        image(np.zeros(SHAPE, "u2"), name="DQ"),
        constant,
        image(np.ones(SHAPE, "f4"), name="VAR"),
        image(np.zeros(SHAPE, "i2"), name="SCI"),
    ]
    for hdu, ver in zip(hdus[1:], (1, 1, 1, 1, 2), strict=True):
        hdu.ver = ver
    path = tmp_path / "a.fits"
    checksum = True if kind == "CHECKSUM" else "datasum"
    fits.HDUList(hdus).writeto(path, checksum=checksum)
    out = rewrite(path, sigma=np.full(4, 3.0))
    # A wrong one would warn, and warnings are errors here.
    with fits.open(out, checksum=True, disable_image_compression=True) as new:
        assert [hdu.name for hdu in new][-1] == "MASK"
        for hdu in new:
            assert "DATASUM" in hdu.header
            assert ("CHECKSUM" in hdu.header) == (kind == "CHECKSUM")
    with fits.open(out) as new:
        assert (new["SCI"].data[PLACES] == [1, 2, 3, 4]).all()
        assert (new["ERR"].data[PLACES] == 3).all()
        assert (new["VAR"].data[PLACES] == 9).all()


def test_sums_of_what_is_compressed_are_renewed(tmp_path):
    """ZDATASUM is that of the image that comes out."""
    path = write_stored(tmp_path / "a.fits", np.zeros(SHAPE, "i2"), True)
    with fits.open(path, "update", disable_image_compression=True) as hdus:
        hdus[1].header["ZHECKSUM"] = "stale"
        hdus[1].header["ZDATASUM"] = "0"
    out = rewrite(path)
    plain = fits.ImageHDU(fits.getdata(out, "SCI"))
    plain.add_datasum()
    with fits.open(out, disable_image_compression=True) as hdus:
        assert hdus[1].header["ZDATASUM"] == plain.header["DATASUM"]
        assert "ZHECKSUM" not in hdus[1].header


@pytest.mark.filterwarnings("ignore:Error validating header")
@pytest.mark.filterwarnings("ignore:Unexpected extra padding")
@pytest.mark.parametrize("junk", [b"junk" * 25, bytes(2880), b"\n"])
@pytest.mark.parametrize("checksum", [False, True])
def test_a_mask_goes_before_what_is_behind_the_last_extension(tmp_path, junk, checksum):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros(SHAPE, "f4")).writeto(path, checksum=checksum)
    with open(path, "ab") as file:
        file.write(junk)
    out = rewrite(path)
    content = out.read_bytes()
    assert content.endswith(junk)
    with fits.open(io.BytesIO(content[: -len(junk)]), checksum=True) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "MASK"]
        assert hdus["MASK"].data.sum() == 4
    with fits.open(out) as hdus:
        assert hdus["MASK"].data[PLACES].all()


@pytest.mark.filterwarnings("ignore:The following header keyword is invalid")
def test_odd_cards_survive(tmp_path):
    path = tmp_path / "a.fits"
    hdu = fits.PrimaryHDU(np.zeros(SHAPE, "f4"))
    hdu.header["HIERARCH ESO DET CHIP1 NAME"] = ("EEV", "a long keyword")
    hdu.header["LONG"] = "x" * 150
    hdu.header["NOTHING"] = None
    hdu.header["NEGATIVE"] = -0.0
    for line in (
        "ODDNUM  =                1.50D3 / as some write it",
        "MY TEXT, NO CARD",
        "LOWER   =                    5 / no capitals",
        "CUTOFF  = 'no end'",
    ):
        hdu.header.append(fits.Card.fromstring(line.ljust(80)), end=True)
    hdu.writeto(path, output_verify="ignore")
    content = path.read_bytes().replace(b"LOWER   =", b"lower   =")
    content = content.replace(b"CUTOFF  = 'no end'", b"CUTOFF  = 'no end ")
    path.write_bytes(content)
    old, new = cards(path), cards(rewrite(path))
    assert {b"lower   =", b"CUTOFF  =", b"MY TEXT, "} <= {card[:9] for card in old}
    assert [card for card in new if card in old] == old
    added = [card[:8] for card in new if card not in old]
    assert added == [b"CRNPIX  "]


def cards(path):
    """The first header of a file, without END."""
    content = path.read_bytes()
    lines = [content[i : i + 80] for i in range(0, len(content), 80)]
    return lines[: lines.index(b"END".ljust(80))]


def test_keywords_go_where_they_belong():
    """In their own place, in that of blank cards, and history after history."""
    header = fits.Header()
    header["CRMODEL"] = ("x" * 100, "with CONTINUE")
    header["AFTER"] = 1
    header["HISTORY"] = "one"
    header["LAST"] = 2
    raw = header.tostring(endcard=False, padding=False).encode()
    raw = (raw + b" " * 80 * 20 + b"END").ljust(2880)
    new = edit_header(
        raw,
        [("CRMODEL", "universal", "a"), ("CRNPIX", 3, "b"), ("HISTORY", "two", "")],
    )
    assert len(new) == 2880
    result = fits.Header.fromstring(new)
    named = [key for key in result if key]
    assert named == ["CRMODEL", "AFTER", "LAST", "HISTORY", "HISTORY", "CRNPIX"]
    assert result["CRMODEL"] == "universal"
    assert list(result["HISTORY"]) == ["one", "two"]
    assert result.comments["CRNPIX"] == "b"
    assert new.rstrip().endswith(b"END")
    assert new.index(b"END ") == raw.index(b"END ")
    # That extensions may follow is said where it belongs.
    for card in ("", "EXTEND  =                    F".ljust(80)):
        raw = (
            "NAXIS   =                    0".ljust(80) + card + "AFTER   = 1".ljust(80)
        )
        new = edit_header((raw + "END".ljust(80)).encode(), [], extend=True)
        assert list(fits.Header.fromstring(new)) == ["NAXIS", "EXTEND", "AFTER"]
        assert fits.Header.fromstring(new)["EXTEND"] is True
    # A full block makes room for the next one.
    full = b"".join(f"K{i:<7}= {i:>20}".ljust(80).encode() for i in range(35))
    new = edit_header(full + b"END".ljust(80), [("CRNPIX", 3, "b")])
    assert len(new) == 5760
    assert fits.Header.fromstring(new)["CRNPIX"] == 3


@pytest.mark.filterwarnings("ignore:non-ASCII characters are present")
def test_letters_of_other_languages_stay(tmp_path):
    """They are not allowed in FITS, and there all the same."""
    path = tmp_path / "a.fits"
    hdu = fits.PrimaryHDU(np.zeros(SHAPE, "f4"))
    hdu.header["OBSERVER"] = "M_ller and G_mez"
    hdu.header["SITE"] = "Paris"
    hdu.writeto(path)
    card = b"'M\xfcller and G\xf3mez'"
    content = path.read_bytes().replace(b"'M_ller and G_mez'", card)
    path.write_bytes(content)
    out = rewrite(path)
    assert card in out.read_bytes()
    assert fits.getval(out, "SITE") == "Paris"
    assert fits.getval(out, "CRNPIX") == 4


def test_nothing_is_touched_where_nothing_is_filled(tmp_path):
    """Not even by way of a number that does not hold it."""
    data = np.full(SHAPE, 2**63 + 12345, "u8")
    path = write_stored(tmp_path / "a.fits", data)
    file = FitsFile(path)
    file.write(tmp_path / "out.fits", [CleanedImage(PLACES, None, None, [])])
    np.testing.assert_array_equal(fits.getdata(tmp_path / "out.fits", "SCI"), data)
    write_masks(
        tmp_path / "m.fits", file.images, [CleanedImage(PLACES, None, None, [])]
    )
    assert fits.getdata(tmp_path / "m.fits", "CRMASK").sum() == 4


def test_large_integers_are_not_rounded_to_what_a_float_holds():
    number = NumberFormat(np.dtype(">i8"), 1, 1 << 63)
    stored = number.store(np.array([103.0, 0.0, 2.0**64, -5.0]))
    assert (stored.astype(object) + (1 << 63)).tolist() == [103, 0, 2**64 - 1, 0]
    assert number.read(stored).tolist() == [103, 0, 2.0**64, 0]
    flags = number.set_bit(stored[:2], 1 << 40)
    assert (flags.astype(object) + (1 << 63)).tolist() == [103 | 1 << 40, 1 << 40]


def test_a_bit_that_does_not_fit_beside_an_offset():
    form = NumberFormat(np.dtype("i2"), 1, 32768)
    stored = np.array([0, -32768, 32767], np.int16)
    assert form.set_bit(stored, 1).tolist() == [1, -32767, 32767]
    with pytest.raises(ValueError, match="dq_bit=65536 does not fit into DQ of int16"):
        form.set_bit(stored, 65536)
