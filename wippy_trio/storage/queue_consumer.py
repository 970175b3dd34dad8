"""A pool of workers that reads one queue. Source: docs guides/queue-consumers, system/queue "Worker Pool"."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

from wippy_trio.core.errors import LuaError
from wippy_trio.storage.queues import ConsumerOptions, Delivery, QueueHandle

__all__ = ["Failed", "Handler", "QueueConsumer"]

#: Handles a delivery: True acks, False or an error nacks, unless the handler has settled it already.
Handler: TypeAlias = Callable[[Delivery], Awaitable[bool]]
#: Hears of a failed handler or of a settlement the broker refused: message id, what failed, why.
Failed: TypeAlias = Callable[[str, str, LuaError], None]

_SETTLE_WAIT_S = 5.0
_SETTLE_RETRY_S = 0.1


class QueueConsumer:
    """`options.concurrency` workers behind a buffer of `options.prefetch` deliveries.

    Args:
        queue: what is read.
        options: how many at once.
        handler: called once per delivery; a `LuaError` is the handler's failure, any other exception is our bug and
            ends the consumer.
        failed: told about failures.
    """

    def __init__(self, queue: QueueHandle, options: ConsumerOptions, handler: Handler, failed: Failed) -> None:
        self._queue = queue
        self._options = options
        self._handler = handler
        self._failed = failed

    async def run(self) -> None:
        """Serve until cancelled.

        Cancelled, it takes no more messages, cancels running handlers, and gives back what is not settled; that is
        bounded to 5 s a message.

        Raises:
            NotFoundError: the queue is not declared.
        """
        sink, source = trio.open_memory_channel[Delivery](self._options.prefetch)
        try:
            async with trio.open_nursery() as nursery:
                for _ in range(self._options.concurrency):
                    nursery.start_soon(self._work, source)
                async with sink:
                    await self._queue.deliver(self._options, sink)
        finally:
            await self._give_back(source)

    async def _work(self, source: trio.MemoryReceiveChannel[Delivery]) -> None:
        async for delivery in source:
            await self._handle(delivery)

    async def _handle(self, delivery: Delivery) -> None:
        done = False
        try:
            done = await self._handler(delivery)
        except LuaError as error:
            self._failed(delivery.message.id, "handler", error)
        finally:
            await self._settle(delivery, done=done)
            delivery.release_now()

    async def _settle(self, delivery: Delivery, *, done: bool) -> None:
        """Ack or nack; a full queue is asked again for 5 s. Not stopped by cancellation."""
        if delivery.settled:
            return
        with trio.CancelScope(shield=True), trio.move_on_after(_SETTLE_WAIT_S) as scope:
            while True:
                try:
                    await (delivery.ack() if done else delivery.nack())
                except LuaError as error:
                    out_of_time = trio.current_time() + _SETTLE_RETRY_S >= scope.deadline
                    if not error.retryable or out_of_time:
                        self._failed(delivery.message.id, "ack" if done else "nack", error)
                        return
                    await trio.sleep(_SETTLE_RETRY_S)
                else:
                    return

    async def _give_back(self, source: trio.MemoryReceiveChannel[Delivery]) -> None:
        while True:
            try:
                delivery = source.receive_nowait()
            except (trio.WouldBlock, trio.EndOfChannel):
                return
            await self._settle(delivery, done=False)
            delivery.release_now()
