"""What many writers want of a PostgreSQL history, as one transaction of a few statements. See `history_postgres.py`.

A batch first asks for the state of all runs and workflows that its jobs are about (and locks them), then decides job by
job in memory, as if one had been written after the other, and then writes what is left in one statement per table.
Nothing is kept from one attempt to the next, so a transaction that lost a race is simply made again. Source: ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

import attrs

from wippy_trio.core.errors import ConflictError, InvalidError, LuaError, NotFoundError
from wippy_trio.storage.postgres import PostgresReply
from wippy_trio.storage.sql import SqlValue
from wippy_trio.workflows.history import Change, Closing, MessagesLeftError, NewRun, Pending, RunInfo, Status

__all__ = ["CHANNEL", "COLUMNS", "FIELDS", "SCHEMA", "Batch", "Job", "Post", "array", "check_texts"]

#: Name of what nodes tell one another: that there is a message for a run of the node whose number is the payload.
CHANNEL = "wippy_workflows"
FIELDS = tuple(field.name for field in attrs.fields(RunInfo))
COLUMNS = ", ".join(FIELDS)
_BYTES = frozenset({"memo", "search", "outcome"})
_NUMBERS = frozenset({"started_ns", "closed_ns", "length", "size_bytes", "parent_seq", "attempt"})
_TYPES = {name: "bytea" if name in _BYTES else "bigint" if name in _NUMBERS else "text" for name in FIELDS}

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS wippy_meta (key text PRIMARY KEY, value text NOT NULL);
CREATE SEQUENCE IF NOT EXISTS wippy_node_numbers AS integer;
CREATE TABLE IF NOT EXISTS wippy_nodes (
  number integer PRIMARY KEY, name text NOT NULL, renewed_at timestamptz NOT NULL, expires_at timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS wippy_runs (
  {", ".join(f"{name} {kind} NOT NULL" for name, kind in _TYPES.items())},
  owner integer REFERENCES wippy_nodes (number) ON DELETE SET NULL,
  PRIMARY KEY (run_id)
);
CREATE TABLE IF NOT EXISTS wippy_workflows (workflow_id text PRIMARY KEY, run_id text NOT NULL);
CREATE TABLE IF NOT EXISTS wippy_records (
  run_id text NOT NULL, number bigint NOT NULL, at_ns bigint NOT NULL, data bytea NOT NULL, PRIMARY KEY (run_id, number)
);
CREATE TABLE IF NOT EXISTS wippy_pending (
  run_id text NOT NULL, seq bigint NOT NULL, kind text NOT NULL, due_ns bigint NOT NULL, since_ns bigint NOT NULL,
  attempts_count bigint NOT NULL, data bytea NOT NULL, PRIMARY KEY (run_id, seq)
);
CREATE TABLE IF NOT EXISTS wippy_posted (
  number bigserial PRIMARY KEY, run_id text NOT NULL, at_ns bigint NOT NULL, data bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS wippy_runs_owner ON wippy_runs (owner);
CREATE INDEX IF NOT EXISTS wippy_runs_free ON wippy_runs (started_ns, run_id) WHERE status = 'open' AND owner IS NULL;
CREATE INDEX IF NOT EXISTS wippy_runs_started ON wippy_runs (started_ns);
CREATE INDEX IF NOT EXISTS wippy_runs_closed ON wippy_runs (closed_ns) WHERE closed_ns > 0;
CREATE INDEX IF NOT EXISTS wippy_workflows_run ON wippy_workflows (run_id);
CREATE INDEX IF NOT EXISTS wippy_posted_run ON wippy_posted (run_id);
"""

_RESERVE = (
    """INSERT INTO wippy_workflows SELECT id, '' FROM unnest($1::text[]) AS id ORDER BY id ON CONFLICT DO NOTHING"""
)
_LATEST = """SELECT w.workflow_id, w.run_id, r.status
FROM (SELECT * FROM wippy_workflows WHERE workflow_id = ANY ($1::text[]) ORDER BY workflow_id FOR UPDATE) AS w
LEFT JOIN wippy_runs r ON r.run_id = w.run_id"""
_STATE = """SELECT run_id, length, status, owner FROM wippy_runs WHERE run_id = ANY ($1::text[])
ORDER BY run_id FOR UPDATE"""
_LEFT = "SELECT run_id, number FROM wippy_posted WHERE run_id = ANY ($1::text[])"
_NEW_RUNS = f"""INSERT INTO wippy_runs ({COLUMNS}, owner)
SELECT {COLUMNS}, $1::integer FROM unnest(
{", ".join(f"${at}::{_TYPES[name]}[]" for at, name in enumerate(FIELDS, 2))}) AS given ({COLUMNS})"""
_WORKFLOWS = """INSERT INTO wippy_workflows SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT (workflow_id) DO UPDATE SET run_id = excluded.run_id"""
_RECORDS = "INSERT INTO wippy_records SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[])"
_RUNS = """UPDATE wippy_runs r SET length = r.length + u.more, size_bytes = r.size_bytes + u.bytes,
memo = coalesce(u.memo, r.memo), search = coalesce(u.search, r.search), status = coalesce(u.status, r.status),
closed_ns = coalesce(u.closed_ns, r.closed_ns), outcome = coalesce(u.outcome, r.outcome),
next_run_id = coalesce(u.next_run_id, r.next_run_id), owner = CASE WHEN u.status IS NULL THEN r.owner END
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[], $6::text[], $7::bigint[], $8::bytea[],
$9::text[]) AS u (run_id, more, bytes, memo, search, status, closed_ns, outcome, next_run_id)
WHERE r.run_id = u.run_id"""
_DROP = """DELETE FROM wippy_pending p USING unnest($1::text[], $2::bigint[]) AS u (run_id, seq)
WHERE p.run_id = u.run_id AND p.seq = u.seq"""
_ADD = """INSERT INTO wippy_pending
SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[])
ON CONFLICT (run_id, seq) DO UPDATE SET kind = excluded.kind, due_ns = excluded.due_ns, since_ns = excluded.since_ns,
attempts_count = excluded.attempts_count, data = excluded.data"""
_CLEAR = "DELETE FROM wippy_pending WHERE run_id = ANY ($1::text[])"
_TAKE = "DELETE FROM wippy_posted WHERE number = ANY ($1::bigint[])"
_FORGET = "DELETE FROM wippy_posted WHERE run_id = ANY ($1::text[])"
_POST = """INSERT INTO wippy_posted (run_id, at_ns, data)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::bytea[])"""
_TELL = f"SELECT pg_notify('{CHANNEL}', number::text) FROM unnest($1::integer[]) AS number"


@attrs.frozen(slots=True)
class Post:
    """A message to be left for a run."""

    run_id: str
    at_ns: int
    data: bytes


#: What a writer wants: a new run, more of a run, something that it waits for replaced, or a message left.
Job: TypeAlias = NewRun | Change | tuple[str, Pending] | Post


class Runner(Protocol):
    """The transaction that a batch runs in."""

    async def run(self, text: str, params: Sequence[SqlValue]) -> tuple[PostgresReply, ...]:
        """Run a statement that is kept prepared."""


def array(values: Iterable[SqlValue]) -> str:
    """An array as PostgreSQL reads it."""
    return "{" + ",".join(map(_element, values)) + "}"


def _element(value: SqlValue) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def check_texts(*texts: str) -> None:
    """Refuse what PostgreSQL cannot keep in a text, before it meets the jobs of others.

    Raises:
        InvalidError: a zero byte, or no Unicode.
    """
    for text in texts:
        if "\0" in text or not _is_unicode(text):
            raise InvalidError(f"PostgreSQL cannot keep this text: {text!r}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@attrs.define(slots=True)
class _Run:
    """A run as it will be when the jobs so far are written."""

    length: int
    status: str
    owner: int | None
    more: int = 0
    size_bytes: int = 0
    memo: bytes | None = None
    search: bytes | None = None
    closing: Closing | None = None

    @property
    def is_open(self) -> bool:
        return self.status == Status.OPEN

    @property
    def touched(self) -> bool:
        return bool(self.more or self.closing or self.memo is not None or self.search is not None)


class Batch:
    """Jobs of one transaction, for the node of that number."""

    def __init__(self, jobs: Sequence[Job], owner: int) -> None:
        self._jobs = jobs
        self._owner = owner
        self._runs: dict[str, _Run] = {}
        self._left: dict[str, set[int]] = {}  # run -> numbers of messages left for it
        self._latest: dict[str, tuple[str, str | None]] = {}  # workflow -> its latest run, and that one's state
        self._new: list[RunInfo] = []
        self._follow: dict[str, str] = {}
        self._records: list[tuple[SqlValue, ...]] = []
        self._pending: dict[tuple[str, int], Pending | None] = {}
        self._cleared: set[str] = set()
        self._taken: list[int] = []
        self._posts: list[Post] = []
        self._told: set[int] = set()

    async def write(self, runner: Runner) -> list[LuaError | None]:
        """Write all; for each job None, or why it was refused. Nothing is committed here.

        Raises:
            LuaError: the transaction failed as a whole.
        """
        await self._look(runner)
        errors: list[LuaError | None] = []
        for job in self._jobs:
            try:
                self._decide(job)
            except LuaError as refusal:
                errors.append(refusal)
            else:
                errors.append(None)
        for text, columns in self._statements():
            if columns and columns[-1]:
                await runner.run(text, [value if isinstance(value, int) else array(value) for value in columns])
        return errors

    # the state before ------------------------------------------------------------------------------------------------
    async def _look(self, runner: Runner) -> None:
        """Lock and read what the jobs are about; in order, so that two nodes do not wait for one another."""
        workflows = sorted({job.info.workflow_id for job in self._jobs if isinstance(job, NewRun)})
        if workflows:
            unseen = {job.info.workflow_id for job in self._jobs if isinstance(job, NewRun) and not job.expected}
            if unseen:
                await runner.run(_RESERVE, [array(sorted(unseen))])
            for row in (await runner.run(_LATEST, [array(workflows)]))[0].rows:
                self._latest[str(row[0])] = str(row[1]), None if row[2] is None else str(row[2])
        runs = sorted({_run_of(job) for job in self._jobs if not isinstance(job, NewRun)})
        if runs:
            for run_id, length, status, owner in (await runner.run(_STATE, [array(runs)]))[0].rows:
                self._runs[str(run_id)] = _Run(
                    int(str(length)), str(status), None if owner is None else int(str(owner))
                )

        ending = [job.run_id for job in self._jobs if isinstance(job, Change) and job.closing and job.heed_left]
        if ending:  # whoever leaves a message holds the run, too: none comes before this is written
            for run_id, number in (await runner.run(_LEFT, [array(sorted(set(ending)))]))[0].rows:
                self._left.setdefault(str(run_id), set()).add(int(str(number)))

    # one after the other ----------------------------------------------------------------------------------------------
    def _decide(self, job: Job) -> None:
        if isinstance(job, NewRun):
            self._create(job, successor=False)
        elif isinstance(job, Change):
            self._append(job)
        elif isinstance(job, Post):
            self._post(job)
        else:
            self._note(*job)

    def _create(self, new: NewRun, *, successor: bool) -> None:
        info = new.info
        if not successor:
            run_id, status = self._latest.get(info.workflow_id, ("", None))
            if run_id in self._runs:
                status = self._runs[run_id].status
            if ("" if status is None else run_id) != new.expected or status == Status.OPEN:
                raise ConflictError(f"workflow already started: {info.workflow_id}")
        size = sum(len(record.data) for record in new.records)
        self._new.append(attrs.evolve(info, length=len(new.records), size_bytes=size))
        run = self._runs[info.run_id] = _Run(len(new.records), info.status, self._owner)
        self._latest[info.workflow_id] = info.run_id, info.status
        self._follow[info.workflow_id] = info.run_id
        self._records += [(info.run_id, at, record.at_ns, record.data) for at, record in enumerate(new.records, 1)]
        self._wait_for(info.run_id, new.pending)
        if new.closing is not None:
            self._close(info.run_id, run, new.closing)

    def _append(self, change: Change) -> None:
        run_id, closing = change.run_id, change.closing
        run = self._runs.get(run_id)
        if run is None or not run.is_open or run.length != change.expected_length:
            raise ConflictError(f"run {run_id} is not as expected (after {change.expected_length} records)")
        if run.owner != self._owner:
            raise ConflictError(f"run {run_id} is run by another node now")
        if closing is not None and change.heed_left:
            unheard = self._left.get(run_id, set()) - set(change.taken) - set(self._taken)
            if unheard or any(post.run_id == run_id for post in self._posts):
                raise MessagesLeftError(f"messages are left for run {run_id}")
        at = run.length
        self._records += [(run_id, at + more, one.at_ns, one.data) for more, one in enumerate(change.records, 1)]
        run.length += len(change.records)
        run.more += len(change.records)
        run.size_bytes += sum(len(record.data) for record in change.records)
        run.memo = run.memo if change.memo is None else change.memo
        run.search = run.search if change.search is None else change.search
        self._taken += change.taken
        if closing is None:
            self._pending.update(dict.fromkeys((run_id, seq) for seq in change.drop))
            self._wait_for(run_id, change.add)
            return
        self._close(run_id, run, closing)

    def _close(self, run_id: str, run: _Run, closing: Closing) -> None:
        run.status, run.closing = closing.status, closing
        self._cleared.add(run_id)
        self._pending = {key: value for key, value in self._pending.items() if key[0] != run_id}
        self._posts = [post for post in self._posts if post.run_id != run_id]
        if closing.successor is not None:
            self._create(closing.successor, successor=True)

    def _note(self, run_id: str, pending: Pending) -> None:
        run = self._open(run_id)
        if run.owner != self._owner:
            raise ConflictError(f"run {run_id} is run by another node now")
        self._wait_for(run_id, [pending])

    def _post(self, post: Post) -> None:
        run = self._open(post.run_id)
        self._posts.append(post)
        if run.owner is not None and run.owner != self._owner:
            self._told.add(run.owner)

    def _open(self, run_id: str) -> _Run:
        run = self._runs.get(run_id)
        if run is None or not run.is_open:
            raise NotFoundError(f"workflow run not found: {run_id}")
        return run

    def _wait_for(self, run_id: str, pending: Iterable[Pending]) -> None:
        self._pending.update({(run_id, item.seq): item for item in pending})

    # what is to be written --------------------------------------------------------------------------------------------
    def _statements(self) -> Iterable[tuple[str, list[Any]]]:
        yield _NEW_RUNS, [self._owner, *_columns(self._new, *map(_field, FIELDS))] if self._new else []
        yield _WORKFLOWS, [list(self._follow), list(self._follow.values())]
        yield _RECORDS, [list(column) for column in zip(*self._records, strict=True)]
        yield _RUNS, _columns([(key, run) for key, run in self._runs.items() if run.touched], *_RUN_COLUMNS)
        yield _CLEAR, [sorted(self._cleared)]
        yield _FORGET, [sorted(self._cleared)]
        dropped = [key for key, item in self._pending.items() if item is None]
        yield _DROP, _columns(dropped, lambda key: key[0], lambda key: key[1])
        added = [(key[0], *attrs.astuple(item)) for key, item in self._pending.items() if item is not None]
        yield _ADD, [list(column) for column in zip(*added, strict=True)]
        yield _TAKE, [self._taken]
        yield _POST, _columns(self._posts, lambda post: post.run_id, lambda post: post.at_ns, lambda post: post.data)
        yield _TELL, [sorted(self._told)]


def _run_of(job: Change | Post | tuple[str, Pending]) -> str:
    return job[0] if isinstance(job, tuple) else job.run_id


def _field(name: str) -> Callable[[RunInfo], SqlValue]:
    def value(info: RunInfo) -> SqlValue:
        found: SqlValue = getattr(info, name)
        return found

    return value


def _columns(rows: Sequence[Any], *values: Callable[[Any], SqlValue]) -> list[Any]:
    return [[value(row) for row in rows] for value in values]


def _closing(value: Callable[[Closing], SqlValue]) -> Callable[[tuple[str, _Run]], SqlValue]:
    return lambda item: None if item[1].closing is None else value(item[1].closing)


_RUN_COLUMNS: tuple[Callable[[tuple[str, _Run]], SqlValue], ...] = (
    lambda item: item[0],
    lambda item: item[1].more,
    lambda item: item[1].size_bytes,
    lambda item: item[1].memo,
    lambda item: item[1].search,
    _closing(lambda closing: str(closing.status)),
    _closing(lambda closing: closing.at_ns),
    _closing(lambda closing: closing.outcome),
    _closing(lambda closing: closing.successor.info.run_id if closing.successor else ""),
)
