from __future__ import annotations

from typing import Any

import pytest
import trio

from wippy_trio.actors.topology import CANCEL, EXIT, LINK_DOWN, Topology, error_data, result_of
from wippy_trio.core.errors import AlreadyExistsError, InvalidError, LuaError, NotFoundError, UnavailableError


class Puppet:
    """A participant that remembers."""

    def __init__(self, state: int = 0) -> None:
        self.state = state
        self.got: list[Any] = []
        self.events: list[dict[str, Any]] = []
        self.room = trio.Event()

    def deliver_now(self, topic: str, source: str, data: bytes) -> int:
        if self.state == 0:
            self.got.append((topic, source, data))
        return self.state

    def event_now(self, event: dict[str, Any]) -> None:
        self.events.append(event)

    def terminate_now(self, error: LuaError) -> None:
        raise AssertionError(error)


class Bounded(Puppet):
    async def wait_room(self) -> None:
        await self.room.wait()


@pytest.fixture
def world() -> tuple[Topology, dict[str, Puppet]]:
    topology, puppets = Topology(), {}
    for name in "abcd":
        puppets[name] = Puppet()
        topology.enter(f"{{{name}}}", puppets[name])
    return topology, puppets


def test_monitors_get_exit_once_with_value_or_error(world: Any) -> None:
    topology, puppets = world
    topology.monitor("{a}", "{b}")
    topology.monitor("{c}", "{b}")
    assert topology.is_watched("{b}")
    topology.leave("{b}", 42, None)
    assert puppets["a"].events == [{"kind": EXIT, "from": "{b}", "result": {"value": 42}}] == puppets["c"].events
    error = LuaError("x")
    topology.monitor("{a}", "{d}")
    topology.leave("{d}", None, error)
    assert puppets["a"].events[1:] == [{"kind": EXIT, "from": "{d}", "result": {"error": error}}]
    topology.leave("{d}", 1, None)
    assert len(puppets["a"].events) == 2


def test_a_second_monitor_is_refused_and_unmonitor_is_idempotent(world: Any) -> None:
    topology, puppets = world
    topology.monitor("{a}", "{b}")
    with pytest.raises(AlreadyExistsError):
        topology.monitor("{a}", "{b}")
    topology.unmonitor("{a}", "{b}")
    topology.unmonitor("{a}", "{b}")
    topology.unmonitor("{a}", "{nobody}")
    topology.leave("{b}", 1, None)
    assert puppets["a"].events == []


def test_unmonitor_ends_one_watch_of_two_that_watch_each_other(world: Any) -> None:
    topology, puppets = world
    topology.monitor("{a}", "{b}")
    topology.monitor("{b}", "{a}")
    topology.unmonitor("{a}", "{b}")
    topology.leave("{a}", 1, None)
    assert [event["from"] for event in puppets["b"].events] == ["{a}"]


def test_links_go_down_both_ways_and_only_with_an_error(world: Any) -> None:
    topology, puppets = world
    topology.link("{a}", "{b}")
    topology.link("{a}", "{b}")
    topology.link("{c}", "{a}")
    topology.leave("{b}", "fine", None)
    assert puppets["a"].events == []
    error = LuaError("x")
    topology.leave("{a}", None, error)
    assert puppets["c"].events == [{"kind": LINK_DOWN, "from": "{a}", "result": {"error": error}}]
    assert puppets["b"].events == []


def test_unlink(world: Any) -> None:
    topology, puppets = world
    topology.link("{a}", "{b}")
    topology.unlink("{b}", "{a}")
    topology.unlink("{b}", "{a}")
    topology.leave("{a}", None, LuaError("x"))
    assert puppets["b"].events == []


@pytest.mark.parametrize("relate", ["monitor", "link"])
def test_relations_want_who_runs(world: Any, relate: str) -> None:
    topology, _ = world
    with pytest.raises(NotFoundError, match="pid not registered"):
        getattr(topology, relate)("{a}", "{gone}")


def test_watchers_of_the_runtime_are_told(world: Any) -> None:
    topology, _ = world
    told: list[Any] = []
    topology.watch("{a}", lambda *what: told.append(what))
    topology.leave("{a}", 1, None)
    assert told == [("{a}", 1, None)]
    with pytest.raises(NotFoundError):
        topology.watch("{a}", lambda *_: None)


def test_names(world: Any) -> None:
    topology, _ = world
    topology.register("one", "{a}")
    topology.register("one", "{a}")
    topology.register("two", "{a}")
    with pytest.raises(AlreadyExistsError) as caught:
        topology.register("one", "{b}")
    assert caught.value.details == {"existing_pid": "{a}"}
    assert (topology.lookup("one"), topology.resolve("two"), topology.resolve("{x}")) == ("{a}", "{a}", "{x}")
    assert (topology.unregister("one"), topology.unregister("one")) == (True, False)
    topology.leave("{a}", None, None)
    assert topology.lookup("two") is None
    with pytest.raises(NotFoundError, match="could not resolve: two"):
        topology.resolve("two")
    for name, pid, error in (("", "{b}", InvalidError), ("{b}", "{b}", InvalidError), ("x", "{gone}", NotFoundError)):
        with pytest.raises(error):
            topology.register(name, pid)


def test_names_are_free_before_watchers_are_told(world: Any) -> None:
    topology, puppets = world
    topology.register("name", "{a}")
    topology.monitor("{b}", "{a}")
    free: list[Any] = []
    puppets["b"].event_now = lambda _event: free.append(topology.lookup("name"))
    topology.leave("{a}", None, None)
    assert free == [None]


def test_send(world: Any) -> None:
    topology, puppets = world
    topology.register("name", "{a}")
    topology.send("name", "t", "{b}", b"\x90")
    topology.send("{a}", "t", "", b"\x91\x01")
    assert puppets["a"].got == [("t", "{b}", b"\x90"), ("t", "", b"\x91\x01")]
    with pytest.raises(NotFoundError, match="process not found"):
        topology.send("{gone}", "t", "", b"\x90")
    puppets["a"].state = 2
    assert topology.offer("{a}", "t", "", b"\x90") is False
    with pytest.raises(UnavailableError, match="mailbox is full") as caught:
        topology.send("{a}", "t", "", b"\x90")
    assert caught.value.retryable is True


async def test_a_waiting_send_waits_for_room(autojump_clock: Any) -> None:
    topology, full = Topology(), Bounded(2)
    topology.enter("{a}", full)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(topology.send_waiting, "{a}", "t", "{b}", b"\x90")
        await trio.sleep(5)
        assert full.got == []
        full.state = 0
        full.room.set()
    assert full.got == [("t", "{b}", b"\x90")]
    full.state = 2
    with pytest.raises(UnavailableError):
        await topology.send_waiting("{a}", "t", "{a}", b"\x90")  # it would wait for itself
    topology.enter("{p}", Puppet(2))
    with pytest.raises(UnavailableError):
        await topology.send_waiting("{p}", "t", "{a}", b"\x90")  # it never has room
    async with trio.open_nursery() as nursery:
        full.room = trio.Event()

        async def fails() -> None:
            with pytest.raises(NotFoundError):
                await topology.send_waiting("{a}", "t", "{b}", b"\x90")

        nursery.start_soon(fails)
        await trio.sleep(1)
        topology.leave("{a}", None, None)
        full.room.set()


def test_cancel_is_an_event_and_no_error_for_who_is_gone(world: Any) -> None:
    topology, puppets = world
    topology.cancel("{a}", "{b}", "why")
    topology.cancel("{gone}", "{b}", "why")
    assert puppets["a"].events == [{"kind": CANCEL, "from": "{b}", "reason": "why"}]
    assert topology.pids() == ["{a}", "{b}", "{c}", "{d}"]


def test_nothing_is_left_of_who_left(world: Any) -> None:
    topology, _ = world
    for one in "abcd":
        for other in "abcd":
            if one != other:
                topology.monitor(f"{{{one}}}", f"{{{other}}}")
                topology.link(f"{{{one}}}", f"{{{other}}}")
        topology.register(one, f"{{{one}}}")
    for one in "abcd":
        topology.leave(f"{{{one}}}", None, LuaError("x"))
    assert (topology.pids(), topology._relations, topology._names) == ([], {}, {})


def test_outcomes() -> None:
    assert result_of(b"\x91\x05", ok=True) == (5, None)
    assert result_of(b"\x90", ok=True) == (None, None)
    error = LuaError("m", kind="Timeout")
    value, back = result_of(error_data(error), ok=False)
    assert value is None
    assert back is not None
    assert (back.message, back.kind) == ("m", "Timeout")
    _, text = result_of(b"\x91\xa1x", ok=False)
    assert text is not None
    assert (text.message, text.kind) == ("x", "Internal")
