"""Save a mask that was inspected, as ``deepcr-ccd clean`` and ``mask`` write it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from ..batch.image import describe_cleaned
from ..batch.outputs import check_outputs, state_of
from ..io.extensions.mask_extensions import write_masks
from ..io.fits_image import CleanedImage
from ..pipeline.clean import CleanedFrame
from ..pipeline.fill import Fill
from .edits import apply_edits, count_changes
from .inspection import Inspection

__all__ = ["KINDS", "output_path", "save"]

#: What can be written: a copy of the file with flags, one with filled pixels too, or a
#: file of masks only.
KINDS = ("flags", "filled", "masks")


def output_path(inspection: Inspection) -> Path | None:
    """Return where the result of a file goes; None for a frame in memory.

    Parameters
    ----------
    inspection : Inspection
        What is inspected.
    """
    path, folder = inspection.source.path, inspection.output
    return None if path is None or folder is None else folder / path.name


def save(inspection: Inspection, kind: str, *, replace: bool = False) -> Path:
    """Write the masks of all images of a file.

    Parameters
    ----------
    inspection : Inspection
        What is inspected.
    kind : {"flags", "filled", "masks"}
        A copy of the file in whose DQ, MASK or BPM the bit of cosmic rays is set; one
        whose flagged pixels are filled as well; or a file of masks only.
    replace : bool
        Whether it may replace a file; the input is never replaced.

    Returns
    -------
    path
        The file that was written.

    Raises
    ------
    FileExistsError
        If there is a file that must not be replaced.
    OSError
        If the input has changed since it was opened.
    ValueError
        If ``kind`` is unknown, the output is the input, or there is no file.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} is unknown; allowed are {', '.join(KINDS)}")
    file, path, output = (
        inspection.source.file,
        inspection.source.path,
        output_path(inspection),
    )
    if file is None or path is None or output is None:
        raise ValueError("a frame in memory has no file: take the mask in Python")
    check_outputs([(path, output)])
    replace = replace or inspection.overwrite
    before = state_of(output)
    if before is not None and not replace:
        raise FileExistsError(f"{output} exists")
    if kind != "masks":
        file.check_flags()

    def check() -> None:
        if state_of(path, follow=True) != inspection.source.state:
            raise OSError(f"{path} changed since it was opened")
        check_outputs([(path, output)])
        if state_of(output) != before:
            raise FileExistsError(f"{output} came there, or changed, meanwhile")

    check()
    results = [_result(inspection, number, kind) for number in range(len(file.images))]
    output.parent.mkdir(parents=True, exist_ok=True)
    overwrite = before is not None
    if kind == "masks":
        images = file.images
        write_masks(
            output, images, results, overwrite=overwrite, like=path, check=check
        )
    else:
        file.write(output, results, overwrite=overwrite, check=check)
    return output


def _result(inspection: Inspection, number: int, kind: str) -> CleanedImage:
    """Return what is written of an image."""
    settings, image = inspection.state.settings, inspection.image(number)
    planes = image.planes()
    tabs = [n for n, tab in enumerate(inspection.source.tabs) if tab.image == number]
    crmask = inspection.image_mask(number)
    added = removed = 0
    for plane, tab in zip(planes, tabs, strict=True):
        if edits := inspection.state.edits(tab):
            automatic = plane.automatic_mask(settings)
            edited = apply_edits(automatic, plane.bad, edits)
            counts = count_changes(automatic, edited)
            added, removed = added + counts["added"], removed + counts["removed"]
    fill = image.plan.fill if kind == "filled" else Fill("none")
    values = sigma = None
    if fill.method != "none":
        each = crmask if crmask.ndim == 3 else [crmask]
        fills = [plane.fills(one) for plane, one in zip(planes, each, strict=True)]
        values, sigma = (np.concatenate(part) for part in zip(*fills, strict=True))
    excluded = None if image.cleaned is None else image.cleaned.excluded
    width = None if image.cleaned is None else image.cleaned.star_width
    plan = dataclasses.replace(
        image.plan, thresholds=settings.thresholds, grow=settings.grow, fill=fill
    )
    cleaned = CleanedFrame(crmask, values, sigma, excluded, star_width=width)
    result = describe_cleaned(cleaned, plan)
    if added or removed:
        text = f"deepcr_ccd: edited by hand, {added} px added, {removed} px removed"
        result.cards.append(("HISTORY", text, ""))
    return result
