"""The `base64` module: the standard padded alphabet. Source: docs lua/data/base64."""

from __future__ import annotations

import base64
import re

from wippy_trio.core.errors import InvalidError
from wippy_trio.module import Call, Module, ModuleClass

__all__ = ["MODULE"]

MODULE = Module("base64", classes={ModuleClass.ENCODING, ModuleClass.DETERMINISTIC}, prelude="base64.lua")
_GROUPS = re.compile(rb"(?:[A-Za-z0-9+/]{4})*")


@MODULE.raw("base64.encode")
def encode(call: Call, data: bytes) -> bytes:
    """Base64 of bytes."""
    return base64.b64encode(data)


@MODULE.raw("base64.decode")
def decode(call: Call, text: bytes) -> bytes:
    """The bytes of a base64 text; line ends in it are ignored.

    Raises:
        InvalidError: with the position of the first byte that cannot be.
    """
    plain = text.replace(b"\n", b"").replace(b"\r", b"")
    try:
        return base64.b64decode(plain, validate=True)
    except ValueError:
        good = _GROUPS.match(plain)
        message = f"illegal base64 data at input byte {good.end() if good else 0}"
        error = InvalidError(message)
        error.context = ("decode failed",)
        raise error from None
