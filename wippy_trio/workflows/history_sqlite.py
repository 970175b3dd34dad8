"""Histories in a SQLite file: one node, nothing to install.

Durability is SQLite's: write-ahead log with `synchronous=FULL`. All that is written while a transaction is on its way
to the disk goes into the next one, so that many runs share one sync. Blocking work is done in a worker thread; one
connection, one thread at a time. Source: ours (issue 6).
"""

from __future__ import annotations

import posixpath
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import trio

from determinism.seams import Environment
from wippy_trio.core.errors import LuaError, UnavailableError
from wippy_trio.storage.sql_sqlite import sqlite_of_world
from wippy_trio.workflows.history import Change, Claimed, NewRun, Pending, Posted, Record, RunInfo, RunQuery
from wippy_trio.workflows.history_sqlite_store import SqliteStore

__all__ = ["SqliteHistory"]

T = TypeVar("T")
_BATCH_COUNT = 512
_QUEUE_COUNT = 100_000
_LANE = "workflows"


class _Job:
    __slots__ = ("done", "error", "event", "work")

    def __init__(self, work: Callable[[SqliteStore], None]) -> None:
        self.work = work
        self.event = trio.Event()
        self.error: LuaError | None = None
        self.done = False


def _unexpected(problem: BaseException) -> LuaError:
    text = f"the history of workflows cannot be written: {type(problem).__name__}: {problem}"
    return UnavailableError(text, retryable=False)


class SqliteHistory:
    """A history in a file; see `History`. Opened with `open`."""

    def __init__(self, store: SqliteStore, environment: Environment, release: Callable[[], None] | None = None) -> None:
        self._store = store
        self._release = release
        self._environment = environment
        self._line: deque[_Job] = deque()
        self._busy = False
        self._closed = False
        self._using = trio.Lock()
        self._failed: LuaError | None = None
        self.on_failed: Callable[[LuaError], None] = lambda _: None
        #: Transactions that were committed, for whoever measures.
        self.commits_count = 0

    @classmethod
    async def open(cls, path: str, environment: Environment) -> SqliteHistory:
        """Open (and create) the file, or `:memory:`.

        Raises:
            UnavailableError: it cannot be opened, or another node has it open.
        """
        simulated = sqlite_of_world(environment)

        def make() -> SqliteStore:
            if path != ":memory:":
                environment.disk.mkdir(posixpath.dirname(path) or ".", parents=True)
            return SqliteStore(path, simulated.connect if simulated else None)

        release = simulated.release if simulated else None
        try:
            store = await environment.threads.run(make, lane=_LANE)
        except BaseException as problem:
            if release is not None:
                release()
            if isinstance(problem, OSError):
                raise UnavailableError(f"workflows.database {path}: {problem}") from problem
            raise
        return cls(store, environment, release)

    @property
    def failed(self) -> LuaError | None:
        """See `History.failed`."""
        return self._failed

    @property
    def lease_s(self) -> float:
        """See `History.lease_s`: the file has one owner."""
        return 0.0

    # writing: whoever comes while a transaction is under way shares the next one ----------------------------
    async def _write(self, work: Callable[[SqliteStore], None]) -> None:
        if self._closed:
            raise UnavailableError("the history of workflows is closed")
        if self._failed is not None:
            raise self._failed
        if len(self._line) >= _QUEUE_COUNT:
            raise UnavailableError(f"the history of workflows has {_QUEUE_COUNT} writes to do already")
        job = _Job(work)
        self._line.append(job)
        with trio.CancelScope(shield=True):  # it is written whether or not anyone waits: the caller has to know
            while not job.done:
                if self._busy:
                    await job.event.wait()
                    job.event = trio.Event()
                else:
                    await self._flush()
        if job.error is not None:
            raise job.error

    async def _flush(self) -> None:
        """One transaction for those at the head of the line; then the next of them takes over."""
        self._busy = True
        batch = [self._line.popleft() for _ in range(min(len(self._line), _BATCH_COUNT))]
        try:
            if self._failed is None:
                errors = await self._thread(lambda store: store.write([job.work for job in batch]))
                for job, error in zip(batch, errors, strict=True):
                    job.error = error
                self.commits_count += 1
            else:
                for job in batch:
                    job.error = self._failed
        except BaseException as problem:  # whatever it was: nobody may take it for written
            failure = problem if isinstance(problem, LuaError) else _unexpected(problem)
            self._failed = failure
            for job in batch:
                job.error = failure
            self.on_failed(failure)
            if not isinstance(problem, Exception):
                raise
        finally:
            self._busy = False
            for job in batch:
                job.done = True
                job.event.set()
            if self._line:
                self._line[0].event.set()

    async def _thread(self, work: Callable[[SqliteStore], T]) -> T:
        async with self._using:
            return await self._shielded(work)

    async def _shielded(self, work: Callable[[SqliteStore], T]) -> T:
        results: list[T] = []
        with trio.CancelScope(shield=True):
            results.append(await self._environment.threads.run(work, self._store, lane=_LANE))
        return results[0]

    async def create(self, new: NewRun) -> None:
        """See `History.create`."""
        await self._write(lambda store: store.create(new, successor=False))

    async def append(self, change: Change) -> None:
        """See `History.append`."""
        await self._write(lambda store: store.append(change))

    async def note(self, run_id: str, pending: Pending) -> None:
        """See `History.note`."""
        await self._write(lambda store: store.note(run_id, pending))

    async def post(self, run_id: str, data: bytes, at_ns: int) -> None:
        """See `History.post`."""
        await self._write(lambda store: store.post(run_id, data, at_ns))

    # reading ----------------------------------------------------------------------------------------------------
    async def _read(self, work: Callable[[SqliteStore], T]) -> T:
        if self._closed:
            raise UnavailableError("the history of workflows is closed")
        return await self._thread(work)

    async def load(self, run_id: str) -> list[Record]:
        """See `History.load`."""
        return await self._read(lambda store: store.load(run_id))

    async def run(self, run_id: str) -> RunInfo | None:
        """See `History.run`."""
        return await self._read(lambda store: store.run(run_id))

    async def latest(self, workflow_id: str) -> RunInfo | None:
        """See `History.latest`."""
        return await self._read(lambda store: store.latest(workflow_id))

    async def pending(self, run_id: str) -> list[Pending]:
        """See `History.pending`."""
        return await self._read(lambda store: store.pending(run_id))

    async def claim(self, now_ns: int, limit: int) -> list[Claimed]:
        """See `History.claim`. The file has one owner: each open run is given out once."""
        del now_ns
        return await self._read(lambda store: store.claim(limit))

    async def renew(self, now_ns: int, until_ns: int) -> None:
        """See `History.renew`. The lease is the lock on the file."""
        await trio.lowlevel.checkpoint()

    async def posted(self, limit: int) -> list[Posted]:
        """See `History.posted`."""
        return await self._read(lambda store: store.posted(limit))

    async def wait_posted(self) -> None:
        """See `History.wait_posted`: there is no other owner."""
        await trio.sleep_forever()

    async def find(self, query: RunQuery) -> list[RunInfo]:
        """See `History.find`."""
        return await self._read(lambda store: store.find(query))

    async def purge(self, closed_before_ns: int, limit: int) -> int:
        """See `History.purge`."""
        found: list[Any] = []
        await self._write(lambda store: found.append(store.purge(closed_before_ns, limit)))
        return int(found[0])

    async def aclose(self) -> None:
        """See `History.aclose`. What is in the line is written first."""
        if self._closed:
            return
        with trio.CancelScope(shield=True):
            while self._line and self._failed is None and not self._busy:
                await self._flush()
            self._closed = True
            await self._thread(SqliteStore.close)
            if self._release is not None:
                self._release()
