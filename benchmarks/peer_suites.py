"""Run the test suites of other packages on this package's functions.

    python benchmarks/peer_suites.py [--output docs] [--folder FOLDER] [SUITE ...]

deepCR's own tests run on this package's class; those of ccdproc, astroscrappy, lacosmic
and dfcosmic with this package's ``detect_cosmics`` in place of their function. deepCR,
ccdproc and astroscrappy are those that are installed, with the tests that they bring;
lacosmic and dfcosmic are fetched from PyPI into FOLDER (a temporary one by default;
what is there already is not fetched again).

Prints what passes, and a reason for each test that does not. The status is 1 if a test
fails that has no reason in ``peer_reasons.toml``, if one that has a reason passes, or
if a suite could not be run. With ``--output``, both tables are written there.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections import Counter
from pathlib import Path

from astropy.table import Table

HERE = Path(__file__).resolve().parent
#: By suite: where its tests are, as arguments of pytest. Files of tests that are about
#: other functions (training, medians) are left out.
INSTALLED = {
    "deepCR": ["deepCR.test.test_model", "deepCR.test.test_evaluate"],
    "ccdproc": ["ccdproc.tests.test_cosmicray"],
    "astroscrappy": ["astroscrappy.tests"],
    "lacosmic": ["lacosmic.tests"],
}
#: By suite: the version that is fetched.
FETCHED = {"lacosmic": "1.4.0", "dfcosmic": "0.2.2"}
#: By suite: files of tests that only the source distribution has.
IN_SOURCE = {
    "dfcosmic": ["core", "input_handling", "repair", "threads", "docs_examples"],
}
SUITES = ("deepCR", "ccdproc", "astroscrappy", "lacosmic", "dfcosmic")
SUMMARY = "peer_suites.ecsv"
FAILURES = "peer_failures.ecsv"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")


def fetch(suite, folder):
    """Install a package into the folder, and return what pytest shall run."""
    version = FETCHED[suite]
    target = folder / "site"
    if not any(target.glob(f"{suite}-{version}.dist-info")):
        options = ("--no-deps", "--target", target)
        subprocess.run([*PIP, "install", *options, f"{suite}=={version}"], check=True)
    if suite not in IN_SOURCE:
        return ["--pyargs", *INSTALLED[suite]]
    unpacked = folder / f"{suite}-{version}"
    if not unpacked.is_dir():
        options = ("--no-deps", "--no-build-isolation", "--no-binary", ":all:")
        source = [*PIP, "download", *options, "-d", folder, f"{suite}=={version}"]
        subprocess.run(source, check=True)
        with tarfile.open(unpacked.with_name(f"{unpacked.name}.tar.gz")) as archive:
            archive.extractall(folder, filter="data")
    return [unpacked / "tests" / f"test_{name}.py" for name in IN_SOURCE[suite]]


def run(suite, folder):
    """Run a suite in a process of its own, and return its version and outcomes."""
    if suite in FETCHED:
        where = fetch(suite, folder)
    else:
        where = ["--pyargs", *INSTALLED[suite]]
    outcomes = folder / f"{suite}.json"
    outcomes.unlink(missing_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    paths = [HERE, HERE.parent, folder / "site", os.environ.get("PYTHONPATH")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(str(path) for path in paths if path),
        "PEER_SUITE": suite,
        "PEER_OUTCOMES": str(outcomes),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "peer_plugin"]
    command += ["-p", "no:cacheprovider", "-c", folder / "pytest.ini", *where]
    with (folder / f"{suite}.log").open("w") as log:
        subprocess.run(
            command, cwd=folder, env=environment, stdout=log, stderr=log, check=False
        )
    if not outcomes.is_file():
        raise RuntimeError((folder / f"{suite}.log").read_text()[-2000:])
    result = json.loads(outcomes.read_text(encoding="utf-8"))
    return result["version"], result["tests"]


def judge(suite, tests, reasons):
    """Return what fails, by test and reason, and complaints about the reasons."""
    failures, complaints, used = Counter(), [], set()
    for test, result in tests.items():
        name = test.split("[")[0]
        if result["outcome"] != "failed":
            if test in reasons:
                complaints.append(f"{suite}: {test} does not fail, but has a reason")
            continue
        key = test if test in reasons else name
        used.add(key)
        if key not in reasons:
            complaints.append(f"{suite}: {test} has no reason: {result['error']}")
        failures[suite, name, reasons.get(key, "?")] += 1
    for test in reasons.keys() - used - tests.keys():
        complaints.append(f"{suite}: the reason for {test} belongs to no failing test")
    return failures, complaints


def main():
    """Run the suites, print the tables, and write them if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--output", type=Path, help="folder for the tables")
    parser.add_argument("--folder", type=Path, help="keep what is fetched here")
    options = parser.parse_args()
    for suite in options.suites:
        if suite not in SUITES:
            parser.error(f"suite {suite!r} is unknown; known are {', '.join(SUITES)}")
    known = tomllib.loads((HERE / "peer_reasons.toml").read_text(encoding="utf-8"))
    summary, failures, complaints = [], Counter(), []
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        for suite in options.suites or SUITES:
            try:
                version, tests = run(suite, folder)
            except (RuntimeError, subprocess.CalledProcessError) as error:
                complaints.append(f"{suite}: not run: {error}")
                continue
            ours = [t for t in tests.values() if t["calls"] or t["outcome"] == "failed"]
            counts = [
                sum(t["outcome"] == outcome for t in ours)
                for outcome in ("passed", "failed", "skipped")
            ]
            summary.append((suite, version, *counts, len(tests) - len(ours)))
            faults, wrong = judge(suite, tests, known.get(suite, {}))
            failures.update(faults)
            complaints += wrong
    names = ("suite", "version", "passed", "failed", "skipped", "not concerned")
    tables = {
        SUMMARY: Table(rows=summary, names=names),
        FAILURES: Table(
            rows=[(*row[:2], number, row[2]) for row, number in failures.items()],
            names=("suite", "test", "failed", "why"),
        ),
    }
    for name, table in tables.items():
        print(*table.pformat(max_lines=-1, max_width=-1, align="<"), "", sep="\n")
        if options.output:
            table.write(options.output / name, format="ascii.ecsv", overwrite=True)
    print(*complaints, sep="\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
