"""Every write and sync of the workflow history made to fail once: reported, and nothing is written after it.

`strace` injects the error into the n-th call on the history's files. A node does the same small work each time; what
it acknowledged before must be there after a restart without faults.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import httpx2
import trio

from tests.crash.campaign import Book, Client, Job, Place, RefusedError, results, running, settle

CALLS = ("fdatasync", "fsync", "pwrite64", "write", "ftruncate")
JOBS = 3
DONE_S = 10.0
#: What a node says of it: while it runs, and while it opens the history.
REPORT, REFUSAL = "cannot be written", "workflows.database"
_LINE = re.compile(r"^\d+ +([\d.]+) (\w+)\((\d+)<([^>]*)>.* = (-?\d+)(.*)$")


@dataclass
class Trace:
    """What strace saw: call, file and whether it succeeded; `struck` is the position of the injected one."""

    calls: list[tuple[str, str, bool]] = field(default_factory=list)
    struck: int = -1

    @classmethod
    def read(cls, path: Path) -> Trace:
        """The trace in a file."""
        trace = cls()
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            found = _LINE.match(line)
            if found is None:
                continue
            if "(INJECTED)" in line and trace.struck < 0:
                trace.struck = len(trace.calls)
            trace.calls.append((found[2], found[4], int(found[5]) >= 0))
        return trace

    def count(self, call: str) -> int:
        """How many of that call there were."""
        return sum(name == call for name, _, _ in self.calls)

    def after(self) -> list[str]:
        """Writes to the history's files that succeeded after the injected failure, but for the lock's own file."""
        return [f"{name} {file}" for name, file, fine in self.calls[self.struck + 1 :] if fine and "lock" not in file]


def strace(place: Place, inject: str = "") -> tuple[str, ...]:
    """The words before the node's command.

    Args:
        place: whose files are watched.
        inject: strace's `inject=` expression.
    """
    history = place.folder / ".wippy" / "workflows.db"
    files = [word for suffix in ("", "-wal", "-journal") for word in ("-P", f"{history}{suffix}")]
    words = ["strace", "-f", "-y", "-ttt", "--seccomp-bpf", "-o", str(place.folder / "trace"), *files]
    words += ["-e", f"trace={','.join(CALLS)}", "-e", "signal=none"]
    return (*words, "-e", f"inject={inject}") if inject else tuple(words)


async def work(place: Place, book: Book, prefix: tuple[str, ...]) -> str:
    """Start a few jobs, send each two numbers, end them; what the node logged. It may refuse, or not even start."""
    client = Client(book, Random(0))
    with running(place, prefix) as node:
        with suppress(RuntimeError):
            await node.ready()
            base = f"http://127.0.0.1:{node.port}"
            async with httpx2.AsyncClient(timeout=20.0) as http:
                for number in range(JOBS):
                    await _one(client, http, base, book.jobs.setdefault(f"job-{number}", Job(f"job-{number}")))
            deadline = time.monotonic() + DONE_S
            while time.monotonic() < deadline and len(results(place)) < JOBS and not _reported(node.log(), book):
                await trio.sleep(0.05)
        return node.log()


def _reported(log: str, book: Book) -> bool:
    """Whether somebody was told: people in the log, or those who asked."""
    return REPORT in log or REFUSAL in log or any(REPORT in text for text in book.refusals)


async def _one(client: Client, http: httpx2.AsyncClient, base: str, job: Job) -> None:
    with suppress(RefusedError):
        await client.start(http, base, job)
        if job.pid:
            await client.signal(http, base, job)
            await client.signal(http, base, job)
            await client.end(http, base, job)


def counted(folder: Path) -> dict[str, int]:
    """How many calls of each kind the work makes without a fault."""
    place = Place.make(folder)
    book = Book()
    trio.run(work, place, book, strace(place))
    trace = Trace.read(place.folder / "trace")
    return {call: count for call in CALLS if (count := trace.count(call))}


def strike(folder: Path, call: str, number: int, error: str = "EIO") -> list[str]:
    """Make the `number`-th `call` fail, compare, and say what is wrong."""
    place, book = Place.make(folder), Book()
    log = trio.run(work, place, book, strace(place, f"{call}:error={error}:when={number}"))
    trace = Trace.read(place.folder / "trace")
    wrong = []
    if trace.struck >= 0:
        if REPORT not in log and REFUSAL not in log:
            wrong.append("the failure was not reported")
        # While it opens the file SQLite takes back what it began; such a node serves no workflows at all.
        if REFUSAL not in log and (written := trace.after()):
            wrong.append(f"{len(written)} writes after it: {written[:5]}")
    if not book.jobs:
        return wrong
    return wrong + trio.run(settle, place, book)


def campaign(folder: Path, *, every: int = 1) -> Iterator[tuple[str, int, list[str], float]]:
    """Strike each call in turn: (call, number, what is wrong, seconds).

    Args:
        folder: for the nodes' files.
        every: only each so-manieth call.
    """
    for call, count in counted(folder / "count").items():
        for number in range(1, count + 1, every):
            began = time.monotonic()
            place = folder / f"{call}-{number}"
            yield call, number, strike(place, call, number), time.monotonic() - began
            shutil.rmtree(place, ignore_errors=True)
