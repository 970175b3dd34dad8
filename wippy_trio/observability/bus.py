"""The event bus: carries news of what happened to whoever listens. Questions are asked elsewhere, by direct call.

Source: docs lua/core/events, internals/events.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Protocol, Self

import trio

from wippy_trio.core.errors import InternalError, UnavailableError
from wippy_trio.core.events import Event, Matcher, compile_pattern

__all__ = ["BUFFER_COUNT", "MAX_LISTENERS", "EventBus", "Listening", "Subscription"]

#: Listeners on one bus; more than that is a leak, and is refused. The reference has the same limit.
MAX_LISTENERS = 4_096
#: Events a subscription holds for a reader that is behind.
BUFFER_COUNT = 1_024
_MAX_ROUTES = 1_024


class FaultLog(Protocol):
    """Where the bus reports (a `Log` is one)."""

    def error(self, message: str, /, **fields: object) -> None: ...


class Listening:
    """One listener on the bus; `close` ends it. A context manager that closes itself."""

    def __init__(self, bus: EventBus, system: Matcher, kind: Matcher, handler: Callable[[Event], None]) -> None:
        self._bus = bus
        self._system = system
        self._kind = kind
        self.handler = handler
        self.closed = False

    def covers(self, system: str, kind: str) -> bool:
        """Whether events of this system and kind are for it."""
        return self._system(system) and self._kind(kind)

    def close(self) -> None:
        """Stop listening; twice is no error."""
        if not self.closed:
            self.closed = True
            self._bus.forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Subscription:
    """Events of a pattern, read with `async for` or `receive`; bounded.

    When the reader is behind by the size of the buffer, new events are dropped and counted in `dropped_count`: the
    bus never waits for a reader, and what was received is always an unbroken run up to the first loss.
    """

    def __init__(self, buffer_count: int) -> None:
        self._sender, self._receiver = trio.open_memory_channel[Event](buffer_count)
        self.listening: Listening | None = None
        self.dropped_count = 0

    def offer(self, event: Event) -> None:
        """Take an event, or count it as dropped."""
        try:
            self._sender.send_nowait(event)
        except trio.WouldBlock:
            self.dropped_count += 1
        except trio.BrokenResourceError:
            self.close()

    async def receive(self) -> Event:
        """The next event.

        Raises:
            UnavailableError: closed, and nothing is left.
        """
        try:
            return await self._receiver.receive()
        except trio.EndOfChannel:
            raise UnavailableError("subscription is closed", retryable=False) from None

    async def __aiter__(self) -> AsyncIterator[Event]:
        async for event in self._receiver:
            yield event

    def close(self) -> None:
        """Stop listening. Events already held can still be read."""
        if self.listening is not None:
            self.listening.close()
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class EventBus:
    """Delivers each event at once, in the order of sending, to listeners in the order they came.

    Args:
        log: told of an exception a handler raised; without it the exception reaches the sender.
        on_listeners: told how many listeners there are, after each change (a gauge).
    """

    def __init__(
        self,
        log: FaultLog | None = None,
        on_listeners: Callable[[int], None] | None = None,
    ) -> None:
        self._listeners: list[Listening] = []
        self._routes: dict[tuple[str, str], tuple[Listening, ...]] = {}
        self._log = log
        self._on_listeners = on_listeners
        self._closed = False

    def __len__(self) -> int:
        return len(self._listeners)

    def send_now(self, event: Event) -> None:
        """Tell all listeners. Costs one dictionary look-up where nobody listens; after `close` nothing happens."""
        if not self._listeners:
            return
        for listening in self._route(event.system, event.kind):
            if listening.closed:
                continue  # an earlier listener of this very event ended it
            try:
                listening.handler(event)
            except Exception as error:
                if self._log is None:
                    raise
                where = {"system": event.system, "kind": event.kind, "path": event.path}
                self._log.error("event handler failed", error=repr(error), **where)

    def publish(self, system: str, kind: str, path: str, data: object = None) -> None:
        """`send_now` of an event made of these parts; it is made only where somebody listens."""
        if self._listeners and self._route(system, kind):
            self.send_now(Event(system, kind, path, data))

    def heard(self, system: str, kind: str) -> bool:
        """Whether anybody listens: for senders whose event is costly to make."""
        return bool(self._listeners) and bool(self._route(system, kind))

    def _route(self, system: str, kind: str) -> tuple[Listening, ...]:
        key = (system, kind)
        route = self._routes.get(key)
        if route is None:
            if len(self._routes) >= _MAX_ROUTES:
                self._routes.clear()
            route = self._routes[key] = tuple(item for item in self._listeners if item.covers(system, kind))
        return route

    def listen(
        self,
        system: str,
        kind: str,
        handler: Callable[[Event], None],
        compile: Callable[[str], Matcher] = compile_pattern,
    ) -> Listening:
        """Have `handler` called, within `send_now`, for each event of these patterns; it must not wait.

        Args:
            system, kind: patterns; empty for all.
            handler: called in the trio thread.
            compile: how patterns are read (`compile_glob` for Lua's).

        Raises:
            InternalError: the bus is closed, or has `MAX_LISTENERS` already.
        """
        if self._closed:
            raise InternalError("bus is closed", retryable=False)
        if len(self._listeners) >= MAX_LISTENERS:
            raise InternalError("eventbus subscribers cap reached", retryable=False)
        listening = Listening(self, compile(system), compile(kind), handler)
        self._listeners.append(listening)
        self._changed()
        return listening

    def subscribe(self, system: str, kind: str = "", *, buffer_count: int = BUFFER_COUNT) -> Subscription:
        """Events of these patterns as a stream; see `Subscription` for what happens to a slow reader.

        Raises:
            InternalError: as for `listen`.
        """
        subscription = Subscription(buffer_count)
        subscription.listening = self.listen(system, kind, subscription.offer)
        return subscription

    def forget(self, listening: Listening) -> None:
        """Remove a listener (`Listening.close` does)."""
        if listening in self._listeners:
            self._listeners.remove(listening)
            self._changed()

    def _changed(self) -> None:
        self._routes.clear()
        if self._on_listeners is not None:
            self._on_listeners(len(self._listeners))

    def close(self) -> None:
        """End all listening; later events go nowhere."""
        self._closed = True
        for listening in tuple(self._listeners):
            listening.close()
