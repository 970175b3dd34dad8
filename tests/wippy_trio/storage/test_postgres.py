"""One connection against a real server: cancelling, losing it, bounds, statements that are kept."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import Any

import pytest
import trio

from determinism.environment import seeded_environment
from determinism.system import system_environment
from tests.services.postgres import Server
from wippy_trio.core.errors import InvalidError, PermissionDeniedError, UnavailableError, UnsupportedError
from wippy_trio.storage.postgres import PostgresConnection
from wippy_trio.storage.postgres_settings import PostgresLimits, PostgresSettings, check_real
from wippy_trio.storage.sql import SqlValue

pytestmark = pytest.mark.service
LIMITS = PostgresLimits(rows_max_count=2500, connect_s=5.0)


@pytest.fixture
async def connection(postgres):
    opened = await PostgresConnection.connect(postgres, system_environment(), LIMITS)
    yield opened
    opened.close_now()


async def one(connection: PostgresConnection, text: str, *params: SqlValue) -> Any:
    return (await connection.run(text, params))[-1].rows[0][0]


async def test_a_cancelled_statement_stops_in_the_server_and_the_connection_goes_on(connection) -> None:
    with trio.move_on_after(0.03) as scope:
        await connection.run("SELECT pg_sleep(60)")
    assert scope.cancelled_caught
    assert not connection.closed
    assert await one(connection, "SELECT 1") == 1
    active = await one(
        connection, "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND state = 'active'"
    )
    assert active == 0


async def test_cancelled_while_many_rows_come(connection) -> None:
    with trio.move_on_after(0.03):
        await connection.run("SELECT g, pg_sleep(0.002) FROM generate_series(1, 2000) g")
    assert await one(connection, "SELECT 2") == 2


async def test_cancelled_inside_a_transaction_leaves_it_to_be_rolled_back(connection) -> None:
    await connection.run("BEGIN")
    with trio.move_on_after(0.02):
        await connection.run("SELECT pg_sleep(60)")
    assert connection.in_transaction
    await connection.run("ROLLBACK")
    assert not connection.in_transaction


async def test_a_server_that_does_not_answer_a_cancel_costs_the_connection(postgres) -> None:
    limits = PostgresLimits(cancel_s=0.02)
    connection = await PostgresConnection.connect(postgres, system_environment(), limits)
    backend = connection.backend_pid
    os.kill(backend, signal.SIGSTOP)  # it cannot even hear of the cancel
    try:
        with trio.move_on_after(0.02) as scope:
            await connection.run("SELECT 1")
    finally:
        os.kill(backend, signal.SIGCONT)
    assert scope.cancelled_caught
    assert connection.closed
    with pytest.raises(UnavailableError, match="connection is closed"):
        await connection.run("SELECT 1")


async def test_rows_are_bounded_and_the_connection_stays_usable(connection) -> None:
    (reply,) = await connection.run("SELECT generate_series(1, 2500)")
    assert len(reply.rows) == 2500
    with pytest.raises(InvalidError, match="more than 2500 rows"):
        await connection.run("SELECT generate_series(1, 1000000)")
    assert await one(connection, "SELECT 3") == 3


async def test_copy_is_refused_and_costs_the_connection(connection) -> None:
    await connection.run("CREATE TABLE t (a int)")
    with pytest.raises(InvalidError, match="COPY"):
        await connection.run("COPY t FROM STDIN")
    assert connection.closed


async def test_a_lost_connection_is_told(connection, postgres) -> None:
    other = await PostgresConnection.connect(postgres, system_environment(), LIMITS)
    assert connection.healthy_now()
    await other.run("SELECT pg_terminate_backend($1)", [connection.backend_pid])
    with pytest.raises(UnavailableError) as failed:
        await connection.run("SELECT 1")
    assert failed.value.retryable
    assert not connection.healthy_now()
    other.close_now()
    other.close_now()


async def test_several_statements_have_several_replies(connection) -> None:
    replies = await connection.run("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2); SELECT a FROM t; ")
    assert [(reply.tag, reply.affected_count, reply.rows) for reply in replies] == [
        ("CREATE TABLE", 0, ()),
        ("INSERT 0 2", 2, ()),
        ("SELECT 2", 2, ((1,), (2,))),
    ]
    assert [reply.tag for reply in await connection.run("")] == [""]


async def test_an_error_in_the_middle_is_raised_after_all_was_read(connection) -> None:
    with pytest.raises(InvalidError, match="division by zero"):
        await connection.run("SELECT 1; SELECT 1/0; SELECT 2")
    assert await one(connection, "SELECT 4") == 4


async def test_kept_statements_follow_a_change_of_their_table(connection) -> None:
    await connection.run("CREATE TABLE t (a int); INSERT INTO t VALUES (7)")
    kept = partial(connection.run, "SELECT * FROM t WHERE a = $1", keep=True)
    assert (await kept([7]))[0].columns == ("a",)
    await connection.run("ALTER TABLE t ADD COLUMN b text DEFAULT 'x'")
    assert (await kept([7]))[0].rows == ((7, "x"),)
    assert (await kept([7]))[0].rows == ((7, "x"),)
    await connection.run("DEALLOCATE ALL")
    assert (await kept([7]))[0].rows == ((7, "x"),)


async def test_kept_statements_are_bounded(connection) -> None:
    for number in range(140):
        await connection.run(f"SELECT {number}", keep=True)
    assert await one(connection, "SELECT count(*) FROM pg_prepared_statements") <= 129
    assert (await connection.run("SELECT 0", keep=True))[0].rows == ((0,),)


async def test_notifications_arrive(connection, postgres) -> None:
    heard: list[tuple[str, str]] = []
    connection.notified = lambda channel, payload: heard.append((channel, payload))
    await connection.run("LISTEN news")
    other = await PostgresConnection.connect(postgres, system_environment(), LIMITS)
    await other.run("NOTIFY news, 'first'")
    with trio.fail_after(2):
        while not heard:
            await connection.wait_notified()
    assert heard == [("news", "first")]
    with trio.move_on_after(0.01):
        await connection.wait_notified()
    assert await one(connection, "SELECT 5") == 5
    other.close_now()


async def test_zero_bytes_in_the_text(connection) -> None:
    with pytest.raises(InvalidError, match="zero byte"):
        await connection.run("SELECT 'a\0b'")


async def test_options_are_words_of_libpq_or_settings_of_the_server(postgres_server: Server) -> None:
    settings = postgres_server.settings(
        "postgres", application_name="te st", search_path="a, b", statement_timeout="1234", binary_parameters="yes"
    )
    opened = await PostgresConnection.connect(settings, system_environment(), LIMITS)
    assert await one(opened, "SHOW application_name") == "te st"
    assert await one(opened, "SHOW search_path") == "a, b"
    assert await one(opened, "SHOW statement_timeout") == "1234ms"
    opened.close_now()


async def test_dates_are_read_whatever_style_the_server_prefers(postgres_server: Server) -> None:
    settings = postgres_server.settings("postgres", datestyle="German")
    opened = await PostgresConnection.connect(settings, system_environment(), LIMITS)
    assert str(await one(opened, "SELECT DATE '2026-01-02'")) == "2026-01-02 00:00:00+00:00"
    opened.close_now()


async def test_by_name_and_by_local_socket(postgres_server: Server, postgres: PostgresSettings) -> None:
    for host in ("localhost", str(postgres_server.folder)):
        settings = PostgresSettings(host, postgres.port, postgres.database, postgres.user, postgres.password)
        opened = await PostgresConnection.connect(settings, system_environment(), LIMITS)
        assert await one(opened, "SELECT 1") == 1
        opened.close_now()


async def test_refused_logins_and_wrong_places(postgres_server: Server) -> None:
    connect = partial(PostgresConnection.connect, environment=system_environment(), limits=LIMITS)
    port = postgres_server.port
    with pytest.raises(PermissionDeniedError, match="password authentication failed"):
        await connect(PostgresSettings("127.0.0.1", port, "postgres", "wippy", "wrong"))
    with pytest.raises(InvalidError, match='database "nope" does not exist'):
        await connect(postgres_server.settings("nope"))
    with pytest.raises(UnavailableError, match=r"(?i)connection refused"):
        await connect(PostgresSettings("127.0.0.1", 1, "postgres", "wippy", "x"))
    with pytest.raises(UnavailableError, match="cannot resolve"):
        await connect(PostgresSettings("no-such-host.invalid", port, "postgres", "wippy", "x"))
    with pytest.raises(InvalidError, match="sslmode"):
        await connect(postgres_server.settings("postgres", sslmode="maybe"))


async def test_a_silent_server_is_given_up() -> None:
    environment = system_environment()
    listener = await environment.network.listen("127.0.0.1", 0)
    settings = PostgresSettings("127.0.0.1", int(listener.address.rpartition(":")[2]), "x", "x", "x")
    with pytest.raises(UnavailableError, match=r"no answer from 127\.0\.0\.1:\d+ within 0\.05 s"):
        await PostgresConnection.connect(settings, environment, PostgresLimits(connect_s=0.05))
    await listener.aclose()


def test_settings_from_a_url() -> None:
    found = PostgresSettings.from_url("postgresql://us%40er:p%2Fw@db.local:6543/app?sslmode=require&search_path=a,b")
    options = {"sslmode": "require", "search_path": "a,b"}
    assert found == PostgresSettings("db.local", 6543, "app", "us@er", "p/w", options)
    assert PostgresSettings.from_url("postgres://[::1]/d") == PostgresSettings("::1", 5432, "d", "", "")
    assert PostgresSettings.from_url("postgres://%2Frun%2Fpg/d").host == "/run/pg"
    for bad in ("mysql://h/d", "postgresql:///d", "postgresql://h", "postgresql://h:x/d"):
        with pytest.raises(InvalidError, match="expected postgresql://"):
            PostgresSettings.from_url(bad)


def test_a_password_is_not_shown() -> None:
    assert "hush" not in repr(PostgresSettings("h", 1, "d", "u", "hush"))


def test_a_simulation_refuses_and_says_why() -> None:
    with pytest.raises(UnsupportedError, match="app:db needs a real network: PostgreSQL is not part of a simulation"):
        check_real(seeded_environment(), "app:db")
    check_real(system_environment(), "app:db")
