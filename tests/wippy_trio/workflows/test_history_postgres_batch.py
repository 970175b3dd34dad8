"""Batches against the SQLite history, which writes job by job: the same refusals, the same state."""

from __future__ import annotations

from random import Random  # noqa: TID251 - of jobs that are made up
from typing import Any

import attrs
import pytest
import trio

from determinism.environment import seeded_environment
from determinism.system import system_environment
from sandbox.errors import LuaError
from tests.suites.test_history_contract import info
from wippy_trio.core.errors import InvalidError
from wippy_trio.workflows.history import Change, Closing, History, NewRun, Pending, Record, RunQuery, Status
from wippy_trio.workflows.history_postgres import PostgresHistory
from wippy_trio.workflows.history_postgres_batch import array, check_texts
from wippy_trio.workflows.history_sqlite import SqliteHistory

RUNS, WORKFLOWS = 6, 3


class Author:
    """Makes up jobs about few runs, so that they get into one another's way. Lengths are guessed, often well."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.lengths: dict[str, int] = {}
        self.made = 0

    def pending(self) -> Pending:
        r = self.random
        return Pending(r.randrange(4), r.choice(["timer", "activity"]), r.randrange(9), 1, r.randrange(3), b"p")

    def run(self) -> NewRun:
        self.made += 1
        run_id = f"r{self.made}"
        self.lengths[run_id] = 1
        head = info(run_id, f"w{self.random.randrange(WORKFLOWS)}", started_ns=self.made)
        expected = self.random.choice(["", "", f"r{self.random.randint(1, self.made)}"])
        return NewRun(head, [Record(1, b"started")], [self.pending()], expected)

    def job(self) -> tuple[str, tuple[Any, ...]]:
        r = self.random
        run_id = f"r{r.randint(max(1, self.made - RUNS), max(1, self.made))}"
        what = r.choice(["create", "append", "append", "append", "close", "note", "post"])
        if what == "create":
            return "create", (self.run(),)
        if what == "note":
            return "note", (run_id, self.pending())
        if what == "post":
            return "post", (run_id, b"message", r.randrange(9))
        length = self.lengths.get(run_id, 0) if r.random() < 0.9 else r.randrange(4)
        records = [Record(number, b"%d" % number) for number in range(r.randrange(3))]
        self.lengths[run_id] = length + len(records)
        drop = r.sample(range(4), r.randrange(3))
        change = Change(run_id, length, records, [self.pending()] if r.random() < 0.5 else [], drop)
        if r.random() < 0.3:
            change = attrs.evolve(change, memo=b"m%d" % length)
        if what == "close":
            successor = attrs.evolve(self.run(), expected="") if r.random() < 0.4 else None
            status = Status.CONTINUED if successor else Status.COMPLETED
            change = attrs.evolve(change, closing=Closing(status, 7, b"o", successor))
        return "append", (change,)


async def outcome(history: History, job: tuple[str, tuple[Any, ...]]) -> str:
    try:
        await getattr(history, job[0])(*job[1])
    except LuaError as error:
        return error.kind
    return "done"


async def state(history: History, runs: int) -> list[Any]:
    found: list[Any] = [await history.find(RunQuery(limit=1_000))]
    for number in range(1, runs + 1):
        found += [await history.load(f"r{number}"), await history.pending(f"r{number}")]
    found += [await history.latest(f"w{number}") for number in range(WORKFLOWS)]
    return [*found, [(item.run_id, item.data, item.at_ns) for item in await history.posted(1_000)]]


@pytest.mark.service
@pytest.mark.parametrize("seed", range(8))
async def test_jobs_written_together_are_as_if_one_came_after_the_other(postgres, seed) -> None:
    author = Author(seed)
    one, many = (
        await SqliteHistory.open(":memory:", seeded_environment()),
        await PostgresHistory.open(postgres, system_environment()),
    )
    for _ in range(6):
        jobs = [author.job() for _ in range(author.random.randint(1, 25))]
        expected = [await outcome(one, job) for job in jobs]
        got: dict[int, str] = {}

        async def go(at: int, job: Any, got: dict[int, str] = got) -> None:
            got[at] = await outcome(many, job)

        async with trio.open_nursery() as nursery:
            for at, job in enumerate(jobs):
                nursery.start_soon(go, at, job)
                await trio.lowlevel.checkpoint()  # so that they stand in line in this order
        assert [got[at] for at in range(len(jobs))] == expected
        assert await state(many, author.made) == await state(one, author.made)
    await one.aclose()
    await many.aclose()


def test_arrays_as_postgres_reads_them() -> None:
    assert array([]) == "{}"
    assert array([1, None, True]) == "{1,NULL,1}"
    assert array(['a"b', "c\\d", "", "NULL"]) == '{"a\\"b","c\\\\d","","NULL"}'
    assert array([b"\x00\xff"]) == '{"\\\\x00ff"}'


def test_texts_that_cannot_be_kept() -> None:
    check_texts("", "é")
    for bad in ("a\0", "\udc00"):
        with pytest.raises(InvalidError):
            check_texts("fine", bad)
