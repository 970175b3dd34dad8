"""The `crypto` module: random data, HMAC, encryption, tokens, key derivation. Source: docs lua/security/crypto."""

from __future__ import annotations

import hmac

from sandbox.values import as_bytes, as_text
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.module import Call, Module, ModuleClass, WorkflowRule
from wippy_trio.text.luavalue import go_value
from wippy_trio.text.primitives import NONCE_BYTES, decrypt, encrypt, pbkdf2, sign_token, verify_token

__all__ = ["MODULE"]

MODULE = Module(
    "crypto", classes={ModuleClass.SECURITY, ModuleClass.NONDETERMINISTIC, ModuleClass.WORKFLOW}, prelude="crypto.lua"
)
_MAX_RANDOM_BYTES = 1 << 20
#: Iterations a key derivation may take on the trio thread: a few milliseconds. More go to a worker thread.
_ITERATIONS_AT_ONCE = 10_000


def _random(call: Call, length: int) -> bytes:
    if length <= 0:
        raise InvalidError("length must be a positive integer")
    if length > _MAX_RANDOM_BYTES:
        raise InvalidError("length exceeds maximum allowed size (1MB)")
    return call.environment.entropy.random_bytes(length)


@MODULE.raw("crypto.random_bytes", workflow=WorkflowRule.RECORDED)
def random_bytes(call: Call, length: int) -> bytes:
    """Random bytes."""
    return _random(call, length)


@MODULE.raw("crypto.random_string", workflow=WorkflowRule.RECORDED)
def random_string(call: Call, length: int, charset: bytes) -> bytes:
    """Random bytes of a set. Unlike the reference, every one is equally likely."""
    if length > 0 and not charset:
        raise InvalidError("charset cannot be empty")
    size = len(charset)
    if size > 256:
        draws = _random(call, length)
        below = call.environment.entropy.below
        return bytes(charset[below(size)] for _ in draws)
    limit = 256 - 256 % size if size else 256
    made = bytearray()
    while len(made) < length or not made:
        made += bytes(charset[draw % size] for draw in _random(call, length) if draw < limit)
    return bytes(made[:length])


@MODULE.raw("crypto.random_uuid", workflow=WorkflowRule.RECORDED)
def random_uuid(call: Call) -> bytes:
    """A version 4 UUID."""
    return call.environment.ids.uuid().encode()


@MODULE.raw("crypto.hmac")
def mac(call: Call, algorithm: bytes, key: bytes, data: bytes) -> bytes:
    """HMAC in hexadecimal; the key may not be empty."""
    if not key:
        raise InvalidError("key cannot be empty")
    return hmac.new(key, data, algorithm.decode()).hexdigest().encode()


@MODULE.raw("crypto.encrypt", workflow=WorkflowRule.RECORDED)
def encrypt_now(call: Call, cipher: bytes, data: bytes, key: bytes, aad: bytes | None = None) -> bytes:
    """Authenticated encryption with a random nonce, which comes first in the result."""
    return encrypt(cipher.decode(), data, key, aad, call.environment.entropy.random_bytes(NONCE_BYTES))


@MODULE.raw("crypto.decrypt")
def decrypt_now(call: Call, cipher: bytes, data: bytes, key: bytes, aad: bytes | None = None) -> bytes:
    """The reverse."""
    return decrypt(cipher.decode(), data, key, aad)


@MODULE.immediate("crypto.jwt_encode")
def jwt_encode(call: Call, claims: object, key: str | bytes, algorithm: str = "HS256") -> bytes:
    """A signed token."""
    plain = go_value(claims)
    if not isinstance(plain, dict):
        raise InvalidError("failed to convert payload to map")
    try:
        return sign_token(plain, as_bytes(key), algorithm)
    except InvalidError:
        raise
    except LuaError as error:
        error.context = ("sign token", *error.context)
        raise


@MODULE.immediate("crypto.jwt_verify")
def jwt_verify(
    call: Call, token: str | bytes, key: str | bytes, algorithm: str = "HS256", require_exp: bool = True
) -> dict[str, object]:
    """The claims of a token that is valid now."""
    now_s = call.environment.clock.wall_ns() / 1e9
    return verify_token(as_bytes(token), as_bytes(key), as_text(algorithm), require_exp=require_exp, now_s=now_s)


@MODULE.immediate("crypto.pbkdf2_now")
def pbkdf2_now(call: Call, *given: object) -> bytes | None:
    """A derived key, if that is quick; None where `crypto.pbkdf2` has to be waited for."""
    password, salt, iterations, length, algorithm = given
    if isinstance(iterations, int) and iterations * (1 + int(str(length)) // 32) > _ITERATIONS_AT_ONCE:
        return None
    return _derive(password, salt, iterations, length, algorithm)


@MODULE.waiting("crypto.pbkdf2", workflow=WorkflowRule.PURE)
async def pbkdf2_slowly(call: Call, *given: object) -> bytes:
    """A derived key, computed in a worker thread."""
    return await call.environment.threads.run(_derive, *given, lane="crypto")


def _derive(*given: object) -> bytes:
    password, salt, iterations, length, algorithm = given
    return pbkdf2(as_bytes(password), as_bytes(salt), int(str(iterations)), int(str(length)), as_text(algorithm))


@MODULE.raw("crypto.equal")
def constant_time_compare(call: Call, left: bytes, right: bytes) -> bool:
    """Equality in a time that does not tell where two texts differ."""
    return hmac.compare_digest(left, right)
