"""Data-quality flags: what a user says that they mean, and those of NDData."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
from astropy.nddata import NDData

from ..choices import DQ_CONVENTIONS
from ..notices import suggestion, warn_unused
from .dq_convention import MAX_BITS, DQConvention, check_bits, check_whole_number
from .observatories import CONVENTIONS, PREFIX, planes_convention, wrong_planes

__all__ = ["DQLike", "convention_for", "read_convention", "read_flags"]

#: The name of an observatory, or its convention as a dictionary.
DQLike: TypeAlias = str | Mapping[str, Any]
KEYS = ("cosmic_ray", "bad", "replaced", "codes")


def read_convention(dq: DQLike | None) -> DQConvention | None:
    """Return what a user says that flags mean.

    Parameters
    ----------
    dq : str, mapping or None
        The name of an observatory; or "cosmic_ray" (bits of cosmic rays), "bad" (bits
        of pixels to exclude, by default all others), "replaced" (bits of cosmic rays
        whose pixels were filled, in place of "cosmic_ray", by default the same) and
        "codes" (True where each number is one code: "bad" is then a list of them).

    Returns
    -------
    DQConvention, or None
        None if nothing is said. That of "lsst" has no bits: `convention_for` takes
        them from a header.

    Raises
    ------
    TypeError, ValueError
        If it is something else.
    """
    if dq is None:
        return None
    if isinstance(dq, Mapping):
        return _from_mapping(dq)
    if not isinstance(dq, str):
        raise TypeError(
            f"dq={dq!r} must be the name of an observatory or a dictionary; allowed "
            f"are {_allowed()}"
        )
    if dq == "lsst":
        return DQConvention("lsst", 0, 0, 0)
    if dq not in CONVENTIONS:
        hint = suggestion(dq, DQ_CONVENTIONS)
        raise ValueError(f"dq={dq!r} is unknown: {hint}allowed are {_allowed()}")
    return CONVENTIONS[dq]


def _allowed() -> str:
    return f"{', '.join(DQ_CONVENTIONS)}, or a dictionary with {', '.join(KEYS)}"


def _from_mapping(dq: Mapping[str, Any]) -> DQConvention:
    unknown = [key for key in dq if key not in KEYS]
    if unknown:
        raise ValueError(f"dq has no {unknown[0]!r}; allowed are {', '.join(KEYS)}")
    if "cosmic_ray" not in dq:
        raise ValueError(f"dq={dict(dq)!r} must have 'cosmic_ray', such as 4096")
    codes = dq.get("codes", False)
    if not isinstance(codes, bool):
        raise TypeError(f"dq['codes']={codes!r} must be True or False")
    cosmic_ray = dq["cosmic_ray"]
    replaced = dq.get("replaced", cosmic_ray)
    for name, value in (("cosmic_ray", cosmic_ray), ("replaced", replaced)):
        check_whole_number(f"dq[{name!r}]", value)
        if not 0 < value <= MAX_BITS:
            raise ValueError(f"dq[{name!r}]={value!r} must be from 1 to 2**63 - 1")
    cosmic_ray, replaced = int(cosmic_ray), int(replaced)
    source = f"dq['cosmic_ray']={cosmic_ray}"
    sources = (source, f"dq['replaced']={replaced}" if "replaced" in dq else source)
    bad = dq.get("bad")
    if codes:
        if bad is None:
            raise ValueError(f"dq={dict(dq)!r} must have 'bad', a list of codes")
        return DQConvention("dict", cosmic_ray, _codes(bad), replaced, True, sources)
    bad = ~(cosmic_ray | replaced) if bad is None else bad
    check_bits("dq['bad']", bad)
    return DQConvention("dict", cosmic_ray, int(bad), replaced, sources=sources)


def _codes(bad: Any) -> tuple[int, ...]:
    """Return the codes of pixels to exclude; a list of none is one too."""
    if isinstance(bad, str | bytes | bytearray | Mapping):
        raise TypeError(f"dq['bad']={bad!r} must be a list of codes")
    several = isinstance(bad, Iterable) and getattr(bad, "ndim", 1) > 0
    each = tuple(bad) if several else (bad,)
    for value in each:
        check_bits("dq['bad']", value)
    return tuple(int(value) for value in each)


def convention_for(
    convention: DQConvention, header: Mapping | None, where: str = "the header"
) -> DQConvention:
    """Return a convention with the bits that a header names, where it needs them.

    Parameters
    ----------
    convention : DQConvention
        As `read_convention` returns it.
    header : mapping or None
        Of the plane of flags.
    where : str
        Whose header it is, for messages.

    Raises
    ------
    ValueError
        If LSST's keywords are needed, and there are none or some are no bits.
    """
    if convention.name != "lsst":
        return convention
    if wrong := wrong_planes(header or {}):
        raise ValueError(
            f"dq='lsst' takes the bits from keywords {PREFIX}*, and {where} has "
            f"{wrong}: allowed are whole numbers from 0 to 62"
        )
    found = planes_convention(header or {})
    if found is None:
        raise ValueError(
            f"dq='lsst' takes the bits from keywords {PREFIX}*, and {where} has none: "
            "give a dictionary"
        )
    return found


def read_flags(
    ccd: Any, dq: DQConvention, name: str, *, lazy: bool = False
) -> tuple[DQConvention, np.ndarray] | None:
    """Read the flags of an NDData.

    Parameters
    ----------
    ccd : object
        The user's frame.
    dq : DQConvention
        What its flags mean, as `read_convention` returns it.
    name : str
        Name of the argument, for messages.
    lazy : bool
        Whether its data are Dask's.

    Returns
    -------
    dq : DQConvention
        With the bits that its header names, where it needs these.
    bad : `~numpy.ndarray`
        bool, where pixels are bad.

    Raises
    ------
    TypeError, ValueError
        If the flags are no integers, or its data are Dask's.

    Warns
    -----
    DeepCRWarning
        If it has no flags; then None is returned.
    """
    flags = getattr(ccd, "flags", None)
    if not isinstance(ccd, NDData) or flags is None:
        warn_unused("dq", f"{name} has no flags, as CCDData(..., flags=...) has them")
        return None
    if lazy:
        raise ValueError(
            f"{dq.title} needs frames in memory, and {name} is a Dask array: flags "
            "of NDData are not lazy; use its mask"
        )
    if not isinstance(flags, np.ndarray) or flags.dtype.kind not in "iu":
        kind = getattr(flags, "dtype", type(flags).__name__)
        raise TypeError(f"flags of {name} must be an array of integers, not {kind}")
    dq = convention_for(dq, ccd.meta, f"the header of {name}")
    if not dq.cosmic_ray:
        raise ValueError(f"the header of {name} names no plane {PREFIX}CR")
    if source := dq.too_large(int(np.iinfo(flags.dtype).max)):
        raise ValueError(
            f"{source} does not fit into flags of {name} of {flags.dtype.name}"
        )
    return dq, dq.is_bad(flags)
