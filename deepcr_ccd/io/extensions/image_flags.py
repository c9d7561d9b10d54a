"""The planes of flags of an image of a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from astropy.io import fits

from ...nddata.data_quality import DQLike
from ...nddata.observatories import observatory_of
from .find_images import fits_into
from .flag_planes import FLAG_KINDS, FlagPlane, read_flag_options, read_flag_plane
from .hdu_info import HduInfo

__all__ = ["FlagReader"]


@dataclasses.dataclass(frozen=True)
class FlagReader:
    """Reads what the planes of flags of images mean.

    Parameters
    ----------
    dq : str, mapping or None
        The convention of the first of DQ, MASK and BPM, as for
        `~deepcr_ccd.nddata.data_quality.read_convention`.
    bad_bits, dq_bit : int or None
        Bits in place of the convention's.

    Raises
    ------
    TypeError, ValueError
        If one is not what is allowed.
    """

    dq: DQLike | None = None
    bad_bits: int | None = None
    dq_bit: int | None = None

    def __post_init__(self) -> None:
        read_flag_options(self.dq, self.bad_bits, self.dq_bit)

    def planes(
        self,
        hdus: fits.HDUList,
        known: Sequence[HduInfo],
        places: Mapping[str, int],
        shape: tuple[int, ...],
        header: fits.Header,
    ) -> tuple[FlagPlane, ...]:
        """Return the planes of flags of an image, that for its cosmic rays first.

        Parameters
        ----------
        hdus : `~astropy.io.fits.HDUList`
            The file.
        known : sequence of HduInfo
            What its headers say.
        places : mapping
            Places of the image's planes by their kind.
        shape : tuple of int
            Of the image.
        header : `~astropy.io.fits.Header`
            Of the image.

        Raises
        ------
        ValueError
            If a plane has another shape, or one of `read_flag_plane`'s errors.
        """
        planes: list[FlagPlane] = []
        for kind in (kind for kind in FLAG_KINDS if kind in places):
            plane = known[places[kind]]
            if not fits_into(plane.shape, shape):
                raise ValueError(
                    f"{plane.title} has shape {plane.shape}, and the image {shape}"
                )
            found = read_flag_plane(
                hdus[plane.index],
                plane.index,
                kind,
                plane.shape,
                observatory=observatory_of(header),
                dq=self.dq if not planes else None,
                bad_bits=self.bad_bits,
                dq_bit=self.dq_bit,
            )
            planes.append(found)
        return tuple(planes)
