"""Plugin for pytest: tests of another package call this package's function.

``peer_suites.py`` runs pytest with it. The environment tells which suite it is
(``PEER_SUITE``) and where the outcomes go (``PEER_OUTCOMES``, a JSON file).
"""

import functools
import importlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from deepcr_ccd import deepCR, detect_cosmics

OUTCOMES = {}
calls = 0


def counted(function):
    """Count calls, to tell tests that are about the function from others."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        global calls  # noqa: PLW0603
        calls += 1
        return function(*args, **kwargs)

    return wrapped


class CountedDeepCR(deepCR):
    """The class of this package, which counts its cleanings."""

    clean = counted(deepCR.clean)


def remove_cosmics(
    data,
    contrast,  # noqa: ARG001
    cr_threshold,
    neighbor_threshold,  # noqa: ARG001
    error=None,
    mask=None,
    background=None,
    effective_gain=None,
    readnoise=None,
    maxiter=4,
    border_mode="mirror",  # noqa: ARG001
):
    """Take what lacosmic takes; its background was subtracted from the data before."""
    level = 0 if background is None else background
    crmask, cleaned = detect_cosmics(
        data + level,
        inmask=mask,
        invar=None if error is None else error**2,
        sigclip=cr_threshold,
        gain=1.0 if effective_gain is None else effective_gain,
        readnoise=6.5 if readnoise is None else readnoise,
        niter=maxiter,
    )
    return cleaned - level, crmask


def lacosmic(
    image,
    sigclip=4.5,
    sigfrac=0.5,
    objlim=1.0,
    niter=1,
    gain=0.0,
    readnoise=0.0,
    device="cpu",
    cpu_threads=None,  # noqa: ARG001
    use_cpp=None,  # noqa: ARG001
    verbose=False,
    rss_debug=False,  # noqa: ARG001
):
    """Take what dfcosmic takes; a gain of 0 is to be estimated, which is not needed."""
    crmask, cleaned = detect_cosmics(
        image,
        sigclip=sigclip,
        sigfrac=sigfrac,
        objlim=objlim,
        niter=niter,
        gain=gain if gain is None or gain != 0 else 1.0,
        readnoise=readnoise,
        device=device,
        verbose=verbose,
    )
    return cleaned, crmask


#: By suite: modules, the name of the function in them, and what goes in its place.
ASTROSCRAPPY = [
    (("astroscrappy.astroscrappy", "astroscrappy"), "detect_cosmics", detect_cosmics)
]
REPLACED = {
    "deepCR": [(("deepCR.model", "deepCR"), "deepCR", CountedDeepCR), *ASTROSCRAPPY],
    "ccdproc": ASTROSCRAPPY,
    "astroscrappy": ASTROSCRAPPY,
    "lacosmic": [(("lacosmic.core", "lacosmic"), "remove_cosmics", remove_cosmics)],
    "dfcosmic": [(("dfcosmic.core", "dfcosmic"), "lacosmic", lacosmic)],
}


def pytest_configure():
    """Replace the other package's function before its tests are imported."""
    for modules, name, ours in REPLACED[os.environ["PEER_SUITE"]]:
        ours = ours if isinstance(ours, type) else counted(ours)
        for module in modules:
            setattr(importlib.import_module(module), name, ours)


def pytest_runtest_setup():
    """Give each test the same random numbers, whatever ran before."""
    global calls  # noqa: PLW0603
    calls = 0
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)


def pytest_runtest_logreport(report):
    """Note the outcome of a test: of its call, or of what kept it from that."""
    if report.when != "call" and report.passed:
        return
    name = "::".join([Path(report.location[0]).name, *report.nodeid.split("::")[1:]])
    error = getattr(report.longrepr, "reprcrash", None)
    OUTCOMES[name] = {
        "outcome": report.outcome,
        "calls": calls,
        "error": error.message.splitlines()[0] if error else "",
    }


def pytest_collectreport(report):
    """Note a file of tests that cannot be read."""
    if report.failed:
        OUTCOMES[Path(report.nodeid).name] = {
            "outcome": "failed",
            "calls": 0,
            "error": str(report.longrepr).splitlines()[-1],
        }


def pytest_sessionfinish():
    """Write the outcomes, with the version of the other package."""
    suite = os.environ["PEER_SUITE"]
    version = importlib.metadata.version(suite)
    text = json.dumps({"version": version, "tests": OUTCOMES}, indent=1)
    Path(os.environ["PEER_OUTCOMES"]).write_text(text, encoding="utf-8")
    sys.stdout.flush()
