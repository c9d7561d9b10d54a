"""Extensions of FITS files that hold the noise of an image: which, and in what form."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.nddata import (
    InverseVariance,
    NDUncertainty,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)

from ...nddata.header import header_value
from ...nddata.uncertainty import POWERS
from ...nddata.units import header_unit
from .names import noise_words

__all__ = ["NoisePlane", "noise_kind", "noise_planes", "unpaired_noise"]

#: Kinds of noise by what `noise_words` says.
MEANS = {
    "std": StdDevUncertainty,
    "var": VarianceUncertainty,
    "ivar": InverseVariance,
    "unknown": UnknownUncertainty,
}
#: Words in names of planes that hold a part of the noise, or another noise.
PARTIAL_NOISE = {"BACK", "BACKGROUND", "BIAS", "BKG", "DARK", "FLAT", "POISSON", "READ"}
PARTIAL_NOISE |= {
    "RAND",
    "RANDOM",
    "RNOISE",
    "SKY",
    "STAT",
    "SYS",
    "SYST",
    "SYSTEMATIC",
}
#: Words for inverse variances, of which it is not clear what they hold.
UNCLEAR = {"IVM", "IVARMODEL", "IVARRAW"}
#: Kinds of noise by UTYPE, which CCDData writes.
UTYPES = {
    "stddevuncertainty": StdDevUncertainty,
    "std": StdDevUncertainty,
    "varianceuncertainty": VarianceUncertainty,
    "var": VarianceUncertainty,
    "inversevariance": InverseVariance,
    "ivar": InverseVariance,
}
#: Kinds of noise by HDUCLAS3, where HDUCLAS2 is ERROR, which ESO writes.
CLASSES = {
    "RMSE": StdDevUncertainty,
    "MSE": VarianceUncertainty,
    "INVMSE": InverseVariance,
}


def noise_kind(name: str, header: fits.Header) -> type | None:
    """Return in what form an extension holds the noise, by its name and header.

    Parameters
    ----------
    name : str
        Its EXTNAME.
    header : `~astropy.io.fits.Header`
        Its header.

    Returns
    -------
    type or None
        A class of `astropy.nddata`: `~astropy.nddata.StdDevUncertainty`,
        `~astropy.nddata.VarianceUncertainty`, `~astropy.nddata.InverseVariance`;
        `~astropy.nddata.UnknownUncertainty` if it is one of noise or of weights and
        it is not known which; None if it is neither.
    """
    said = str(header_value(header, "UTYPE", "")).strip().lower()
    if said in UTYPES:
        return UTYPES[said]
    kind = _kind_by_name(name)
    if header_value(header, "HDUCLAS2") == "ERROR":
        return CLASSES.get(header_value(header, "HDUCLAS3"), kind or UnknownUncertainty)
    return UnknownUncertainty if said and kind is not None else kind


def _kind_by_name(name: str) -> type | None:
    words, means = noise_words(name)
    # ESO's MUSE and its kin.
    if words == ["STAT"]:
        return VarianceUncertainty
    if UNCLEAR.intersection(words):
        return UnknownUncertainty
    if not means:
        return None
    return UnknownUncertainty if PARTIAL_NOISE.intersection(words) else MEANS[means[0]]


@dataclasses.dataclass(frozen=True)
class NoisePlane:
    """An extension that holds the noise of an image.

    ``index`` is its place in the file and ``title`` its name and version; ``kind`` is
    from `noise_kind`; ``scale`` takes a one-sigma in the image's unit to this plane's.
    ``problem`` says why the plane cannot follow where pixels are filled, and is empty
    if it can.
    """

    index: int
    title: str
    kind: type
    scale: float = 1.0
    problem: str = ""

    @property
    def rank(self) -> int:
        """Its place among those of an image: what is most often right comes first."""
        return [*POWERS, UnknownUncertainty].index(self.kind)

    def values(self, sigma: np.ndarray) -> np.ndarray:
        """Return what the plane says of pixels.

        Parameters
        ----------
        sigma : `~numpy.ndarray`
            Their one-sigma in the image's unit, above 0.
        """
        with np.errstate(over="ignore"):
            return (sigma.astype(np.float64) * self.scale) ** POWERS[self.kind]

    def uncertainty(self, array: np.ndarray, unit: u.UnitBase) -> NDUncertainty:
        """Return the noise as astropy's object.

        Parameters
        ----------
        array : `~numpy.ndarray`
            What the plane holds; it is not copied.
        unit : `~astropy.units.UnitBase`
            Of the image.
        """
        own = None
        if self.scale != 1:
            own = u.Unit((unit / self.scale) ** POWERS[self.kind])
        return self.kind(array, unit=own, copy=False)


def noise_planes(
    hdus: fits.HDUList,
    places: Sequence,
    shape: tuple[int, ...],
    header: fits.Header,
    unpaired: Collection[int] = (),
) -> tuple[NoisePlane, ...]:
    """Return the extensions that hold the noise of an image, and in what form.

    Parameters
    ----------
    hdus : `~astropy.io.fits.HDUList`
        The file; no pixels are read.
    places : sequence of HduInfo
        The extensions, with their ``index``, ``title`` and ``shape``.
    shape : tuple of int
        That of the image.
    header : `~astropy.io.fits.Header`
        That of the image, for its unit.
    unpaired : collection of int
        Places of those among them that were not paired with an image
        (`unpaired_noise`), so that it is not clear whether they are this image's.

    Returns
    -------
    tuple of NoisePlane
        Those first that are to be believed first. One of HST's constant arrays of 0
        says nothing, and is left out.
    """
    planes = []
    for place in places:
        own = hdus[place.index].header
        if hdus[place.index].shape or own.get("PIXVALUE", 0) > 0:
            kind = noise_kind(place.name, own) or UnknownUncertainty
            plane = NoisePlane(place.index, place.title, kind)
            plane = _scaled(plane, place.shape, own, shape, header)
            if place.index in unpaired and not plane.problem:
                problem = "it is not clear whether it is that of the image"
                plane = dataclasses.replace(plane, problem=problem)
            planes.append(plane)
    return tuple(sorted(planes, key=lambda plane: plane.rank))


def unpaired_noise(
    hdus: fits.HDUList, known: Sequence, taken: set[int], left: Collection[int]
) -> list:
    """Return extensions that hold noise and were not paired with an image.

    Such are parts of the noise (VAR_POISSON), weights, and noise that could be that of
    several images.

    Parameters
    ----------
    hdus : `~astropy.io.fits.HDUList`
        The file; no pixels are read.
    known : sequence of HduInfo
        All extensions of the file.
    taken : set of int
        Places of images, and of what belongs to one.
    left : collection of int
        Places of images that belong to none.
    """
    unpaired = []
    for item in known:
        if not item.is_image or not item.shape or item.index in taken:
            continue
        kind = noise_kind(item.name, hdus[item.index].header)
        if kind is UnknownUncertainty or (kind is not None and item.index in left):
            unpaired.append(item)
    return unpaired


def _scaled(
    plane: NoisePlane,
    own_shape: tuple[int, ...],
    own_header: fits.Header,
    shape: tuple[int, ...],
    header: fits.Header,
) -> NoisePlane:
    """Return a plane with its scale, or with what keeps it from following."""
    if plane.kind not in POWERS:
        problem = "whether it is a variance, a weight or something else is not known"
        return dataclasses.replace(plane, problem=problem)
    if own_shape != shape:
        problem = f"its shape {own_shape} is not that of the image"
        return dataclasses.replace(plane, problem=problem)
    (image_unit, image_text), (unit, text) = (
        header_unit(found) for found in (header, own_header)
    )
    # Some copy the image's BUNIT to a variance.
    if unit is None or image_unit is None or text == image_text or unit == image_unit:
        return plane
    power = POWERS[plane.kind]
    try:
        scale = float((image_unit**power).to(unit)) ** (1 / power)
    except u.UnitConversionError:
        problem = f"its BUNIT {text!r} does not go with the image's {image_text!r}"
        return dataclasses.replace(plane, problem=problem)
    return dataclasses.replace(plane, scale=scale)
