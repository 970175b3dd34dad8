"""The `http` module: the request and response of the running HTTP handler. Source: docs lua/http/http."""

from __future__ import annotations

import trio

from sandbox.values import Handle, Multi, as_bytes
from wippy_trio.core.errors import InternalError, InvalidError, LuaError
from wippy_trio.http.body import BodyTooLargeError
from wippy_trio.http.exchange import Exchange
from wippy_trio.http.multipart import FormFile, read_form
from wippy_trio.http.site import EXCHANGE
from wippy_trio.http.streams import STREAM_CLASS, BytesStream, SourceStream
from wippy_trio.module import Call, Module, ModuleClass
from wippy_trio.text import jsoncodec

__all__ = ["MODULE"]

MODULE = Module(
    "http",
    classes={ModuleClass.NETWORK, ModuleClass.IO, ModuleClass.NONDETERMINISTIC},
    prelude="http.lua",
    needs=("stream",),
)

MAX_BODY_BYTES = 120 * 1024 * 1024
_FORM, _PENDING = "http.form", "http.pending"


def _exchange(call: Call) -> Exchange:
    found = call.frame.extras.get(EXCHANGE)
    if not isinstance(found, Exchange):
        raise InternalError("no HTTP request context found", retryable=False)
    return found


def _lua(text: str) -> str | bytes:
    """Text that may hold bytes which are not UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape")


def _text(value: object) -> str:
    return as_bytes(value).decode("utf-8", "surrogateescape")


def _in(context: str, error: LuaError) -> InternalError:
    return InternalError(error.message, retryable=False, context=(context, *error.context))


# ------------------------------------------------------------------------------------------------------- request


@MODULE.raw("http.present")
def present(call: Call) -> bool:
    """Whether an HTTP request is being handled."""
    return isinstance(call.frame.extras.get(EXCHANGE), Exchange)


@MODULE.immediate("http.facts")
def facts(call: Call) -> Multi:
    """Method, path, host, remote address, Content-Type, Content-Length, whether there is a route."""
    exchange = _exchange(call)
    request = exchange.request
    return Multi(
        request.method,
        _lua(request.path),
        _lua(request.host),
        request.remote_address,
        _lua(request.headers.get("Content-Type")) or None,
        request.content_length,
        exchange.route is not None,
    )


@MODULE.immediate("http.query")
def query(call: Call) -> dict[str | bytes, list[str | bytes]]:
    """Query values by key."""
    values = _exchange(call).request.query_values()
    return {_lua(key): [_lua(item) for item in items] for key, items in values.items()}


@MODULE.immediate("http.header")
def header(call: Call, name: object) -> str | bytes | None:
    """The values of a header under exactly this spelling, joined."""
    values = _exchange(call).request.headers.get_exact(_text(name))
    return _lua(", ".join(values)) if values else None


@MODULE.immediate("http.accepts")
def accepts(call: Call, kind: object) -> bool:
    """Whether Accept lists the type, or `*/*`; parameters are part of the text, as in the reference."""
    wanted = _text(kind)
    listed = _exchange(call).request.headers.get("Accept")
    return any(item.strip() in (wanted, "*/*") for item in listed.split(",")) if listed else False


@MODULE.immediate("http.params")
def params(call: Call) -> dict[str, str | bytes]:
    """Route parameters."""
    route = _exchange(call).route
    if route is None:
        raise InternalError("no route parameters found", retryable=False)
    return {name: _lua(value) for name, value in route.params.items()}


async def _body(call: Call, timeout_ms: int, max_bytes: int) -> bytes:
    body = _exchange(call).request.body
    with trio.move_on_after(timeout_ms / 1000):
        try:
            return await body.read_all(max_bytes)
        except BodyTooLargeError:
            raise
        except LuaError as error:
            raise _in("failed to read body", error) from error
    raise InternalError(f"request timeout after {timeout_ms}ms", retryable=False, context=("failed to read body",))


@MODULE.waiting("http.body")
async def body(call: Call, timeout_ms: int, max_bytes: int) -> bytes:
    """The whole body."""
    return await _body(call, timeout_ms, max_bytes)


@MODULE.waiting("http.body_json")
async def body_json(call: Call, timeout_ms: int, max_bytes: int) -> object:
    """The whole body, parsed."""
    text = await _body(call, timeout_ms, max_bytes)
    try:
        return jsoncodec.decode(text)
    except LuaError as error:
        raise InvalidError(error.message, context=("invalid JSON",)) from error


@MODULE.immediate("http.stream")
def stream(call: Call) -> Handle:
    """The body as a stream."""
    request = _exchange(call).request

    async def close() -> None:
        request.body.close()

    return call.handle(STREAM_CLASS, SourceStream(request.body.read, close, request.content_length))


@MODULE.waiting("http.form")
async def form(call: Call, max_bytes: int) -> Multi:
    """The upload form: values by name, and per field the facts of its files; contents stay here."""
    exchange = _exchange(call)
    kind = exchange.request.headers.get("Content-Type")
    if not kind.startswith("multipart/form-data"):
        raise InvalidError("content type is not multipart/form-data")
    if _FORM not in exchange.state:
        try:
            exchange.state[_FORM] = await read_form(exchange.request.body, kind, limit_bytes=max_bytes)
        except LuaError as error:
            raise _in("failed to parse multipart form", error) from error
    values, files = exchange.state[_FORM]
    plain = {
        _lua(name): _lua(items[0]) if len(items) == 1 else [_lua(item) for item in items]
        for name, items in values.items()
    }
    told = {
        _lua(field): [
            {
                "name": _lua(file.filename),
                "size": len(file.content),
                "headers": {name: _lua(value) for name, value in file.headers.items()},
            }
            for file in items
        ]
        for field, items in files.items()
    }
    return Multi(plain, told)


@MODULE.immediate("http.file")
def file(call: Call, field: object, index: int) -> Handle:
    """The content of an uploaded file as a stream."""
    files: dict[str, list[FormFile]] = _exchange(call).state.get(_FORM, ({}, {}))[1]
    found = files.get(_text(field), [])
    if not 0 < index <= len(found):
        raise InternalError("failed to open file", retryable=False)
    return call.handle(STREAM_CLASS, BytesStream(found[index - 1].content))


# ------------------------------------------------------------------------------------------------------ response


@MODULE.immediate("http.set_status")
def set_status(call: Call, status: int) -> None:
    """Settle status and headers; a later status is ignored."""
    response = _exchange(call).response
    response.set_status(status)
    response.handled = True


@MODULE.raw("http.set_header")
def set_header(call: Call, name: bytes, value: bytes, handled: bool = True) -> None:
    """Replace a header. `set_content_type` and `set_transfer` alone do not count as handling."""
    response = _exchange(call).response
    response.headers.set(name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
    response.handled = response.handled or handled


def _write_now(exchange: Exchange, data: bytes) -> bool:
    exchange.response.handled = True
    if exchange.response.write_now(data):
        return True
    exchange.state[_PENDING] = data
    return False


@MODULE.immediate("http.write_now")
def write_now(call: Call, data: object) -> bool:
    """Write what fits the buffer at once; False where `http.write_pending` must follow."""
    return _write_now(_exchange(call), as_bytes(data))


@MODULE.immediate("http.write_json_now")
def write_json_now(call: Call, unsent: bool, value: object = None) -> bool:
    """Write a value as JSON, with its Content-Type while headers are unsent; otherwise as `http.write_now`."""
    exchange = _exchange(call)
    try:
        data = jsoncodec.encode(value, empty_is_array=True)
    except LuaError as error:
        raise InvalidError(error.message, context=("failed to encode JSON",)) from error
    if unsent:
        exchange.response.headers.set("Content-Type", "application/json")
    return _write_now(exchange, data)


@MODULE.waiting("http.write_pending")
async def write_pending(call: Call) -> bool:
    """Write what did not fit."""
    exchange = _exchange(call)
    try:
        await exchange.response.write(exchange.state.pop(_PENDING, b""))
    except LuaError as error:
        raise _in("write failed", error) from error
    return True


@MODULE.waiting("http.flush")
async def flush(call: Call) -> None:
    """Send what is buffered."""
    response = _exchange(call).response
    response.handled = True
    await response.flush()


@MODULE.waiting("http.write_event")
async def write_event(call: Call, name: object, value: object) -> bool:
    """Send one server-sent event."""
    response = _exchange(call).response
    try:
        data = jsoncodec.encode(value, empty_is_array=True)
    except LuaError as error:
        raise InvalidError(error.message, context=("failed to marshal event data",)) from error
    response.handled = True
    try:
        # A line break inside the name would begin another field.
        line = as_bytes(name).replace(b"\r", b" ").replace(b"\n", b" ")
        await response.write(b"event: " + line + b"\ndata: " + data + b"\n\n")
        await response.flush()
    except LuaError as error:
        raise _in("write event failed", error) from error
    return True
