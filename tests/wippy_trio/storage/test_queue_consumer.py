from __future__ import annotations

import pytest
import trio
import trio.testing

from determinism.system import system_environment
from wippy_trio.core.errors import LuaError, NotFoundError
from wippy_trio.storage.queue_consumer import QueueConsumer
from wippy_trio.storage.queue_memory import MemoryQueueDriver
from wippy_trio.storage.queues import ConsumerOptions, Delivery, QueueConfig, QueueHandle, QueueMessage


@pytest.fixture
async def queue():
    driver = MemoryQueueDriver(system_environment().ids)
    config = QueueConfig("q")
    await driver.declare("app:q", config)
    return QueueHandle("app:q", driver, config)


class Log:
    """Notes failures, and what a handler saw."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.failures: list[tuple[str, str]] = []

    def failed(self, _message_id: str, what: str, error: LuaError) -> None:
        self.failures.append((what, str(error)))


async def test_true_acks_false_and_errors_nack(queue, nursery, autojump_clock) -> None:
    log = Log()

    async def handle(delivery: Delivery) -> bool:
        log.seen.append(delivery.message.body)
        await trio.sleep(1)
        if log.seen.count("error") == 1 and delivery.message.body == "error":
            raise LuaError("broken")
        return not (delivery.message.body == "false" and log.seen.count("false") == 1)

    await queue.publish(QueueMessage("true"), QueueMessage("false"), QueueMessage("error"))
    nursery.start_soon(QueueConsumer(queue, ConsumerOptions(), handle, log.failed).run)
    await trio.sleep(20)
    assert log.seen == ["true", "false", "error", "false", "error"]
    assert log.failures == [("handler", "broken")]
    nursery.cancel_scope.cancel()


async def test_the_handler_may_settle_itself(queue, nursery, autojump_clock) -> None:
    log = Log()

    async def handle(delivery: Delivery) -> bool:
        log.seen.append(delivery)
        await delivery.ack()
        return False

    await queue.publish(QueueMessage(1))
    nursery.start_soon(QueueConsumer(queue, ConsumerOptions(), handle, log.failed).run)
    await trio.sleep(20)
    assert len(log.seen) == 1
    assert isinstance(log.seen[0], Delivery)
    assert log.seen[0].released
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("workers", "expected"), [(1, 1), (3, 3)])
async def test_concurrency(queue, nursery, workers, expected, autojump_clock) -> None:
    running, most = 0, 0

    async def handle(_delivery: Delivery) -> bool:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(1)
        running -= 1
        return True

    await queue.publish(*(QueueMessage(number) for number in range(9)))
    nursery.start_soon(QueueConsumer(queue, ConsumerOptions(workers), handle, Log().failed).run)
    await trio.sleep(20)
    assert most == expected
    nursery.cancel_scope.cancel()


async def test_prefetch_bounds_what_is_taken(queue, nursery, autojump_clock) -> None:
    async def handle(_delivery: Delivery) -> bool:
        await trio.sleep(3600)
        return True

    await queue.publish(*(QueueMessage(number) for number in range(20)))
    nursery.start_soon(QueueConsumer(queue, ConsumerOptions(2, 5), handle, Log().failed).run)
    await trio.testing.wait_all_tasks_blocked()
    assert (await queue.info())["ready"] == 20 - 2 - 5 - 1  # in handlers, in the buffer, in the driver's hand
    nursery.cancel_scope.cancel()


async def test_stopping_gives_back_what_is_not_settled(queue, autojump_clock) -> None:
    cancelled: list[bool] = []

    async def handle(_delivery: Delivery) -> bool:
        try:
            await trio.sleep(3600)
        finally:
            cancelled.append(True)
        return True

    await queue.publish(*(QueueMessage(number) for number in range(4)))
    with trio.move_on_after(1):
        await QueueConsumer(queue, ConsumerOptions(1, 2), handle, Log().failed).run()
    assert cancelled == [True]
    assert (await queue.info())["ready"] == 4


async def test_an_unknown_queue_is_an_error(queue, autojump_clock) -> None:
    unknown = QueueHandle("app:none", queue.driver, queue.config)

    async def handle(_delivery: Delivery) -> bool:
        return True

    with pytest.RaisesGroup(NotFoundError):
        await QueueConsumer(unknown, ConsumerOptions(), handle, Log().failed).run()
