"""Header keywords: optional cards that are badly written, and those that are added."""

import numpy as np
import pytest
from astropy.io import fits

from deepcr_ccd import clean_files
from deepcr_ccd.io.fits_file import FitsFile
from deepcr_ccd.nddata.header import KEYWORDS, cleaning_keywords, header_value

SHAPE = (96, 96)
CARDS = [
    "FILTER  = R_Bessel",
    "SATURATE= N/A",
    "MAXLIN  = nan",
    "BAYERPAT= RGGB",
    "COLORTYP= RGGB",
    "XBINNING= 2 by 2",
    "TELESCOP= HST",
    "EXTVER  = first",
    "CRHDU   = nan",
    "SCIDATA = x",
    "HDUCLAS2= ERROR",
    "HDUCLAS3= MSE",
    "UTYPE   = x",
    "MP_CR   = nan",
]


@pytest.mark.parametrize(
    ("card", "value"),
    [
        ("GAIN    =                  1.5", 1.5),
        ("GAIN    = 'high'", "high"),
        ("GAIN    = high", "none"),
        ("OTHER   =                  1.5", "none"),
    ],
)
def test_values(card, value):
    assert header_value(fits.Header.fromstring(card.ljust(80)), "GAIN", "none") == value


def test_comments_are_whole_in_a_header():
    """Also beside numbers of all digits, and in the words of the glossary."""
    counts = dict.fromkeys(("CRNPIX", "CRNOBJ", "CRNSKIP"), 12345678901234567890)
    counts["CRPSF"] = 10 / 3
    keywords = cleaning_keywords("universal", (1 / 3, 1e-5 / 3), "median", **counts)
    header = fits.Header()
    for key, (value, comment) in keywords.items():
        header[key] = (value, comment)
    read = fits.Header.fromstring(header.tostring())
    assert tuple(read) == KEYWORDS
    comments = {key: read.comments[key] for key in read}
    assert comments == {key: comment for key, (_, comment) in keywords.items()}
    assert comments["CRNPIX"] == "pixels flagged as cosmic rays"
    assert comments["CRNSKIP"] == "pixels excluded: bad, not finite or saturated"


def write_with(path, card, place):
    """Write a frame with its noise and flags, and a card put into one header."""
    data = np.random.default_rng(3).normal(300, 10, SHAPE).astype("f4")
    data[40, 30:36] += 2000
    noise, flags = np.full(SHAPE, 10, "f4"), np.zeros(SHAPE, "i2")
    fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.ImageHDU(data, name="SCI"),
            fits.ImageHDU(noise, name="ERR"),
            fits.ImageHDU(flags, name="DQ"),
        ]
    ).writeto(path)
    if card:
        with fits.open(path) as hdus:
            start, stop = (hdus.fileinfo(place)[key] for key in ("hdrLoc", "datLoc"))
        raw = path.read_bytes()
        text = raw[start:stop].rstrip().removesuffix(b"END")
        header = (text + card.encode().ljust(80) + b"END").ljust(stop - start)
        path.write_bytes(raw[:start] + header + raw[stop:])
    return path


@pytest.mark.parametrize("place", [0, 1, 2, 3])
@pytest.mark.parametrize("card", CARDS)
def test_a_bad_optional_card_does_not_matter(card, place, tmp_path):
    plain = write_with(tmp_path / "plain.fits", "", 0)
    path = write_with(tmp_path / "a.fits", card, place)
    one, other = clean_files([plain, path], tmp_path / "out", workers=1)
    assert other["status"] == "done"
    assert 6 <= one["pixels"] == other["pixels"]
    assert card.encode() in (tmp_path / "out" / "a.fits").read_bytes()
    assert [image.title for image in FitsFile(path).images] == ["SCI,1"]
