"""The `uuid` module: creation and inspection. Source: docs lua/security/uuid."""

from __future__ import annotations

import hashlib
import re

from wippy_trio.core.errors import InvalidError
from wippy_trio.module import Call, Module, ModuleClass, WorkflowRule

__all__ = ["MODULE"]

MODULE = Module("uuid", classes={ModuleClass.NONDETERMINISTIC, ModuleClass.WORKFLOW}, prelude="uuid.lua")

_FORM = re.compile(
    rb"(?:urn:uuid:)?([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})"
    rb"|\{([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})\}|([0-9a-f]{32})",
    re.IGNORECASE,
)
#: 100 ns ticks from 1582-10-15, where time-based UUIDs count from, to 1970-01-01.
_TICKS_1582 = 0x01B21DD213814000


def _parse(text: bytes, problem: str = "invalid UUID format") -> bytes:
    match = _FORM.fullmatch(text)
    if match is None:
        raise InvalidError(problem)
    return bytes.fromhex(b"".join(part for part in match.groups() if part).decode())


def _text(value: bytes) -> bytes:
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode()


def _stamped(value: bytes, version: int) -> bytes:
    """The bytes with a version and the RFC 4122 variant."""
    return _text(value[:6] + bytes([value[6] & 0x0F | version << 4, value[7], value[8] & 0x3F | 0x80]) + value[9:])


def _named(algorithm: str, version: int, namespace: bytes, name: bytes) -> bytes:
    space = _parse(namespace, "invalid namespace UUID")
    return _stamped(hashlib.new(algorithm, space + name, usedforsecurity=False).digest()[:16], version)


@MODULE.raw("uuid.v1", workflow=WorkflowRule.RECORDED)
def v1(call: Call) -> bytes:
    """Time based, with a random node (its multicast bit set, so that it cannot be a card's)."""
    ticks = call.environment.clock.wall_ns() // 100 + _TICKS_1582
    rest = call.environment.entropy.random_bytes(8)
    low, middle, high = ticks & 0xFFFFFFFF, ticks >> 32 & 0xFFFF, ticks >> 48 & 0x0FFF
    node = bytes([rest[2] | 1]) + rest[3:]
    return _stamped(low.to_bytes(4, "big") + middle.to_bytes(2, "big") + high.to_bytes(2, "big") + rest[:2] + node, 1)


@MODULE.raw("uuid.v3")
def v3(call: Call, namespace: bytes, name: bytes) -> bytes:
    """MD5 of a namespace and a name."""
    return _named("md5", 3, namespace, name)


@MODULE.raw("uuid.v4", workflow=WorkflowRule.RECORDED)
def v4(call: Call) -> bytes:
    """Random."""
    return call.environment.ids.uuid().encode()


@MODULE.raw("uuid.v5")
def v5(call: Call, namespace: bytes, name: bytes) -> bytes:
    """SHA-1 of a namespace and a name."""
    return _named("sha1", 5, namespace, name)


@MODULE.raw("uuid.v7", workflow=WorkflowRule.RECORDED)
def v7(call: Call) -> bytes:
    """Milliseconds of Unix time, then random: sorts by creation."""
    milliseconds = call.environment.clock.wall_ns() // 1_000_000
    return _stamped(milliseconds.to_bytes(6, "big") + call.environment.entropy.random_bytes(10), 7)


@MODULE.raw("uuid.validate")
def validate(call: Call, text: bytes) -> bool:
    """Whether a text is a UUID; also with braces, as a URN, and as 32 digits."""
    return _FORM.fullmatch(text) is not None


@MODULE.raw("uuid.version")
def version(call: Call, text: bytes) -> int:
    """The version number."""
    return _parse(text)[6] >> 4


@MODULE.raw("uuid.variant")
def variant(call: Call, text: bytes) -> bytes:
    """The variant's name."""
    return _variant(_parse(text))


def _variant(value: bytes) -> bytes:
    bits = value[8] >> 5
    if bits & 0b110 == 0b100:
        return b"RFC4122"
    return {0b110: b"Microsoft", 0b111: b"Future"}.get(bits, b"Reserved")


@MODULE.immediate("uuid.parse")
def parse(call: Call, text: str | bytes) -> dict[str, object]:
    """Version and variant; of time-based ones the Unix time in seconds, of version 1 the node (six bytes)."""
    value = _parse(text if isinstance(text, bytes) else text.encode())
    number = value[6] >> 4
    facts: dict[str, object] = {"version": number, "variant": _variant(value).decode()}
    if number == 1:
        ticks = int.from_bytes(value[:4], "big") | int.from_bytes(value[4:6], "big") << 32
        ticks |= (int.from_bytes(value[6:8], "big") & 0x0FFF) << 48
        facts["timestamp"] = (ticks - _TICKS_1582) // 10_000_000
        facts["node"] = value[10:]
    elif number == 7:
        facts["timestamp"] = int.from_bytes(value[:6], "big") // 1000
    return facts


@MODULE.raw("uuid.format")
def format(call: Call, text: bytes, form: bytes) -> bytes:
    """The canonical text, the 32 digits alone (`simple`) or a URN."""
    plain = _text(_parse(text))
    if form == b"standard":
        return plain
    if form == b"simple":
        return plain.replace(b"-", b"")
    if form == b"urn":
        return b"urn:uuid:" + plain
    message = "unsupported format"
    raise InvalidError(message)
