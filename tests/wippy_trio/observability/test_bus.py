from __future__ import annotations

import pytest
import trio

from wippy_trio.core.errors import InternalError, UnavailableError
from wippy_trio.core.events import Event, compile_glob
from wippy_trio.observability import bus as bus_module
from wippy_trio.observability.bus import EventBus


def test_listeners_are_told_in_order_and_only_of_what_they_asked_for() -> None:
    bus = EventBus()
    heard: list[str] = []
    bus.listen("registry", "entry.*", lambda event: heard.append(f"first {event.kind}"))
    bus.listen("", "", lambda event: heard.append(f"second {event.kind}"))
    bus.listen("reg*", "*", lambda event: heard.append(f"glob {event.kind}"), compile_glob)
    bus.send_now(Event("registry", "entry.create"))
    bus.send_now(Event("other", "x"))
    assert heard == ["first entry.create", "second entry.create", "glob entry.create", "second x"]


def test_closing_while_an_event_is_delivered() -> None:
    bus = EventBus()
    heard: list[str] = []
    later = bus.listen("s", "", lambda event: heard.append("late"))
    later.close()
    later.close()

    def first(event: Event) -> None:
        heard.append("first")
        second.close()
        bus.listen("s", "", lambda event: heard.append("new"))

    one = bus.listen("s", "", first)
    second = bus.listen("s", "", lambda event: heard.append("second"))
    bus.send_now(Event("s", "k"))
    assert heard == ["first"], "one that was closed hears nothing more, one that is new hears the next event"
    one.close()
    bus.send_now(Event("s", "k"))
    assert heard == ["first", "new"]
    assert len(bus) == 1


def test_one_listeners_fault_does_not_keep_the_event_from_others() -> None:
    faults: list[tuple[str, object, object]] = []
    heard: list[Event] = []

    class Log:
        def error(self, message: str, /, **fields: object) -> None:
            faults.append((message, fields["kind"], fields["error"]))

    bus = EventBus(Log())

    def broken(event: Event) -> None:
        raise ValueError("oh")

    bus.listen("", "", broken)
    bus.listen("", "", heard.append)
    bus.send_now(Event("s", "k"))
    assert faults == [("event handler failed", "k", "ValueError('oh')")]
    assert heard == [Event("s", "k")]
    loud = EventBus()
    loud.listen("", "", broken)
    with pytest.raises(ValueError, match="oh"):
        loud.send_now(Event("s", "k"))


def test_the_number_of_listeners_is_bounded_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "MAX_LISTENERS", 2)
    counts: list[int] = []
    bus = EventBus(on_listeners=counts.append)
    with bus.listen("", "", print), bus.subscribe("s"), pytest.raises(InternalError, match="cap reached"):
        bus.listen("", "", print)
    assert counts == [1, 2, 1, 0]
    assert not bus.heard("s", "k")


def test_a_closed_bus_is_silent_and_refuses() -> None:
    bus = EventBus()
    heard: list[Event] = []
    bus.listen("", "", heard.append)
    bus.close()
    bus.send_now(Event("s", "k"))
    assert heard == []
    with pytest.raises(InternalError, match="bus is closed"):
        bus.subscribe("s")


def test_routes_are_remembered_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus_module, "_MAX_ROUTES", 4)
    bus = EventBus()
    heard: list[str] = []
    bus.listen("s", "k.*", lambda event: heard.append(event.kind))
    for number in range(10):
        bus.send_now(Event("s", f"k.{number}"))
    assert len(heard) == 10
    assert len(bus._routes) <= 4
    assert bus.heard("s", "k.1")
    assert not bus.heard("s", "other")


async def test_subscriptions_are_streams() -> None:
    bus = EventBus()
    got: list[str] = []

    async def read() -> None:
        async for event in subscription:
            got.append(event.path)

    with bus.subscribe("s") as subscription:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            for path in ("a", "b"):
                bus.send_now(Event("s", "k", path))
            bus.send_now(Event("other", "k", "c"))
            subscription.close()
    assert got == ["a", "b"]
    with pytest.raises(UnavailableError, match="subscription is closed"):
        await subscription.receive()
    assert len(bus) == 0


async def test_a_slow_reader_loses_the_newest_events_and_knows_how_many() -> None:
    bus = EventBus()
    subscription = bus.subscribe("s", buffer_count=2)
    for path in "abcd":
        bus.send_now(Event("s", "k", path))
    assert [(await subscription.receive()).path for _ in range(2)] == ["a", "b"]
    assert subscription.dropped_count == 2
