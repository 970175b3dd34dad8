from __future__ import annotations

from typing import Any

import pytest
import trio

from determinism.environment import seeded_environment
from sandbox.errors import LuaError
from tests.suites.test_history_contract import new
from wippy_trio.workflows.history import Change, Closing, Record, Status
from wippy_trio.workflows.history_sqlite import SqliteHistory


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "workflows.db")


async def opened(path: str) -> SqliteHistory:
    return await SqliteHistory.open(path, seeded_environment(1))


async def test_a_restart_finds_open_runs_and_what_they_wait_for(path, autojump_clock):
    history = await opened(path)
    for at in range(3):
        await history.create(new(f"r{at}", f"w{at}", started_ns=at))
    await history.append(Change("r1", 2, closing=Closing(Status.COMPLETED, 9)))
    await history.post("r2", b"left", 5)
    await history.aclose()
    again = await opened(path)
    first, second = await again.claim(10, 100)
    assert (first.info.run_id, second.info.run_id) == ("r0", "r2")
    assert [item.due_ns for item in second.pending] == [50]
    assert await again.claim(10, 100) == []
    assert [item.data for item in await again.posted(10)] == [b"left"]
    await again.aclose()


async def test_claims_have_a_limit(path, autojump_clock):
    history = await opened(path)
    for at in range(5):
        await history.create(new(f"r{at}", f"w{at}", started_ns=at))
    await history.aclose()
    again = await opened(path)
    assert [len(await again.claim(10, 2)) for _ in range(4)] == [2, 2, 1, 0]
    await again.aclose()


async def test_one_node_has_the_file(path, autojump_clock):
    history = await opened(path)
    with pytest.raises(LuaError, match="another node has it open"):
        await opened(path)
    await history.aclose()
    await (await opened(path)).aclose()


async def test_a_file_of_another_format(path, autojump_clock):
    history = await opened(path)
    history._store._db.execute("UPDATE meta SET value = '99'")
    await history.aclose()
    with pytest.raises(LuaError, match="has format 99"):
        await opened(path)


async def test_a_file_that_is_no_database(path, autojump_clock):
    with open(path, "wb") as file:  # noqa: ASYNC230, PTH123 - a test's own file
        file.write(b"nothing of ours" * 100)
    with pytest.raises(LuaError, match=r"workflows\.database"):
        await opened(path)


async def test_writers_share_a_transaction(path, autojump_clock):
    history = await opened(path)
    before = history.commits_count
    async with trio.open_nursery() as nursery:
        for at in range(200):
            nursery.start_soon(history.create, new(f"r{at}", f"w{at}"))
    assert history.commits_count - before <= 3
    await history.aclose()


async def test_after_a_failed_write_nothing_is_written(path, autojump_clock):
    history = await opened(path)
    await history.create(new())
    history._store._db.execute(
        "CREATE TRIGGER broken BEFORE INSERT ON records BEGIN SELECT RAISE(FAIL, 'disk I/O'); END"
    )
    outcomes: list[Any] = []

    async def write(at: int) -> None:
        try:
            await history.append(Change("r1", 2, [Record(at, b"x")]))
        except LuaError as problem:
            outcomes.append((problem.kind, problem.retryable))

    async with trio.open_nursery() as nursery:
        for at in range(3):
            nursery.start_soon(write, at)
    assert outcomes == [("Unavailable", False)] * 3
    assert history.failed is not None
    history._store._db.execute("DROP TRIGGER broken")
    with pytest.raises(LuaError, match="cannot be written"):
        await history.create(new("r2", "w2"))
    assert len(await history.load("r1")) == 2
    await history.aclose()


async def test_what_nobody_expected_is_a_failed_write_too(path, autojump_clock):
    history = await opened(path)
    await history.create(new())
    with pytest.raises(LuaError, match="cannot be written: OverflowError") as caught:
        await history.append(Change("r1", 2, [Record(2**80, b"x")]))
    assert caught.value.kind == "Unavailable"
    assert history.failed is not None
    await history.aclose()
    again = await opened(path)
    assert len(await again.load("r1")) == 2
    await again.aclose()
