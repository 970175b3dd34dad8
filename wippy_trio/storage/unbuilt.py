"""Stand-ins for drivers of the reference that this runtime has not built.

Entries that rest on such a driver are kept and known, so that the rest of the app runs; whoever uses them is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

import trio

from wippy_trio.core.errors import UnsupportedError
from wippy_trio.storage.queues import ConsumerOptions, Delivery, QueueConfig, QueueMessage
from wippy_trio.storage.sql import (
    Dialect,
    ExecuteResult,
    Isolation,
    PoolStats,
    QueryResult,
    SqlStatement,
    SqlTransaction,
    SqlValue,
)

__all__ = ["UnbuiltDatabase", "UnbuiltQueueDriver"]


class _Unbuilt:
    """Refuses, naming the entry and its kind."""

    def __init__(self, entry: str, kind: str) -> None:
        self._text = f"{entry}: kind {kind} is not built yet (docs/reference/status.md)"

    async def _refuse(self) -> NoReturn:
        await trio.lowlevel.checkpoint()
        raise UnsupportedError(self._text)


class UnbuiltDatabase(_Unbuilt):
    """A `SqlDatabase` that refuses everything."""

    dialect = Dialect.UNKNOWN

    async def query(self, text: str, params: Sequence[SqlValue] = ()) -> QueryResult:
        """Refuse."""
        await self._refuse()

    async def execute(self, text: str, params: Sequence[SqlValue] = ()) -> ExecuteResult:
        """Refuse."""
        await self._refuse()

    async def prepare(self, text: str) -> SqlStatement:
        """Refuse."""
        await self._refuse()

    async def begin(self, isolation: Isolation = Isolation.DEFAULT, *, read_only: bool = False) -> SqlTransaction:
        """Refuse."""
        await self._refuse()

    def stats_now(self) -> PoolStats:
        """Zeros."""
        return PoolStats()

    async def aclose(self) -> None:
        """Nothing to close."""
        await trio.lowlevel.checkpoint()


class UnbuiltQueueDriver(_Unbuilt):
    """A `QueueDriver` that takes declarations and refuses everything else."""

    async def declare(self, queue: str, config: QueueConfig) -> None:
        """Nothing to do."""
        await trio.lowlevel.checkpoint()

    async def publish(self, queue: str, *messages: QueueMessage) -> None:
        """Refuse."""
        await self._refuse()

    async def deliver(self, queue: str, options: ConsumerOptions, sink: trio.MemorySendChannel[Delivery]) -> None:
        """Refuse."""
        await self._refuse()

    async def info(self, queue: str) -> Mapping[str, int | bool]:
        """Refuse."""
        await self._refuse()

    async def remove(self, queue: str) -> None:
        """Nothing to do."""
        await trio.lowlevel.checkpoint()
