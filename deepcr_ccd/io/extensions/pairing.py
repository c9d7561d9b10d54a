"""Which image a plane of flags or noise belongs to, where a file has several."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from .hdu_info import HduInfo
from .names import COMPANIONS, NOISE, WEAK

__all__ = ["pair_planes", "referred_to"]

KINDS = tuple(dict.fromkeys(COMPANIONS.values()))
#: Kinds of planes whose image must be clear; others may be something else.
NEEDED = frozenset(["DQ", "MASK", "BPM", "ERR", "VAR", "IVAR", "UNCERT"])
#: Keywords of an image that name its planes, and HDUCLAS2 of these (ESO; MaNGA has
#: them too).
REFERENCES = {"QUALDATA": "QUALITY", "ERRDATA": "ERROR"}
#: What HDUCLAS3 says that a plane holds.
FORMS = {
    "FLAG16BIT": "DQ",
    "FLAG32BIT": "DQ",
    "MASKZERO": "MASK",
    "MASKONE": "MASK",
    "RMSE": "ERR",
    "MSE": "VAR",
    "INVMSE": "IVAR",
}


def pair_planes(
    images: Sequence[HduInfo], extensions: Sequence[HduInfo]
) -> tuple[dict[int, dict[str, int]], dict[int, str]]:
    """Find out which planes belong to which image.

    Planes that headers name come first; then those of the same EXTVER; then those
    whose names have as much in common as N1 and N1_MASK, or CHIP1 and DQ1; then
    they go by their order.

    Parameters
    ----------
    images : sequence of HduInfo
        The frames of a file, in order.
    extensions : sequence of HduInfo
        All of the file.

    Returns
    -------
    planes : dict
        By the place of an image, the places of its planes by their kind.
    left : dict
        By place, why other planes belong to none.

    Raises
    ------
    ValueError
        If it is not clear which image a plane belongs to.
    """
    planes: dict[int, dict[str, int]] = {item.index: {} for item in images}
    left: dict[int, str] = {}
    taken = _follow_references(images, extensions, planes)
    stems = {item.label.stem for item in images}
    present = {item.label.plane for item in extensions}
    for kind in (kind for kind in KINDS if kind in present):
        free = [
            item
            for item in extensions
            if item.label.plane == kind
            and item.is_image
            and item.shape
            and item.index not in planes
            and item.index not in taken
        ]
        own = [e for e in free if e.label.is_plain or e.label.stem in stems]
        if kind in NOISE and len(images) == len(free) == 1 and not own:
            own = [e for e in free if _is_alone(e, images[0], extensions)]
        left |= {e.index: "belongs to none" for e in free if e not in own}
        lacking = [item for item in images if kind not in planes[item.index]]
        for image, plane in _pair(lacking, own, kind):
            planes[image.index][kind] = plane.index
        used = {found.get(kind) for found in planes.values()}
        left |= {e.index: "belongs to none" for e in own if e.index not in used}
    return planes, left


def _is_alone(plane: HduInfo, image: HduInfo, extensions: Sequence[HduInfo]) -> bool:
    """Tell whether it is the one plane of noise of the shape of the one image."""
    of_noise = [
        item
        for item in extensions
        if item.label.plane in NOISE and item.is_image and item.shape == image.shape
    ]
    numbers = plane.label.numbers
    # The noise of something else, as SKY_VAR and OBJ_VAR; a name as TESS has them.
    begins = image.label.stem[: len(plane.label.stem)] == plane.label.stem
    if WEAK.intersection(plane.label.stem) or not (begins or image.label.is_plain):
        return False
    return of_noise == [plane] and (not numbers or numbers == image.label.numbers)


def referred_to(extensions: Sequence[HduInfo]) -> set[int]:
    """Return the places of the extensions that are planes of others, as headers say.

    Parameters
    ----------
    extensions : sequence of HduInfo
        All of a file.
    """
    return {
        plane.index
        for image in extensions
        for plane in extensions
        for keyword in REFERENCES
        if plane is not image and _refers(image, plane, keyword)
    }


def _follow_references(
    images: Sequence[HduInfo],
    extensions: Sequence[HduInfo],
    planes: dict[int, dict[str, int]],
) -> set[int]:
    """Enter the planes that headers name; return their places."""
    taken: set[int] = set()
    count = _are_numbers_valid(images, extensions)
    for image in images:
        own = (image.index, image.name or str(image.index))
        masks = [
            item.index
            for item in extensions
            if item.owner == own
            and (image.name or count)
            and item.label.kind == "MASK"
            and item.is_image
        ]
        if len(masks) == 1:
            planes[image.index]["MASK"] = masks[0]
            taken.update(masks)
        for keyword in REFERENCES:
            found = [
                item
                for item in extensions
                if item.is_image
                and item.shape
                and item.index not in planes
                and _refers(image, item, keyword)
            ]
            same = [item for item in found if item.ver == image.ver]
            found = same if len(same) == 1 else found
            if len(found) != 1:
                continue
            (plane,) = found
            kind = FORMS.get(plane.form, plane.label.kind)
            if kind not in KINDS and keyword == "QUALDATA":
                kind = "DQ"
            if kind in KINDS and plane.index in taken:
                raise ValueError(
                    f"{plane.title} is named as the {kind} of more than one image"
                )
            if kind in KINDS:
                planes[image.index][kind] = plane.index
                taken.add(plane.index)
    return taken


def _are_numbers_valid(
    images: Sequence[HduInfo], extensions: Sequence[HduInfo]
) -> bool:
    """Tell whether the numbers by which masks name images are still right.

    Masks that this package adds to images without names have but a number.
    """
    owners = {
        item.index: item.owner[0]
        for item in extensions
        if item.owner is not None
        and item.owner[1] == str(item.owner[0])
        and item.label.kind == "MASK"
        and item.is_image
    }
    masks = [item for item in extensions if item.index in owners]
    unnamed = [item for item in images if not item.name]
    places = {item.index for item in extensions if not item.name and item.is_image}
    if set(owners.values()) <= places:
        return True
    # Extensions have been deleted or moved; their order may still say it.
    if len(masks) == len(unnamed):
        return False
    raise ValueError(_unclear(unnamed, masks, "MASK"))


def _refers(image: HduInfo, plane: HduInfo, keyword: str) -> bool:
    """Tell whether an image names a plane, or the plane the image."""
    named = image.companions.get(keyword, "").upper()
    if named:
        return named == plane.name.upper()
    owner = plane.companions.get("SCIDATA", "").upper()
    same = bool(owner) and owner == image.name.upper()
    return same and plane.role == REFERENCES[keyword]


def _pair(
    images: Sequence[HduInfo], planes: Sequence[HduInfo], kind: str
) -> list[tuple[HduInfo, HduInfo]]:
    """Pair the planes of one kind with images, in so far as that is clear."""
    pairs = []
    everyone = images
    for key in _keys(images, planes):
        paired = _pair_by(key, images, planes, everyone)
        pairs += paired
        done = {item.index for pair in paired for item in pair}
        images = [item for item in images if item.index not in done]
        planes = [item for item in planes if item.index not in done]
    if images and planes:
        ordered = list(zip(images, planes, strict=False))
        clear = len(images) == len(planes) and _in_order(images, planes)
        if clear and not any(_disagree(*pair, everyone) for pair in ordered):
            pairs += ordered
        elif kind in NEEDED:
            raise ValueError(_unclear(images, planes, kind))
    return pairs


def _keys(
    images: Sequence[HduInfo], planes: Sequence[HduInfo]
) -> list[Callable[[HduInfo], Hashable]]:
    """Return what may pair planes with images, the surest first; None says nothing."""
    as_many = len(images) == len(planes)

    def version(item: HduInfo) -> Hashable:
        # A version that is not written says nothing where some planes are absent.
        return item.ver if item.has_ver or as_many or item in images else None

    def stem(item: HduInfo) -> Hashable:
        return item.label.stem

    def numbers(item: HduInfo) -> Hashable:
        return item.label.numbers or None

    return [version, stem, numbers]


def _pair_by(
    key: Callable[[HduInfo], Hashable],
    images: Sequence[HduInfo],
    planes: Sequence[HduInfo],
    everyone: Sequence[HduInfo],
) -> list[tuple[HduInfo, HduInfo]]:
    """Pair what has the same key, where one image and one plane alone have it."""
    of_images, of_planes = [key(e) for e in images], [key(e) for e in planes]
    pairs = []
    for image, value in zip(images, of_images, strict=True):
        if value is None or of_images.count(value) > 1 or of_planes.count(value) != 1:
            continue
        plane = planes[of_planes.index(value)]
        if not _disagree(image, plane, everyone):
            pairs.append((image, plane))
    return pairs


def _disagree(image: HduInfo, plane: HduInfo, images: Sequence[HduInfo]) -> bool:
    """Tell whether images differ in version, and the plane has another than its image.

    A stem that is shared, such as N1 in N1_MASK, is worth more.
    """
    if not image.label.is_plain and image.label.stem == plane.label.stem:
        return False
    distinct = len({item.ver for item in images}) == len(images)
    return distinct and image.has_ver and plane.has_ver and image.ver != plane.ver


def _in_order(images: Sequence[HduInfo], planes: Sequence[HduInfo]) -> bool:
    """Tell whether images and planes alternate, or the ones come after the others."""
    places = [item.index for item in images]
    ordered = sorted([*places, *(item.index for item in planes)])
    pattern = [place in places for place in ordered]
    n = len(images)
    return any(
        pattern == expected or pattern == [not each for each in expected]
        for expected in ([True, False] * n, [True] * n + [False] * n)
    )


def _unclear(images: Sequence[HduInfo], planes: Sequence[HduInfo], kind: str) -> str:
    names = [", ".join(f"{e.index} ({e.title})" for e in x) for x in (planes, images)]
    return (
        f"it is not clear which {kind} belongs to which image: {kind} in extension "
        f"{names[0]}, images in {names[1]}; give them the same EXTVER"
    )
