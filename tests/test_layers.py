"""The house keeps its order: imports go down only, optional packages stay optional."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "deepcr_ccd"

#: Modules by floor; each may import from floors below its own.
FLOORS = [
    {"forking"},
    {
        "caller_state",
        "card_fields",
        "compression",
        "header_values",
        "headers",
        "network_checks",
        "processes",
        "recording",
        "unpacking",
    },
    {"listing"},
    {
        "spool",
        "uncertainty",
        "array_kinds",
        "notices",
        "keywords",
        "extension_names",
    },
    {"rebuilding"},
    {
        "chunks",
        "devices",
        "layout",
        "noise",
        "header_cards",
        "number_format",
        "tiling",
        "units",
        "atomic",
        "bayer",
        "frame",
        "guard",
        "pileup",
        "reporting",
        "recalibration",
        "hysteresis",
        "saturated_shapes",
        "segmentation",
        "together",
        "bit_planes",
    },
    {"fits_checksum", "growth", "noise_planes", "windows"},
    {"stars", "rays", "own_units"},
    {"star_fits"},
    {"descriptions"},
    {"window_network"},
    {"networks"},
    {"filling", "execution", "fusing", "images", "openvino_graph", "rewriting"},
    {"cells"},
    {"dark_parts", "leaks", "sky_noise"},
    {
        "sky",
        "plane",
        "engines",
        "extensions",
        "mask_extensions",
        "noise_updates",
        "saturation",
    },
    {"known_noise"},
    {"noise_check"},
    {"transforms", "companions"},
    {"card", "planes"},
    {"weights"},
    {"model"},
    {"checkpoints"},
    {"zoo", "files"},
    {"detection", "fills"},
    {"cleaning"},
    {"chunked"},
    {"ccd", "inpainting", "scrappy", "original", "plot"},
    {"options", "outputs"},
    {"digest"},
    {"jobs"},
    {"cluster"},
    {"batch"},
    {"demo", "training"},
    {"evaluation"},
    {"parser"},
    {"cli"},
    {"__init__", "__main__"},
]
FLOOR = {name: height for height, names in enumerate(FLOORS) for name in names}
OPTIONAL = {
    "dask",
    "distributed",
    "matplotlib",
    "astroscrappy",
    "deepCR",
    "ccdproc",
    "openvino",
    "tqdm",
}


def modules():
    return sorted(PACKAGE.glob("*.py"))


def imports(path, top_level_only=False):
    tree = ast.parse(path.read_text())
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level and not node.module:
                yield from ((node.level, alias.name) for alias in node.names)
            else:
                yield node.level, node.module


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.stem)
def test_imports_go_down(path):
    height = FLOOR[path.stem]
    for level, name in imports(path):
        if level:
            assert FLOOR[name.split(".")[0]] < height, f"{path.stem} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.stem)
def test_optional_packages_are_imported_where_they_are_used(path):
    names = {name.split(".")[0] for _, name in imports(path, top_level_only=True)}
    assert not names & OPTIONAL


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


def test_the_engine_does_not_know_training_and_evaluation():
    """Only the command line, which starts a training, does."""
    for path in modules():
        for _, name in imports(path):
            known = {"training", "evaluation"} & set(name.split("."))
            assert not known or path.stem == "cli"


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
        "list_models",
        "load_model",
    ]
    for name in deepcr_ccd.__all__:
        assert callable(getattr(deepcr_ccd, name))
