"""Kinds queue.driver.memory, queue.queue and queue.consumer. Source: docs system/queue, guides/queue-consumers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio

from sandbox.values import pack_list, unpack
from wippy_trio.actors.restart import Lifecycle
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError, NotFoundError
from wippy_trio.core.frame import TRACE, Frame, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.kind import Kind, relative
from wippy_trio.observability.trace import tracer_of
from wippy_trio.runtime import Runtime
from wippy_trio.security.scope import policies_of
from wippy_trio.storage.queue_consumer import QueueConsumer
from wippy_trio.storage.queue_memory import MemoryQueueDriver
from wippy_trio.storage.queues import ConsumerOptions, Delivery, QueueConfig, QueueDriver, QueueHandle
from wippy_trio.storage.unbuilt import UnbuiltQueueDriver

__all__ = ["KINDS"]

#: Codecs of bodies; `json` is what the guide writes for `json/plain`. The memory driver keeps bodies as they are.
_CODECS = {
    "": "json/plain",
    "json": "json/plain",
    "json/plain": "json/plain",
    "application/msgpack": "application/msgpack",
}
#: Key under which the module `queue` finds the running delivery.
_DELIVERY = "queue.delivery"


@asynccontextmanager
async def open_memory_driver(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A driver in memory."""
    driver = MemoryQueueDriver(runtime.environment.ids, faults=runtime.environment.faults)
    try:
        with runtime.resources.offer(entry.id, driver):
            yield
    finally:
        driver.close_now()


def _config(entry: Entry) -> QueueConfig:
    data = entry.data
    if not data.get("driver"):
        raise InvalidError("driver ID is required")
    codec = _CODECS.get(str(data.get("codec") or ""))
    if codec is None:
        raise InvalidError(f"unknown payload codec: {data['codec']}")
    dead_letter = _map(data, "dead_letter")
    return QueueConfig(
        str(data.get("queue_name") or entry.id.name),
        codec,
        _map(data, "driver_options"),
        str(dead_letter.get("queue") or ""),
        int(dead_letter.get("max_attempts") or 0),
    )


def _map(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name) or {}
    if not isinstance(value, Mapping):
        raise InvalidError(f"{name} must be a map")
    return value


def check_queue(entry: Entry) -> None:
    """Refuse a queue without a driver, or with an unknown codec."""
    _config(entry)


@asynccontextmanager
async def open_queue(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A queue, declared on its driver."""
    config = _config(entry)
    driver = _driver(relative(entry, entry.data["driver"]), runtime)
    name = str(entry.id)
    await driver.declare(name, config)
    try:
        with runtime.resources.offer(entry.id, QueueHandle(name, driver, config)):
            yield
    finally:
        with trio.CancelScope(shield=True), trio.move_on_after(5):
            await driver.remove(name)


def _driver(id_: EntryId, runtime: Runtime) -> QueueDriver:
    found = runtime.resources.find(id_, object)
    if isinstance(found, QueueDriver):
        return found
    known = runtime.registry.pending.get(id_)
    if known is not None and known.kind.startswith("queue.driver."):
        return UnbuiltQueueDriver(str(id_), known.kind)
    raise NotFoundError("driver not found", details={"driver_id": str(id_)})


def _options(entry: Entry) -> ConsumerOptions:
    data = entry.data
    for key, what in (("queue", "queue ID"), ("func", "function ID")):
        if not data.get(key):
            raise InvalidError(f"{what} is required")
    return ConsumerOptions(
        _count(data, "concurrency"),
        _count(data, "prefetch"),
        data.get("auto_ack") is True,
        _map(data, "driver_options"),
    )


def _count(data: Mapping[str, Any], name: str) -> int:
    value = data.get(name) or 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidError(f"{name} must be an integer")
    return value


def check_consumer(entry: Entry) -> None:
    """Refuse a consumer without queue or function, or with too many workers."""
    _options(entry)


def _identity(entry: Entry, runtime: Runtime) -> Frame:
    """The frame of the handler's calls: the identity in `lifecycle.security`, if there is one."""
    security = Lifecycle.parse(entry).security
    actor = security.get("actor")
    if not isinstance(actor, Mapping) or not actor.get("id"):
        return Frame()
    space = entry.id.namespace
    policies = [EntryId.parse(str(item), space) for item in security.get("policies") or ()]
    groups = [EntryId.parse(str(item), space) for item in security.get("groups") or ()]
    scope, _ = policies_of(runtime.extras).resolve(policies, groups)
    return Frame(actor=SecurityActor(str(actor["id"]), actor.get("meta") or {}), scope=scope)


@asynccontextmanager
async def open_consumer(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """Workers that call a function for each message; False or an error as its result nacks, anything else acks."""
    function = relative(entry, entry.data["func"])
    queue = runtime.resources.get(relative(entry, entry.data["queue"]), QueueHandle, "queue")
    frame = _identity(entry, runtime)

    async def handle(delivery: Delivery) -> bool:
        args = pack_list([delivery.message.body])
        extras: dict[str, Any] = {_DELIVERY: delivery}
        tracer = tracer_of(runtime.extras)
        came = tracer.extract(delivery.message.headers.get) if tracer is not None and tracer.settings.queue else None
        if came is not None:
            extras[TRACE] = came
        result = await runtime.functions.call_packed(function, args, frame, None, extras)
        values = unpack(result.data)
        return not (values and values[0] is False)

    def failed(message_id: str, what: str, error: LuaError) -> None:
        runtime.log.error(
            "message processing failed", consumer=str(entry.id), message_id=message_id, step=what, error=str(error)
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(QueueConsumer(queue, _options(entry), handle, failed).run)
        yield
        nursery.cancel_scope.cancel()


KINDS = (
    Kind("queue.driver.memory", open_memory_driver),
    Kind("queue.queue", open_queue, references=("driver",), check=check_queue),
    Kind("queue.consumer", open_consumer, references=("queue", "func"), check=check_consumer, service=True),
)
