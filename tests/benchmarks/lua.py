"""Benchmarks of Lua actors: each gives operations per second (or bytes), measured inside one app."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from wippy_trio.actors.host import ProcessHost
from wippy_trio.app.app import App, open_entries
from wippy_trio.core.entry import Entry
from wippy_trio.core.ids import EntryId

HOST = "app:host"


def _host(app: App) -> ProcessHost:
    return app.runtime.resources.get(HOST, ProcessHost)


def _entry(name: str, kind: str, **data: object) -> Entry:
    return Entry(EntryId("app", name), kind, {}, data)


def _process(name: str, source: str, *modules: str) -> Entry:
    return _entry(name, "process.lua", source=source, method="main", modules=list(modules))


ENTRIES = [
    _entry("host", "process.host", lifecycle={"auto_start": True}),
    _process("empty", "return function() end"),
    _process("idle", "return function() process.inbox():receive() end"),
    _process(
        "spawner",
        """return function(n)
          for i = 1, n do process.spawn("app:empty", "app:host") end
          return n
        end""",
    ),
    _process(
        "ponger",
        """return function()
          local inbox = process.inbox()
          while true do
            local m = inbox:receive()
            local d = m:payload():data()
            if d.stop then return end
            process.send(d.from, "pong", {id = d.id, text = "abc"})
          end
        end""",
    ),
    _process(
        "pinger",
        """return function(n)
          local inbox, me = process.inbox(), process.pid()
          local to = process.spawn("app:ponger", "app:host")
          for i = 1, n do
            process.send(to, "ping", {id = i, from = me})
            if inbox:receive():payload():data().id ~= i then error("wrong answer") end
          end
          process.send(to, "ping", {stop = true})
          return n
        end""",
    ),
    _process(
        "sender",
        """return function(to, n)
          for i = 1, n do process.send(to, "x", {id = i, text = "abc"}) end
        end""",
    ),
    _process(
        "receiver",
        """return function(senders, n)
          local inbox, me, got = process.inbox(), process.pid(), 0
          for i = 1, senders do process.spawn("app:sender", "app:host", me, n) end
          while got < senders * n do
            local d = inbox:receive():payload():data()
            got = got + 1
          end
          return got
        end""",
    ),
    _process(
        "pairs",
        """return function(n)
          local ch, done = channel.new(0), channel.new(0)
          coroutine.spawn(function() for i = 1, n do ch:send(i) end done:send(true) end)
          for i = 1, n do ch:receive() end
          done:receive()
          return n
        end""",
    ),
    _process(
        "hop",
        """return function(to)
          local inbox = process.inbox()
          while true do
            local d = inbox:receive():payload():data()
            process.send(to, "t", d)
            if d == 0 then return end
          end
        end""",
    ),
    _process(
        "ring",
        """return function(nodes, laps)
          local inbox, to = process.inbox(), process.pid()
          for i = 2, nodes do to = process.spawn("app:hop", "app:host", to) end
          for i = laps, 0, -1 do
            process.send(to, "t", i)
            inbox:receive()
          end
        end""",
    ),
    _process("crash", "return function() error('boom') end"),
    _process(
        "respawner",
        """return function(n)
          local events = process.events()
          for i = 1, n do
            process.spawn_monitored("app:crash", "app:host")
            events:receive()
          end
        end""",
    ),
    _process("sleeper", "local time = require('time') return function() time.sleep('1s') end", "time"),
    _entry("echo", "function.lua", source="return function(x) return x end", method="main"),
    _process(
        "caller",
        """local funcs = require("funcs")
        return function(n) for i = 1, n do funcs.call("app:echo", i) end return n end""",
        "funcs",
    ),
]

Bench = Callable[[App, int], Awaitable[float]]
#: The clock that rates are measured by: `time.process_time` where the machine is not quiet.
now_s: Callable[[], float] = time.perf_counter


async def _rate(app: App, id_: str, count: int, *args: object, rounds: int = 1) -> float:
    start = now_s()
    for _ in range(rounds):
        await app.run(id_, HOST, *args)
    return count * rounds / (now_s() - start)


async def spawn_exit(app: App, scale: int) -> float:
    """Processes started and ended per second, from Lua."""
    host, count = _host(app), 5000 * scale
    start = now_s()
    await app.run("app:spawner", HOST, count)
    while host.processes:
        await trio.lowlevel.checkpoint()
    return count / (now_s() - start)


async def ping_pong(app: App, scale: int) -> float:
    """Round trips per second between two actors of a host."""
    return await _rate(app, "app:pinger", 100_000 * scale, 100_000 * scale)


async def fan_in(app: App, scale: int) -> float:
    """Small tables per second from 1,000 senders to one receiver."""
    return await _rate(app, "app:receiver", 100_000 * scale, 1000, 100 * scale)


async def function_call(app: App, scale: int) -> float:
    """`funcs.call` per second from one actor."""
    return await _rate(app, "app:caller", 50_000 * scale, 50_000 * scale)


async def channel_pairs(app: App, scale: int) -> float:
    """Unbuffered send and receive pairs per second inside one actor; as many as the CPU limit of one allows, again."""
    return await _rate(app, "app:pairs", 100_000, 100_000, rounds=2 * scale)


async def ring(app: App, scale: int) -> float:
    """Hops per second around a ring of 1,000 actors of one host."""
    return await _rate(app, "app:ring", 100 * scale * 1000, 1000, 100 * scale)


async def respawn(app: App, scale: int) -> float:
    """Monitored crashes and respawns per second."""
    return await _rate(app, "app:respawner", 5000 * scale, 5000 * scale)


async def sleepers(app: App, scale: int) -> float:
    """Milliseconds over the second that 10,000 sleepers of 1 s take to end, counted from the last one's start."""
    host = _host(app)
    for _ in range(10_000 * scale):
        await app.spawn("app:sleeper", HOST)
    last = time.perf_counter()
    while host.processes:
        await trio.sleep(0.002)
    return (time.perf_counter() - last - 1) * 1000


async def idle_100k_mb(app: App, scale: int) -> float:
    """Resident megabytes of a node with 100,000 idle processes."""
    for _ in range(100_000 * scale):
        await app.spawn("app:idle", HOST)
    await trio.sleep(0.2)
    return resident_bytes() / 1e6


async def idle_bytes(app: App, scale: int) -> float:
    """Resident bytes per idle process at 10,000."""
    before = resident_bytes()
    for _ in range(10_000 * scale):
        await app.spawn("app:idle", HOST)
    await trio.sleep(0.2)
    return (resident_bytes() - before) / (10_000 * scale)


def resident_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


BENCHES: dict[str, Bench] = {
    "spawn_exit": spawn_exit,
    "ping_pong": ping_pong,
    "fan_in": fan_in,
    "function_call": function_call,
    "channel_pairs": channel_pairs,
    "idle_bytes": idle_bytes,
    "ring": ring,
    "respawn": respawn,
    "sleepers": sleepers,
    "idle_100k_mb": idle_100k_mb,
}


def run(name: str, scale: int = 1, *, cpu: bool = False) -> float:
    """One measurement in a fresh app.

    Args:
        name: which.
        scale: how many times the work.
        cpu: rates by processor time.
    """
    global now_s  # noqa: PLW0603 - one measurement to a process
    now_s = time.process_time if cpu else time.perf_counter

    async def main() -> float:
        async with open_entries(ENTRIES) as app:
            return await BENCHES[name](app, scale)

    return trio.run(main)
