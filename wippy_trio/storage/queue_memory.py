"""The queue driver in memory: first in, first out, bounded, gone at stop. Source: docs system/queue "Memory Driver"."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import attrs
import trio

from determinism.seams import Ids
from wippy_trio.core.errors import NotFoundError, UnavailableError
from wippy_trio.storage.queues import ConsumerOptions, Delivery, QueueConfig, QueueMessage

__all__ = ["MemoryQueueDriver"]

_LENGTH_DEFAULT_COUNT = 1000


class _Queue:
    """Waiting messages, and those who wait for a message or for room."""

    def __init__(self, max_length_count: int) -> None:
        self.max_length_count = max_length_count
        self.messages: deque[QueueMessage] = deque()
        self.consumers_count = 0
        self.closed = False
        self._takers = trio.lowlevel.ParkingLot()
        self._putters = trio.lowlevel.ParkingLot()

    async def put(self, message: QueueMessage, wait_s: float) -> None:
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(wait_s):
            while len(self.messages) >= self.max_length_count and not self.closed:
                await self._putters.park()
        self.put_now(message)

    def put_now(self, message: QueueMessage) -> None:
        if self.closed:
            raise UnavailableError("queue is closed", retryable=False)
        if len(self.messages) >= self.max_length_count:
            raise UnavailableError("queue is full")
        self.messages.append(message)
        self._takers.unpark()

    async def take(self) -> QueueMessage | None:
        """The oldest message; None once closed."""
        await trio.lowlevel.checkpoint()
        while not self.messages:
            if self.closed:
                return None
            await self._takers.park()
        message = self.messages.popleft()
        self._putters.unpark()
        if self.messages:
            self._takers.unpark()
        return message

    def put_back_now(self, message: QueueMessage) -> None:
        """Give a message back that was taken and not delivered; it may exceed the bound by one per consumer."""
        if not self.closed:
            self.messages.appendleft(message)
            self._takers.unpark()

    def close_now(self) -> None:
        self.closed = True
        self.messages.clear()
        self._takers.unpark_all()
        self._putters.unpark_all()


class MemoryQueueDriver:
    """`QueueDriver` in memory.

    Args:
        ids: gives message ids.
        publish_wait_s: how long a publisher waits for room in a full queue, in seconds.
    """

    name = "memory"

    def __init__(self, ids: Ids, *, publish_wait_s: float = 30.0) -> None:
        self._ids = ids
        self._publish_wait_s = publish_wait_s
        self._queues: dict[str, _Queue] = {}
        self._closed = False

    async def declare(self, queue: str, config: QueueConfig) -> None:
        """See `QueueDriver.declare`; option `max_length` bounds the queue (0 or absent: 1000)."""
        await trio.lowlevel.checkpoint()
        self._check_open()
        asked = config.options_of(self.name).get("max_length")
        length_count = asked if isinstance(asked, int) and asked > 0 else _LENGTH_DEFAULT_COUNT
        known = self._queues.get(queue)
        if known is None:
            self._queues[queue] = _Queue(length_count)
        else:
            known.max_length_count = length_count

    async def publish(self, queue: str, *messages: QueueMessage) -> None:
        """See `QueueDriver.publish`."""
        found = self._find(queue)
        for message in messages:
            named = message if message.id else attrs.evolve(message, id=self._ids.uuid())
            await found.put(named, self._publish_wait_s)

    async def deliver(self, queue: str, options: ConsumerOptions, sink: trio.MemorySendChannel[Delivery]) -> None:
        """See `QueueDriver.deliver`; a nacked message joins the end of the queue at once."""
        found = self._find(queue)
        found.consumers_count += 1
        try:
            while (message := await found.take()) is not None:
                try:
                    await sink.send(_delivery(found, message))
                except BaseException:
                    found.put_back_now(message)
                    raise
        finally:
            found.consumers_count -= 1

    async def info(self, queue: str) -> Mapping[str, int | bool]:
        """See `QueueDriver.info`."""
        await trio.lowlevel.checkpoint()
        count = len(self._find(queue).messages)
        return {"message_count": count, "ready": count}

    async def remove(self, queue: str) -> None:
        """See `QueueDriver.remove`."""
        await trio.lowlevel.checkpoint()
        found = self._queues.pop(queue, None)
        if found is not None:
            found.close_now()

    def close_now(self) -> None:
        """Close every queue; waiting messages are lost, waiting callers get errors."""
        self._closed = True
        for found in self._queues.values():
            found.close_now()
        self._queues.clear()

    def _find(self, queue: str) -> _Queue:
        self._check_open()
        found = self._queues.get(queue)
        if found is None:
            raise NotFoundError("queue not found", details={"queue_id": queue})
        return found

    def _check_open(self) -> None:
        if self._closed:
            raise UnavailableError("queue driver not started")


def _delivery(queue: _Queue, message: QueueMessage) -> Delivery:
    async def ack() -> None:
        await trio.lowlevel.checkpoint()

    async def nack() -> None:
        queue.put_now(message)
        await trio.lowlevel.cancel_shielded_checkpoint()

    return Delivery(message, ack, nack)
