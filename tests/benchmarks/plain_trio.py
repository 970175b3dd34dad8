"""The same work by plain trio tasks and memory channels: what the actor engine is compared with."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import trio

from tests.benchmarks.lua import resident_bytes


async def spawn_exit() -> float:
    async def nothing() -> None:
        pass

    start = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(5000):
            nursery.start_soon(nothing)
    return 5000 / (time.perf_counter() - start)


async def ping_pong(count: int = 50_000) -> float:
    ping_send, ping_receive = trio.open_memory_channel[dict[str, object]](1)
    pong_send, pong_receive = trio.open_memory_channel[dict[str, object]](1)

    async def ponger() -> None:
        async for message in ping_receive:
            await pong_send.send({"id": message["id"], "text": "abc"})

    start = time.perf_counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ponger)
        for number in range(count):
            await ping_send.send({"id": number})
            assert (await pong_receive.receive())["id"] == number
        nursery.cancel_scope.cancel()
    return count / (time.perf_counter() - start)


async def fan_in() -> float:
    send, receive = trio.open_memory_channel[dict[str, object]](1024)

    async def sender() -> None:
        for number in range(100):
            await send.send({"id": number, "text": "abc"})

    start = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(1000):
            nursery.start_soon(sender)
        for _ in range(100_000):
            await receive.receive()
    return 100_000 / (time.perf_counter() - start)


async def function_call() -> float:
    """A call into another task that answers over a channel, as a pool of workers does it."""
    calls_send, calls_receive = trio.open_memory_channel[tuple[int, trio.MemorySendChannel[int]]](1)
    back_send, back_receive = trio.open_memory_channel[int](1)

    async def worker() -> None:
        async for value, back in calls_receive:
            await back.send(value)

    start = time.perf_counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(worker)
        for number in range(10_000):
            await calls_send.send((number, back_send))
            await back_receive.receive()
        nursery.cancel_scope.cancel()
    return 10_000 / (time.perf_counter() - start)


async def channel_pairs() -> float:
    send, receive = trio.open_memory_channel[int](0)

    async def sender() -> None:
        for number in range(100_000):
            await send.send(number)

    start = time.perf_counter()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender)
        for _ in range(100_000):
            await receive.receive()
    return 100_000 / (time.perf_counter() - start)


async def idle_bytes() -> float:
    before = resident_bytes()
    async with trio.open_nursery() as nursery:
        for _ in range(10_000):
            nursery.start_soon(trio.sleep_forever)
        await trio.sleep(0.2)
        used = resident_bytes() - before
        nursery.cancel_scope.cancel()
    return used / 10_000


BENCHES: dict[str, Callable[[], Awaitable[float]]] = {
    "spawn_exit": spawn_exit,
    "ping_pong": ping_pong,
    "fan_in": fan_in,
    "function_call": function_call,
    "channel_pairs": channel_pairs,
    "idle_bytes": idle_bytes,
}


def run(name: str) -> float:
    """One measurement."""
    return trio.run(BENCHES[name])
