import errno
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, check_half_closeable_stream

from determinism.entropy import SeededEntropy
from determinism.faults import FaultPlan, ListedFaults
from determinism.memory import PIPE_BYTES
from determinism.network import RealNetworkError, SimulatedNetwork, exempt
from determinism.schedule import run_seeded
from determinism.seams import Strike


def strike(kind: str, where: str, number: int = 0, *, draw: float = 0.5, bound_s: float = 0.0) -> Strike:
    return Strike(kind, where, number, draw, bound_s)


def network_with(*strikes: Strike, seed: int = 1, latency_s=(0.001, 0.001)) -> SimulatedNetwork:
    return SimulatedNetwork(SeededEntropy(seed), ListedFaults(strikes), latency_s=latency_s)


async def pair(network: SimulatedNetwork, host: str = "far", port: int = 80):
    listener = network.listener_at(host, port) or await network.listen(host, port)
    client = await network.connect(host, port)
    return client, await listener.accept()


async def read_all(stream) -> bytes:
    data = b""
    while piece := await stream.receive_some():
        data += piece
    return data


async def test_stream_keeps_trios_contract(autojump_clock: MockClock) -> None:
    async def make():
        return await pair(network_with())

    async def make_clogged():
        ours, theirs = await pair(network_with())
        await ours.send_all(b"x" * PIPE_BYTES)
        await theirs.send_all(b"x" * PIPE_BYTES)
        return ours, theirs

    await check_half_closeable_stream(make, make_clogged)


async def test_bytes_take_their_time(autojump_clock: MockClock) -> None:
    began_s = trio.current_time()
    client, server = await pair(network_with(latency_s=(1.0, 1.0)))
    assert trio.current_time() - began_s == pytest.approx(2.0)
    await client.send_all(b"x")
    sent_s = trio.current_time()
    assert await server.receive_some() == b"x"
    assert 0.5 <= trio.current_time() - sent_s <= 12.0


async def test_distances_lie_in_their_range_and_differ(autojump_clock: MockClock) -> None:
    weather = SimulatedNetwork(SeededEntropy(3), latency_s=(0.001, 0.1)).weather
    found = [weather.distance_s("app", f"host{number}:80") for number in range(50)]
    assert all(0.001 <= distance <= 0.1 for distance in found)
    assert len(set(found)) == 50
    assert weather.distance_s("app", "host7:80") == found[7]


async def test_what_was_sent_arrives_in_order_and_in_pieces(autojump_clock: MockClock) -> None:
    client, server = await pair(network_with())
    sent = bytes(range(256)) * 1000
    pieces: list[bytes] = []
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            for start in range(0, len(sent), 50_000):
                await client.send_all(sent[start : start + 50_000])
            await client.aclose()

        nursery.start_soon(send)
        while piece := await server.receive_some():
            pieces.append(piece)
    assert b"".join(pieces) == sent
    assert len(pieces) > 10
    assert len({len(piece) for piece in pieces}) > 3


async def test_equal_seeds_give_equal_networks(autojump_clock: MockClock) -> None:
    async def run(seed: int) -> list[tuple[float, str, str, bytes]]:
        told: list[tuple[float, str, str, bytes]] = []
        began_s = trio.current_time()
        plan = FaultPlan(SeededEntropy(seed), ["clogged_link", "partition"], probabilities={"clogged_link": 0.3})

        def tell(who: str, what: str, about: str, data: bytes) -> None:
            told.append((round(trio.current_time() - began_s, 9), f"{who} {what}", about, data))

        network = SimulatedNetwork(SeededEntropy(seed), plan, record=tell)
        client, server = await pair(network)
        for word in (b"some words" * 100, b"more" * 9000):
            await client.send_all(word)
        await client.aclose()
        await read_all(server)
        return told

    assert await run(1) == await run(1)
    assert await run(1) != await run(2)


async def test_reset_breaks_both_ends(autojump_clock: MockClock) -> None:
    network = network_with(strike("connection_reset", "app>far:80", 3))
    client, server = await pair(network)
    await client.send_all(b"1")  # asked: 0
    assert await server.receive_some() == b"1"  # 1
    await client.send_all(b"2")  # 2
    await trio.sleep(1)
    with pytest.raises(trio.BrokenResourceError, match="connection reset by peer"):
        await client.send_all(b"3")
    assert await server.receive_some() == b"2"  # what had arrived is still there
    with pytest.raises(trio.BrokenResourceError, match="connection reset by peer"):
        await server.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await client.receive_some()


async def test_reset_wakes_the_one_who_waits(autojump_clock: MockClock) -> None:
    network = network_with(strike("connection_reset", "app>far:80", 1))
    client, server = await pair(network)
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await server.receive_some()

        nursery.start_soon(read)
        await trio.sleep(1)
        with pytest.raises(trio.BrokenResourceError):
            await client.send_all(b"x")


async def test_partition_holds_both_directions_until_it_heals(autojump_clock: MockClock) -> None:
    fault = strike("partition", "app>far:80", 2, draw=1.0, bound_s=30)  # 0 and 1 were asked while connecting
    client, server = await pair(network_with(fault))
    began_s = trio.current_time()
    await client.send_all(b"there")
    await server.send_all(b"back")
    await read_exactly(client, b"back")
    assert 30 <= trio.current_time() - began_s < 31
    await read_exactly(server, b"there")


async def test_one_way_partition_lets_the_other_way_pass(autojump_clock: MockClock) -> None:
    fault = strike("partition_one_way", "app>far:80", 1, draw=1.0, bound_s=30)
    client, server = await pair(network_with(fault))
    began_s = trio.current_time()
    await client.send_all(b"there")
    await server.send_all(b"back")
    await read_exactly(client, b"back")
    assert trio.current_time() - began_s < 1
    await read_exactly(server, b"there")
    assert trio.current_time() - began_s >= 30


async def read_exactly(stream, expected: bytes) -> None:
    data = b""
    while len(data) < len(expected):
        data += await stream.receive_some()
    assert data == expected


async def test_connecting_waits_for_the_end_of_a_partition(autojump_clock: MockClock) -> None:
    network = network_with(strike("partition", "app>far:80", draw=1.0, bound_s=30))
    began_s = trio.current_time()
    await pair(network)
    assert 30 <= trio.current_time() - began_s < 31


async def test_clogged_link_trickles_and_is_over_in_time(autojump_clock: MockClock) -> None:
    fault = strike("clogged_link", "app>far:80", 1, draw=1.0, bound_s=30)
    client, server = await pair(network_with(fault))
    began_s = trio.current_time()
    await client.send_all(bytes(160))
    await client.aclose()
    arrivals: list[float] = []
    while await server.receive_some():
        arrivals.append(trio.current_time() - began_s)
    assert len(arrivals) >= 16
    assert 5 < arrivals[-1] < 31
    assert arrivals[0] < 2


async def test_exempt_connections_are_not_struck(autojump_clock: MockClock) -> None:
    plan = FaultPlan(
        SeededEntropy(1),
        ["connection_reset", "partition", "partition_one_way", "clogged_link"],
        probabilities=dict.fromkeys(["connection_reset", "partition", "partition_one_way", "clogged_link"], 1.0),
        budgets=dict.fromkeys(["connection_reset", "partition"], 1000),
    )
    network = SimulatedNetwork(SeededEntropy(1), plan)
    token = exempt.set(True)
    try:
        client, server = await pair(network)
    finally:
        exempt.reset(token)
    for _ in range(20):
        await client.send_all(b"x" * 100)
    await client.aclose()
    assert len(await read_all(server)) == 2000
    assert plan.struck == []
    assert trio.current_time() < 2


async def test_nobody_at_a_port_is_a_refusal_and_an_unknown_host_the_real_network() -> None:
    network = SimulatedNetwork(SeededEntropy(1), latency_s=(0, 0))
    await network.listen("api.example.com", 443)
    with pytest.raises(ConnectionRefusedError):
        await network.connect("localhost", 9)
    with pytest.raises(ConnectionRefusedError):
        await network.connect("api.example.com", 80)
    with pytest.raises(RealNetworkError, match=r"real network in simulation: db\.example\.com:5432; give") as caught:
        await network.connect("db.example.com", 5432)
    assert caught.value.errno == errno.ENETUNREACH
    assert network.refused == ["db.example.com:5432"]


async def test_cut_breaks_everything_open(autojump_clock: MockClock) -> None:
    network = network_with()
    first, second = await pair(network)
    third, _ = await pair(network)
    await third.aclose()
    assert network.cut() == 2
    for stream in (first, second):
        with pytest.raises(trio.BrokenResourceError, match="machine went down"):
            await stream.receive_some()


async def test_local_sockets_take_no_time() -> None:
    network = network_with()
    listener = await network.listen_local("/run/app.sock")
    client = await network.connect_local("/run/app.sock")
    server = await listener.accept()
    await client.send_all(b"x")
    assert await server.receive_some() == b"x"


async def test_a_machine_is_never_cut_off_from_itself_but_its_connections_break(autojump_clock: MockClock) -> None:
    kinds = ["partition", "partition_one_way", "clogged_link"]
    plan = FaultPlan(SeededEntropy(1), kinds, probabilities=dict.fromkeys(kinds, 1.0))
    client, server = await pair(SimulatedNetwork(SeededEntropy(1), plan), "localhost")
    await client.send_all(b"x")
    assert await server.receive_some() == b"x"
    assert plan.struck == []
    client, _ = await pair(network_with(strike("connection_reset", "app>localhost:80")), "localhost")
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all(b"x")


sizes = st.lists(st.integers(1, 40_000), max_size=6)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000), there=sizes, back=sizes, most=st.one_of(st.none(), st.integers(1, 20_000)))
def test_all_bytes_arrive_in_order(seed: int, there: list[int], back: list[int], most: int | None) -> None:
    async def run() -> None:
        kinds = ["partition", "partition_one_way", "clogged_link"]
        plan = FaultPlan(SeededEntropy(seed), kinds, probabilities=dict.fromkeys(kinds, 0.2))
        client, server = await pair(SimulatedNetwork(SeededEntropy(seed), plan))
        done: dict[str, bool] = {}

        async def send(stream: Any, name: str, counts: list[int]) -> None:
            for at, count in enumerate(counts):
                await stream.send_all(bytes([at]) * count)
            await stream.send_eof()

        async def receive(stream: Any, name: str, counts: list[int]) -> None:
            got = b""
            while piece := await stream.receive_some(most):
                assert most is None or len(piece) <= most
                got += piece
            done[name] = got == b"".join(bytes([at]) * count for at, count in enumerate(counts))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, client, "there", there)
            nursery.start_soon(receive, server, "there", there)
            nursery.start_soon(send, server, "back", back)
            nursery.start_soon(receive, client, "back", back)
        assert done == {"there": True, "back": True}

    run_seeded(run, seed=seed)
