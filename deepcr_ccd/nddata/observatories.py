"""Conventions of data-quality flags by observatory, and which one a header names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .dq_convention import DQConvention
from .header import header_value

__all__ = [
    "CONVENTIONS",
    "HST_BAD_BITS",
    "PREFIX",
    "named_planes",
    "observatory_of",
    "planes_convention",
    "wrong_planes",
]

#: LSST: keywords MP_NAME hold the numbers of bits.
PREFIX = "MP_"
#: Planes of LSST whose pixels hold no measurement; the pipeline's own search for
#: cosmic rays leaves out all but the last two. Other planes tell what is seen in a
#: pixel (DETECTED) or how it was treated (CROSSTALK, SUSPECT).
LSST_BAD_PLANES = ("BAD", "SAT", "INTRP", "NO_DATA", "EDGE", "UNMASKEDNAN")
#: Pixels flagged as CRs before (4096, 8192), and warm or trap pixels, are not excluded.
HST_BAD_BITS = 1 | 2 | 4 | 8 | 16 | 256 | 512 | 2048


def _bits(name: str, cosmic_ray: int, bad: int, replaced: int = 0) -> DQConvention:
    return DQConvention(name, cosmic_ray, bad, replaced or cosmic_ray)


#: By name; docs/data_quality.rst has the source of each. LSST's is in headers.
CONVENTIONS = {
    # Lost, filled, bad, masked, hot, saturated, bad in a reference file, saturated in
    # the converter. ACS and WFC3 Data Handbooks, STScI.
    "hst": _bits("hst", 4096, HST_BAD_BITS),
    # DO_NOT_USE and NON_SCIENCE; a cosmic ray is JUMP_DET. "Data quality flags" in the
    # documentation of the jwst package.
    "jwst": _bits("jwst", 4, 1 | 512),
    # Bad, saturated, no data, unilluminated. DRAGONS, DQ_definitions.py.
    "gemini": _bits("gemini", 8, 1 | 4 | 16 | 64),
    # Bad, no value, saturated, bleeding. NOAO Data Handbook: community pipeline from
    # version 3.5.0 on.
    "noirlab": DQConvention("noirlab", 5, (1, 2, 3, 4), 5, codes=True),
    # BPM, saturated, low, bleed trail, bleeding at the edge, edge. Interpolated is 4.
    # DES data management; the community pipeline before version 3.5.0 has these too.
    "des": _bits("des", 16, 1 | 2 | 8 | 64 | 128 | 512, 16 | 4),
    # Hot, dark, saturated (2), defect, other, missing, outside. Euro3D format, as the
    # pipeline of MUSE writes it; 16 is a cosmic ray that was removed.
    "eso": _bits(
        "eso",
        32,
        256 | 512 | 2048 | 4096 | 8192 | 16384 | 1 << 30 | 1 << 31,
        16,
    ),
}
#: Observatories that headers name, by keyword and value.
OBSERVATORIES = {
    ("TELESCOP", "HST"): "hst",
    ("TELESCOP", "JWST"): "jwst",
    ("TELESCOP", "GEMINI-NORTH"): "gemini",
    ("TELESCOP", "GEMINI-SOUTH"): "gemini",
    ("INSTRUME", "MUSE"): "eso",
}


def observatory_of(header: Mapping) -> str | None:
    """Return the name of the convention of the telescope that a header names.

    Parameters
    ----------
    header : mapping
        Of the image.
    """
    for (key, value), name in OBSERVATORIES.items():
        if str(header_value(header, key, "")).strip().upper() == value:
            return name
    return None


def planes_convention(header: Mapping) -> DQConvention | None:
    """Return what the keywords MP_* of a header say, or None where there are none.

    Parameters
    ----------
    header : mapping
        Of the plane of flags.
    """
    planes = named_planes(header)
    if not planes:
        return None
    cosmic_ray = 1 << planes["CR"] if "CR" in planes else 0
    replaced = 1 << planes["INTRP"] if "INTRP" in planes else 0
    bad = sum({1 << planes[name] for name in LSST_BAD_PLANES if name in planes})
    source = f"2**{PREFIX}CR={cosmic_ray}" if cosmic_ray else ""
    if not source and (number := _planes(header).get("CR")) is not None:
        source = f"{PREFIX}CR={number!r} is no whole number from 0 to 62"
    filled = f"2**{PREFIX}INTRP={replaced}" if replaced else source
    both = cosmic_ray | replaced
    return DQConvention(
        "lsst", cosmic_ray, bad & ~cosmic_ray, both, sources=(source, filled)
    )


def named_planes(header: Mapping) -> dict[str, int]:
    """Return the numbers of the bits that a header names by MP_*.

    Parameters
    ----------
    header : mapping
        Of the plane of flags.
    """
    return {
        name: int(number)
        for name, number in _planes(header).items()
        if _is_bit_number(number)
    }


def wrong_planes(header: Mapping) -> str:
    """Return which keywords MP_* that are needed name no bit, or an empty text.

    Parameters
    ----------
    header : mapping
        Of the plane of flags.
    """
    wrong = [
        f"{PREFIX}{name}={number!r}"
        for name, number in _planes(header).items()
        if name in {"CR", *LSST_BAD_PLANES} and not _is_bit_number(number)
    ]
    return ", ".join(wrong)


def _planes(header: Mapping) -> dict[str, Any]:
    """Return what a header has of MP_*; keys of CCDData's may be anything."""
    return {
        key.upper().removeprefix(PREFIX): header_value(header, key)
        for key in header
        if isinstance(key, str) and key.upper().startswith(PREFIX)
    }


def _is_bit_number(number: Any) -> bool:
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    return whole and 0 <= number < 63
