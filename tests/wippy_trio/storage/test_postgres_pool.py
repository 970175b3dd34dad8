"""The pool's bounds, against a real server."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from determinism.system import system_environment
from wippy_trio.core.errors import RateLimitedError, TimeoutExpiredError, UnavailableError
from wippy_trio.storage.postgres_pool import PostgresPool
from wippy_trio.storage.postgres_settings import PostgresLimits

pytestmark = pytest.mark.service


@pytest.fixture
async def pool_of(postgres):
    made: list[PostgresPool] = []

    def make(**limits: Any) -> PostgresPool:
        made.append(PostgresPool(postgres, system_environment(), "app:db", PostgresLimits(**limits)))
        return made[-1]

    yield make
    for pool in made:
        await pool.aclose()


async def test_connections_are_used_again(pool_of) -> None:
    pool = pool_of()
    first = await pool.take()
    pool.give_now(first)
    assert await pool.take() is first
    assert (pool.stats_now().in_use, pool.stats_now().idle) == (1, 0)
    pool.give_now(first)


async def test_no_more_than_allowed_and_the_wait_has_an_end(pool_of) -> None:
    pool = pool_of(open_max_count=1, wait_s=0.02)
    lent = await pool.take()
    with pytest.raises(TimeoutExpiredError, match=r"app:db is busy: no connection within 0\.02 s"):
        await pool.take()
    assert pool.stats_now().wait_count == 1
    assert pool.stats_now().wait_ns > 15e6
    pool.give_now(lent)
    pool.give_now(await pool.take())


async def test_waiters_are_served_in_order_and_bounded(pool_of) -> None:
    pool = pool_of(open_max_count=1, waiters_max_count=2)
    order: list[int] = []

    async def use(number: int) -> None:
        lent = await pool.take()
        order.append(number)
        pool.give_now(lent)

    lent = await pool.take()
    async with trio.open_nursery() as nursery:
        for number in range(2):
            nursery.start_soon(use, number)
            await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(RateLimitedError, match="2 callers wait already"):
            await pool.take()
        pool.give_now(lent)
    assert order == [0, 1]


async def test_only_so_many_are_kept_idle(pool_of) -> None:
    pool = pool_of(idle_max_count=1)
    lent = [await pool.take() for _ in range(3)]
    for connection in lent:
        pool.give_now(connection)
    stats = pool.stats_now()
    assert (stats.idle, stats.open_connections, stats.max_idle_closed) == (1, 1, 2)
    assert [connection.closed for connection in lent] == [False, True, True]


async def test_old_ones_are_replaced(pool_of) -> None:
    pool = pool_of(lifetime_s=0.01)
    first = await pool.take()
    await trio.sleep(0.02)
    pool.give_now(first)
    assert first.closed
    second = await pool.take()
    pool.give_now(second)
    await trio.sleep(0.02)
    third = await pool.take()
    assert third is not second
    assert pool.stats_now().max_lifetime_closed == 2
    pool.give_now(third)


async def test_a_connection_that_died_while_idle_is_not_lent(pool_of) -> None:
    pool = pool_of()
    first, second = await pool.take(), await pool.take()
    pool.give_now(first)
    await second.run("SELECT pg_terminate_backend($1, 1000)", [first.backend_pid])
    third = await pool.take()
    assert third is not first
    assert first.closed
    assert (await third.run("SELECT 1"))[0].rows == ((1,),)
    pool.give_now(second)
    pool.give_now(third)


async def test_one_that_is_in_a_transaction_is_not_kept(pool_of) -> None:
    pool = pool_of()
    lent = await pool.take()
    await lent.run("BEGIN")
    pool.give_now(lent)
    assert lent.closed
    assert pool.stats_now().idle == 0


async def test_a_failed_connect_gives_the_place_back(pool_of, postgres_server) -> None:
    settings = postgres_server.settings("nope")
    pool = PostgresPool(settings, system_environment(), "app:db", PostgresLimits(open_max_count=1, wait_s=0.1))
    for _ in range(3):
        with pytest.raises(Exception, match="does not exist"):
            await pool.take()
    with trio.move_on_after(0):
        await pool.take()
    assert pool.stats_now().in_use == 0


async def test_closing_waits_for_those_in_use_for_a_bounded_time(pool_of) -> None:
    pool = pool_of(close_wait_s=0.02)
    lent, idle = await pool.take(), await pool.take()
    pool.give_now(idle)
    await pool.aclose()
    assert lent.closed
    assert idle.closed
    pool.give_now(lent)
    with pytest.raises(UnavailableError, match="connection pool is closed"):
        await pool.take()
    await pool.aclose()
