"""Configuration of the Sphinx build."""

import importlib.metadata
import os
import sys
from pathlib import Path

from sphinx_astropy.conf.v2 import *  # noqa: F403
from sphinx_astropy.conf.v2 import extensions, rst_epilog  # noqa: F401

sys.path.insert(0, str(Path(__file__).parent))
from draw_layout import draw_layout
from write_model_zoo import write_comparison, write_model_zoo, write_table

project = "deepcr_ccd"
author = "The deepcr_ccd developers"
copyright = f"2026, {author}"
release = importlib.metadata.version("deepcr_ccd")
version = ".".join(release.split(".")[:2])

extensions = [e for e in extensions if e != "sphinx.ext.intersphinx"]
intersphinx_mapping = {}
if "READTHEDOCS" in os.environ:
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "astropy": ("https://docs.astropy.org/en/stable/", None),
    }
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
plot_formats = [("png", 110)]
exclude_patterns = ["_build", "_generated"]
html_theme = "pydata_sphinx_theme"
html_theme_options = {"navigation_with_keys": False}
html_title = f"deepcr_ccd {release}"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_sidebars = {"**": []}
automodsumm_inherited_members = False

here = Path(__file__).parent
draw_layout(here / "_generated" / "layout.svg")
write_model_zoo(here / "_generated" / "models.inc")
write_comparison(here / "scores.ecsv", here / "_generated" / "comparison.inc")
write_comparison(here / "scores_bright.ecsv", here / "_generated" / "bright.inc")
tables = ("completeness", "tracks", "stars", "calibration", "peer_suites", "peer_failures")
tables += ("reliability",)
for name in tables:
    write_table(here / f"{name}.ecsv", here / "_generated" / f"{name}.inc")
