"""The package and its command start without loading what they may not need."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import deepcr_ccd

PACKAGE = Path(deepcr_ccd.__file__).parent
#: Each takes a tenth of a second to seconds to load.
HEAVY = {
    "anywidget",
    "astropy",
    "astroscrappy",
    "ccdproc",
    "dask",
    "deepCR",
    "distributed",
    "matplotlib",
    "numpy",
    "openvino",
    "pooch",
    "safetensors",
    "scipy",
    "torch",
    "tqdm",
}
#: Packages whose names are imported when they are used.
LAZY = ["deepcr_ccd"] + [
    f"deepcr_ccd.{path.parent.name}"
    for path in sorted(PACKAGE.glob("*/__init__.py"))
    if "lazy_names" in path.read_text()
]


def loaded(code):
    """Names of the packages that Python has loaded after some code."""
    code = f"import sys\n{code}\nprint(*sys.modules, file=sys.stderr)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return {name.split(".")[0] for name in run.stderr.splitlines()[-1].split()}


def command(*arguments):
    """Code that runs the command, as its script does."""
    return (
        "from deepcr_ccd.cli import main\n"
        f"try: main({list(arguments)})\n"
        "except SystemExit: pass"
    )


@pytest.mark.parametrize(
    "code",
    [
        *(f"import {package}" for package in LAZY),
        "import deepcr_ccd; dir(deepcr_ccd), deepcr_ccd.__version__",
        "from deepcr_ccd import evaluation, models, simulation, training",
        command("--help"),
        command("--version"),
        command("no-such-command"),
        *(
            command(name, "--help")
            for name in ("clean", "mask", "inspect", "models", "train", "evaluate")
        ),
    ],
)
def test_nothing_heavy_is_loaded(code):
    # Python itself loads some where a development version is installed.
    assert not (loaded(code) - loaded("")) & HEAVY


def test_the_warning_is_known_without_pytorch():
    assert "torch" not in loaded("from deepcr_ccd import DeepCRWarning")


@pytest.mark.parametrize(
    ("code", "package"),
    [
        ("from deepcr_ccd import load_model", "torch"),
        ("import deepcr_ccd; deepcr_ccd.cosmicray_deepcr", "torch"),
        (command("models"), "torch"),
    ],
)
def test_what_is_used_is_loaded(code, package):
    assert package in loaded(code)


@pytest.mark.parametrize("name", LAZY)
def test_type_checkers_see_the_same_names(name):
    """What is imported for type checkers is what is imported when it is used."""
    package = importlib.import_module(name)
    tree = ast.parse(Path(package.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module("." * node.level + node.module, name)
            for alias in node.names:
                assert getattr(package, alias.name) is getattr(module, alias.name)
    typed = {
        alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == set(package.__all__)
    assert typed <= set(dir(package))


def test_dir_lists_public_names_only():
    others = {"demo", "evaluation", "models", "plot", "simulation", "training"}
    assert set(dir(deepcr_ccd)) == {*deepcr_ccd.__all__, "__version__", *others}
    # Also after modules that are not public have been loaded.
    importlib.import_module("deepcr_ccd.io.fits_file")
    assert "io" not in dir(deepcr_ccd)
    for name in dir(deepcr_ccd):
        getattr(deepcr_ccd, name)


def test_tab_completion_shows_public_names_only():
    completer = pytest.importorskip("IPython.core.completer")
    shell = completer.IPCompleter(namespace={"deepcr_ccd": deepcr_ccd})
    for use_jedi in (False, True):
        shell.use_jedi = use_jedi
        with completer.provisionalcompleter():
            found = list(shell.completions("deepcr_ccd.", len("deepcr_ccd.")))
        names = {completion.text.lstrip(".") for completion in found}
        assert {name for name in names if not name.startswith("_")} == {
            name for name in dir(deepcr_ccd) if not name.startswith("_")
        }


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"'deepcr_ccd' has no attribute 'clean'"):
        _ = deepcr_ccd.clean
    with pytest.raises(ImportError, match="clean"):
        from deepcr_ccd import clean  # noqa: F401


def test_threads_may_use_a_name_for_the_first_time_together():
    code = (
        "import concurrent.futures, deepcr_ccd\n"
        "with concurrent.futures.ThreadPoolExecutor(8) as pool:\n"
        "    names = ['load_model', 'inpaint', 'detect_cosmics', 'inspect'] * 4\n"
        "    found = list(pool.map(lambda n: getattr(deepcr_ccd, n), names))\n"
        "assert len(set(found)) == 4"
    )
    assert "torch" in loaded(code)
