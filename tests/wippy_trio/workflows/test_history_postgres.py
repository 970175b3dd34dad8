"""Several nodes on one database, and a server that goes away. What every history does is in tests/suites."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import attrs
import pytest
import trio
import trio.testing

from determinism.environment import seeded_environment
from determinism.system import system_environment
from sandbox.errors import LuaError
from tests.services.postgres import Server, server
from tests.suites.test_history_contract import new
from wippy_trio.core.errors import ConflictError, InvalidError, UnavailableError, UnsupportedError
from wippy_trio.storage.postgres import PostgresConnection
from wippy_trio.storage.postgres_settings import PostgresSettings
from wippy_trio.storage.sql_postgres import PostgresDatabase
from wippy_trio.workflows import history_postgres
from wippy_trio.workflows.history import Change, Closing, Pending, Record, Status
from wippy_trio.workflows.history_postgres import PostgresHistory

pytestmark = pytest.mark.service
SECOND_NS = 1_000_000_000


async def opened(settings: PostgresSettings) -> PostgresHistory:
    return await PostgresHistory.open(settings, system_environment())


@pytest.fixture
async def nodes(postgres) -> AsyncIterator[tuple[PostgresHistory, PostgresHistory]]:
    first, second = await opened(postgres), await opened(postgres)
    yield first, second
    await first.aclose()
    await second.aclose()


@pytest.fixture
async def sql(postgres) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(postgres, system_environment())
    yield database
    await database.aclose()


def die(history: PostgresHistory) -> None:
    """What the server sees of a killed node: its connections end."""
    assert history._node._session is not None
    history._node._session.close_now()
    for connection in history._pool._idle:
        connection.close_now()


async def run_ids(history: PostgresHistory) -> list[str]:
    return [claimed.info.run_id for claimed in await history.claim(0, 100)]


async def test_nobody_takes_the_runs_of_a_node_that_lives(nodes) -> None:
    first, second = nodes
    await first.create(new())
    assert await run_ids(second) == []
    with pytest.raises(ConflictError, match="run by another node"):
        await second.append(Change("r1", 2, [Record(1, b"a")]))
    with pytest.raises(ConflictError, match="run by another node"):
        await second.note("r1", Pending(1, "timer"))
    assert second.failed is None
    await first.append(Change("r1", 2, [Record(1, b"a")]))


async def test_runs_of_a_node_whose_lease_is_over_are_taken_and_it_cannot_write(nodes, sql) -> None:
    first, second = nodes
    await first.create(new())
    await first.create(new("r2", "w2"))
    await first.append(Change("r1", 2, closing=Closing(Status.COMPLETED, 9)))
    await first.post("r2", b"left", 5)
    await sql.execute(
        "UPDATE wippy_nodes SET expires_at = now() - interval '1 second' WHERE number = $1", [first._node.number]
    )
    (claimed,) = await second.claim(0, 100)
    assert (claimed.info.run_id, [item.due_ns for item in claimed.pending]) == ("r2", [50])
    assert [item.data for item in await second.posted(10)] == [b"left"]
    assert await first.posted(10) == []
    await second.append(Change("r2", 2, [Record(9, b"theirs")]))
    with pytest.raises(ConflictError, match="another node has taken over"):
        await first.append(Change("r2", 2, [Record(9, b"ours")]))
    assert [record.data for record in await second.load("r2")] == [b"started", b"timer", b"theirs"]
    for work in (first.create(new("r9", "w9")), first.renew(0, SECOND_NS), first.post("r2", b"x", 1)):
        with pytest.raises(ConflictError, match="another node has taken over"):
            await work
    assert first.failed is not None
    assert await second.run("r9") is None


async def test_a_killed_node_counts_as_dead_soon_and_not_at_once(nodes, sql) -> None:
    first, second = nodes
    await first.create(new())
    die(first)
    assert await run_ids(second) == []
    await sql.execute(
        "UPDATE wippy_nodes SET renewed_at = now() - interval '2 seconds' WHERE number = $1", [first._node.number]
    )
    with trio.fail_after(2):
        while (found := await run_ids(second)) == []:  # until the server has noticed
            await trio.lowlevel.checkpoint()
    assert found == ["r1"]


async def test_a_node_whose_session_was_cut_lives_on_when_it_renews(nodes, sql) -> None:
    first, second = nodes
    await first.create(new())
    die(first)
    await first.renew(0, 30 * SECOND_NS)
    await sql.execute(
        "UPDATE wippy_nodes SET renewed_at = now() - interval '9 seconds' WHERE number = $1", [first._node.number]
    )
    assert await run_ids(second) == []
    await first.append(Change("r1", 2, [Record(1, b"a")]))


async def test_a_node_that_froze_in_a_transaction_holds_nobody_up(nodes, sql) -> None:
    first, second = nodes
    await first.create(new())
    await sql.execute("UPDATE wippy_nodes SET expires_at = now() WHERE number = $1", [first._node.number])
    frozen = await first._pool.take()
    await frozen.run("SET idle_in_transaction_session_timeout = '60ms'")
    await frozen.run("BEGIN")
    await first._node.hold(frozen)
    assert await run_ids(second) == []  # at once, without waiting
    await second.renew(0, 30 * SECOND_NS)
    with trio.fail_after(5):
        while (found := await run_ids(second)) == []:  # until the server has ended the transaction
            await trio.lowlevel.checkpoint()
    assert found == ["r1"]
    first._pool.give_now(frozen)
    ((timeout,),) = (await first._ask("SHOW idle_in_transaction_session_timeout", []))[0].rows
    assert timeout == "10s"


async def test_a_lease_is_as_long_as_was_asked(nodes, sql) -> None:
    first, _ = nodes
    await first.renew(5 * SECOND_NS, 65 * SECOND_NS)
    ((left,),) = (
        await sql.query(
            "SELECT extract(epoch FROM expires_at - now())::float8 FROM wippy_nodes WHERE number = $1",
            [first._node.number],
        )
    ).rows
    assert 55 < left <= 60


async def test_a_node_that_leaves_in_order_leaves_its_runs_at_once(nodes, postgres) -> None:
    first, second = nodes
    third = await opened(postgres)
    for at in range(5):
        await third.create(new(f"r{at}", f"w{at}", started_ns=at))
    await third.aclose()
    assert [claimed.info.run_id for claimed in await first.claim(0, 2)] == ["r0", "r1"]
    assert await run_ids(second) == ["r2", "r3", "r4"]
    assert await run_ids(first) == []


async def test_two_nodes_that_claim_at_once_share(nodes, postgres) -> None:
    third = await opened(postgres)
    for at in range(40):
        await third.create(new(f"r{at}", f"w{at}"))
    await third.aclose()
    taken: list[str] = []

    async def claim(node: PostgresHistory) -> None:
        while found := await node.claim(0, 7):
            taken.extend(claimed.info.run_id for claimed in found)

    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(claim, node)
    assert sorted(taken) == sorted(f"r{at}" for at in range(40))


async def test_one_of_two_nodes_starts_a_workflow(nodes) -> None:
    won: list[str] = []

    async def start(node: PostgresHistory, run_id: str, workflow_id: str) -> None:
        with contextlib.suppress(ConflictError):
            await node.create(new(run_id, workflow_id))
            won.append(workflow_id)

    async with trio.open_nursery() as nursery:
        for number, node in enumerate(nodes):
            for at in range(30):
                nursery.start_soon(start, node, f"n{number}-{at}", f"w{at % 15}")
    assert sorted(won) == sorted(f"w{at}" for at in range(15))
    assert all(node.failed is None for node in nodes)


async def test_a_message_for_another_node_s_run_is_told_there(nodes) -> None:
    first, second = nodes
    await first.create(new())
    await first.wait_posted()  # a session that has just begun may have missed one
    heard = trio.Event()

    async def listen() -> None:
        await first.wait_posted()
        heard.set()

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            await second.post("r1", b"hello", 7)
            await heard.wait()
    (message,) = await first.posted(10)
    assert (message.data, message.at_ns) == (b"hello", 7)
    assert await second.posted(10) == []
    await first.append(Change("r1", 2, [Record(8, b"hello")], taken=[message.number]))
    assert await first.posted(10) == []


async def test_a_post_and_the_end_of_its_run_exclude_one_another(nodes) -> None:
    first, second = nodes
    outcomes: list[str] = []

    async def post(at: int) -> None:
        try:
            await second.post(f"r{at}", b"m", 1)
        except LuaError as error:
            outcomes.append(error.kind)
        else:
            outcomes.append("posted")

    for at in range(10):
        await first.create(new(f"r{at}", f"w{at}"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, at)
            nursery.start_soon(first.append, Change(f"r{at}", 2, closing=Closing(Status.COMPLETED, 9)))
    assert set(outcomes) <= {"posted", "NotFound"}
    assert await first.posted(100) == []


async def test_jobs_of_one_transaction_see_one_another(nodes) -> None:
    first, _ = nodes
    await first.create(new("r0", "w0"))
    errors: list[str] = []

    async def attempt(work: Any) -> None:
        try:
            await work
        except LuaError as error:
            errors.append(error.kind)

    before = first.commits_count
    async with trio.open_nursery() as nursery:
        nursery.start_soon(attempt, first.append(Change("r0", 2, [Record(1, b"x")])))  # holds the line up
        await trio.testing.wait_all_tasks_blocked()
        for work in (
            first.create(new("r1")),
            first.create(new("r2")),  # refused
            first.post("r0", b"gone with it", 1),
            first.append(Change("r0", 3, [Record(2, b"y")], add=[Pending(7, "timer")], drop=[1])),
            first.append(Change("r0", 4, add=[Pending(8, "timer")], drop=[7], memo=b"m")),
            first.append(
                Change("r0", 4, [Record(3, b"z")], closing=Closing(Status.CONTINUED, 5, b"o", new("r5", "w0")))
            ),
            first.append(Change("r0", 5, [Record(3, b"late")])),  # refused
            first.note("r0", Pending(1, "timer")),  # refused
        ):
            nursery.start_soon(attempt, work)
            await trio.lowlevel.checkpoint()
    assert sorted(errors) == ["Conflict", "Conflict", "NotFound"]
    assert first.commits_count - before <= 3
    assert [record.data for record in await first.load("r0")] == [b"started", b"timer", b"x", b"y", b"z"]
    closed = await first.run("r0")
    assert closed is not None
    assert (closed.status, closed.length, closed.memo, closed.next_run_id) == (Status.CONTINUED, 5, b"m", "r5")
    assert await first.pending("r0") == []
    assert len(await first.pending("r5")) == 1
    assert await first.posted(10) == []
    latest = await first.latest("w0")
    assert latest is not None
    assert latest.run_id == "r5"


async def test_a_run_that_ends_in_its_first_step(nodes) -> None:
    first, second = nodes
    closing = Closing(Status.COMPLETED, 9, b"outcome")
    await first.create(attrs.evolve(new(), closing=closing))
    found = await first.run("r1")
    assert found is not None
    assert (found.status, found.closed_ns, found.outcome, found.length) == (Status.COMPLETED, 9, b"outcome", 2)
    assert await first.pending("r1") == []
    await second.create(new("r2", expected="r1"))
    following = attrs.evolve(closing, status=Status.CONTINUED, successor=new("r4", "w9"))
    await first.create(attrs.evolve(new("r3", "w9"), closing=following))
    latest = await first.latest("w9")
    assert latest is not None
    assert (latest.run_id, latest.status) == ("r4", Status.OPEN)


async def test_awkward_bytes_and_texts(nodes) -> None:
    first, _ = nodes
    data = bytes(range(256)) + b'{}",\\'
    name = 'quo"te\\back,{comma} é NULL'
    await first.create(attrs.evolve(new("r1", name), records=[Record(1, data), Record(1, b"")]))
    assert [record.data for record in await first.load("r1")] == [data, b""]
    found = await first.latest(name)
    assert found is not None
    assert found.workflow_id == name
    for bad in ("zero\0byte", "half\ud800"):
        with pytest.raises(InvalidError, match="PostgreSQL cannot keep this text"):
            await first.create(new("r2", bad))
    assert first.failed is None


@pytest.mark.parametrize("when", ["before", "during"])
async def test_a_write_whose_connection_breaks_is_done_once(postgres, monkeypatch, when) -> None:
    """The connection is cut before COMMIT, and after COMMIT was sent: the write is made again, or known to be done."""
    history = await opened(postgres)
    await history.create(new())
    plain = PostgresConnection.run
    cut: list[str] = []

    async def run(self: PostgresConnection, text: str, params: Any = (), *, keep: bool = False) -> Any:
        if text == "COMMIT" and not cut:
            cut.append(when)
            if when == "during":
                await plain(self, text, params, keep=keep)
            self.close_now()
            raise UnavailableError("connection lost")
        return await plain(self, text, params, keep=keep)

    monkeypatch.setattr(PostgresConnection, "run", run)
    await history.append(Change("r1", 2, [Record(1, b"once")]))
    assert cut == [when]
    assert [record.data for record in await history.load("r1")] == [b"started", b"timer", b"once"]
    assert history.failed is None
    await history.aclose()


async def test_an_error_of_the_server_stops_all_writing(nodes, sql) -> None:
    first, second = nodes
    await first.create(new())
    await sql.execute("ALTER TABLE wippy_records ADD CONSTRAINT broken CHECK (data <> 'bad')")
    with pytest.raises(UnavailableError, match="cannot be written"):
        await first.append(Change("r1", 2, [Record(1, b"bad")]))
    with pytest.raises(UnavailableError, match="cannot be written"):
        await first.append(Change("r1", 2, [Record(1, b"good")]))
    assert first.failed is not None
    assert not first.failed.retryable
    assert len(await first.load("r1")) == 2  # reading goes on
    await second.create(new("r2", "w2"))  # and so does the other node


async def test_a_server_that_stays_away_stops_all_writing(postgres, monkeypatch) -> None:
    monkeypatch.setattr(history_postgres, "_PATIENCE_S", 0.1)
    history = await opened(postgres)

    async def lost(self: Any) -> None:
        await trio.lowlevel.checkpoint()
        raise UnavailableError("connection refused")

    monkeypatch.setattr(type(history._pool), "take", lost)
    with pytest.raises(UnavailableError, match="cannot be written: connection refused"):
        await history.create(new())
    assert history.failed is not None
    monkeypatch.undo()
    await history.aclose()


@pytest.mark.slow
async def test_a_restart_of_the_server_is_waited_for(postgres_server: Server) -> None:
    with server() as own:
        history = await opened(own.settings("postgres"))
        await history.create(new())
        done = trio.Event()

        async def write() -> None:
            for at in range(100):
                await history.append(Change("r1", 2 + at, [Record(at, str(at).encode())]))
                if at == 20:
                    started.set()
            done.set()

        started = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await started.wait()
            own.stop()
            own.start()
            with trio.fail_after(15):
                await done.wait()
        assert [record.data for record in await history.load("r1")][2:] == [str(at).encode() for at in range(100)]
        await history.aclose()


async def test_tables_of_another_version(nodes, sql, postgres) -> None:
    await sql.execute("UPDATE wippy_meta SET value = '99'")
    with pytest.raises(UnavailableError, match="format 99"):
        await opened(postgres)


async def test_a_simulation_is_refused(postgres) -> None:
    with pytest.raises(UnsupportedError, match="not part of a simulation"):
        await PostgresHistory.open(postgres, seeded_environment())


async def test_it_is_opened_by_an_address(postgres) -> None:
    login = f"{postgres.user}:{quote(postgres.password, safe='')}"
    place = f"{postgres.host}:{postgres.port}/{postgres.database}?search_path={postgres.options['search_path']}"
    history = await PostgresHistory.open(f"postgresql://{login}@{place}", system_environment(), name="left")
    assert history.lease_s == 15.0
    await history.aclose()
    with pytest.raises(InvalidError, match="expected postgresql://"):
        await PostgresHistory.open("postgresql://nowhere", system_environment())
