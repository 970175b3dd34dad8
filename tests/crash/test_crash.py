"""A short version of `make crash`."""

from __future__ import annotations

import os
import shutil
from collections import Counter

import pytest
import trio

from tests.crash.campaign import Book, Job, Place, compare, effects, kill_rounds, server_rounds, settle
from tests.crash.faults import strike
from tests.services.postgres import server

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.service)])
def test_killed_five_times_nothing_acknowledged_is_lost(kind, tmp_path, request) -> None:
    place = Place.make(tmp_path / "app", request.getfixturevalue("postgres_server") if kind == "postgres" else None)
    book = trio.run(kill_rounds, place, 5, 1, 25)
    wrong = trio.run(settle, place, book)
    assert not wrong
    assert book.kills == 5
    assert book.acknowledged() > 10
    assert sum(effects(place).values()) > 10


@pytest.mark.service
def test_a_server_that_crashes_loses_nothing_either(tmp_path, postgres_server) -> None:
    del postgres_server  # so that it is skipped, or fails, where there is none
    with server(durable=True) as own:
        place = Place.make(tmp_path / "app", own)
        book = trio.run(server_rounds, place, 2, 1)
        wrong = trio.run(settle, place, book)
    assert not wrong
    assert book.acknowledged() > 10


@pytest.mark.parametrize(("call", "number"), [("fdatasync", 1), ("fdatasync", 12), ("pwrite64", 60)])
def test_a_write_that_fails_is_reported_and_nothing_is_written_after_it(call, number, tmp_path) -> None:
    if shutil.which("strace") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs strace: apt-get install strace")
    assert not strike(tmp_path / "app", call, number)


def test_the_comparison_finds_what_is_wrong() -> None:
    book = Book({name: Job(name, "pid", acked=[1, 2]) for name in ("lost", "fine", "bad")})
    fine = {"seen": [1, 2], "once": "done"}
    bad = {"seen": [3, 2, 2], "once": "done"}
    made = effects_of("fine", "first", "signal-1", "signal-2", "once")
    made += effects_of("bad", "first", "signal-2", "once", "once")
    wrong = compare(book, {"fine": [fine], "bad": [bad, fine], "alien": [fine]}, made)
    assert wrong == [
        "alien: a result of a job that nobody started",
        "lost: acknowledged and never finished",
        f"bad: reports differ: {[bad, fine]}",
        "bad: signals acknowledged and lost: [1]",
        "bad: a signal was seen twice: [3, 2, 2]",
        "bad: signals out of order: [3, 2, 2]",
        "bad: the effect of signal-3 is lost",
        "bad: at most once, and 2 times, reported as done",
    ]


def effects_of(name: str, *steps: str) -> Counter[tuple[str, str]]:
    return Counter((name, step) for step in steps)
