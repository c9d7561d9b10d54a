"""Files that builders and hosts read agree with pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest

yaml = pytest.importorskip("yaml")

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
#: What conda-forge calls packages of PyPI.
CONDA_NAMES = {"astropy": "astropy-base", "torch": "pytorch"}
VERSIONS = [
    line.rpartition(" ")[2]
    for line in PROJECT["classifiers"]
    if re.search(r":: 3\.\d+$", line)
]


def conda_recipe():
    """The recipe, with its template filled in, as conda-build does it."""
    text = (ROOT / "conda.recipe" / "meta.yaml").read_text("utf-8")
    for name, value in re.findall(r'{% set (\w+) = "(.*)" %}', text):
        text = re.sub(rf"{{{{ *{name}(\|lower)? *}}}}", value, text)
        text = text.replace(f"{{{{ {name}[0] }}}}", value[0])
    text = re.sub(r"{%.*%}", "", text).replace("{{ PYTHON }}", "python")
    assert "{{" not in text
    return yaml.safe_load(text)


def as_conda(requirements):
    for requirement in requirements:
        name, bound = re.fullmatch(r"([\w-]+)(.*)", requirement).groups()
        yield f"{CONDA_NAMES.get(name, name)} {bound}"


def test_the_conda_recipe_has_the_requirements():
    recipe = conda_recipe()
    python = f"python {PROJECT['requires-python']}"
    run = [python, *as_conda(PROJECT["dependencies"])]
    assert recipe["requirements"]["run"] == run
    host = [python, "pip", *as_conda(PYPROJECT["build-system"]["requires"])]
    assert recipe["requirements"]["host"] == host
    assert recipe["package"]["name"] == PROJECT["name"]
    assert recipe["about"]["license"] == PROJECT["license"]
    assert recipe["about"]["summary"] == PROJECT["description"]
    scripts = [f"{name} = {place}" for name, place in PROJECT["scripts"].items()]
    assert recipe["build"]["entry_points"] == scripts


@pytest.mark.parametrize(
    "path",
    [
        *(".readthedocs.yaml", ".pre-commit-config.yaml", "CITATION.cff"),
        *(str(path.relative_to(ROOT)) for path in (ROOT / ".github").rglob("*.yml")),
    ],
)
def test_files_of_hosts_can_be_read(path):
    assert isinstance(yaml.safe_load((ROOT / path).read_text("utf-8")), dict)


def test_tox_has_each_python():
    (numbers,) = re.findall(r"py{([\d,]+)}", (ROOT / "tox.ini").read_text("utf-8"))
    assert numbers.split(",") == [version.replace(".", "") for version in VERSIONS]
    assert PROJECT["requires-python"] == f">={VERSIONS[0]}"


def test_workflows_run_environments_of_tox():
    text = (ROOT / "tox.ini").read_text("utf-8")
    others = re.findall(r"\[testenv:(\w+)\]", text)
    workflow = yaml.safe_load(
        (ROOT / ".github" / "workflows" / "tests.yml").read_text("utf-8")
    )
    for job in workflow["jobs"].values():
        for entry in yaml.safe_load(job["with"]["envs"]):
            (name,) = (entry[s] for s in ("linux", "macos", "windows") if s in entry)
            pattern = r"py3\d\d-test(-alldeps|-devdeps|-oldestdeps)?(-cov)?"
            assert name in others or re.fullmatch(pattern, name)


def test_hooks_are_of_the_versions_that_are_checked():
    """.ci/run installs the same ruff and codespell as the hooks of commits."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    versions = {repo["repo"].rpartition("/")[2]: repo["rev"] for repo in hooks["repos"]}
    script = ROOT / ".ci" / "run"
    if not script.exists():
        pytest.skip("sources without .ci/run")
    found = dict(re.findall(r"([\w-]+)==([\d.]+)", script.read_text("utf-8")))
    assert versions["ruff-pre-commit"] == f"v{found['ruff']}"
    assert versions["codespell"] == f"v{found['codespell']}"
