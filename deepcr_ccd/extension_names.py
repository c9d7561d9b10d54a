"""What the names of FITS extensions say: images, and what goes with images."""

from __future__ import annotations

import dataclasses
import functools
import re

__all__ = ["Label", "read_name"]

#: Words for planes that belong to an image, and the kind of plane that each names.
#: DQ, ERR: STScI; VAR, DQ: Gemini; MASK, UNCERT: astropy's CCDData; IMAGE, MASK,
#: VARIANCE: LSST; IMAGE, IVAR, MASK: DESI; BPM, ERR: BANZAI; WHT: drizzle; WGT: DES.
COMPANIONS = {
    "DQ": "DQ",
    "MASK": "MASK",
    "BPM": "BPM",
    "BADPIX": "BPM",
    "ERR": "ERR",
    "ERROR": "ERR",
    "ERRS": "ERR",
    "VAR": "VAR",
    "VARIANCE": "VAR",
    "IVAR": "IVAR",
    "INVVAR": "IVAR",
    "WHT": "WHT",
    "WGT": "WHT",
    "WEIGHT": "WHT",
    "UNCERT": "UNCERT",
    "UNCERTAINTY": "UNCERT",
    "SIGMA": "SIGMA",
    "RMS": "RMS",
    "STDDEV": "STDDEV",
    "STDEV": "STDDEV",
    "NOISE": "NOISE",
    "UNC": "UNC",
    "STAT": "STAT",
}
#: Words that also end others, as in PIXELDQ, OBJMASK or SCIERR; the longer ones first.
ENDINGS = ("MASK", "IVAR", "BPM", "ERR", "VAR", "WHT", "DQ")
#: Words for images that are neither frames nor planes whose meaning is known here.
OTHERS = frozenset(
    # flags of unknown meaning
    "FLAG FLAGS FLG QUAL QUALITY MSK BPMMASK "
    # noise
    "IVM IVARRAW IVARMODEL RDNOISE READNOISE "
    # exposure and coverage
    "EXPMAP EXPOSUREMAP WEIGHTMAP WTMAP CTX CONTEXT COVERAGE NEXP NIMAGE SAMP "
    # models and parts of a frame
    "BACKGROUND BKGMODEL BKGD SKYMODEL SKYFIT OBJMODEL MODEL RESIDUAL GAINMAP "
    "PSF PSFIMAGE KERNEL SEG SEGM SEGMAP SEGMENTATION OBJMAP "
    # maps of spectrographs
    "WAVELENGTH WAVEIMG WAVEMAP WAVECAL TILTS SLITS TRACES TRACEIMG "
    # for the eye
    "PREVIEW THUMBNAIL THUMB "
    # of this package
    "TRUTH IGNORE CRMASK".split()
)
#: Words that may be the name of a frame as well, and are if there is no other.
WEAK = frozenset("AREA BACK BKG CON EXP SKY STD TIME TRACE WAVE".split())
#: Tables in the form of images, for the distortions of HST.
LOOKUP_TABLES = frozenset(["D2IMARR", "WCSDVARR"])
SCIENCE = frozenset(["SCI", "SCIENCE"])
#: Words that say no more than that it is an image.
PLAIN = SCIENCE | set("PRIMARY IMAGE IMG DATA FLUX SCIIMG COMPRESSED".split())


@dataclasses.dataclass(frozen=True)
class Label:
    """What a name says.

    ``kind`` is "science" (named SCI), "unknown" (may be a frame), "weak" (a frame if
    there is no other), "other" (no frame), "table", or a value of `COMPANIONS`;
    ``stem`` is what tells it from others of its kind, as ("CHIP", "1") in CHIP1_DQ.
    """

    kind: str
    stem: tuple[str, ...]

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers of its stem."""
        return tuple(word for word in self.stem if word.isdigit())

    @property
    def is_plain(self) -> bool:
        """Whether it is told from others by a number at most."""
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
    words = [
        str(int(word)) if word.isdigit() else word
        for word in re.findall(r"[A-Z]+|[0-9]+", name.upper())
    ]
    kind, rest = _kind_of(words)
    return Label(kind, tuple(word for word in rest if word not in PLAIN))


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
