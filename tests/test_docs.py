"""Pages name files and functions that are there; tables are those of the files."""

import ast
import re
import runpy
from pathlib import Path

import pytest
from astropy.table import Table

from deepcr_ccd.training.config import ENTRIES

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "development.rst"
#: Such as ``io/fits_file.py`` and ``core/cosmicray.py::cosmicray_deepcr``.
PLACES = re.findall(
    r"``([\w/.]+\.(?:py|rst|toml|ecsv))(?:::([\w.]+))?``", PAGE.read_text()
)


def names_in(tree):
    """Names that the body of a module or of a class defines, and their nodes."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            names = (n for n in ast.walk(node) if isinstance(n, ast.Name))
            yield from ((n.id, node) for n in names if isinstance(n.ctx, ast.Store))


@pytest.mark.parametrize(("path", "name"), sorted(set(PLACES)))
def test_places_exist(path, name):
    found = [folder / path for folder in (ROOT / "deepcr_ccd", ROOT)]
    found += [ROOT / "deepcr_ccd" / "data" / path]
    (file,) = [place for place in found if place.is_file()]
    part = ast.parse(file.read_text()) if name else None
    for word in filter(None, name.split(".")):
        part = dict(names_in(part))[word]


def test_folders_exist():
    folders = re.findall(r"``((?:[a-z]+/)*[a-z]+/?)``", PAGE.read_text())
    known = [f for f in folders if (ROOT / "deepcr_ccd" / f).is_dir()]
    assert {"io/extensions", "models/networks", "compat"} <= set(known)
    for folder in folders:
        if "/" in folder:
            assert any((top / folder).is_dir() for top in (ROOT, ROOT / "deepcr_ccd"))


@pytest.fixture(scope="module")
def tables():
    """Functions that write tables of the pages."""
    return runpy.run_path(str(ROOT / "docs" / "write_model_zoo.py"))


def read_cells(path):
    """Cells of a list-table, by row."""
    rows = path.read_text().split("    * - ")[1:]
    return [row.rstrip().split("\n      - ") for row in rows]


def test_scores_are_in_their_cells(tables, tmp_path):
    source = ROOT / "docs" / "scores.ecsv"
    tables["write_comparison"](source, tmp_path / "all.inc")
    head, *rows = read_cells(tmp_path / "all.inc")
    assert head[:3] == ["Frames", "universal", "astroscrappy, tuned"]
    scores = Table.read(source)
    cells = {
        (row[0], method): cell
        for row in rows
        for method, cell in zip(head[1:], row[1:], strict=True)
    }
    assert len(cells) == len(scores)
    for row in scores:
        low, high = row["TPR at 0.05%"], row["TPR at 0.5%"]
        kind = tables["KINDS"][row["kind"]]
        assert cells[kind, row["method"]] == f"{low:.1f} / {high:.1f}"


def test_cells_of_a_pivot(tables, tmp_path):
    source, path = tmp_path / "source.ecsv", tmp_path / "pivot.inc"
    Table(
        {
            "frames": ["sparse", "sparse", "disks", "disks"],
            "method": ["a", "b", "a", "b"],
            "x": [1.25, 2.0, 3.0, 1e5],
            "y": [0.5, 0.25, 1234.0, float("inf")],
        }
    ).write(source)
    tables["write_pivot"](
        source,
        path,
        rows=["frames"],
        across="method",
        cells=["x", "y"],
        order=["b", "a"],
    )
    assert read_cells(path) == [
        ["frames", "b", "a"],
        ["sparse fields", "2 / 0.25", "1.25 / 0.5"],
        ["planets and other disks", "100000 / --", "3 / 1230"],
    ]


def test_cards_are_in_words(tables, tmp_path):
    tables["write_model_zoo"](tmp_path / "models.inc")
    text = (tmp_path / "models.inc").read_text()
    assert "``universal``\n" in text
    assert not re.search(r"[{}\[\]]|ModelCard|None", text)


def test_all_entries_of_a_configuration_are_explained():
    text = (ROOT / "docs" / "training.rst").read_text()
    text = text.partition("Entries of the configuration")[2].partition("\n---\n")[0]
    rows = re.findall(r"\* - ``(\w+)``\n +- (.+)\n", text)
    explained = {
        (section, entry)
        for section, names in rows
        for entry in re.findall(r"``(\w+)``", names)
    }
    assert explained == {
        (section, entry) for section, entries in ENTRIES.items() for entry in entries
    }
