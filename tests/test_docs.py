"""The page for developers names files and functions that are there."""

import ast
import re
from pathlib import Path

import pytest

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
