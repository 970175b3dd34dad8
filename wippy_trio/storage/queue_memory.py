"""The queue driver in memory: first in, first out, bounded, gone at stop. Source: docs system/queue "Memory Driver".

In a simulation a delivery may be lost (and made again `REDELIVER_S` later), late, doubled, or overtaken by the next
one, as at-least-once brokers do; messages are never lost for good.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

import attrs
import trio

from determinism.seams import Faults, Ids, NoFaults
from wippy_trio.core.errors import NotFoundError, UnavailableError
from wippy_trio.storage.queues import ConsumerOptions, Delivery, QueueConfig, QueueMessage

__all__ = ["MemoryQueueDriver"]

_LENGTH_DEFAULT_COUNT = 1000
#: When a lost delivery is made again: what brokers call the visibility timeout.
REDELIVER_S = 30.0
_COPY_LATEST_S = 10.0
#: How long a message waits for another one to overtake it.
_OVERTAKE_S = 1.0


class _Queue:
    """Waiting messages, and those who wait for a message or for room."""

    def __init__(self, name: str, max_length_count: int, faults: Faults) -> None:
        self._name = name
        self._faults = faults
        # By faults only: when a message comes back; and which of those the next delivery overtakes.
        self._later: list[tuple[float, QueueMessage]] = []
        self._overtaken: tuple[float, QueueMessage] | None = None
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
        while (message := self._next_now()) is None:
            if self.closed:
                return None
            with trio.move_on_at(min((due_s for due_s, _ in self._later), default=math.inf)):
                await self._takers.park()
        self._putters.unpark()
        if self.messages:
            self._takers.unpark()
        return message

    def _next_now(self) -> QueueMessage | None:
        if self._later:
            self._return_due()
        while self.messages:
            message = self.messages.popleft()
            if not self._put_off(message):
                self._overtake()
                return message
            self._putters.unpark()
        return None

    def _overtake(self) -> None:
        """A message was handed over: the one that it overtook is next."""
        overtaken, self._overtaken = self._overtaken, None
        if overtaken is not None and overtaken in self._later:
            self._later.remove(overtaken)
            self.messages.appendleft(overtaken[1])

    def _put_off(self, message: QueueMessage) -> bool:
        """Whether a fault keeps a message from being handed over now."""
        now = trio.current_time()
        if self._overtaken is None and self._faults.strike("message_reorder", self._name) is not None:
            self._overtaken = (now + _OVERTAKE_S, message)
            self._later.append(self._overtaken)
            return True
        if self._faults.strike("message_drop", self._name) is not None:
            self._later.append((now + REDELIVER_S, message))
            return True
        late = self._faults.strike("message_delay", self._name)
        if late is not None:
            self._later.append((now + late.lasts_s, message))
            return True
        twice = self._faults.strike("message_duplicate", self._name)
        if twice is not None:  # at once, or after the first was handled
            self._later.append((now + max(0.0, twice.draw - 0.5) * 2 * _COPY_LATEST_S, message))
        return False

    def _return_due(self) -> None:
        now = trio.current_time()
        due = [item for item in self._later if item[0] <= now]
        if not due:
            return
        self._later = [item for item in self._later if item[0] > now]
        if self._overtaken in due:
            self._overtaken = None
        due.sort(key=lambda item: item[0])
        self.messages.extendleft(message for _, message in reversed(due))

    @property
    def message_count(self) -> int:
        return len(self.messages) + len(self._later)

    def put_back_now(self, message: QueueMessage) -> None:
        """Give a message back that was taken and not delivered; it may exceed the bound by one per consumer."""
        if not self.closed:
            self.messages.appendleft(message)
            self._takers.unpark()

    def put_again_now(self, message: QueueMessage) -> None:
        """Take a message that failed, also where the queue is full: it was there before, and nobody else keeps it.

        What is under way is bounded by the workers and buffers of the consumers, and so is the excess.
        """
        if self.closed:
            raise UnavailableError("queue is closed", retryable=False)
        self.messages.append(message)
        self._takers.unpark()

    def close_now(self) -> None:
        self.closed = True
        self.messages.clear()
        self._later.clear()
        self._takers.unpark_all()
        self._putters.unpark_all()


class MemoryQueueDriver:
    """`QueueDriver` in memory.

    Args:
        ids: gives message ids.
        publish_wait_s: how long a publisher waits for room in a full queue, in seconds.
        faults: asked at each delivery, with the queue's id as the place.
    """

    name = "memory"

    def __init__(self, ids: Ids, *, publish_wait_s: float = 30.0, faults: Faults | None = None) -> None:
        self._ids = ids
        self._faults = faults or NoFaults()
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
            self._queues[queue] = _Queue(queue, length_count, self._faults)
        else:
            known.max_length_count = length_count

    async def publish(self, queue: str, *messages: QueueMessage) -> None:
        """See `QueueDriver.publish`."""
        found = self._find(queue)
        for message in messages:
            named = message if message.id else attrs.evolve(message, id=self._ids.uuid())
            await found.put(named, self._publish_wait_s)

    async def deliver(self, queue: str, options: ConsumerOptions, sink: trio.MemorySendChannel[Delivery]) -> None:
        """See `QueueDriver.deliver`; a nacked message joins the end of the queue at once, though that be full."""
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
        found = self._find(queue)
        return {"message_count": found.message_count, "ready": len(found.messages)}

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
        queue.put_again_now(message)
        await trio.lowlevel.cancel_shielded_checkpoint()

    return Delivery(message, ack, nack)
