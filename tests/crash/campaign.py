"""A node under load that is killed at random times, and started again: what it acknowledged must be there.

The clients talk HTTP from outside, and write down what was acknowledged: a start, a signal. Activities write their
effects into a database of their own. After the last round every job is finished, and the two are compared.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import httpx2
import trio

from tests.services.postgres import PASSWORD, USER, Server

ROOT = Path(__file__).resolve().parents[2]
APP = Path(__file__).with_name("app")
READY_S = 30.0
SETTLE_S = 45.0
LIFE_S = 5.0
CLIENTS = 8


@dataclass
class Place:
    """Where a campaign's node lives: its folder, and the databases of its workflows and effects."""

    folder: Path
    server: Server | None = None
    database: str = ""

    @classmethod
    def make(cls, folder: Path, server: Server | None = None) -> Place:
        """A copy of the app; with `server` both databases are there."""
        shutil.copytree(APP, folder, dirs_exist_ok=True)
        return cls(folder, server, server.new_database() if server else "")

    def arguments(self, port: int) -> list[str]:
        """How the node is started."""
        words = ["run", "-o", f"app:gateway:addr=127.0.0.1:{port}", "--set", "workflows.engine=embedded"]
        if self.server is not None:
            port = self.server.port
            fields = {"kind": "db.sql.postgres", "host": "127.0.0.1", "port": port, "database": self.database}
            fields |= {"username": USER, "password": PASSWORD}
            words += [word for name, value in fields.items() for word in ("-o", f"app:effects:{name}={value}")]
            login = f"{USER}:{quote(PASSWORD, safe='')}"
            words += ["--set", f"workflows.database=postgresql://{login}@127.0.0.1:{port}/{self.database}"]
        return words

    def rows(self, text: str) -> list[tuple[Any, ...]]:
        """Rows of the database of effects."""
        if self.server is None:
            with sqlite3.connect(self.folder / "effects.db") as database:
                return database.execute(text).fetchall()
        import psycopg

        with psycopg.connect(self.server.settings(self.database).conninfo()) as connection:
            return connection.execute(text.encode()).fetchall()


@dataclass
class Job:
    """What the clients know of a job."""

    id: str
    pid: str = ""
    sent: int = 0
    acked: list[int] = field(default_factory=list)
    ending: bool = False  # the end was asked for, perhaps in vain
    ended: bool = False


@dataclass
class Book:
    """Everything that was acknowledged, and what went wrong in words."""

    jobs: dict[str, Job] = field(default_factory=dict)
    refusals: Counter[str] = field(default_factory=Counter)
    kills: int = 0

    def acknowledged(self) -> int:
        """Starts and signals that were acknowledged."""
        return sum(bool(job.pid) + len(job.acked) for job in self.jobs.values())


class Node:
    """A node as a process of its own."""

    def __init__(self, place: Place, prefix: tuple[str, ...] = ()) -> None:
        self._place = place
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._log = (place.folder / "node.log").open("ab")
        command = [*prefix, sys.executable, "-m", "wippy_trio", *place.arguments(self.port)]
        self.process = subprocess.Popen(
            command,
            cwd=place.folder,
            stdout=self._log,
            stderr=self._log,
            env={"PYTHONPATH": str(ROOT), "PATH": "/bin:/usr/bin"},
            start_new_session=True,
        )

    async def ready(self) -> None:
        """Wait until it answers.

        Raises:
            RuntimeError: it ended, or does not answer in time; with the end of its log.
        """
        async with httpx2.AsyncClient(timeout=READY_S) as client:
            deadline = time.monotonic() + READY_S
            while self.process.poll() is None and time.monotonic() < deadline:
                with suppress(httpx2.HTTPError):
                    if (await client.get(f"http://127.0.0.1:{self.port}/ready")).status_code == 200:
                        return
                await trio.sleep(0.02)
        raise RuntimeError(self.log()[-3000:])

    def answers(self, job: Job) -> str:
        """Where requests about a job go, if they go here."""
        del job
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        """What the nodes of this place said."""
        return (self._place.folder / "node.log").read_text(encoding="utf-8", errors="replace")

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it and what watches it, and wait for its end."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        self.process.wait(30)
        self._log.close()


@contextmanager
def running(place: Place, prefix: tuple[str, ...] = ()) -> Iterator[Node]:
    """A node that is gone after the block."""
    node = Node(place, prefix)
    try:
        yield node
    finally:
        node.kill()


class Client:
    """Starts jobs, sends them numbers in order, ends them; asks one thing at a time."""

    _numbers = itertools.count(1)

    def __init__(self, book: Book, random: Random) -> None:
        self._book = book
        self._random = random
        self._mine: list[Job] = []

    async def act(self, http: httpx2.AsyncClient, where: Callable[[Job], str]) -> None:
        """One more request, to the node that `where` says."""
        open_jobs = [job for job in self._mine if not job.ended]
        if not open_jobs or (len(open_jobs) < 3 and self._random.random() < 0.3):
            job = Job(f"job-{next(self._numbers)}")
            self._mine.append(job)
            self._book.jobs[job.id] = job
        else:
            job = self._random.choice(open_jobs)
        base = where(job)
        if not job.pid:
            await self.start(http, base, job)
        elif job.ending or (job.sent >= 2 and self._random.random() < 0.3):
            await self.end(http, base, job)
        else:
            await self.signal(http, base, job)

    async def signal(self, http: httpx2.AsyncClient, base: str, job: Job) -> None:
        """Send the next number. One of which nobody knows is not sent again."""
        job.sent += 1
        if await self._ask(http, f"{base}/signal", {"pid": job.pid, "n": job.sent}) is not None:
            job.acked.append(job.sent)

    async def start(self, http: httpx2.AsyncClient, base: str, job: Job) -> None:
        """Start it; asked again with the same id, an acknowledged start is found."""
        answer = await self._ask(http, f"{base}/start", {"id": job.id})
        job.pid = answer["pid"] if answer else ""

    async def end(self, http: httpx2.AsyncClient, base: str, job: Job) -> None:
        """Ask for its end. One that is told again may have ended already."""
        before, job.ending = job.ending, True
        try:
            job.ended = await self._ask(http, f"{base}/signal", {"pid": job.pid, "n": 0}) is not None
        except RefusedError as refusal:
            if not before or "workflow not found" not in str(refusal):
                raise
            job.ended = True

    async def _ask(self, http: httpx2.AsyncClient, url: str, body: dict[str, Any]) -> Any:
        """The answer; None where nobody knows whether it was done."""
        try:
            reply = await http.post(url, json=body)
        except httpx2.HTTPError:
            return None
        answer = reply.json() if reply.content else {}
        if reply.status_code == 200:
            return answer
        self._book.refusals[f"{url.rpartition('/')[2]}: {answer.get('error', reply.status_code)}"] += 1
        if reply.status_code == 503:
            raise RefusedError(str(answer))
        return None


class RefusedError(Exception):
    """The node answered, and it was no."""


async def load(clients: list[Client], where: Callable[[Job], str], seconds: float) -> None:
    """Let all clients ask for so long."""

    async def go(client: Client) -> None:
        async with httpx2.AsyncClient(timeout=20.0) as http:
            while True:
                try:
                    await client.act(http, where)
                except RefusedError:
                    await trio.sleep(0.05)
                await trio.lowlevel.checkpoint()

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for client in clients:
                nursery.start_soon(go, client)


async def kill_rounds(place: Place, rounds: int, seed: int, most: int = 60) -> Book:
    """Start, load, kill, so many times.

    Args:
        place: where.
        rounds: kills.
        seed: of the moments and of what the clients do.
        most: a node lives until the clients have up to that many answers (5 s at most), and a moment.
    """
    random, book = Random(seed), Book()
    clients = [Client(book, Random(f"{seed}/{number}")) for number in range(CLIENTS)]
    for _ in range(rounds):
        with running(place) as node:
            await node.ready()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(load, clients, node.answers, LIFE_S + 5)
                enough, deadline = book.acknowledged() + random.randrange(most), time.monotonic() + LIFE_S
                while book.acknowledged() < enough and time.monotonic() < deadline:
                    await trio.sleep(0.005)
                await trio.sleep(random.random() * 0.03)
                node.kill()
                book.kills += 1
                await trio.sleep(0.01)
                nursery.cancel_scope.cancel()
    return book


async def server_rounds(place: Place, rounds: int, seed: int) -> Book:
    """Load a node while its PostgreSQL server crashes and comes back, so many times."""
    assert place.server is not None
    random, book = Random(seed), Book()
    clients = [Client(book, Random(f"{seed}/{number}")) for number in range(CLIENTS)]
    with running(place) as node:
        await node.ready()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load, clients, node.answers, 60.0 + 10.0 * rounds)
            for _ in range(rounds):
                enough, deadline = book.acknowledged() + 5 + random.randrange(40), time.monotonic() + 2 * LIFE_S
                while book.acknowledged() < enough and time.monotonic() < deadline:
                    await trio.sleep(0.005)
                place.server.stop(signal.SIGQUIT)
                place.server.start()
                book.kills += 1
            nursery.cancel_scope.cancel()
    return book


async def pair_rounds(places: tuple[Place, Place], rounds: int, seed: int, most: int = 60) -> Book:
    """Load two nodes on one database, and kill one of them, so many times; the other takes over.

    Requests about a job go to one node, and to the other when that one is killed: order is kept for those only who do
    not change sides.
    """
    random, book = Random(seed), Book()
    homes: dict[str, int] = {}
    clients = [Client(book, Random(f"{seed}/{number}")) for number in range(CLIENTS)]
    with ExitStack() as stack:
        nodes = [stack.enter_context(running(place)) for place in places]

        def where(job: Job) -> str:
            return nodes[homes.setdefault(job.id, len(homes) % 2)].answers(job)

        for node in nodes:
            await node.ready()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load, clients, where, 60.0 + 30.0 * rounds)
            for _ in range(rounds):
                enough, deadline = book.acknowledged() + random.randrange(most), time.monotonic() + LIFE_S
                while book.acknowledged() < enough and time.monotonic() < deadline:
                    await trio.sleep(0.005)
                victim = random.randrange(2)
                homes.update((name, 1 - victim) for name, home in homes.items() if home == victim)
                nodes[victim].kill()
                book.kills += 1
                nodes[victim] = stack.enter_context(running(places[victim]))
                await nodes[victim].ready()
            nursery.cancel_scope.cancel()
    return book


async def settle(place: Place, book: Book) -> list[str]:
    """Start the node once more, end every job, wait for the results, and compare; what is wrong, in words."""
    with running(place) as node:
        await node.ready()
        client, base = Client(book, Random(0)), f"http://127.0.0.1:{node.port}"
        deadline = time.monotonic() + SETTLE_S
        async with httpx2.AsyncClient(timeout=20.0) as http:
            for job in book.jobs.values():
                while not job.ended and time.monotonic() < deadline:
                    with suppress(RefusedError):
                        await (client.end if job.pid else client.start)(http, base, job)
        while time.monotonic() < deadline and len(results(place)) < len(book.jobs):
            await trio.sleep(0.1)
    return compare(book, results(place), effects(place))


def results(place: Place) -> dict[str, list[dict[str, Any]]]:
    """What the jobs reported at their end; more than once where the report was made again."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, text in place.rows("SELECT id, result FROM results"):
        found[name].append(json.loads(text))
    return found


def effects(place: Place) -> Counter[tuple[str, str]]:
    """How often each effect was made."""
    return Counter((name, step) for name, step in place.rows("SELECT id, step FROM effects"))


def compare(book: Book, results: dict[str, list[dict[str, Any]]], effects: Counter[tuple[str, str]]) -> list[str]:
    """What is wrong: acknowledged and lost, done twice though at most once, or without its effect."""
    wrong = [f"{name}: a result of a job that nobody started" for name in results if name not in book.jobs]
    for job in book.jobs.values():
        reports = results.get(job.id, [])
        if not reports:
            wrong.append(f"{job.id}: acknowledged and never finished" if job.pid else f"{job.id}: never started")
            continue
        report = reports[0]
        seen = report["seen"] or []
        if any(other != report for other in reports):
            wrong.append(f"{job.id}: reports differ: {reports}")
        if lost := sorted(set(job.acked) - set(seen)):
            wrong.append(f"{job.id}: signals acknowledged and lost: {lost}")
        if len(set(seen)) != len(seen):
            wrong.append(f"{job.id}: a signal was seen twice: {seen}")
        if seen != sorted(seen):
            wrong.append(f"{job.id}: signals out of order: {seen}")
        steps = ["first", *(f"signal-{number}" for number in seen)]
        wrong += [f"{job.id}: the effect of {step} is lost" for step in steps if not effects[job.id, step]]
        once = effects[job.id, "once"]
        if once > 1 or (once == 0 and report["once"] == "done"):
            wrong.append(f"{job.id}: at most once, and {once} times, reported as {report['once']}")
    return wrong


def repeated(effects: Counter[tuple[str, str]]) -> int:
    """Effects that were made again, as at-least-once allows."""
    return sum(count - 1 for count in effects.values())
