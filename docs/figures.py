"""Draw the figures of the front page and of the model zoo, when pages are built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from astropy.nddata import CCDData
from astropy.table import Table
from scipy import ndimage
from write_model_zoo import KINDS

from deepcr_ccd import cosmicray_deepcr
from deepcr_ccd.demo import example_frame
from deepcr_ccd.plot import plot_detections

HERE = Path(__file__).parent
#: Methods in the figure of scores; several names: the best of them on each row.
METHODS: tuple[tuple[str, tuple[str, ...], dict[str, Any]], ...] = (
    ("astroscrappy, tuned for each row", ("astroscrappy, tuned",), {"marker": "s"}),
    (
        "deepCR, the best of 3 published models",
        ("ACS-WFC", "WFC3-UVIS", "decam"),
        {"marker": "^"},
    ),
    ("deepcr_ccd, universal", ("universal",), {"marker": "o"}),
)
COLOURS = ("#d55e00", "#009e73", "#0072b2")


def draw_cutouts(number: int = 5, half: int = 13) -> None:
    """Draw cosmic rays of the example frame: before, mask, after, and astroscrappy.

    Parameters
    ----------
    number : int
        The brightest cosmic rays. One column more has the largest group that only
        astroscrappy flags.
    half : int
        Half the width of the cutouts in px.
    """
    from astroscrappy import detect_cosmics

    ccd, _, _ = example_frame()
    cleaned = cosmicray_deepcr(ccd)
    gain = ccd.header.get("GAIN", 1)
    readnoise = ccd.header.get("RDNOISE", 6.5)
    other, _ = detect_cosmics(ccd.data * gain, readnoise=readnoise)
    columns = _brightest(cleaned.mask, ccd.data - cleaned.data, number)
    columns += _brightest(_groups_without(other, cleaned.mask), other, 1)
    rows = (
        ("before", ccd, None),
        ("mask", ccd, cleaned.mask),
        ("after", cleaned, None),
        ("astroscrappy", ccd, other),
    )
    fig, axes = plt.subplots(
        4, len(columns), figsize=(1.5 * len(columns), 6.2), squeeze=False
    )
    for index, (column, (y, x)) in enumerate(zip(axes.T, columns, strict=True)):
        where = tuple(
            slice(max(0, min(c - half, n - 2 * half)), max(c + half, 2 * half))
            for c, n in zip((y, x), ccd.shape, strict=True)
        )
        for ax, (_, frame, mask) in zip(column, rows, strict=True):
            part = np.zeros(ccd.shape, bool) if mask is None else mask
            image = CCDData(frame.data[where], unit=ccd.unit)
            plot_detections(image, part[where], ax=ax, margin=0, linewidth=1.5)
            # One stretch for all cosmic rays; the last column lies on another level.
            first = column[0] if index == len(columns) - 1 else axes[0, 0]
            ax.images[0].set_norm(first.images[0].norm)
            ax.set(xticks=[], yticks=[], title="")
    for ax, (label, _, _) in zip(axes[:, 0], rows, strict=True):
        ax.set_ylabel(label, fontsize=12)
    for ax in axes[0, :-1]:
        ax.set_title("cosmic ray", fontsize=11)
    axes[0, -1].set_title("astroscrappy only", fontsize=11)
    fig.subplots_adjust(0.04, 0.01, 0.995, 0.95, wspace=0.04, hspace=0.04)


def _groups_without(mask: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the groups of a mask that touch no pixel of another mask."""
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    return mask & ~np.isin(labels, np.unique(labels[other & mask]))


def _brightest(
    mask: np.ndarray, charge: np.ndarray, number: int
) -> list[tuple[int, int]]:
    """Return the middles of the groups with the most charge."""
    labels, total = ndimage.label(mask, np.ones((3, 3)))
    sums = ndimage.sum_labels(charge, labels, np.arange(1, total + 1))
    places = ndimage.find_objects(labels)
    return [
        tuple((s.start + s.stop - 1) // 2 for s in places[label])
        for label in np.argsort(-sums)[:number]
    ]


def draw_scores(fpr: str = "0.05", path: Path = HERE / "scores.ecsv") -> None:
    """Draw the true positive rate of each method on each kind of frame.

    Parameters
    ----------
    fpr : str
        False positive rate in percent, one of the table.
    path : path
        The table.
    """
    table = Table.read(path)
    kinds = list(dict.fromkeys(table["kind"]))
    rate = {(row["kind"], row["method"]): row[f"TPR at {fpr}%"] for row in table}
    fig, ax = plt.subplots(figsize=(7, 6.4), layout="constrained")
    for (label, names, style), colour in zip(METHODS, COLOURS, strict=True):
        values = [max(rate[kind, name] for name in names) for kind in kinds]
        ax.plot(
            values, range(len(kinds)), ls="", ms=8, color=colour, label=label, **style
        )
    ax.set_yticks(range(len(kinds)), [KINDS.get(kind, kind) for kind in kinds])
    ax.invert_yaxis()
    ax.set_xlim(0, 100)
    ax.set_xlabel(f"pixels of cosmic rays found (%), {fpr} % of clean pixels flagged")
    ax.grid(axis="y", color="0.9")
    ax.grid(axis="x", color="0.95")
    ax.set_axisbelow(True)
    fig.legend(loc="outside upper left", reverse=True, frameon=False)
