"""Checksums are renewed, and no other byte of a header changes."""

import io

import numpy as np
import pytest
from astropy.io import fits

from deepcr_ccd.io.fits_file import FitsFile
from deepcr_ccd.io.fits_image import CleanedImage
from deepcr_ccd.io.rewriting import rewrite
from deepcr_ccd.io.rewriting.checksum import (
    SummingWriter,
    encode,
    renew_sums,
    sum_words,
)
from deepcr_ccd.io.rewriting.header_cards import find_card, replace_value

PLACES = (np.array([0, 1, 2, 2]), np.array([3, 0, 1, 4]))
SHAPE = (4, 6)
ONES = 0xFFFFFFFF
SUMS = [b"CHECKSUM= 'AAAAAAAAAAAAAAAA'   / of the HDU", b"DATASUM = '0'"]
ODD = [
    b"DATE-OBS= 2001-01-01",
    b"X       = nan",
    b"RA      = 12:30:45.6",
    b"lower   =                    1",
    "OBSERVER= 'Jos\xe9'".encode("latin1"),
    b"STR     = 'unterminated",
    b"LONG    = 'unterminated" + b"x" * 57,
    b"Y       = 1,5",
    b"Z       = 'abc / comment",
    b"EQ  =3",
    b"\tTAB = 1",
    b"HISTORY \x01",
    b"NUL     = 'a\0b'",
]
odd = pytest.mark.filterwarnings("ignore::astropy.io.fits.verify.VerifyWarning")
quiet = pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")


def write(path, cards):
    """Write a primary image with cards as they are; return its pixels."""
    data = np.arange(24, dtype=">f4").reshape(SHAPE)
    plain = fits.PrimaryHDU(data).header.tostring(endcard=False, padding=False)
    raw = plain.encode() + b"".join(card.ljust(80) for card in [*cards, b"END"])
    raw += b" " * (-len(raw) % 2880)
    path.write_bytes(raw + data.tobytes() + bytes(-data.nbytes % 2880))
    return data


def fill(path):
    """Fill four pixels with 1, 2, 3, 4; return what the file is then."""
    out = path.with_name("out.fits")
    file = FitsFile(path)
    result = CleanedImage(PLACES, np.arange(1.0, 5), None, [("CRNPIX", 4, "")])
    file.write(out, [result] * len(file.images), overwrite=True)
    return out.read_bytes()


def first_hdu(content):
    """Return cards, data and all bytes of the first HDU, of one block of data."""
    cards = [content[i : i + 80] for i in range(0, len(content), 80)]
    end = cards.index(b"END".ljust(80))
    start = -(-(end + 1) // 36) * 2880
    return cards[:end], content[start : start + 2880], content[: start + 2880]


def value(cards, key):
    card = next(card for card in cards if card.startswith(key.ljust(8) + b"= '"))
    return card[11:].split(b"'")[0].strip()


def test_sum_of_words_carries_around():
    assert sum_words(b"\x00\x00\x00\x01\x80\x00\x00\x00") == 0x80000001
    assert sum_words(b"\xff\xff\xff\xff\x00\x00\x00\x02") == 2
    assert sum_words(b"\xff\xff\xff\xff", 0) == ONES
    assert sum_words(b"", 7) == 7


def test_encoded_sums_complete_all_ones():
    """For each value of each byte; with no character but digits and letters."""
    for byte in range(256):
        for total in (byte, byte << 8, byte << 16, byte << 24, byte * 0x01010101):
            text = encode(total)
            assert text.isalnum() and len(text) == 16
            # Column 12 of a card is the last byte of a word.
            base = sum_words(b"000" + b"0" * 16 + b"0")
            words = sum_words(b"000" + text + b"0", total)
            # Zeros in ASCII are part of the total.
            assert (words - base) % ONES == 0


def test_encoded_sum_is_that_of_the_standard():
    """The example of the FITS proposal on checksums."""
    assert encode(868229149) == b"hcHjjc9ghcEghc9g"


@pytest.mark.parametrize("checksum", [True, "datasum"])
def test_sums_are_those_of_astropy(checksum):
    rng = np.random.default_rng(5)
    for shape, dtype in [((3, 5), "i2"), ((7,), "u1"), ((400, 300), "f4"), (None, "")]:
        data = None if shape is None else rng.integers(0, 200, shape).astype(dtype)
        stream = io.BytesIO()
        fits.PrimaryHDU(data).writeto(stream, checksum=checksum)
        right = stream.getvalue()
        start = len(fits.Header.fromstring(right).tostring())
        for key in [b"CHECKSUM"] * (checksum is True) + [b"DATASUM "]:
            stream.seek(right.index(key) + 11)
            stream.write(b"-")
        assert stream.getvalue() != right
        renew_sums(stream, 0, start, sum_words(right[start:]))
        assert stream.getvalue() == right
        assert stream.tell() == len(right)


def test_a_file_that_ends_early_is_an_error():
    with pytest.raises(OSError, match="ends within a header"):
        renew_sums(io.BytesIO(b"END".ljust(2880)), 0, 5760, 0)


@pytest.mark.parametrize("cuts", [[], [4], [1], [3, 6], [5, 5, 7, 9]])
def test_what_is_written_in_pieces_is_summed(cuts):
    content = np.random.default_rng(3).bytes(12)
    file = io.BytesIO()
    writer = SummingWriter(file)
    for start, stop in zip([0, *cuts], [*cuts, 12], strict=True):
        writer.write(bytearray(content[start:stop]))
    assert file.getvalue() == content
    assert writer.total == sum_words(content)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"DATASUM = '0'", b"DATASUM = '123     '"),
        (b"DATASUM =  0 / a/b", b"DATASUM = '123     ' / a/b"),
        (b"DATASUM = '0'           / it's", b"DATASUM = '123     '    / it's"),
        (b"DATASUM = 'a/b''c/d'   / e", b"DATASUM = '123     '   / e"),
        (b"DATASUM = 'open / e", b"DATASUM = '123     ' / e"),
        (b"datasum ='0'", b"datasum = '123     '"),
        (b"DATASUM =", b"DATASUM = '123     '"),
        (b"DATASUM = '0' /" + b"c" * 65, b"DATASUM = '123     ' /" + b"c" * 58),
    ],
)
def test_a_value_is_replaced_and_its_comment_kept(before, after):
    assert replace_value(before.ljust(80), b"123") == after.ljust(80)


def test_a_card_is_found_before_end_only():
    raw = b"".join(c.ljust(80) for c in [b"A       = 1", b"END", b"DATASUM = '0'"])
    assert find_card(raw, "A") == 0
    assert find_card(raw, "DATASUM") is None


@odd
@quiet
@pytest.mark.parametrize("sums", [SUMS, SUMS[:1], SUMS[1:], []])
@pytest.mark.parametrize("first", [True, False])
def test_odd_cards_stay_byte_for_byte(tmp_path, sums, first):
    path = tmp_path / "a.fits"
    write(path, sums + ODD if first else ODD + sums)
    before = first_hdu(path.read_bytes())[0]
    cards, data, hdu = first_hdu(fill(path))
    keys = (b"CHECKSUM", b"DATASUM ", b"EXTEND  ")
    kept = [card for card in before if not card.startswith(keys)]
    ours = (b"CRNPIX", b"HISTORY deep", *keys)
    assert [card for card in cards if not card.startswith(ours)] == kept
    if sums:
        assert int(value(cards, b"DATASUM")) == sum_words(data)
    if SUMS[0] in sums:
        assert sum_words(hdu) == ONES
        comments = [card[28:].rstrip() for card in cards if card[:8] == b"CHECKSUM"]
        assert comments == [b"   / of the HDU"]


@odd
@quiet
@pytest.mark.parametrize("sums", [SUMS, SUMS[:1], SUMS[1:]])
def test_no_header_overwrites_pixels(tmp_path, sums):
    """Whatever room is left in it, also where a card would grow if written anew."""
    path = tmp_path / "a.fits"
    for count in range(40):
        fillers = [f"F{i:<7}= {i:20d}".encode() for i in range(count)]
        right = write(path, [*sums, *fillers, ODD[6]])
        right[PLACES] = [1, 2, 3, 4]
        cards, data, _ = first_hdu(fill(path))
        assert ODD[6] in cards
        assert data == right.tobytes().ljust(2880, b"\0")
        with fits.open(tmp_path / "out.fits") as hdus:
            assert (hdus[0].data == right).all()
            assert hdus["MASK"].data.sum() == 4


@pytest.mark.parametrize("sums", [SUMS, SUMS[:1], SUMS[1:]])
def test_astropy_finds_the_sums_right(tmp_path, sums):
    """Of the image and of the mask that is added, for each length of the header."""
    path = tmp_path / "a.fits"
    for count in range(37):
        fillers = [f"F{i:<7}= {i:20d}".encode() for i in range(count)]
        write(path, [*fillers, *sums])
        fill(path)
        # A wrong sum would warn, and warnings are errors here.
        with fits.open(tmp_path / "out.fits", checksum=True) as hdus:
            assert [hdu.name for hdu in hdus] == ["PRIMARY", "MASK"]
            for hdu in hdus:
                assert "DATASUM" in hdu.header
                assert ("CHECKSUM" in hdu.header) == (SUMS[0] in sums)


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
def test_images_of_several_pieces_have_right_sums(tmp_path, monkeypatch, dtype):
    """Also where a piece, or all pixels, are no whole number of blocks or words."""
    monkeypatch.setattr(rewrite, "PIECE_BYTES", 1 << 12)
    path = tmp_path / "a.fits"
    for ny in (1, 64, 99):
        data = np.random.default_rng(ny).integers(0, 99, (ny, 127)).astype(dtype)
        fits.PrimaryHDU(data).writeto(path, checksum=True, overwrite=True)
        where = tuple(np.sort(np.array([[0, ny - 1], [5, 126]]), axis=1))
        result = CleanedImage(where, np.array([7.0, 8.0]), None, [])
        FitsFile(path).write(tmp_path / "out.fits", [result], overwrite=True)
        data[where] = [7, 8]
        with fits.open(tmp_path / "out.fits", checksum=True) as hdus:
            np.testing.assert_array_equal(hdus[0].data, data)
            assert hdus["MASK"].data.sum() == 2
