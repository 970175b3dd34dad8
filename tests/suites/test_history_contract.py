"""What every history of workflow runs must do. A driver joins by an entry in `HISTORIES`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio

from determinism.environment import seeded_environment
from determinism.system import system_environment
from sandbox.errors import LuaError
from wippy_trio.core.errors import ConflictError
from wippy_trio.workflows.history import (
    Change,
    Closing,
    History,
    MessagesLeftError,
    NewRun,
    Pending,
    Record,
    RunInfo,
    RunQuery,
    Status,
)
from wippy_trio.workflows.history_postgres import PostgresHistory
from wippy_trio.workflows.history_sqlite import SqliteHistory

Open = Callable[[Any], Awaitable[History]]


async def _memory(_path: Any) -> History:
    return await SqliteHistory.open(":memory:", seeded_environment(1))


async def _file(path: Any) -> History:
    return await SqliteHistory.open(str(path / "folder" / "workflows.db"), seeded_environment(1))


async def _postgres(settings: Any) -> History:
    return await PostgresHistory.open(settings, system_environment())


HISTORIES: dict[str, tuple[Open, str]] = {
    "sqlite-memory": (_memory, "tmp_path"),
    "sqlite-file": (_file, "tmp_path"),
    "postgres": (_postgres, "postgres"),
}


@pytest.fixture(params=sorted(HISTORIES))
def place(request: Any) -> tuple[Open, Any]:
    """How to open a history, and where (its fixture). In real time: a server knows no other."""
    opener, fixture = HISTORIES[request.param]
    return opener, request.getfixturevalue(fixture)


@pytest.fixture
async def history(place: tuple[Open, Any]) -> AsyncIterator[History]:
    """An empty history."""
    opened = await place[0](place[1])
    yield opened
    await opened.aclose()


def info(run_id: str = "r1", workflow_id: str = "w1", started_ns: int = 1, **fields: Any) -> RunInfo:
    return RunInfo(
        run_id, workflow_id, "flow", "app:flow", "app:worker", "{n@app:worker|w1}", started_ns=started_ns, **fields
    )


def new(run_id: str = "r1", workflow_id: str = "w1", expected: str = "", **fields: Any) -> NewRun:
    return NewRun(
        info(run_id, workflow_id, **fields),
        [Record(1, b"started"), Record(1, b"timer")],
        [Pending(1, "timer", 50, 1, 0, b"timer")],
        expected,
    )


async def test_what_was_written_can_be_read(history):
    await history.create(new(memo=b"m", search=b"s", parent_run_id="p", parent_seq=3, attempt=2))
    assert await history.load("r1") == [Record(1, b"started"), Record(1, b"timer")]
    found = await history.run("r1")
    assert found == attrs.evolve(
        info(memo=b"m", search=b"s", parent_run_id="p", parent_seq=3, attempt=2), length=2, size_bytes=12
    )
    assert await history.latest("w1") == found
    assert await history.pending("r1") == [Pending(1, "timer", 50, 1, 0, b"timer")]


async def test_what_is_not_there(history):
    assert await history.load("no") == []
    assert await history.run("no") is None
    assert await history.latest("no") is None
    assert await history.pending("no") == []
    assert await history.find(RunQuery()) == []


async def test_records_are_appended_in_order(history):
    await history.create(new())
    await history.append(Change("r1", 2, [Record(5, b"a"), Record(6, b"b")], memo=b"m", search=b"s"))
    await history.append(Change("r1", 4, [Record(7, b"c")]))
    assert [record.data for record in await history.load("r1")] == [b"started", b"timer", b"a", b"b", b"c"]
    found = await history.run("r1")
    assert (found.length, found.size_bytes, found.memo, found.search) == (5, 15, b"m", b"s")


@pytest.mark.parametrize("length", [1, 3])
async def test_another_length_is_a_conflict_and_nothing_is_written(history, length):
    await history.create(new())
    with pytest.raises(LuaError) as caught:
        await history.append(Change("r1", length, [Record(5, b"a")], drop=[1], memo=b"m"))
    assert caught.value.kind == "Conflict"
    assert len(await history.load("r1")) == 2
    assert (await history.run("r1")).memo == b""
    assert len(await history.pending("r1")) == 1
    assert history.failed is None


async def test_an_unknown_run_is_a_conflict(history):
    with pytest.raises(LuaError) as caught:
        await history.append(Change("no", 0, [Record(5, b"a")]))
    assert caught.value.kind == "Conflict"


async def test_what_is_waited_for_comes_and_goes(history):
    await history.create(new())
    await history.append(Change("r1", 2, add=[Pending(2, "activity", 9), Pending(3, "child")], drop=[1]))
    await history.note("r1", Pending(2, "activity", 99, 1, 4, b"d"))
    assert await history.pending("r1") == [Pending(2, "activity", 99, 1, 4, b"d"), Pending(3, "child")]
    with pytest.raises(LuaError):
        await history.note("no", Pending(2, "activity"))


async def test_a_workflow_has_one_open_run(history):
    await history.create(new())
    for expected in ("", "r1"):
        with pytest.raises(LuaError) as caught:
            await history.create(new("r2", expected=expected))
        assert caught.value.kind == "Conflict"
    await history.append(Change("r1", 2, closing=Closing(Status.FAILED, 8, b"outcome")))
    with pytest.raises(LuaError):
        await history.create(new("r2"))  # the creator has not seen the first
    await history.create(new("r2", expected="r1"))
    assert (await history.latest("w1")).run_id == "r2"


async def test_a_closed_run_takes_nothing(history):
    await history.create(new())
    await history.append(Change("r1", 2, [Record(8, b"end")], closing=Closing(Status.COMPLETED, 8, b"outcome")))
    found = await history.run("r1")
    assert (found.status, found.closed_ns, found.outcome, found.length) == (Status.COMPLETED, 8, b"outcome", 3)
    assert await history.pending("r1") == []
    with pytest.raises(LuaError) as caught:
        await history.append(Change("r1", 3, [Record(9, b"a")]))
    assert caught.value.kind == "Conflict"
    with pytest.raises(LuaError) as caught:
        await history.post("r1", b"late", 9)
    assert caught.value.kind == "NotFound"


async def test_a_run_that_ends_with_its_first_step(history):
    closing = Closing(Status.COMPLETED, 8, b"outcome", new("r2", first_run_id="r1"))
    await history.create(attrs.evolve(new(), closing=closing))
    first = await history.run("r1")
    assert (first.status, first.length, first.outcome, first.next_run_id) == (Status.COMPLETED, 2, b"outcome", "r2")
    assert await history.pending("r1") == []
    assert (await history.latest("w1")).run_id == "r2"


async def test_a_run_goes_on_as_another_in_one_step(history):
    await history.create(new())
    closing = Closing(Status.CONTINUED, 8, b"outcome", new("r2", first_run_id="r1"))
    await history.append(Change("r1", 2, [Record(8, b"end")], closing=closing))
    first, second = await history.run("r1"), await history.run("r2")
    assert (first.status, first.next_run_id) == (Status.CONTINUED, "r2")
    assert (second.status, second.first_run_id, second.length) == (Status.OPEN, "r1", 2)
    assert (await history.latest("w1")).run_id == "r2"
    assert len(await history.pending("r2")) == 1


async def test_open_runs_are_claimed_once(history):
    await history.create(new())
    assert await history.claim(10, 100) == []  # who creates a run owns it


async def test_messages_are_left_for_a_run(history):
    await history.create(new())
    await history.create(new("r2", "w2"))
    await history.post("r1", b"one", 5)
    await history.post("r2", b"two", 6)
    await history.post("r1", b"three", 7)
    first, second, third = await history.posted(10)
    assert [(item.run_id, item.data, item.at_ns) for item in (first, second, third)] == [
        ("r1", b"one", 5),
        ("r2", b"two", 6),
        ("r1", b"three", 7),
    ]
    await history.append(Change("r1", 2, [Record(8, b"one")], taken=[first.number]))
    assert [item.data for item in await history.posted(10)] == [b"two", b"three"]
    await history.append(Change("r1", 3, closing=Closing(Status.COMPLETED, 9)))
    assert [item.data for item in await history.posted(10)] == [b"two"]
    with pytest.raises(LuaError):
        await history.post("no", b"x", 1)


async def test_a_run_may_have_to_hear_what_is_left_before_it_ends(history):
    await history.create(new())
    await history.post("r1", b"one", 5)
    closing = Change("r1", 2, [Record(8, b"end")], closing=Closing(Status.COMPLETED, 9), heed_left=True)
    with pytest.raises(MessagesLeftError):
        await history.append(closing)
    (left,) = await history.posted(10)
    await history.append(attrs.evolve(closing, taken=[left.number]))
    assert (await history.run("r1")).status is Status.COMPLETED
    assert history.failed is None


async def test_runs_are_found_newest_first(history):
    for at in range(1, 6):
        await history.create(new(f"r{at}", f"w{at}", started_ns=at))
    await history.append(Change("r2", 2, closing=Closing(Status.COMPLETED, 9)))

    async def ids(**query: Any) -> list[str]:
        return [found.run_id for found in await history.find(RunQuery(**query))]

    assert await ids() == ["r5", "r4", "r3", "r2", "r1"]
    assert await ids(limit=2) == ["r5", "r4"]
    assert await ids(before_ns=3) == ["r2", "r1"]
    assert await ids(status="completed") == ["r2"]
    assert await ids(workflow_id="w3") == ["r3"]
    assert await ids(name="other") == []
    assert await ids(worker="app:worker", status="open", limit=1) == ["r5"]


async def test_closed_runs_are_purged_by_age(history):
    for at in range(1, 4):
        await history.create(new(f"r{at}", f"w{at}", started_ns=at))
    for at in (1, 2):
        await history.append(Change(f"r{at}", 2, closing=Closing(Status.COMPLETED, at * 10)))
    assert await history.purge(15, 10) == 1
    assert await history.load("r1") == []
    assert await history.latest("w1") is None
    assert [found.run_id for found in await history.find(RunQuery())] == ["r3", "r2"]
    assert await history.purge(1_000, 1) == 1
    assert await history.purge(1_000, 10) == 0
    await history.create(new("r9", "w1"))  # as if it had never been


async def test_many_write_at_once(history):
    await history.create(new())
    results: list[str] = []

    async def create(at: int) -> None:
        await history.create(new(f"x{at}", f"y{at % 50}"))
        results.append(f"x{at}")

    async def attempt(at: int) -> None:
        with contextlib.suppress(ConflictError):
            await create(at)

    async with trio.open_nursery() as nursery:
        for at in range(100):
            nursery.start_soon(attempt, at)
    assert len(results) == 50
    assert len(await history.find(RunQuery(limit=1_000))) == 51


async def test_a_cancelled_writer_s_work_is_whole(history):
    with trio.CancelScope() as scope:
        scope.cancel()
        await history.create(new())
    assert len(await history.load("r1")) == 2


async def test_after_the_end(history):
    await history.aclose()
    with pytest.raises(LuaError) as caught:
        await history.create(new())
    assert caught.value.kind == "Unavailable"
