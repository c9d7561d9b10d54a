"""The category of warnings about arguments without effect, and nearest names."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable

from astropy.utils.exceptions import AstropyUserWarning

__all__ = ["DeepCRWarning", "refuse_arguments", "suggestion", "warn_unused"]

NOTHING_TO_TUNE = (
    "there is nothing to tune; threshold= and extend_threshold= say how much is flagged"
)
OF_THE_PSF = f"no point spread function is needed; {NOTHING_TO_TUNE}"
#: What to do in place of arguments of `ccdproc.cosmicray_lacosmic`.
INSTEAD = {
    **dict.fromkeys(("sigclip", "sigfrac", "objlim", "sepmed"), NOTHING_TO_TUNE),
    **dict.fromkeys(("fsmode", "psfmodel", "psffwhm"), OF_THE_PSF),
    **dict.fromkeys(("psfsize", "psfk", "psfbeta"), OF_THE_PSF),
    "niter": "one pass does, leave it out",
    "gain_apply": "the unit stays, leave it out; to multiply by the gain, use "
    "ccd.multiply(gain) or ccdproc.gain_correct before",
    "pssl": "the background is measured, leave it out",
    "cleantype": "use inpaint=, such as inpaint='median'",
    "verbose": "use progress=",
    "inmask": "give a CCDData with its mask, or a masked array",
    "mask": "give a CCDData with its mask, or a masked array",
    "inbkg": "use deepcr_ccd.detect_cosmics",
    "invar": "use deepcr_ccd.detect_cosmics",
}


class DeepCRWarning(AstropyUserWarning):
    """An argument was given that has no effect."""


def warn_unused(parameter: str, why: str, stacklevel: int = 5) -> None:
    """Warn that an argument has no effect.

    Parameters
    ----------
    parameter, why : str
        Its name, and the reason.
    stacklevel : int
        How many calls above this one the user's is.
    """
    message = f"{parameter}= has no effect: {why}"
    warnings.warn(message, DeepCRWarning, stacklevel=stacklevel)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a question about the nearest name, or nothing if none is near.

    Parameters
    ----------
    name : str
        What was given.
    known : iterable of str
        What there is.
    """
    by_case = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), by_case, n=1, cutoff=0.6)
    return f"did you mean {by_case[near[0]]!r}? " if near else ""


def refuse_arguments(function: str, given: dict, known: Iterable[str]) -> None:
    """Raise a TypeError if arguments were given that a function does not have.

    Parameters
    ----------
    function : str
        Its name.
    given : dict
        Arguments that it does not have.
    known : iterable of str
        Those that it has.
    """
    for name in given:
        if name in INSTEAD:
            raise TypeError(f"{function} has no argument {name}=: {INSTEAD[name]}")
        known = list(known)
        raise TypeError(
            f"{function} has no argument {name}=: {suggestion(name, known)}It has "
            f"{', '.join(known)}"
        )
