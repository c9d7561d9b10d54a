"""The reasons for failing tests of other packages are compared with the outcomes."""

import importlib.util
import tomllib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PASSED = {"outcome": "passed", "calls": 1, "error": ""}
FAILED = {"outcome": "failed", "calls": 1, "error": "assert 1 == 2"}


@pytest.fixture(scope="module")
def suites():
    path = BENCHMARKS / "peer_suites.py"
    spec = importlib.util.spec_from_file_location("peer_suites", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_failures_are_counted_by_test_and_reason(suites):
    tests = {"a::x[1]": FAILED, "a::x[2]": FAILED, "a::x[3]": PASSED, "a::y": PASSED}
    failures, complaints = suites.judge("peer", tests, {"a::x": "why"})
    assert failures == {("peer", "a::x", "why"): 2}
    assert complaints == []
    reasons = {"a::x": "why", "a::x[2]": "another"}
    failures, complaints = suites.judge("peer", tests, reasons)
    assert failures == {("peer", "a::x", "why"): 1, ("peer", "a::x", "another"): 1}
    assert complaints == []


@pytest.mark.parametrize(
    ("tests", "reasons", "complaint"),
    [
        ({"a::x": FAILED}, {}, "peer: a::x has no reason: assert 1 == 2"),
        (
            {"a::x": PASSED},
            {"a::x": "why"},
            "peer: a::x does not fail, but has a reason",
        ),
        (
            {"a::x[1]": PASSED},
            {"a::x": "why"},
            "peer: the reason for a::x belongs to no failing test",
        ),
    ],
)
def test_wrong_reasons_are_named(suites, tests, reasons, complaint):
    assert suites.judge("peer", tests, reasons)[1] == [complaint]


def test_reasons_are_of_known_suites(suites):
    reasons = tomllib.loads((BENCHMARKS / "peer_reasons.toml").read_text("utf-8"))
    assert set(reasons) <= set(suites.SUITES)
    for entries in reasons.values():
        assert all(reason.strip() for reason in entries.values())
