"""Notebooks are listed, have a title and a download, and no outputs.

They are run when the pages are built.
"""

import ast
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.md"))
CELL = re.compile(r"^```\{code-cell\} ipython3\n(.*?)^```$", re.DOTALL | re.MULTILINE)

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(text):
    """Code of the cells, without the line of tags."""
    return [re.sub(r"\A:tags: .*\n", "", cell) for cell in CELL.findall(text)]


def test_all_are_in_the_index():
    index = (FOLDER / "index.rst").read_text()
    (listed,) = re.findall(r"toctree::\n(?: +:.*\n)*\n((?: +\S+\n)+)", index)
    assert sorted(listed.split()) == [path.stem for path in NOTEBOOKS]
    assert len(NOTEBOOKS) == 8


def test_nothing_else_is_there():
    # Outputs, and what a notebook writes where it is run.
    names = {path.name for path in FOLDER.iterdir()}
    assert names == {"index.rst", *(path.name for path in NOTEBOOKS)}


@every_notebook
def test_title_and_download(path):
    text = path.read_text()
    head, body = re.match(r"---\n(.*?)\n---\n(.*)", text, re.DOTALL).groups()
    assert "file_format: mystnb" in head
    assert "name: python3" in head
    titles = re.findall(r"^# .+$", CELL.sub("", body), re.MULTILINE)
    assert len(titles) == 1
    assert body.lstrip().startswith(titles[0])
    assert f"{{nb-download}}`this notebook <{path.stem}.ipynb>`" in body


@every_notebook
def test_cells_are_code_without_outputs(path):
    text = path.read_text()
    # All fences are known: code to run, or code of Python to read.
    fences = re.findall(r"^```(.*)$", text, re.MULTILINE)
    assert set(fences[::2]) <= {"{code-cell} ipython3", "python"}
    assert set(fences[1::2]) == {""}
    assert len(fences) % 2 == 0
    assert "data:image" not in text
    assert "<img" not in text
    found = cells(text)
    assert len(found) == fences.count("{code-cell} ipython3")
    assert any("plot" in cell or "imshow" in cell for cell in found)
    for cell in found:
        ast.parse(cell)


@every_notebook
def test_figures_have_a_caption(path):
    """After a cell that draws for the reader there is a sentence in italics."""
    parts = CELL.split(path.read_text())
    for code, after in zip(parts[1::2], parts[2::2], strict=True):
        if re.search(r"\b(plot_\w+\(|plt\.(figure|subplots)\()", code):
            assert after.lstrip().startswith("*"), code
