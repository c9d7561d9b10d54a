"""Write tables of scores, and the cards of models, when pages are built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from deepcr_ccd import list_models, load_model

#: Fields of a card, and how they are called.
FIELDS = {
    "instrument": "Instrument",
    "filters": "Filters",
    "unit": "Unit of the input",
    "transform": "Transform",
    "transform_arguments": "Its arguments",
    "threshold": "Default threshold",
    "extend_threshold": "Second threshold",
    "fill": "Inpainting model",
    "training_data": "Training data",
    "citation": "Citation",
    "license": "Licence",
}
#: Facts of a card that the field list has under its own names, or not at all.
LEFT_OUT = {
    *("task", "about", "instrument", "filters", "unit of the input", "threshold"),
    *("extended down to", "test-time rotations", "inpainting model", "training data"),
    *("scores", "citation", "licence"),
}
#: Kinds of frames in the tables of scores, in words.
KINDS = {
    "sparse": "sparse fields",
    "extragalactic": "extragalactic fields",
    "cluster": "star clusters",
    "resolved": "resolved galaxies",
    "nebula": "nebulae",
    "spectrum": "slit and echelle spectra",
    "trails": "trailed stars",
    "slits": "short slits and fibres",
    "disks": "planets and other disks",
    "hubble sparse": "sparse fields, HST's PSFs",
    "hubble extragalactic": "extragalactic, HST's PSFs",
    "hubble cluster": "clusters, HST's PSFs",
    "hubble resolved": "resolved galaxies, HST's PSFs",
    "STIS pair": "HST/STIS, real, raw",
    "STIS pairs": "HST/STIS, real, raw",
    "Lowell Hall": "Lowell Hall 42-inch, real",
}
#: Headings of columns, where these are not the names in the files.
HEADINGS = {"affected": "fraction affected", "kind": "frames"}
#: Tables of more columns than these have small print, and smaller print.
MOST_COLUMNS, VERY_MANY = 4, 8


def write_model_zoo(path: Path) -> None:
    """Write the cards of all models, in reStructuredText."""
    lines: list[str] = []
    for row in list_models():
        name, task = row["name"], row["task"]
        if row["source"] not in ("shipped", "published"):
            # Of whoever builds the pages.
            continue
        model = load_model(name, task=task, device="cpu")
        title = f"``{name}``" if task == "mask" else f"``{name}`` (inpainting)"
        lines += [title, "-" * len(title), "", model.card.description, ""]
        lines += describe_card(model.card, task)
        network = model.network
        lines += [
            f":Network: {model.card.architecture}, {in_words(model.card.arguments)}",
            f":Parameters: {sum(p.numel() for p in network.parameters())}",
            f":Receptive radius: {network.radius} px",
            "",
        ]
        for heading, scores in model.card.scores.items():
            lines += describe_scores(heading, scores)
    write_lines(lines, path)


def describe_card(card: Any, task: str) -> list[str]:
    """Return the fields of a card as lines of a field list."""
    lines = []
    for field, label in FIELDS.items():
        value = getattr(card, field)
        if field == "unit":
            value = value or "any"
        if field == "threshold" and task != "mask":
            continue
        if value not in ("", [], {}, None):
            lines.append(f":{label}: {in_words(value)}")
    for label, value in card.facts().items():
        if label not in LEFT_OUT and value not in ("", [], {}, None):
            lines.append(f":{label[:1].upper()}{label[1:]}: {in_words(value)}")
    return lines


def in_words(value: Any) -> str:
    """Return a card's value in words."""
    if isinstance(value, list | tuple):
        return ", ".join(map(in_words, value))
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {in_words(entry)}" for key, entry in value.items())
    return str(value)


def describe_scores(heading: str, scores: Any) -> list[str]:
    """Return scores of a card as a small table, or as a line of text."""
    if not isinstance(scores, Mapping):
        return [f"{heading}: {in_words(scores)}", ""]
    rows = [["Frames", heading]]
    rows += [[KINDS.get(kind, kind), in_words(value)] for kind, value in scores.items()]
    return table_lines(rows)


def write_comparison(
    scores: Path, path: Path, methods: Sequence[str] = (), names: Sequence[str] = ()
) -> None:
    """Write a table of true positive rates, a row for each kind of frame.

    Parameters
    ----------
    scores, path : path
        The table of scores, and the file that is written.
    methods : sequence of str
        Methods, in the order of the columns, and their headings; by default all, with
        the default model and astroscrappy first.
    """
    table = Table.read(scores)
    if not methods:
        methods = list(dict.fromkeys(table["method"]))
        methods.sort(key=lambda name: (name != "universal", "astroscrappy" not in name))
    rows = [["Frames", *(names or methods)]]
    for kind in dict.fromkeys(table["kind"]):
        cells = [KINDS.get(kind, kind)]
        for method in methods:
            row = table[(table["kind"] == kind) & (table["method"] == method)][0]
            low, high = (row[f"TPR at {fpr}%"] for fpr in ("0.05", "0.5"))
            cells.append(f"{low:.1f} / {high:.1f}")
        rows.append(cells)
    write_lines(table_lines(rows), path)


def write_table(source: Path, path: Path) -> None:
    """Write a table as it is, numbers to three digits."""
    table = Table.read(source)
    rows = [[HEADINGS.get(name, name) for name in table.colnames]]
    rows += [[write_value(value) for value in row] for row in table]
    numbers = all(len(cell) < 40 for row in rows for cell in row)
    write_lines(table_lines(rows, numbers), path)


def write_pivot(
    source: Path,
    path: Path,
    *,
    rows: Sequence[str],
    across: str,
    cells: Sequence[str],
    order: Sequence[str] = (),
    decimals: int | None = None,
) -> None:
    """Write a table with a column for each value of one of its columns.

    Parameters
    ----------
    source, path : path
        The table that is read, and the file that is written.
    rows : sequence of str
        Columns whose values name the rows.
    across : str
        The column whose values become columns, all of them or those in ``order``.
    cells : sequence of str
        Columns whose values stand in each cell, with a slash between them.
    order : sequence of str
        Values of ``across``, in order.
    decimals : int, optional
        Of the numbers in cells; by default three digits in all.
    """
    table = Table.read(source)
    order = order or list(dict.fromkeys(table[across]))
    lines = [[*(HEADINGS.get(name, name) for name in rows), *order]]
    for key in dict.fromkeys(tuple(row[rows]) for row in table):
        found = {r[across]: r for r in table if tuple(r[rows]) == key}
        values = [
            " / ".join(write_value(found[name][cell], decimals) for cell in cells)
            for name in order
        ]
        lines.append([*map(write_value, key), *values])
    write_lines(table_lines(lines), path)


def write_changes(
    source: Path, path: Path, *, row: str, columns: Sequence[str]
) -> None:
    """Write a table with one row where the source has several for a name.

    Parameters
    ----------
    source, path : path
        The table that is read, and the file that is written.
    row : str
        The column whose values name the rows.
    columns : sequence of str
        Columns whose values in these rows stand in one cell, with arrows between them.
    """
    table = Table.read(source)
    lines = [[HEADINGS.get(row, row), *columns]]
    for name in dict.fromkeys(table[row]):
        found = table[table[row] == name]
        cells = [" → ".join(write_value(r[c]) for r in found) for c in columns]
        lines.append([write_value(name), *cells])
    write_lines(table_lines(lines), path)


def write_value(value: Any, decimals: int | None = None) -> str:
    """Return a number to three digits, or a word; kinds of frames in words."""
    if isinstance(value, float) and decimals is not None:
        return f"{value:.{decimals}f}"
    if isinstance(value, float):
        return write_number(value)
    return KINDS.get(str(value), str(value))


def write_number(value: float) -> str:
    """Return a number to three digits, and a dash for the end of an open interval."""
    if value >= 1e9:
        return "--"
    if abs(value) < 5e-4:
        return "0"
    return np.format_float_positional(float(f"{value:.3g}"), trim="-", fractional=False)


def table_lines(rows: Iterable[Sequence[str]], numbers: bool = True) -> list[str]:
    """Return rows of cells, the first of them the head, as a table."""
    rows = list(rows)
    classes = ["numbers"] * numbers + ["wide"] * (len(rows[0]) > MOST_COLUMNS)
    classes += ["wider"] * (len(rows[0]) > VERY_MANY)
    lines = [".. list-table::", "    :header-rows: 1"]
    if classes:
        lines.append(f"    :class: {' '.join(classes)}")
    lines.append("")
    for cells in rows:
        lines.extend(
            ("    * - " if number == 0 else "      - ") + cell
            for number, cell in enumerate(cells)
        )
    return [*lines, ""]


def write_lines(lines: Iterable[str], path: Path) -> None:
    """Write lines of text."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
