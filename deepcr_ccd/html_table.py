"""Small tables of HTML, by which notebooks show models and results."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

__all__ = ["html_table"]

#: Jupyter aligns cells to the right, and does not wrap them.
CELL = "text-align: left; vertical-align: top; max-width: 42em; white-space: normal"
CAPTION = "caption-side: top; text-align: left; font-weight: bold"


def html_table(title: str, rows: Mapping[str, Any]) -> str:
    """Return a table of HTML with a row for each name and its value.

    Parameters
    ----------
    title : str
        Caption of the table.
    rows : mapping
        Values by name: text, numbers, lists or mappings of these. Those that are empty
        are left out. All text is escaped.

    Returns
    -------
    str
        ``<table>...</table>``.
    """
    lines = [f'<table><caption style="{CAPTION}">{escape(title)}</caption>']
    for name, value in rows.items():
        if value is None or (isinstance(value, str | list | dict) and not value):
            continue
        lines.append(
            f'<tr><th style="{CELL}">{escape(name)}</th>'
            f'<td style="{CELL}">{_cell(value)}</td></tr>'
        )
    return "\n".join([*lines, "</table>"])


def _cell(value: Any) -> str:
    """Return a value as escaped text, with a line for each entry of a mapping."""
    if isinstance(value, Mapping):
        entries = [f"{escape(str(key))}: {_cell(one)}" for key, one in value.items()]
        return "<br>".join(entries)
    if isinstance(value, list | tuple):
        return ", ".join(map(_cell, value))
    return escape(f"{value:.4g}" if isinstance(value, float) else str(value))
