"""What every queue driver must do. A new driver joins `DRIVERS`."""

from __future__ import annotations

import pytest
import trio

from determinism.system import system_environment
from wippy_trio.core.errors import InvalidError, NotFoundError
from wippy_trio.storage.queue_memory import MemoryQueueDriver
from wippy_trio.storage.queues import ConsumerOptions, Delivery, QueueConfig, QueueMessage

DRIVERS = {"memory": lambda: MemoryQueueDriver(system_environment().ids)}
CONFIG = QueueConfig("q")


class Reader:
    """Reads one queue inside a nursery."""

    def __init__(self, driver, queue: str, nursery: trio.Nursery, prefetch: int = 10) -> None:
        self.scope = trio.CancelScope()
        self.sink, self.source = trio.open_memory_channel[Delivery](prefetch)
        nursery.start_soon(self._run, driver, queue)

    async def _run(self, driver, queue: str) -> None:
        with self.scope:
            await driver.deliver(queue, ConsumerOptions(), self.sink)

    async def next(self) -> Delivery:
        with trio.fail_after(10):
            return await self.source.receive()


@pytest.fixture(params=sorted(DRIVERS))
async def driver(request):
    made = DRIVERS[request.param]()
    await made.declare("app:q", CONFIG)
    yield made
    made.close_now()


async def test_messages_arrive_in_order_with_body_and_headers(driver, nursery, autojump_clock) -> None:
    bodies = [{"a": [1, {"b": None}]}, "text", 1.5, True]
    for number, body in enumerate(bodies):
        await driver.publish("app:q", QueueMessage(body, {"n": number, "s": "x", "b": False}))
    reader = Reader(driver, "app:q", nursery)
    for number, body in enumerate(bodies):
        delivery = await reader.next()
        assert delivery.message.body == body
        assert delivery.message.headers == {"n": number, "s": "x", "b": False}
        await delivery.ack()
    nursery.cancel_scope.cancel()


async def test_ids_are_given_or_kept(driver, nursery, autojump_clock) -> None:
    await driver.publish("app:q", QueueMessage(1), QueueMessage(2, id="mine"))
    reader = Reader(driver, "app:q", nursery)
    first, second = await reader.next(), await reader.next()
    assert first.message.id
    assert first.message.headers == {}
    assert second.message.id == "mine"
    nursery.cancel_scope.cancel()


async def test_nack_brings_the_message_again(driver, nursery, autojump_clock) -> None:
    await driver.publish("app:q", QueueMessage(1, {"k": "v"}, "m"), QueueMessage(2))
    reader = Reader(driver, "app:q", nursery)
    await (await reader.next()).nack()
    assert (await reader.next()).message.body == 2
    again = await reader.next()
    assert (again.message.body, again.message.headers, again.message.id) == (1, {"k": "v"}, "m")
    nursery.cancel_scope.cancel()


async def test_acked_messages_do_not_come_again(driver, nursery, autojump_clock) -> None:
    await driver.publish("app:q", QueueMessage(1))
    reader = Reader(driver, "app:q", nursery)
    await (await reader.next()).ack()
    with trio.move_on_after(30):
        await reader.source.receive()
        raise AssertionError
    nursery.cancel_scope.cancel()


async def test_a_delivery_is_settled_once(driver, nursery, autojump_clock) -> None:
    await driver.publish("app:q", QueueMessage(1))
    delivery = await Reader(driver, "app:q", nursery).next()
    await delivery.ack()
    for settle in (delivery.ack, delivery.nack):
        with pytest.raises(InvalidError, match=r"queue\.Message already settled"):
            await settle()
    nursery.cancel_scope.cancel()


async def test_a_released_delivery_is_dead(driver, nursery, autojump_clock) -> None:
    await driver.publish("app:q", QueueMessage(1))
    delivery = await Reader(driver, "app:q", nursery).next()
    delivery.release_now()
    with pytest.raises(InvalidError, match=r"queue\.Message released"):
        await delivery.ack()
    nursery.cancel_scope.cancel()


async def test_queues_are_apart(driver, nursery, autojump_clock) -> None:
    await driver.declare("app:other", CONFIG)
    await driver.publish("app:other", QueueMessage("other"))
    await driver.publish("app:q", QueueMessage("q"))
    assert (await Reader(driver, "app:q", nursery).next()).message.body == "q"
    assert (await Reader(driver, "app:other", nursery).next()).message.body == "other"
    nursery.cancel_scope.cancel()


async def test_consumers_share_a_queue(driver, nursery, autojump_clock) -> None:
    readers = [Reader(driver, "app:q", nursery, prefetch=1) for _ in range(2)]
    await driver.publish("app:q", *(QueueMessage(number) for number in range(4)))
    seen = {(await reader.next()).message.body for reader in readers for _ in range(2)}
    assert seen == {0, 1, 2, 3}
    nursery.cancel_scope.cancel()


async def test_a_detached_reader_leaves_the_rest(driver, nursery, autojump_clock) -> None:
    first = Reader(driver, "app:q", nursery, prefetch=0)
    await driver.publish("app:q", QueueMessage(1), QueueMessage(2), QueueMessage(3))
    assert (await first.next()).message.body == 1
    await trio.testing.wait_all_tasks_blocked()
    first.scope.cancel()
    await trio.testing.wait_all_tasks_blocked()
    second = Reader(driver, "app:q", nursery)
    assert [(await second.next()).message.body for _ in range(2)] == [2, 3]
    nursery.cancel_scope.cancel()


async def test_info_counts_what_waits(driver, autojump_clock) -> None:
    assert (await driver.info("app:q"))["message_count"] == 0
    await driver.publish("app:q", QueueMessage(1), QueueMessage(2))
    assert (await driver.info("app:q"))["ready"] == 2


async def test_declaring_again_keeps_messages(driver, autojump_clock) -> None:
    await driver.publish("app:q", QueueMessage(1))
    await driver.declare("app:q", QueueConfig("q", driver_options={"memory": {"max_length": 5}}))
    assert (await driver.info("app:q"))["message_count"] == 1


async def test_unknown_queue(driver, autojump_clock) -> None:
    sink, _source = trio.open_memory_channel[Delivery](1)
    for work in (
        lambda: driver.publish("app:none", QueueMessage(1)),
        lambda: driver.info("app:none"),
        lambda: driver.deliver("app:none", ConsumerOptions(), sink),
    ):
        with pytest.raises(NotFoundError, match="queue not found"):
            await work()


async def test_a_removed_queue_is_unknown(driver, autojump_clock) -> None:
    await driver.remove("app:q")
    await driver.remove("app:q")
    with pytest.raises(NotFoundError):
        await driver.publish("app:q", QueueMessage(1))


def test_consumer_options_are_bounded() -> None:
    assert (ConsumerOptions(0, -1).concurrency, ConsumerOptions(0, -1).prefetch) == (1, 10)
    with pytest.raises(InvalidError, match="concurrency 1001 exceeds maximum 1000"):
        ConsumerOptions(1001)
    with pytest.raises(InvalidError, match="prefetch 10001 exceeds maximum 10000"):
        ConsumerOptions(prefetch=10001)
