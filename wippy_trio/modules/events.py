"""The `events` module: best-effort news over the event bus. Source: docs lua/core/events."""

from __future__ import annotations

from sandbox.values import Handle, as_text
from wippy_trio.core.errors import InvalidError
from wippy_trio.core.events import Event, compile_glob
from wippy_trio.module import Call, Module, ModuleClass
from wippy_trio.observability.bus import Listening

__all__ = ["MODULE"]

MODULE = Module("events", classes={ModuleClass.IO, ModuleClass.NONDETERMINISTIC}, prelude="events.lua")


@MODULE.immediate("events.subscribe")
def subscribe(call: Call, source: int, system: object, kind: object = "") -> Handle:
    """Feed matching events into the channel of `source`; an event that finds it full is dropped and counted."""
    wanted = as_text(system)
    if not call.allowed("events.subscribe", wanted):
        raise InvalidError(f"not allowed to subscribe to events from system: {wanted}")

    def deliver(event: Event) -> None:
        value: dict[str, object] = {"system": event.system, "kind": event.kind, "path": event.path}
        if event.data is not None:
            value["data"] = event.data
        if not call.feed_now(source, value) and call.runtime.metrics is not None:
            call.runtime.metrics.counter_add("eventbus_events_dropped_total", 1.0, {"system": event.system})

    listening = call.runtime.events.listen(wanted, as_text(kind), deliver, compile_glob)
    return call.handle("events.Listening", listening, listening.close)


@MODULE.immediate("events.close")
def close(call: Call, listening: Listening) -> bool:
    """Stop listening."""
    listening.close()
    call.drop(listening)
    return True


@MODULE.immediate("events.send")
def send(call: Call, system: object, kind: object, path: object, data: object = None) -> bool:
    """Tell whoever listens."""
    target = as_text(system)
    if not call.allowed("events.send", target):
        raise InvalidError(f"not allowed to send events to system: {target}")
    call.runtime.events.publish(target, as_text(kind), as_text(path), data)
    return True
