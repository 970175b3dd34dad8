"""The short version of `make determinism`: this Python, two hash seeds, few seeds, fewer actors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.run import compare

RUN = Path(__file__).with_name("run.py")


@pytest.mark.slow
def test_hash_seeds_make_no_difference() -> None:
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    args = ["--pythons", own, "--seeds", "2", "--actors", "60", "--processes", "1", "--apps", "chatter,shelf"]
    ended = subprocess.run([sys.executable, str(RUN), *args], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"8 lives under Python {own}: 0 mismatches" in ended.stdout


def test_differences_are_told() -> None:
    lived = {"a": {"x/0": "1", "x/1": "2"}, "b": {"x/0": "1", "x/1": "2"}, "c": {"x/0": "1", "x/1": "3"}}
    assert compare(lived) == ["x/1 differs between a and c"]
    assert compare({"a": {"x/0": "1"}, "b": {}}) == ["x/0 differs between a and b"]
