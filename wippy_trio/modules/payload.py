"""The `payload` module: values with a format, and conversion between formats. Source: docs lua/data/payload.

A payload made in Lua holds a Lua value (`lua/any`). Conversion gives one that holds the text of its format, which
`data` and `unmarshal` read back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ormsgpack

from sandbox.values import Multi, as_bytes
from wippy_trio.core.errors import LuaError
from wippy_trio.module import Call, Module, ModuleClass
from wippy_trio.text import jsoncodec
from wippy_trio.text.luavalue import go_value

__all__ = ["MODULE"]

MODULE = Module(
    "payload", classes={ModuleClass.ENCODING, ModuleClass.DETERMINISTIC}, prelude="payload.lua", always=True
)
Value = Any
_LUA, _GO, _ERROR = "lua/any", "golang/any", "golang/error"
_JSON, _YAML, _MSGPACK = "json/plain", "yaml/plain", "application/msgpack"
_TEXT, _BYTES = "text/plain", "application/octet-stream"


def _failed(message: str) -> LuaError:
    return LuaError(message, kind="Internal", retryable=False)


def _to_text(value: Value) -> bytes:
    if isinstance(value, (str, bytes)):
        return as_bytes(value)
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, (int, float)):
        return jsoncodec.encode(value)
    raise _failed(f"cannot convert {type(value).__name__} to {_TEXT}")


def _to_bytes(value: Value) -> bytes:
    if isinstance(value, (str, bytes)):
        return as_bytes(value)
    return jsoncodec.encode(value, empty_is_array=True)


# YAML is rare, and this module is part of every start: its codec is imported at first use.
def _encode_yaml(value: Value) -> bytes:
    from wippy_trio.text.yamlcodec import encode_yaml

    return encode_yaml(go_value(value))


def _decode_yaml(raw: bytes) -> Value:
    from wippy_trio.loader.yaml import parse

    return parse(raw, "payload").value


_WRITERS: Mapping[str, Callable[[Value], bytes]] = {
    _JSON: lambda value: jsoncodec.encode(value, empty_is_array=True),
    _YAML: _encode_yaml,
    _MSGPACK: lambda value: ormsgpack.packb(go_value(value)),
    _TEXT: _to_text,
    _BYTES: _to_bytes,
}
_READERS: Mapping[str, Callable[[bytes], Value]] = {
    _JSON: jsoncodec.decode,
    _YAML: _decode_yaml,
    _MSGPACK: ormsgpack.unpackb,
    _TEXT: lambda raw: raw,
    _BYTES: lambda raw: raw,
}


@MODULE.immediate("payload.transcode")
def transcode(call: Call, form: str, value: Value, target: str) -> Multi:
    """A value in another format: (whether it is raw text of that format, value).

    Raises:
        LuaError: no way from one format to the other, or the value does not fit (kind INTERNAL).
    """
    if target == form:
        return Multi(form in _READERS, value)
    try:
        plain = _READERS[form](as_bytes(value)) if form in _READERS else value
        if isinstance(plain, LuaError) and target != _ERROR:
            plain = str(plain)
        if target in (_LUA, _GO):
            return Multi(False, plain)
        if target in _WRITERS:
            return Multi(True, _WRITERS[target](plain))
    except LuaError as error:
        raise _failed(f"transcode failed: {error}") from error
    except (ormsgpack.MsgpackEncodeError, ormsgpack.MsgpackDecodeError, ValueError) as error:
        raise _failed(f"transcode failed: {error}") from error
    raise _failed(f"transcode failed: no way from {form} to {target}")
