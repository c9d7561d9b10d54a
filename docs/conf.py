"""Configuration of the Sphinx build."""

import importlib.metadata
import os
import sys
from pathlib import Path

from sphinx_astropy.conf.v3 import *  # noqa: F403
from sphinx_astropy.conf.v3 import extensions, rst_epilog  # noqa: F401

here = Path(__file__).parent
sys.path.insert(0, str(here))
from draw_layout import draw_layout
from inventories import write_inventories
from write_model_zoo import (
    write_changes,
    write_comparison,
    write_model_zoo,
    write_pivot,
    write_table,
)

project = "deepcr_ccd"
author = "The deepcr_ccd developers"
copyright = f"2026, {author}"
release = importlib.metadata.version("deepcr_ccd")
version = ".".join(release.split(".")[:2])

generated = here / "_generated"
exclude_patterns = ["_build", "_generated"]
extensions += ["matplotlib.sphinxext.plot_directive", "myst_nb"]
# Notebooks run in folders of their own; an error or a warning in one is one of the build.
# Their frames are small, and threads of OpenMP that wait for each other are slow where
# other processes use the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 120
nb_output_stderr = "error"
nb_merge_streams = True
plot_html_show_source_link = False
plot_html_show_formats = False
plot_formats = [("png", 110)]
automodsumm_inherited_members = False
# Types are in the docstrings, in words.
autodoc_typehints = "none"

# Links to other packages work without a network too: see links.txt.
intersphinx_mapping = write_inventories(here / "links.txt", generated)
intersphinx_timeout = 5

html_theme = "astropy-unified"
html_theme_options = {
    "navbar_links": [],  # those of the Astropy project's own site
    "footer_links": [],
    "rtd_search": False,
    "goatcounter_analytics_url": False,
    "logo": {"text": project, "alt_text": ""},
    "navbar_start": "components/navbar-logo.html",
    "navigation_with_keys": False,
    "show_toc_level": 1,
    "navigation_depth": 2,
}
html_title = f"{project} {release}"
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_sidebars = {"**": ["components/sst-sidebar-nav.html"]}
html_static_path = ["_static"]
html_css_files = ["site.css"]

draw_layout(generated / "layout.svg")
write_model_zoo(generated / "models.inc")
shown = {
    "universal": "universal",
    "astroscrappy, tuned": "astroscrappy",
    "ACS-WFC": "deepCR, ACS-WFC",
}
ours = ("universal", "universal-fast", "universal-thorough")
methods = ("universal", "astroscrappy", "ACS-WFC", *ours[1:])
for name, inc in (("scores", "comparison"), ("scores_bright", "bright")):
    source = here / f"{name}.ecsv"
    write_comparison(source, generated / f"{inc}.inc", [*shown], [*shown.values()])
    write_comparison(source, generated / f"{inc}_ours.inc", ours)
    write_comparison(source, generated / f"{inc}_all.inc")
for inc, rows, cells in (
    ("completeness", ["frames", "cosmic rays"], ["completeness (%)", "purity (%)"]),
    ("covered", ["frames"], ["covered (%)"]),
):
    write_pivot(
        here / "completeness.ecsv",
        generated / f"{inc}.inc",
        rows=rows,
        across="method",
        cells=cells,
        order=methods,
        decimals=1,
    )
stars = ["FWHM (px)", "flux from", "to"]
for inc, rows, cell in (
    ("stars", [*stars, "stars"], "core flagged (%)"),
    ("star_fluxes", stars, "flux change (%)"),
):
    write_pivot(
        here / "stars.ecsv",
        generated / f"{inc}.inc",
        rows=rows,
        across="method",
        cells=[cell],
        order=methods,
    )
write_changes(
    here / "tracks.ecsv",
    generated / "tracks.inc",
    row="frames",
    columns=(
        "true positive rate (%)",
        "covered to 95 % (%)",
        "false objects per frame",
        "false positives per megapixel",
    ),
)
for name in ("calibration", "peer_suites", "peer_failures", "reliability"):
    write_table(here / f"{name}.ecsv", generated / f"{name}.inc")
