"""What the names of FITS extensions say: images, and what goes with images."""

from __future__ import annotations

import dataclasses
import functools
import re

__all__ = ["Label", "noise_words", "read_name"]

#: Words for noise, by what it is; they are read in the plural and with MAP or IMG too.
#: "unknown" are weights: an inverse variance, an exposure time or something else.
NOISE_WORDS = {
    "std": "ERR ERROR SIGMA SIG RMS STDDEV STDEV NOISE UNC UNCERT UNCERTAINTY",
    "var": "VAR VARIANCE",
    "ivar": "IVAR IVARIANCE INVVAR INVVARIANCE INVERSEVARIANCE INVERSEVAR",
    "unknown": "WHT WGT WT WEIGHT CONF CONFIDENCE",
}
#: Every word for noise, and what it is: "std", "var", "ivar" or "unknown".
NOISE = {
    word + form: means
    for means, words in NOISE_WORDS.items()
    for word in words.split()
    for form in ("", "S", "MAP", "IMG", "IMAGE")
} | {"STD": "std", "STDMAP": "std", "UNCERTAINTIES": "std"}
#: Words that are one kind of plane; any other word for noise is a kind of its own.
SAME = {
    "ERROR": "ERR",
    "ERRS": "ERR",
    "VARIANCE": "VAR",
    "INVVAR": "IVAR",
    "WGT": "WHT",
    "WEIGHT": "WHT",
    "UNCERTAINTY": "UNCERT",
}
#: Words for planes that belong to an image, and the kind of plane that each names.
#: DQ, ERR: STScI; VAR, DQ: Gemini; MASK, UNCERT: astropy's CCDData; IMAGE, MASK,
#: VARIANCE: LSST; IMAGE, IVAR, MASK: DESI; BPM, ERR: BANZAI; WHT: drizzle; WGT: DES;
#: STAT: MUSE.
COMPANIONS = {
    "DQ": "DQ",
    "MASK": "MASK",
    "BPM": "BPM",
    "BADPIX": "BPM",
    **{word: SAME.get(word, word) for word in NOISE},
    "STAT": "STAT",
}
#: Words that also end others, as in PIXELDQ, OBJMASK or SCIERR; the longer ones first.
ENDINGS = ("MASK", "IVAR", "BPM", "ERR", "VAR", "WHT", "DQ")
#: Words for images that are neither frames nor planes whose meaning is known here.
OTHERS = frozenset(
    # flags of unknown meaning
    "FLAG FLAGS FLG QFLAG DQFLAG QUAL QUALITY DATAQUALITY MSK MASKS BPMMASK BPIX "
    "BADPIXELS "
    # noise
    "IVM IVARRAW IVARMODEL RDNOISE READNOISE "
    # exposure and coverage
    "EXPMAP EXPOSUREMAP EXPTIME EXPTIMEMAP CTX CONTEXT COVERAGE COVMAP NEXP NIMAGE "
    "NCOMBINE SAMP PIXAREA PIXELAREA "
    # models and parts of a frame
    "BACKGROUND BKGMODEL BKGD SKYMODEL SKYMAP SKYFIT OBJMODEL MODEL RESID RESIDUAL "
    "GAINMAP EFFGAIN SCALEIMG "
    "PSF PSFIMAGE KERNEL SEG SEGM SEGMAP SEGMENTATION OBJMAP "
    # maps of spectrographs
    "WAVELENGTH WAVEIMG WAVEMAP WAVECAL TILTS SLITS TRACES TRACEIMG "
    # for the eye
    "PREVIEW THUMBNAIL THUMB "
    # of this package
    "TRUTH IGNORE CRMASK CRPROB".split()
)
#: Words that may be the name of a frame as well, and are if there is no other.
WEAK = frozenset(
    "AREA BACK BIAS BKG CHI CON DARK EXP FLAT FLATFIELD SKY SN SNR STD TIME TRACE "
    "WAVE".split()
)
#: Tables in the form of images, for the distortions of HST.
LOOKUP_TABLES = frozenset(["D2IMARR", "WCSDVARR"])
SCIENCE = frozenset(["SCI", "SCIENCE", "SCIIMG"])
#: Words that say no more than that it is an image.
PLAIN = SCIENCE | set("PRIMARY IMAGE IMG DATA FLUX COMPRESSED".split())


@dataclasses.dataclass(frozen=True)
class Label:
    """What a name says.

    ``kind`` is "science" (named SCI), "unknown" (may be a frame), "weak" (a frame if
    there is no other), "other" (no frame), "table", or a value of `COMPANIONS`;
    ``stem`` are its other words, as ("CHIP", "1") in CHIP1_DQ.
    ``plane`` is the kind of plane that it is where it is no frame, or "".
    """

    kind: str
    stem: tuple[str, ...]
    plane: str = ""

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers of its stem."""
        return tuple(word for word in self.stem if word.isdigit())

    @property
    def is_plain(self) -> bool:
        """Whether it differs from others of its kind by a number at most."""
        return self.numbers == self.stem


@functools.lru_cache(maxsize=1024)
def read_name(name: str) -> Label:
    """Read the name of an extension.

    Parameters
    ----------
    name : str
        EXTNAME; its case does not matter.

    Returns
    -------
    Label
    """
    if name.strip().upper() in LOOKUP_TABLES:
        return Label("table", ())
    kind, rest = _kind_of(_words(name))
    stem = tuple(word for word in rest if word not in PLAIN)
    if kind == "STD":
        # A standard star, perhaps.
        return Label("weak", stem, kind)
    return Label(kind, stem, kind if kind in COMPANIONS.values() else "")


def noise_words(name: str) -> tuple[list[str], list[str]]:
    """Return the words of a name, and what those for noise mean.

    Parameters
    ----------
    name : str
        EXTNAME; its case does not matter.

    Returns
    -------
    words : list of str
        Its words, without numbers.
    means : list of str
        "std", "var", "ivar" or "unknown", the surest first.
    """
    words = [word for word in _words(name) if not word.isdigit()]
    # GREEN_VAR, CHIP1.ERR, VAR_N1; the noise has its name last, or first.
    means = [NOISE[word] for word in reversed(words) if word in NOISE]
    ends = [end for end in ENDINGS if end in NOISE]
    means += [NOISE[end] for word in words for end in ends if word.endswith(end)]
    return words, means


def _words(name: str) -> list[str]:
    """Return words and numbers; WEIGHT_MAP and INVERSE_VARIANCE are one word."""
    words: list[str] = []
    for word in re.findall(r"[A-Z]+|[0-9]+", name.upper()):
        both = words[-1] + word if words and len(words[-1]) > 1 else ""
        if both in COMPANIONS or both in OTHERS:
            words[-1] = both
        else:
            words.append(str(int(word)) if word.isdigit() else word)
    return words


def _kind_of(words: list[str]) -> tuple[str, list[str]]:
    """Return the kind that some words tell, and the words that do not tell it."""
    if OTHERS & set(words):
        return "other", words
    # The word that tells the kind comes last, mostly; else first.
    for place in reversed(range(len(words))):
        if words[place] in COMPANIONS:
            return COMPANIONS[words[place]], words[:place] + words[place + 1 :]
    for place, word in enumerate(words):
        ending = next((end for end in ENDINGS if word.endswith(end)), None)
        if ending is not None:
            front = word.removesuffix(ending)
            return COMPANIONS[ending], [*words[:place], front, *words[place + 1 :]]
    if SCIENCE & set(words):
        return "science", words
    return ("weak" if WEAK & set(words) else "unknown"), words
