"""The `stream` module: streams that other modules hand out. Source: docs lua/core/stream."""

from __future__ import annotations

from sandbox.values import Handle, Multi, as_bytes
from wippy_trio.core.errors import LuaError
from wippy_trio.http.streams import SCANNER_CLASS, ByteStream, Scanner
from wippy_trio.module import Call, Module, ModuleClass

__all__ = ["MODULE"]

MODULE = Module("stream", classes={ModuleClass.IO, ModuleClass.NONDETERMINISTIC}, prelude="stream.lua")


def _in(context: str, error: LuaError) -> LuaError:
    error.context = (context, *error.context)
    return error


@MODULE.waiting("stream.read")
async def read(call: Call, stream: ByteStream, size: int = 0) -> bytes | None:
    """The next bytes; nil at the end."""
    try:
        return await stream.read(size)
    except LuaError as error:
        raise _in("stream read", error) from None


@MODULE.waiting("stream.write")
async def write(call: Call, stream: ByteStream, data: str | bytes) -> int:
    """Write everything."""
    try:
        return await stream.write(as_bytes(data))
    except LuaError as error:
        raise _in("stream write", error) from None


@MODULE.waiting("stream.seek")
async def seek(call: Call, stream: ByteStream, whence: str, offset: int) -> int:
    """Move; the new position."""
    try:
        return await stream.seek(whence, offset)
    except LuaError as error:
        raise _in("stream seek", error) from None


@MODULE.waiting("stream.flush")
async def flush(call: Call, stream: ByteStream) -> bool:
    """Push buffered bytes on."""
    try:
        await stream.flush()
    except LuaError as error:
        raise _in("stream flush", error) from None
    return True


@MODULE.waiting("stream.stat")
async def stat(call: Call, stream: ByteStream) -> dict[str, object]:
    """What is known of the stream."""
    try:
        info = await stream.stat()
    except LuaError as error:
        raise _in("stream stat", error) from None
    return {
        "size": info.size_bytes,
        "position": info.position_bytes,
        "readable": info.readable,
        "writable": info.writable,
        "seekable": info.seekable,
    }


@MODULE.waiting("stream.close")
async def close(call: Call, stream: ByteStream) -> bool:
    """Close; again is nothing."""
    try:
        await stream.aclose()
    except LuaError as error:
        raise _in("stream close", error) from None
    return True


@MODULE.immediate("stream.scanner")
def scanner(call: Call, stream: ByteStream, split: str) -> Handle:
    """A scanner over the stream."""
    try:
        stream.check_readable()
    except LuaError as error:
        raise _in("scanner create", error) from None
    return call.handle(SCANNER_CLASS, Scanner(stream.read, split))


@MODULE.waiting("stream.scan")
async def scan(call: Call, scanner: Scanner) -> Multi:
    """Advance: whether there is a token, the token, and what went wrong (empty for nothing)."""
    return Multi(await scanner.scan(), scanner.token, scanner.error)
