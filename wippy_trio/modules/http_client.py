"""The `http_client` module: outgoing requests. Source: docs lua/http/client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import trio

from sandbox.values import Multi, as_bytes
from wippy_trio.core.errors import (
    ArgumentError,
    InvalidError,
    LuaError,
    PermissionDeniedError,
    Raised,
    UnsupportedError,
)
from wippy_trio.core.units import parse_duration_s
from wippy_trio.http.addresses import private_addresses
from wippy_trio.http.client import ClientRequest, ClientResponse, HttpClient
from wippy_trio.http.headers import query_escape, query_unescape
from wippy_trio.http.streams import STREAM_CLASS, ByteStream, SourceStream
from wippy_trio.http.tls import ClientTls
from wippy_trio.module import Call, Module, ModuleClass
from wippy_trio.observability.trace import SpanKind, trace_of, tracer_of

__all__ = ["MODULE"]

MODULE = Module(
    "http_client",
    classes={ModuleClass.NETWORK, ModuleClass.IO, ModuleClass.NONDETERMINISTIC},
    prelude="http_client.lua",
    needs=("stream",),
)

MAX_UPLOAD_BYTES = 512 * 1024 * 1024
MAX_BATCH_COUNT = 1000

_STRING = (str, bytes)


def _client(call: Call) -> HttpClient:
    extras = call.runtime.extras
    client = extras.setdefault("http_client", None) or HttpClient(call.environment)
    extras["http_client"] = client
    assert isinstance(client, HttpClient)
    return client


def _text(value: object) -> str:
    return as_bytes(value).decode("utf-8", "surrogateescape")


def _lua(text: str) -> str | bytes:
    return text if text.isascii() else text.encode("utf-8", "surrogateescape")


# ------------------------------------------------------------------------------------------------------- options


def _strings(options: Mapping[Any, Any], name: str) -> dict[str, str]:
    """A table of strings; entries of other types are left out, as in the reference."""
    table = options.get(name)
    if not isinstance(table, Mapping):
        return {}
    return {
        _text(key): _text(value)
        for key, value in table.items()
        if isinstance(key, _STRING) and isinstance(value, _STRING)
    }


def _string(options: Mapping[Any, Any], name: str) -> str:
    value = options.get(name)
    return _text(value) if isinstance(value, _STRING) else ""


def _timeout_s(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, _STRING):
        try:
            return parse_duration_s(_text(value))
        except LuaError:
            return None
    return None


def _tls(options: Mapping[Any, Any]) -> ClientTls | None:
    table = options.get("tls")
    if not isinstance(table, Mapping) or not table:
        return None
    return ClientTls(
        _string(table, "cert"),
        _string(table, "key"),
        _string(table, "ca"),
        _string(table, "server_name"),
        table.get("insecure_skip_verify") is True,
    )


async def _files(options: Mapping[Any, Any], readers: Sequence[ByteStream]) -> tuple[tuple[str, str, bytes], ...]:
    listed = options.get("files")
    if not isinstance(listed, list):
        return ()
    found: list[tuple[str, str, bytes]] = []
    for item in listed:
        if not isinstance(item, Mapping):
            continue
        name, content, reader = _string(item, "name"), item.get("content"), item.get("reader")
        if not name:
            continue
        if isinstance(content, _STRING):
            if content:
                found.append((name, _string(item, "filename"), as_bytes(content)))
        elif isinstance(reader, int) and 0 < reader <= len(readers):
            found.append((name, _string(item, "filename"), await _drain(readers[reader - 1])))
    return tuple(found)


async def _drain(stream: ByteStream) -> bytes:
    data = bytearray()
    while (piece := await stream.read(64 * 1024)) is not None:
        data += piece
        if len(data) > MAX_UPLOAD_BYTES:
            raise InvalidError(f"file to upload is larger than {MAX_UPLOAD_BYTES} bytes")
    return bytes(data)


async def _request(
    method: str, url: str, options: Mapping[Any, Any], readers: Sequence[ByteStream] = ()
) -> ClientRequest:
    body, auth, most = options.get("body"), options.get("auth"), options.get("max_response_body")
    limited = isinstance(most, (int, float)) and not isinstance(most, bool)
    return ClientRequest(
        method,
        url,
        _strings(options, "headers"),
        as_bytes(body) if isinstance(body, _STRING) else b"",
        _strings(options, "query"),
        _strings(options, "form"),
        await _files(options, readers),
        _strings(options, "cookies"),
        (_string(auth, "user"), _string(auth, "pass")) if isinstance(auth, Mapping) else None,
        _timeout_s(options.get("timeout")),
        max(int(most), 0) if limited else 0,  # type: ignore[arg-type]  # a number, see above
        options.get("stream") is True,
        _tls(options),
        _string(options, "unix_socket"),
    )


# --------------------------------------------------------------------------------------------------- permissions


def _refuse(what: str) -> PermissionDeniedError:
    return PermissionDeniedError(f"not allowed: {what}")


def _check_options(call: Call, url: str, options: Mapping[Any, Any]) -> None:
    unix = _string(options, "unix_socket")
    if unix and not call.allowed("http_client.unix_socket", unix):
        raise _refuse(f"unix socket {unix}")
    tls = options.get("tls")
    insecure = isinstance(tls, Mapping) and tls.get("insecure_skip_verify") is True
    if insecure and not call.allowed("http_client.insecure_tls", url):
        raise _refuse(f"insecure TLS for {url}")
    network = _string(options, "overlay_network")
    if network and not call.allowed("network.select", network):
        raise _refuse(f"network {network}")


async def _check_address(call: Call, url: str) -> None:
    resolve = getattr(call.environment.network, "resolve", None)
    for address in await private_addresses(url, resolve):
        if not call.allowed("http_client.private_ip", address):
            raise _refuse(f"private IP {address}")


async def _permit(call: Call, url: str, options: Mapping[Any, Any]) -> None:
    """Raises PermissionDeniedError, with the reference's words, unless the request is allowed."""
    _check_options(call, url, options)
    if not call.allowed("http_client.request", url):
        raise _refuse(url)
    if not _string(options, "unix_socket"):
        await _check_address(call, url)
    network = _string(options, "overlay_network")
    if network:
        raise UnsupportedError(f'overlay network "{network}": network overlays are not available')


# ------------------------------------------------------------------------------------------------------ requests


def _told(call: Call, response: ClientResponse, *, stream: bool) -> dict[str, object]:
    told: dict[str, object] = {"status_code": response.status, "url": _lua(response.url)}
    if stream:
        body = SourceStream(response.read, response.aclose)
        told["stream"] = call.handle(STREAM_CLASS, body, close=body.aclose)
        told["body_size"] = -1
    else:
        if response.body:
            told["body"] = response.body
        told["body_size"] = len(response.body)
    headers = {name: _lua(response.headers.get(name)) for name in response.headers.names()}
    cookies = {_lua(name): _lua(value) for name, value in response.cookies().items()}
    if headers:
        told["headers"] = headers
    if cookies:
        told["cookies"] = cookies
    return told


async def _send(call: Call, request: ClientRequest) -> ClientResponse:
    async def judge(url: str) -> None:
        await _check_address(call, url)

    tracer = tracer_of(call.runtime.extras)
    if tracer is None or not tracer.settings.http:
        return await _client(call).request(request, judge)
    told = {"http.method": request.method, "http.url": request.url}
    with tracer.span(request.method, SpanKind.CLIENT, trace_of(call.frame), told) as span:
        if tracer.settings.http_inject:
            own = {name.lower() for name in request.headers}
            carrying = {name: text for name, text in tracer.headers(span.context).items() if name not in own}
            request = attrs.evolve(request, headers={**request.headers, **carrying})
        response = await _client(call).request(request, judge)
        span.set({"http.status_code": response.status})
        return response


@MODULE.waiting("http_client.request")
async def request(call: Call, method: object, url: object, options: object, *readers: ByteStream) -> dict[str, object]:
    """One request. `readers` are the streams that files of `options` name by position."""
    given: Mapping[Any, Any] = options if isinstance(options, Mapping) else {}
    target = _text(url)
    await _permit(call, target, given)
    made = await _request(_text(method).upper(), target, given, readers)
    return _told(call, await _send(call, made), stream=made.stream)


async def _batch_item(call: Call, item: object) -> ClientRequest:
    if not isinstance(item, (list, Mapping)):
        raise InvalidError("each request must be a table")
    parts = item if isinstance(item, list) else [item.get(index) for index in (1, 2, 3)]
    method, url, options = (*parts, None, None, None)[:3]
    if not isinstance(method, _STRING):
        raise InvalidError("method must be a string")
    if not isinstance(url, _STRING):
        raise InvalidError("URL must be a string")
    given: Mapping[Any, Any] = options if isinstance(options, Mapping) else {}
    target = _text(url)
    await _permit(call, target, given)
    if given.get("stream") is True:
        raise InvalidError("streaming not supported in batch requests")
    return await _request(_text(method).upper(), target, given)


@MODULE.waiting("http_client.batch")
async def batch(call: Call, items: object) -> Multi:
    """Several requests at once: responses and errors by position; no request is sent unless all are allowed."""
    listed = items if isinstance(items, list) else list(items.values()) if isinstance(items, Mapping) else []
    if not listed:
        raise ArgumentError(1, "requests table cannot be empty", "request_batch")
    if len(listed) > MAX_BATCH_COUNT:
        raise InvalidError(f"too many requests in one batch (max {MAX_BATCH_COUNT})")
    requests = [await _batch_item(call, item) for item in listed]
    responses: list[object] = [None] * len(requests)
    errors: list[object] = [None] * len(requests)

    async def send(index: int, made: ClientRequest) -> None:
        try:
            responses[index] = _told(call, await _send(call, made), stream=False)
        except Raised:
            raise
        except LuaError as error:
            errors[index] = error

    async with trio.open_nursery() as nursery:
        for index, made in enumerate(requests):
            nursery.start_soon(send, index, made)
    return Multi(responses, errors if any(error is not None for error in errors) else None)


@MODULE.immediate("http_client.encode_uri")
def encode_uri(call: Call, text: object) -> str:
    """Escape for a query string."""
    return query_escape(_text(text))


@MODULE.immediate("http_client.decode_uri")
def decode_uri(call: Call, text: object) -> str | bytes:
    """Undo it."""
    return _lua(query_unescape(_text(text)))
