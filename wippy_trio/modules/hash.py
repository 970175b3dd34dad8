"""The `hash` module: digests, HMAC and FNV. Source: docs lua/security/hash."""

from __future__ import annotations

import hashlib
import hmac

from wippy_trio.module import Call, Module, ModuleClass

__all__ = ["MODULE"]

MODULE = Module(
    "hash", classes={ModuleClass.ENCODING, ModuleClass.SECURITY, ModuleClass.DETERMINISTIC}, prelude="hash.lua"
)
_FNV32 = (0x811C9DC5, 0x01000193, (1 << 32) - 1)
_FNV64 = (0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1)


@MODULE.raw("hash.digest")
def digest(call: Call, algorithm: bytes, data: bytes) -> bytes:
    """The digest of bytes, in hexadecimal."""
    return hashlib.new(algorithm.decode(), data, usedforsecurity=False).hexdigest().encode()


@MODULE.raw("hash.digest_bytes")
def digest_bytes(call: Call, algorithm: bytes, data: bytes) -> bytes:
    """The digest of bytes."""
    return hashlib.new(algorithm.decode(), data, usedforsecurity=False).digest()


@MODULE.raw("hash.mac")
def mac(call: Call, algorithm: bytes, data: bytes, secret: bytes) -> bytes:
    """The HMAC of bytes, in hexadecimal; the secret may be empty."""
    return hmac.new(secret, data, algorithm.decode()).hexdigest().encode()


@MODULE.raw("hash.mac_bytes")
def mac_bytes(call: Call, algorithm: bytes, data: bytes, secret: bytes) -> bytes:
    """The HMAC of bytes."""
    return hmac.new(secret, data, algorithm.decode()).digest()


@MODULE.raw("hash.fnv32")
def fnv32(call: Call, data: bytes) -> int:
    """FNV-1 in 32 bits."""
    return _fnv(data, _FNV32)


@MODULE.raw("hash.fnv64")
def fnv64(call: Call, data: bytes) -> float:
    """FNV-1 in 64 bits, as a float: the low bits are lost, as in the reference."""
    return float(_fnv(data, _FNV64))


def _fnv(data: bytes, parameters: tuple[int, int, int]) -> int:
    value, prime, mask = parameters
    for byte in data:
        value = (value * prime & mask) ^ byte
    return value
