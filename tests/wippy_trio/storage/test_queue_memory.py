from __future__ import annotations

import pytest
import trio
import trio.testing

from determinism.faults import ListedFaults
from determinism.seams import Strike
from determinism.system import system_environment
from wippy_trio.core.errors import UnavailableError
from wippy_trio.storage.queue_memory import REDELIVER_S, MemoryQueueDriver
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


async def test_nack_into_a_full_queue_loses_nothing(driver, nursery, autojump_clock) -> None:
    await driver.publish("app:q", QueueMessage(1))
    sink, source = trio.open_memory_channel[Delivery](0)
    nursery.start_soon(driver.deliver, "app:q", ConsumerOptions(), sink)
    delivery = await source.receive()
    await trio.testing.wait_all_tasks_blocked()
    await driver.publish("app:q", QueueMessage(2))
    await trio.testing.wait_all_tasks_blocked()
    await driver.publish("app:q", QueueMessage(3))
    await delivery.nack()
    assert [(await source.receive()).message.body for _ in range(3)] == [2, 3, 1]
    driver.close_now()
    with pytest.raises(UnavailableError, match="queue is closed"):
        await (Delivery(delivery.message, delivery._ack, delivery._nack)).nack()
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


async def _arrivals(nursery, fault: Strike, count: int) -> tuple[list[int], list[float]]:
    """Bodies in the order of their arrival, and when, of three messages with one fault."""
    driver = MemoryQueueDriver(system_environment().ids, faults=ListedFaults([fault]))
    await driver.declare("app:q", QueueConfig("q"))
    await driver.publish("app:q", *(QueueMessage(number) for number in (1, 2, 3)))
    began = trio.current_time()
    sink, source = trio.open_memory_channel[Delivery](0)
    nursery.start_soon(driver.deliver, "app:q", ConsumerOptions(), sink)
    bodies, times = [], []
    for _ in range(count):
        delivery = await source.receive()
        bodies.append(delivery.message.body)
        times.append(trio.current_time() - began)
        await delivery.ack()
    with trio.move_on_after(3600):
        pytest.fail(f"one more: {(await source.receive()).message.body}")
    assert await driver.info("app:q") == {"message_count": 0, "ready": 0}
    nursery.cancel_scope.cancel()
    return bodies, times


async def test_lost_delivery_is_made_again(nursery, autojump_clock) -> None:
    bodies, times = await _arrivals(nursery, Strike("message_drop", "app:q", 1, 0.5), 3)
    assert bodies == [1, 3, 2]
    assert times[1] < 1
    assert times[2] == pytest.approx(REDELIVER_S)


async def test_late_delivery_arrives_within_the_bound(nursery, autojump_clock) -> None:
    bodies, times = await _arrivals(nursery, Strike("message_delay", "app:q", 0, 1.0, 60.0), 3)
    assert bodies == [2, 3, 1]
    assert times[2] == pytest.approx(60)


async def test_doubled_delivery_arrives_at_once_or_later(nursery, autojump_clock) -> None:
    bodies, times = await _arrivals(nursery, Strike("message_duplicate", "app:q", 0, 0.2), 4)
    assert bodies == [1, 1, 2, 3]
    assert times[-1] < 1


async def test_doubled_delivery_may_come_after_the_others(nursery, autojump_clock) -> None:
    bodies, times = await _arrivals(nursery, Strike("message_duplicate", "app:q", 1, 1.0), 4)
    assert bodies == [1, 2, 3, 2]
    assert times[-1] == pytest.approx(10)


async def test_delivery_overtakes_the_one_before(nursery, autojump_clock) -> None:
    bodies, _ = await _arrivals(nursery, Strike("message_reorder", "app:q", 0, 0.5), 3)
    assert bodies == [2, 1, 3]


async def test_publisher_gets_the_room_of_what_was_put_off(nursery, autojump_clock) -> None:
    driver = MemoryQueueDriver(system_environment().ids, faults=ListedFaults([Strike("message_drop", "app:q", 0, 0.5)]))
    await driver.declare("app:q", QueueConfig("q", driver_options={"memory": {"max_length": 1}}))
    sink, source = trio.open_memory_channel[Delivery](0)
    await driver.publish("app:q", QueueMessage(1))
    nursery.start_soon(driver.publish, "app:q", QueueMessage(2))
    await trio.testing.wait_all_tasks_blocked()
    nursery.start_soon(driver.deliver, "app:q", ConsumerOptions(), sink)
    assert [(await source.receive()).message.body for _ in range(2)] == [2, 1]
    nursery.cancel_scope.cancel()


async def test_delivery_that_nothing_overtakes_is_a_little_late(nursery, autojump_clock) -> None:
    bodies, times = await _arrivals(nursery, Strike("message_reorder", "app:q", 2, 0.5), 3)
    assert bodies == [1, 2, 3]
    assert times[2] == pytest.approx(1)
