"""A bounded pool of PostgreSQL connections: fair, with limits in number and time. Source: docs system/database."""

from __future__ import annotations

from collections import deque

import trio

from determinism.seams import Environment
from wippy_trio.core.errors import RateLimitedError, TimeoutExpiredError, UnavailableError
from wippy_trio.storage.postgres import PostgresConnection
from wippy_trio.storage.postgres_settings import PostgresLimits, PostgresSettings
from wippy_trio.storage.sql import PoolStats

__all__ = ["PostgresPool"]


class PostgresPool:
    """Lends connections, opens them when there is none, and closes those that are broken, too old or too many.

    Args:
        settings: where to connect.
        environment: the seams.
        name: for error texts.
        limits: see `PostgresLimits`.
    """

    def __init__(self, settings: PostgresSettings, environment: Environment, name: str, limits: PostgresLimits) -> None:
        self._settings = settings
        self._environment = environment
        self._name = name
        self._limits = limits
        self._free = trio.Semaphore(limits.open_max_count, max_value=limits.open_max_count)
        self._idle: deque[PostgresConnection] = deque()  # the one used last is lent first
        self._lent: set[PostgresConnection] = set()
        self._closed = False
        self._drained = trio.Event()
        self._wait_count = self._wait_ns = self._idle_closed = self._lifetime_closed = 0

    async def take(self) -> PostgresConnection:
        """A connection that was healthy a moment ago; the caller must `give_now` it back, whatever happens.

        Raises:
            UnavailableError: the pool is closed, or the server cannot be reached.
            TimeoutExpiredError: all are in use and none came back within `wait_s`.
            RateLimitedError: too many wait already.
        """
        self._check_open()
        await self._take_place()
        try:
            self._check_open()
            connection = self._from_idle() or await PostgresConnection.connect(
                self._settings, self._environment, self._limits
            )
        except BaseException:
            self._free.release()
            raise
        self._lent.add(connection)
        if self._closed:  # while it connected
            self.give_now(connection)
            self._check_open()
        return connection

    def give_now(self, connection: PostgresConnection) -> None:
        """Take a connection back. One that is closed, too old, in a transaction or too many is not kept."""
        self._lent.discard(connection)
        if self._closed or connection.in_transaction or connection.closed:
            connection.close_now()
        elif self._too_old(connection):
            self._lifetime_closed += 1
            connection.close_now()
        elif len(self._idle) >= self._limits.idle_max_count:
            self._idle_closed += 1
            connection.close_now()
        else:
            self._idle.append(connection)
        self._free.release()
        if not self._lent:
            self._drained.set()

    def stats_now(self) -> PoolStats:
        """Numbers of the pool at this moment."""
        return PoolStats(
            max_open_connections=self._limits.open_max_count,
            open_connections=len(self._lent) + len(self._idle),
            in_use=len(self._lent),
            idle=len(self._idle),
            wait_count=self._wait_count,
            wait_ns=self._wait_ns,
            max_idle_closed=self._idle_closed,
            max_lifetime_closed=self._lifetime_closed,
        )

    async def aclose(self) -> None:
        """Refuse new work, wait `close_wait_s` for lent connections, close all. May be called twice."""
        if self._closed:
            return
        self._closed = True
        while self._idle:
            self._idle.pop().close_now()
        with trio.CancelScope(shield=True), trio.move_on_after(self._limits.close_wait_s):
            if self._lent:
                self._drained = trio.Event()
                await self._drained.wait()
        for connection in tuple(self._lent):  # whoever still uses one gets an error and gives it back
            connection.close_now()

    async def _take_place(self) -> None:
        await trio.lowlevel.checkpoint()
        try:
            self._free.acquire_nowait()
        except trio.WouldBlock:
            pass
        else:
            return
        if self._free.statistics().tasks_waiting >= self._limits.waiters_max_count:
            raise RateLimitedError(
                f"database {self._name} is busy: {self._limits.waiters_max_count} callers wait already"
            )
        clock = self._environment.clock
        self._wait_count += 1
        began_s = clock.monotonic_s()
        taken = False
        with trio.move_on_after(self._limits.wait_s):
            await self._free.acquire()
            taken = True
        self._wait_ns += round((clock.monotonic_s() - began_s) * 1e9)
        if not taken:
            raise TimeoutExpiredError(f"database {self._name} is busy: no connection within {self._limits.wait_s:g} s")

    def _from_idle(self) -> PostgresConnection | None:
        while self._idle:
            connection = self._idle.pop()
            if self._too_old(connection):
                self._lifetime_closed += 1
            elif connection.healthy_now():
                return connection
            connection.close_now()
        return None

    def _too_old(self, connection: PostgresConnection) -> bool:
        return self._environment.clock.monotonic_s() - connection.opened_s > self._limits.lifetime_s

    def _check_open(self) -> None:
        if self._closed:
            raise UnavailableError("connection pool is closed", retryable=False)
