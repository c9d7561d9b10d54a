"""The house keeps its order: imports go down only, optional packages stay optional."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "deepcr_ccd"

#: Rooms, which are folders and modules, from the top; each may import from itself and
#: from rows below its own.
ROWS = [
    {"__init__", "__main__"},
    {"cli"},
    {"evaluation", "inspection"},
    {"batch", "demo"},
    {"core", "compat", "plot"},
    {"training"},
    {"pipeline"},
    {"options"},
    {"models"},
    {"simulation"},
    {"preprocess"},
    {"inpainting", "io"},
    {"nddata"},
    {"html_table", "notices", "segmentation"},
    {"choices", "lazy", "tiling", "version"},
]
HEIGHT = {room: -row for row, rooms in enumerate(ROWS) for room in rooms}
#: No more modules in a folder, and no more lines in a module.
MODULES, LINES = 12, 350
OPTIONAL = {
    "argcomplete",
    "anywidget",
    "dask",
    "distributed",
    "matplotlib",
    "astroscrappy",
    "deepCR",
    "ccdproc",
    "openvino",
    "pooch",
    "tqdm",
}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path):
    """Name of a module in the package, such as ``io.fits_file``."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def room_of(name):
    return name.split(".")[0]


def imports(path, top_level_only=False):
    """Names of what a module imports; those of the package begin with a dot."""
    here = name_of(path).split(".")[:-1]
    tree = ast.parse(path.read_text())
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                yield node.module
                continue
            above = here[: len(here) + 1 - node.level]
            above += node.module.split(".") if node.module else []
            for alias in node.names:
                yield "." + ".".join([*above, alias.name])


def is_module(name):
    path = PACKAGE.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def imported_modules(path):
    """Names of the modules of the package that a module imports."""
    for name in imports(path):
        if name.startswith("."):
            name = name[1:]
            yield name if is_module(name) else name.rpartition(".")[0]


every_module = pytest.mark.parametrize("path", modules(), ids=name_of)


@every_module
def test_imports_go_down(path):
    here = room_of(name_of(path))
    for name in imported_modules(path):
        below = HEIGHT[room_of(name)] < HEIGHT[here]
        assert below or room_of(name) == here, f"{name_of(path)} imports {name}"


def test_no_module_imports_itself_through_others():
    graph = {name_of(path): set(imported_modules(path)) for path in modules()}
    done = set()

    def visit(name, trail):
        assert name not in trail, " imports ".join([*trail, name])
        if name not in done:
            for other in graph.get(name, ()):
                visit(other, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@every_module
def test_optional_packages_are_imported_where_they_are_used(path):
    names = {room_of(name) for name in imports(path, top_level_only=True)}
    assert not names & OPTIONAL


@every_module
def test_modules_are_short(path):
    assert len(path.read_text().splitlines()) <= LINES


def test_folders_hold_few_modules():
    for folder in {path.parent for path in modules()}:
        names = {path.name for path in folder.glob("*.py")} - {"__init__.py"}
        assert len(names) <= MODULES, folder


def test_tests_are_where_the_code_is():
    folders = {path.parent.relative_to(PACKAGE) for path in modules()}
    tests = Path(__file__).parent
    for path in tests.rglob("test_*.py"):
        assert path.parent.relative_to(tests) in folders, path


def test_every_module_has_a_docstring():
    for path in modules():
        assert ast.get_docstring(ast.parse(path.read_text())), path


def test_importing_loads_no_optional_package():
    loaded = []
    for names in ("astropy.nddata, torch", "deepcr_ccd, deepcr_ccd.cli"):
        code = f"import sys, {names}; print(*sys.modules)"
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        loaded.append({name.split(".")[0] for name in run.stdout.split()})
    # Astropy 6 loads dask, and torch tqdm, where these are installed.
    assert not (loaded[1] - loaded[0]) & OPTIONAL


def test_public_names():
    import deepcr_ccd

    assert sorted(deepcr_ccd.__all__) == [
        "DeepCRWarning",
        "clean_files",
        "cosmicray_deepcr",
        "cosmicray_probability",
        "deepCR",
        "detect_cosmics",
        "inpaint",
        "inspect",
        "list_models",
        "load_model",
    ]
    for name in deepcr_ccd.__all__:
        assert callable(getattr(deepcr_ccd, name))
