from __future__ import annotations

import pytest
import trio
import trio.testing

from determinism.system import system_environment
from wippy_trio.core.errors import UnavailableError
from wippy_trio.storage.queue_memory import MemoryQueueDriver
from wippy_trio.storage.queues import ConsumerOptions, Delivery, QueueConfig, QueueMessage


@pytest.fixture
async def driver():
    made = MemoryQueueDriver(system_environment().ids)
    await made.declare("app:q", QueueConfig("q", driver_options={"memory": {"max_length": 1}}))
    return made


async def test_a_full_queue_makes_publishers_wait_then_refuses(driver, autojump_clock) -> None:
    await driver.publish("app:q", QueueMessage(1))
    began = trio.current_time()
    with pytest.raises(UnavailableError, match="queue is full") as failed:
        await driver.publish("app:q", QueueMessage(2))
    assert failed.value.retryable
    assert trio.current_time() - began == pytest.approx(30)


async def test_a_waiting_publisher_gets_the_next_room(driver, nursery, autojump_clock) -> None:
    await driver.publish("app:q", QueueMessage(1))
    nursery.start_soon(driver.publish, "app:q", QueueMessage(2))
    await trio.testing.wait_all_tasks_blocked()
    sink, source = trio.open_memory_channel[Delivery](0)
    nursery.start_soon(driver.deliver, "app:q", ConsumerOptions(), sink)
    assert [(await source.receive()).message.body for _ in range(2)] == [1, 2]
    nursery.cancel_scope.cancel()


async def test_nack_into_a_full_queue_can_be_tried_again(driver, nursery, autojump_clock) -> None:
    await driver.publish("app:q", QueueMessage(1))
    sink, source = trio.open_memory_channel[Delivery](0)
    nursery.start_soon(driver.deliver, "app:q", ConsumerOptions(), sink)
    delivery = await source.receive()
    await trio.testing.wait_all_tasks_blocked()
    await driver.publish("app:q", QueueMessage(2))
    await trio.testing.wait_all_tasks_blocked()
    await driver.publish("app:q", QueueMessage(3))
    with pytest.raises(UnavailableError, match="queue is full"):
        await delivery.nack()
    assert (await source.receive()).message.body == 2
    await trio.testing.wait_all_tasks_blocked()
    await delivery.nack()
    nursery.cancel_scope.cancel()


async def test_closing_ends_readers_and_refuses_publishers(driver, autojump_clock) -> None:
    await driver.publish("app:q", QueueMessage(0))
    sink, source = trio.open_memory_channel[Delivery](5)
    with pytest.RaisesGroup(UnavailableError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(driver.publish, "app:q", QueueMessage(1))
            await trio.testing.wait_all_tasks_blocked()
            driver.close_now()
    await driver_closed(driver)
    del sink, source


async def driver_closed(driver) -> None:
    with pytest.raises(UnavailableError, match="queue driver not started"):
        await driver.publish("app:q", QueueMessage(1))


async def test_a_reader_ends_when_its_queue_is_removed(driver, autojump_clock) -> None:
    sink, _source = trio.open_memory_channel[Delivery](5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(driver.deliver, "app:q", ConsumerOptions(), sink)
        await trio.testing.wait_all_tasks_blocked()
        await driver.remove("app:q")
