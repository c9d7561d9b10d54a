"""``benchmarks/attacks.py`` sees what is wrong with results, and damages files alike.

It is a script, not part of the package; ``benchmarks/reliability.py`` runs it.
"""

import argparse
import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def attacks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("attacks")


@pytest.mark.usefixtures("attacks")
def test_damaged_files_are_seeded_and_damaged(tmp_path):
    files = sys.modules["attack_files"]
    whole = set(files.good_files().values())
    made = []
    for turn in ("a", "b"):
        (tmp_path / turn).mkdir()
        kinds = files.fuzzed_files(tmp_path / turn, 25, seed=3)
        assert sorted(set(kinds.values())) == sorted(files.DAMAGES)
        made.append([path.read_bytes() for path in kinds])
    assert made[0] == made[1]
    assert sum(content in whole for content in made[0]) < 5


def test_what_is_wrong_with_a_file_is_seen(attacks, tmp_path):
    bad, output = Path("bad.fits"), tmp_path / "bad.fits"
    failed = {"status": "failed", "seconds": 0.1, "message": "is damaged"}

    def judge(row, errors="error: bad.fits: is damaged"):
        return attacks.judge(bad, row, output, 5, errors)

    assert judge(failed) is None
    assert judge(None) == "not reported"
    assert judge(failed | {"seconds": 6}) == "took 6 s"
    assert judge(failed, "error") == "standard error does not name it"
    assert judge(failed | {"message": "a\nb"}) == "the message is 'a\\nb'"
    output.write_bytes(b"SIMPLE")
    assert judge(failed) == "failed, and left a result"
    assert judge(failed | {"status": "done"}).startswith("its result: is truncated")


def test_fuzz_of_a_few_files(attacks):
    options = argparse.Namespace(number=5, keep=None, seed=1, limit=60)
    rows = list(attacks.fuzz(options))
    assert [row["tried"] for row in rows] == [1] * 5 + [5]
    assert not any(row["wrong"] for row in rows)
