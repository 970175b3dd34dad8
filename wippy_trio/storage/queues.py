"""Message queues: messages, deliveries, and what a driver is.

Source: docs lua/storage/queue, system/queue. `tests/suites/test_queue_contract.py` holds what every driver must do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias, runtime_checkable

import attrs
import trio

from wippy_trio.core.errors import InvalidError

__all__ = [
    "CONCURRENCY_MAX_COUNT",
    "PREFETCH_MAX_COUNT",
    "Body",
    "ConsumerOptions",
    "Delivery",
    "HeaderValue",
    "QueueConfig",
    "QueueDriver",
    "QueueHandle",
    "QueueMessage",
]

Body: TypeAlias = Any  # a JSON-like value or a Payload, never changed in place
HeaderValue: TypeAlias = str | int | float | bool | bytes | None

CONCURRENCY_MAX_COUNT = 1000
PREFETCH_MAX_COUNT = 10_000


@attrs.frozen(slots=True)
class QueueMessage:
    """A message. An empty `id` lets the driver choose one."""

    body: Body
    headers: Mapping[str, HeaderValue] = attrs.field(factory=dict)
    id: str = ""


@attrs.frozen(slots=True)
class QueueConfig:
    """How a queue is declared.

    `name` is its name at the broker, `codec` the format of bodies on the wire; a driver reads only its own part of
    `driver_options`. The dead-letter settings are kept but acted on by no driver, as in the reference.
    """

    name: str
    codec: str = "json/plain"
    driver_options: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    dead_letter_queue: str = ""
    dead_letter_max_attempts_count: int = 0

    def options_of(self, driver: str) -> Mapping[str, Any]:
        """The part of `driver_options` for the driver called `driver`."""
        return self.driver_options.get(driver) or {}


def _concurrency(count: int) -> int:
    if count > CONCURRENCY_MAX_COUNT:
        raise InvalidError(f"concurrency {count} exceeds maximum {CONCURRENCY_MAX_COUNT}")
    return count if count > 0 else 1


def _prefetch(count: int) -> int:
    if count > PREFETCH_MAX_COUNT:
        raise InvalidError(f"prefetch {count} exceeds maximum {PREFETCH_MAX_COUNT}")
    return count if count > 0 else 10


@attrs.frozen(slots=True)
class ConsumerOptions:
    """How a consumer reads a queue; numbers of 0 or less mean the default.

    Raises:
        InvalidError: more than 1000 workers or 10,000 prefetched messages.
    """

    concurrency: int = attrs.field(default=1, converter=_concurrency)
    prefetch: int = attrs.field(default=10, converter=_prefetch)
    auto_ack: bool = False
    driver_options: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)


class Delivery:
    """One message on its way through one handler. It is settled once, by `ack` or `nack`, whoever comes first.

    Args:
        message: the message.
        ack: tells the broker that it is done.
        nack: tells the broker that it failed and should come again.
    """

    __slots__ = ("_ack", "_nack", "message", "released", "settled")

    def __init__(
        self, message: QueueMessage, ack: Callable[[], Awaitable[None]], nack: Callable[[], Awaitable[None]]
    ) -> None:
        self.message = message
        self.settled = False
        self.released = False
        self._ack = ack
        self._nack = nack

    async def ack(self) -> None:
        """Settle as done.

        Raises:
            InvalidError: settled already, or released.
        """
        await self._settle(self._ack)

    async def nack(self) -> None:
        """Settle as failed: the message comes again as the driver decides.

        Raises:
            InvalidError: settled already, or released.
            UnavailableError: no room for it now (retryable: the delivery stays unsettled).
        """
        await self._settle(self._nack)

    def release_now(self) -> None:
        """Mark the handler as over: whoever kept the delivery gets errors from now on."""
        self.released = True

    def check_live(self) -> None:
        """Raise unless the handler is still running.

        Raises:
            InvalidError: released.
        """
        if self.released:
            raise InvalidError("queue.Message released")

    async def _settle(self, tell_broker: Callable[[], Awaitable[None]]) -> None:
        self.check_live()
        if self.settled:
            raise InvalidError("queue.Message already settled")
        self.settled = True
        try:
            await tell_broker()
        except BaseException:
            self.settled = False
            raise


@runtime_checkable
class QueueDriver(Protocol):
    """A broker. Queues are known by their entry id as text."""

    async def declare(self, queue: str, config: QueueConfig) -> None:
        """Make the queue known, or give a known one new settings; waiting messages survive.

        Raises:
            InvalidError: settings the driver does not take.
        """

    async def publish(self, queue: str, *messages: QueueMessage) -> None:
        """Hand over messages in order; waits a bounded time for room.

        Raises:
            NotFoundError: not declared.
            UnavailableError: no room in time (retryable), or closed.
        """

    async def deliver(self, queue: str, options: ConsumerOptions, sink: trio.MemorySendChannel[Delivery]) -> None:
        """Move messages into `sink` until cancelled or closed. A message not handed over goes back in front.

        Raises:
            NotFoundError: not declared.
        """

    async def info(self, queue: str) -> Mapping[str, int | bool]:
        """Numbers: `message_count`, `ready`, `consumer_count`, as far as the driver knows them.

        Raises:
            NotFoundError: not declared.
        """

    async def remove(self, queue: str) -> None:
        """Forget the queue on this side; a broker keeps its messages, the memory driver drops them."""


@attrs.frozen(slots=True)
class QueueHandle:
    """A declared queue: its entry id, its driver and its settings. What `queue.queue` entries offer."""

    id: str
    driver: QueueDriver
    config: QueueConfig

    async def publish(self, *messages: QueueMessage) -> None:
        """See `QueueDriver.publish`."""
        await self.driver.publish(self.id, *messages)

    async def deliver(self, options: ConsumerOptions, sink: trio.MemorySendChannel[Delivery]) -> None:
        """See `QueueDriver.deliver`."""
        await self.driver.deliver(self.id, options, sink)

    async def info(self) -> Mapping[str, int | bool]:
        """See `QueueDriver.info`."""
        return await self.driver.info(self.id)
