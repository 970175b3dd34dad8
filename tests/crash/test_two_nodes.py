"""Two nodes on one PostgreSQL database: one owner for each workflow, signals from either, and takeover."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from random import Random

import httpx2
import pytest
import trio

from tests.crash.campaign import (
    Book,
    Client,
    Job,
    Node,
    Place,
    RefusedError,
    compare,
    effects,
    pair_rounds,
    results,
    running,
    settle,
)
from tests.services.postgres import Server
from wippy_trio.workflows.history_postgres_node import LOST_S

pytestmark = [pytest.mark.slow, pytest.mark.service]
#: A node is taken over that long after it died, at the latest: its session is gone for LOST_S, and a node looks each
#: half second; the rest is for a busy machine. (One whose session stays, as its machine froze, has a lease of 15 s.)
TAKEOVER_S = LOST_S + 5.0


def places(folder: Path, server: Server) -> tuple[Place, Place]:
    first = Place.make(folder / "a", server)
    second = Place.make(folder / "b", server)
    second.database = first.database
    return first, second


async def test_two_nodes_that_are_killed_in_turn_lose_nothing(tmp_path, postgres_server) -> None:
    both = places(tmp_path, postgres_server)
    book = await pair_rounds(both, 3, 1, 25)
    assert not await settle(both[0], book)
    assert book.acknowledged() > 10


async def until_done(place: Place, count: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while len(results(place)) < count and time.monotonic() < deadline:
        await trio.sleep(0.02)


async def until_heard(place: Place, job: Job, number: int) -> None:
    with trio.fail_after(10):
        while not effects(place)[job.id, f"signal-{number}"]:
            await trio.sleep(0.01)


async def test_signals_reach_the_owner_from_either_node(tmp_path, postgres_server) -> None:
    first, second = places(tmp_path, postgres_server)
    book = Book()
    with running(first) as a, running(second) as b:
        await a.ready()
        await b.ready()
        bases = [f"http://127.0.0.1:{node.port}" for node in (a, b)]
        client = Client(book, Random(1))
        async with httpx2.AsyncClient(timeout=10.0) as http:
            for number in range(6):
                job = book.jobs.setdefault(f"j{number}", Job(f"j{number}"))
                await client.start(http, bases[number % 2], job)
                again = Job(job.id)
                await client.start(http, bases[1 - number % 2], again)
                assert again.pid == job.pid  # the other node finds it
                for at in range(4):
                    await client.signal(http, bases[at // 2], job)
                    if at % 2:  # what goes by way of another node may be overtaken
                        await until_heard(first, job, at + 1)
                await client.end(http, bases[number % 2], job)
        await until_done(first, 6, 10.0)
    assert not compare(book, results(first), effects(first))
    assert not book.refusals
    assert all(count == 1 for count in effects(first).values())  # nobody did what the other does


async def test_a_node_takes_over_from_one_that_was_killed(tmp_path, postgres_server) -> None:
    first, second = places(tmp_path, postgres_server)
    book = Book()
    with running(second) as b:
        await b.ready()
        with running(first) as a:
            await a.ready()
            client = Client(book, Random(1))
            async with httpx2.AsyncClient(timeout=10.0) as http:
                for number in range(5):
                    job = book.jobs.setdefault(f"j{number}", Job(f"j{number}"))
                    await client.start(http, f"http://127.0.0.1:{a.port}", job)
                    await client.signal(http, f"http://127.0.0.1:{a.port}", job)
            a.kill()
        began = time.monotonic()
        await end_all(b, book)
        await until_done(second, 5, 20.0)
        took_s = time.monotonic() - began
    assert not compare(book, results(second), effects(second))
    assert took_s < TAKEOVER_S


async def end_all(node: Node, book: Book) -> None:
    client, base = Client(book, Random(2)), f"http://127.0.0.1:{node.port}"
    async with httpx2.AsyncClient(timeout=10.0) as http:
        for job in book.jobs.values():
            while not job.ended:
                with suppress(RefusedError):
                    await client.end(http, base, job)
