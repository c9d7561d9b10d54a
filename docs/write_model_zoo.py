"""Write the table and the descriptions of the model zoo page from the cards."""

from pathlib import Path

import numpy as np
from astropy.table import Table

from deepcr_ccd import list_models, load_model

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
    "scores": "Scores",
    "citation": "Citation",
    "license": "Licence",
}

#: Headings of columns, where these are not the names in the files.
HEADINGS = {"affected": "fraction affected"}


def describe(value) -> str:
    """Return a card's value in words."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} = {entry}" for key, entry in value.items())
    return str(value)


def write_model_zoo(path: Path) -> None:
    """Write the generated part of the page, in reStructuredText."""
    lines = []
    for row in list_models():
        name, task = row["name"], row["task"]
        title = f"``{name}``" if task == "mask" else f"``{name}`` (inpainting)"
        card = load_model(name, task=task, device="cpu").card
        network = load_model(name, task=task, device="cpu").network
        n_parameters = sum(p.numel() for p in network.parameters())
        lines += [title, "^" * len(title), "", card.description, ""]
        for field, label in FIELDS.items():
            value = getattr(card, field)
            if field == "unit":
                value = value or "any"
            if field == "threshold" and task != "mask":
                continue
            if value not in ("", [], {}, None):
                lines.append(f":{label}: {describe(value)}")
        lines += [
            f":Network: {card.architecture}, {describe(card.arguments)}; "
            f"{n_parameters} parameters, receptive radius {network.radius} px",
            "",
        ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines), encoding="utf-8")


def write_comparison(scores: Path, path: Path) -> None:
    """Write a table of true positive rates, a row for each kind of frame."""
    table = Table.read(scores)
    methods = list(dict.fromkeys(table["method"]))
    rows = [["Frames", *methods]]
    for kind in dict.fromkeys(table["kind"]):
        cells = [kind]
        for method in methods:
            row = table[(table["kind"] == kind) & (table["method"] == method)][0]
            low, high = (row[f"TPR at {fpr}%"] for fpr in ("0.05", "0.5"))
            cells.append(f"{low:.1f} / {high:.1f}")
        rows.append(cells)
    write_rows(rows, path)


def write_table(source: Path, path: Path) -> None:
    """Write a table as it is, numbers to three digits."""
    table = Table.read(source)
    rows = [[HEADINGS.get(name, name) for name in table.colnames]]
    for row in table:
        rows.append([write_number(v) if isinstance(v, float) else str(v) for v in row])
    write_rows(rows, path)


def write_number(value: float) -> str:
    """Return a number to three digits, and nothing for the end of an open interval."""
    if value >= 1e9:
        return ""
    return np.format_float_positional(float(f"{value:.3g}"), trim="-", fractional=False)


def write_rows(rows: list[list[str]], path: Path) -> None:
    """Write rows of cells, the first of them the head."""
    lines = [".. list-table::", "    :header-rows: 1"]
    if len(rows[0]) > 7:
        lines.append("    :class: wide")
    lines.append("")
    for cells in rows:
        lines.extend(
            ("    * - " if number == 0 else "      - ") + cell
            for number, cell in enumerate(cells)
        )
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
