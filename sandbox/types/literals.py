"""Values of string literals, and literals of values."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["quote", "string_value"]

_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]+)\}|([0-9]{1,3})|z[ \t\r\n\f\v]*|(\r\n|\n\r|(?s:.)))"
)
_SIMPLE: Final = {
    "a": b"\a", "b": b"\b", "f": b"\f", "n": b"\n", "r": b"\r", "t": b"\t", "v": b"\v",
    "\r\n": b"\n", "\n\r": b"\n", "\r": b"\n",
}  # fmt: skip
_PLAIN: Final = re.compile(rb"[^\x20-\x7e]|[\"\\]")


def string_value(text: str) -> bytes:
    """The bytes a string literal stands for; `text` is a valid literal with its quotes or brackets."""
    if text[0] == "[":
        width = text.index("[", 1) + 1
        body = re.sub(r"\r\n|\n\r|\r", "\n", text[width:-width])
        return body.removeprefix("\n").encode("utf-8", "surrogateescape")
    body = text[1:-1]
    if "\\" not in body:
        return body.encode("utf-8", "surrogateescape")
    out: list[bytes] = []
    at = 0
    for found in _ESCAPE.finditer(body):
        out.append(body[at : found.start()].encode("utf-8", "surrogateescape"))
        at = found.end()
        hexadecimal, point, decimal, simple = found.groups()
        if hexadecimal:
            out.append(bytes((int(hexadecimal, 16),)))
        elif point:
            out.append(_utf8(int(point, 16)))
        elif decimal:
            out.append(bytes((int(decimal),)))
        elif simple:
            out.append(_SIMPLE.get(simple, simple.encode()))
    out.append(body[at:].encode("utf-8", "surrogateescape"))
    return b"".join(out)


def _utf8(point: int) -> bytes:
    """UTF-8 as Lua writes it: up to 31 bits, surrogates included."""
    if point < 0x80:
        return bytes((point,))
    tail: list[int] = []
    limit = 0x3F
    while point > limit:
        tail.append(0x80 | (point & 0x3F))
        point >>= 6
        limit >>= 1
    return bytes((((~limit << 1) & 0xFF) | point, *reversed(tail)))


def quote(value: bytes) -> str:
    """A Lua string literal of one line for `value`."""
    body = _PLAIN.sub(lambda found: b"\\%03d" % found.group()[0], value)
    return '"' + body.decode("ascii") + '"'
