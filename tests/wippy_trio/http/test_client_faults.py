"""What befalls requests in a simulation, and what TLS and connections are there."""

import dataclasses
from contextlib import asynccontextmanager

import pytest
import trio

from determinism.entropy import SeededEntropy
from determinism.environment import seeded_environment
from determinism.faults import FaultPlan, ListedFaults, exempt
from determinism.network import SimulatedNetwork
from determinism.schedule import run_seeded
from determinism.seams import Strike
from wippy_trio.core.errors import Raised
from wippy_trio.http.client import ClientRequest, HttpClient, RequestFailedError
from wippy_trio.http.client_faults import trouble_of
from wippy_trio.http.exchange import Exchange
from wippy_trio.http.server import HttpServer, ServerOptions
from wippy_trio.http.tls import ServerTls, server_context

HOST = "api.example.com"


class World:
    """A peer that counts its requests, and a client."""

    def __init__(self, faults) -> None:
        network = SimulatedNetwork(SeededEntropy(1), faults)
        self.environment = dataclasses.replace(seeded_environment(1), network=network, faults=faults)
        self.client = HttpClient(self.environment)
        self.served = 0
        self.secure: list[bool] = []

    async def handle(self, exchange: Exchange) -> None:
        self.served += 1
        self.secure.append(exchange.request.secure)
        await exchange.response.write(b"hello " * 100)

    async def get(self, url: str = f"http://{HOST}/a?b=c", **options: object):
        return await self.client.request(ClientRequest("GET", url, **options))  # type: ignore[arg-type]


@asynccontextmanager
async def world(*strikes: Strike, plan: FaultPlan | None = None, port: int = 80, tls: bool = False):
    made = World(plan or ListedFaults(strikes))
    context = await server_context(ServerTls("cert", "key"), made.environment, ("http/1.1",)) if tls else None
    server = HttpServer(f"{HOST}:{port}", made.handle, made.environment, ServerOptions(tls=context))
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve)
        yield made
        await made.client.aclose()
        await server.stop(1)


@pytest.mark.parametrize(("draw", "status", "served"), [(0.0, 500, 1), (0.3, 502, 0), (0.6, 503, 0), (0.9, 504, 1)])
async def test_answer_that_is_not_the_peers(draw: float, status: int, served: int, autojump_clock) -> None:
    async with world(Strike("http_5xx", f"GET {HOST}/a", 1, draw)) as made:
        assert (await made.get()).status == 200
        answer = await made.get()
        assert (answer.status, made.served) == (status, 1 + served)
        assert answer.body.startswith(str(status).encode())
        assert answer.headers.get("Content-Length") == str(len(answer.body))
        assert (await made.get()).body == b"hello " * 100


@pytest.mark.parametrize("draw", [0.5, 0.5 + 1 / 1024])
async def test_slow_answers_come_in_the_end(draw: float, autojump_clock) -> None:
    strike = Strike("http_slow", f"GET {HOST}/a", 0, draw, 60.0)
    async with world(strike) as made:
        began_s = trio.current_time()
        assert (await made.get(stream=True)).status == 200
        headed_s = trio.current_time() - began_s
        began_s = trio.current_time()
        answer = await made.get()
        assert (answer.status, len(answer.body)) == (200, 600)
        assert trio.current_time() - began_s < 1
    late = headed_s >= strike.lasts_s
    assert late == bool(int(draw * 1024) % 2)  # otherwise the connection is half open: the head came in time


@pytest.mark.parametrize("draw", [1023 / 1024, 1022 / 1024])
async def test_slow_answers_meet_the_time_limit(draw: float, autojump_clock) -> None:
    async with world(Strike("http_slow", f"GET {HOST}/a", 0, draw, 60.0)) as made:
        began_s = trio.current_time()
        with pytest.raises(RequestFailedError, match="context deadline exceeded"):
            await made.get(timeout_s=5)
        assert trio.current_time() - began_s == pytest.approx(5)


async def test_reset_fails_the_request(autojump_clock) -> None:
    async with world(Strike("connection_reset", f"app>{HOST}:80", 1, 0.5)) as made:
        with pytest.raises(RequestFailedError, match=r"connection reset by peer|EOF"):
            await made.get()
        assert (await made.get()).status == 200


async def test_partition_makes_connecting_time_out(autojump_clock) -> None:
    async with world(Strike("partition", f"app>{HOST}:80", 0, 1.0, 60.0)) as made:
        with pytest.raises(RequestFailedError, match="context deadline exceeded"):
            await made.get(timeout_s=10)
        await trio.sleep(60)
        assert (await made.get()).status == 200


async def test_exempt_requests_are_not_struck_and_have_connections_of_their_own(autojump_clock) -> None:
    kinds = ["http_5xx", "http_slow", "connection_reset", "partition", "clogged_link"]
    plan = FaultPlan(SeededEntropy(1), kinds, probabilities=dict.fromkeys(kinds, 1.0))
    plan.exempt = True
    async with world(plan=plan) as made:
        await made.get()  # a connection of the app's is waiting now
        plan.exempt = False
        token = exempt.set(True)
        try:
            assert trouble_of(plan, "GET", f"http://{HOST}/a").status == 0
            assert (await made.get()).status == 200
        finally:
            exempt.reset(token)
        assert plan.struck == []
        assert made.client._pool.idle_count == 2


async def test_tls_is_left_out(autojump_clock) -> None:
    async with world(port=443, tls=True) as made:
        assert (await made.get(f"https://{HOST}/a")).status == 200
        assert made.secure == [True]


async def test_a_host_that_nobody_plays_is_an_error_of_the_scenario(autojump_clock) -> None:
    async with world() as made:
        with pytest.raises(Raised, match=r"real network in simulation: other\.example\.com:443; give the"):
            await made.get("https://other.example.com/x")
        with pytest.raises(RequestFailedError, match="connection refused"):
            await made.get(f"http://{HOST}:81/")


def test_equal_seeds_give_equal_bytes() -> None:
    async def run(seed: int) -> list[tuple[str, str, bytes]]:
        told = []
        kinds = ["http_5xx", "http_slow", "connection_reset", "clogged_link"]
        plan = FaultPlan(SeededEntropy(seed), kinds, probabilities=dict.fromkeys(kinds, 0.2))
        async with world(plan=plan) as made:
            made.environment.network._record = lambda who, what, _about, data: told.append((who, what, data))
            for _ in range(10):
                try:
                    told.append(("answer", str((await made.get()).status), b""))
                except RequestFailedError as error:
                    told.append(("error", str(error), b""))
        assert any(b"\r\nDate: Thu, 01 Jan 2026 00:" in data for _, _, data in told)
        return told

    assert run_seeded(run, 1) == run_seeded(run, 1) != run_seeded(run, 2)


@pytest.mark.parametrize("body", [b"", b"x"], ids=["empty", "body"])
async def test_a_post_is_never_sent_twice(body: bytes, autojump_clock) -> None:
    for number in range(30):
        async with world(Strike("connection_reset", f"app>{HOST}:80", number, 0.5)) as made:
            asked = 0
            for _ in range(3):
                asked += 1
                try:
                    await made.client.request(ClientRequest("POST", f"http://{HOST}/a", body=body))
                except RequestFailedError:
                    break
            assert made.served <= asked, f"reset {number}"
