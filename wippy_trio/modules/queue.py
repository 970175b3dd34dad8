"""The `queue` module: publishing, and the delivery a consumer's handler works on. Source: docs lua/storage/queue."""

from __future__ import annotations

from typing import Any

from sandbox.errors import KINDS
from sandbox.values import Handle, as_bytes, as_text, unpack
from wippy_trio.core.errors import InvalidError, LuaError, NotFoundError
from wippy_trio.core.ids import EntryId
from wippy_trio.module import Call, Module, ModuleClass
from wippy_trio.observability.trace import SpanKind, trace_of, tracer_of
from wippy_trio.storage.queues import Delivery, QueueHandle, QueueMessage

__all__ = ["MODULE"]

MODULE = Module("queue", classes={ModuleClass.IO, ModuleClass.NONDETERMINISTIC}, prelude="queue.lua")

#: Key of the running delivery in `Frame.extras`; put there by the kind queue.consumer.
_DELIVERY = "queue.delivery"


@MODULE.waiting("queue.publish")
async def publish(call: Call, id: object, data: object, headers: Any = None) -> bool:
    """Publish a message; the body comes encoded as a message. Denials are `Invalid` here, as in the reference."""
    name = as_text(id)
    if not call.allowed("queue.publish", ""):
        raise InvalidError("queue publishing not allowed")
    if not call.allowed("queue.publish.queue", name):
        raise InvalidError(f"not allowed to publish to queue: {name}")
    body = unpack(as_bytes(data))[0]
    known = {as_text(key): value for key, value in (headers or {}).items()}
    try:
        await _publish(call, _queue(call, name), name, QueueMessage(body, known))
    except LuaError as error:
        raise _internal("publish failed", error) from error
    return True


async def _publish(call: Call, queue: QueueHandle, name: str, message: QueueMessage) -> None:
    tracer = tracer_of(call.runtime.extras)
    if tracer is None or not tracer.settings.queue:
        await queue.publish(message)
        return
    told = {"messaging.operation": "publish", "messaging.destination.name": name, "messaging.batch.message_count": 1}
    with tracer.span(f"{name}.publish", SpanKind.PRODUCER, trace_of(call.frame), told) as span:
        headers = {**message.headers, **tracer.headers(span.context)}
        await queue.publish(QueueMessage(message.body, headers, message.id))


@MODULE.waiting("queue.info")
async def info(call: Call, id: object) -> dict[str, object]:
    """Numbers of a queue."""
    try:
        return dict(await _queue(call, as_text(id)).info())
    except LuaError as error:
        raise _internal("queue not found", error) from error


@MODULE.immediate("queue.message")
def message(call: Call) -> Handle:
    """The running delivery."""
    delivery = call.frame.extras.get(_DELIVERY)
    if not isinstance(delivery, Delivery):
        raise InvalidError("no delivery found in context")
    return call.handle("queue.Message", delivery)


@MODULE.immediate("queue.message.id")
def message_id(call: Call, delivery: object) -> str:
    """Its id."""
    return _live(delivery).message.id


@MODULE.immediate("queue.message.header")
def message_header(call: Call, delivery: object, key: object) -> object:
    """One header."""
    return _live(delivery).message.headers.get(as_text(key))


@MODULE.immediate("queue.message.headers")
def message_headers(call: Call, delivery: object) -> dict[str, object]:
    """All headers."""
    return dict(_live(delivery).message.headers)


@MODULE.waiting("queue.message.settle")
async def settle(call: Call, delivery: object, done: bool) -> bool:
    """Ack or nack."""
    found = _live(delivery)
    try:
        await (found.ack() if done else found.nack())
    except InvalidError:
        raise
    except LuaError as error:
        raise _internal("ack failed" if done else "nack failed", error) from error
    return True


def _queue(call: Call, id: str) -> QueueHandle:
    found = call.runtime.resources.find(EntryId.parse(id), QueueHandle)
    if found is None:
        raise NotFoundError("queue not found")
    return found


def _live(delivery: object) -> Delivery:
    if not isinstance(delivery, Delivery):
        raise InvalidError("queue.Message expected")
    delivery.check_live()
    return delivery


def _internal(what: str, error: LuaError) -> LuaError:
    """The error as the reference shows it: kind Internal, not to be retried."""
    return LuaError(
        error.message,
        kind=KINDS["INTERNAL"],
        retryable=False,
        details=error.details,
        context=(what, *error.context),
    )
