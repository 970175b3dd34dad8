"""JSON as the reference writes and reads it.

Values: None, bool, int, float, str or bytes (text), list, dict. What has the shape of a Lua table may also be a dict
with integer keys, which `encode` turns into an array or refuses. Source: docs page lua/data/json.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import orjson

from sandbox.errors import KINDS, LuaError
from wippy_trio.text.gonumbers import decimal_text

__all__ = ["MAX_DEPTH", "JsonError", "decode", "encode", "encode_indented", "escape_html"]

#: Deepest nesting of arrays and objects, both ways.
MAX_DEPTH = 128
_INT64 = range(-(1 << 63), 1 << 63)
_SURROGATE = re.compile("[\ud800-\udfff]")
Value = Any


class JsonError(LuaError):
    """Text that is not JSON, or a value that JSON cannot hold. Kind INTERNAL, as in the reference."""

    kind = KINDS["INTERNAL"]
    retryable = False


def _refuse(message: str) -> NoReturn:
    raise JsonError(message)


# ------------------------------------------------------------------------------------------------------- encoding
def encode(value: Value, *, empty_is_array: bool = False) -> bytes:
    """Compact JSON, keys in order of their text.

    Integral floats have no fraction, other floats no exponent, infinities and not-a-number are `null`; `<`, `>`, `&`
    and the two Unicode line separators are escaped; bytes that are not UTF-8 become the replacement character; what
    JSON has no word for (a function, say) is `null`; an exception gives its text.

    Args:
        value: what to encode.
        empty_is_array: whether an empty dict is `[]`: the empty Lua table arrives as an empty dict.

    Raises:
        JsonError: nesting beyond `MAX_DEPTH` (a cycle too), keys both numeric and not, or a gap in the numeric keys.
    """
    plain = _plain(value, 0, [] if empty_is_array else {})
    return escape_html(orjson.dumps(plain, default=_default, option=orjson.OPT_SORT_KEYS))


def encode_indented(value: Value) -> str:
    """JSON over several lines, two spaces a level; otherwise as `encode`."""
    text = orjson.dumps(_plain(value, 0, {}), default=_default, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
    return escape_html(text).decode()


def escape_html(text: bytes) -> bytes:
    """JSON text with `<`, `>`, `&`, U+2028 and U+2029 as escapes, so that it may stand in a page or a script."""
    for char, escaped in _ESCAPED:
        if char in text:
            text = text.replace(char, escaped)
    return text


# These can stand only inside strings, so replacing them anywhere is safe.
_ESCAPED = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


def _default(value: object) -> Value:
    if isinstance(value, _Number):
        return orjson.Fragment(value.text)
    return None


class _Number:
    """A float whose shortest text must not have an exponent."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def _plain(value: Value, depth: int, empty: Value) -> Value:
    kind = type(value)
    if kind is str:
        return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
    if kind is bytes:
        return value.decode("utf-8", "replace")
    if kind is int:
        return value if value in _INT64 else _Number(str(value))
    if kind is bool or value is None:
        return value
    if kind is float:
        return _plain_float(value)
    if kind is list or kind is tuple:
        if depth > MAX_DEPTH:
            _refuse("exceeded maximum nesting depth for JSON encoding")
        return [_plain(item, depth + 1, empty) for item in value]
    if isinstance(value, Mapping):
        if depth > MAX_DEPTH:
            _refuse("exceeded maximum nesting depth for JSON encoding")
        return _plain_table(value, depth, empty) if value else empty
    return str(value) if isinstance(value, Exception) else None


def _plain_float(number: float) -> Value:
    if not math.isfinite(number):
        return None
    if number.is_integer():
        whole = int(number)
        return whole if whole in _INT64 else _Number(str(whole))
    size = abs(number)
    return number if 1e-4 <= size < 1e15 else _Number(decimal_text(number))


def _plain_table(table: Mapping[Value, Value], depth: int, empty: Value) -> Value:
    named: dict[str, Value] = {}
    numbered: dict[int, Value] = {}
    for key, item in table.items():
        kind = type(key)
        if kind is str:
            named[key if key.isascii() else _SURROGATE.sub("\ufffd", key)] = _plain(item, depth + 1, empty)
        elif kind is bytes:
            named[key.decode("utf-8", "replace")] = _plain(item, depth + 1, empty)
        elif (kind is int or (kind is float and key.is_integer())) and key > 0:
            numbered[int(key)] = _plain(item, depth + 1, empty)
        elif kind is bool:
            named["true" if key else "false"] = _plain(item, depth + 1, empty)
        elif kind is int or kind is float:
            named[str(key) if kind is int else decimal_text(key)] = _plain(item, depth + 1, empty)
    if numbered and named:
        _refuse("cannot encode mixed-key table: table has both numeric and non-numeric keys")
    if not numbered:
        return named
    if len(numbered) != max(numbered):
        _refuse("cannot encode sparse array: non-contiguous numeric keys found")
    return [numbered[index] for index in range(1, len(numbered) + 1)]


# ------------------------------------------------------------------------------------------------------- decoding
def decode(text: bytes | str, *, floats_only: bool = False) -> Value:
    """The value of a JSON text: lists, dicts with str keys, str, bool, None, int in 64 bits, else float.

    Args:
        text: UTF-8 bytes, or str.
        floats_only: every number as a float, as a reader without integers does.

    Raises:
        JsonError: not JSON, not UTF-8, or nested beyond `MAX_DEPTH`.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        message = f"invalid JSON: {error}"
        raise JsonError(message) from error
    return _checked(value, 0, float if floats_only else _number)


def _number(number: float) -> int | float:
    return number if type(number) is float or number in _INT64 else float(number)


def _checked(value: Value, depth: int, number: Callable[[float], float]) -> Value:
    kind = type(value)
    if kind is int or kind is float:
        return number(value)
    if kind is list:
        if depth > MAX_DEPTH:
            _refuse("json: maximum nesting depth exceeded")
        return [item if type(item) is str else _checked(item, depth + 1, number) for item in value]
    if kind is dict:
        if depth > MAX_DEPTH:
            _refuse("json: maximum nesting depth exceeded")
        return {key: item if type(item) is str else _checked(item, depth + 1, number) for key, item in value.items()}
    return value
