"""Authenticated encryption, key derivation and signed tokens, over the `cryptography` package.

Pure functions: nonces and the time are arguments. Source: docs page lua/security/crypto.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sandbox.errors import KINDS, LuaError
from wippy_trio.core.errors import InvalidError
from wippy_trio.text import jsoncodec

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

__all__ = ["NONCE_BYTES", "decrypt", "encrypt", "pbkdf2", "sign_token", "verify_token"]

NONCE_BYTES = 12
_TAG_BYTES = 16
_MAX_ITERATIONS = 10_000_000
_MAX_KEY_BYTES = 1 << 20
_HMACS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
_CIPHERS: Mapping[str, tuple[tuple[int, ...], str]] = {
    "aes": ((16, 24, 32), "key must be 16, 24, or 32 bytes"),
    "chacha20": ((32,), "key must be 32 bytes"),
}


def _internal(message: str) -> LuaError:
    return LuaError(message, kind=KINDS["INTERNAL"], retryable=False)


def _cipher(name: str, key: bytes) -> Any:
    sizes, problem = _CIPHERS[name]
    if len(key) not in sizes:
        raise InvalidError(problem)
    from cryptography.hazmat.primitives.ciphers import aead

    return (aead.AESGCM if name == "aes" else aead.ChaCha20Poly1305)(key)


def encrypt(cipher: str, data: bytes, key: bytes, aad: bytes | None, nonce: bytes) -> bytes:
    """`nonce` (12 bytes), ciphertext and tag, with cipher `aes` (GCM) or `chacha20` (Poly1305).

    Raises:
        InvalidError: a key of the wrong size.
    """
    return nonce + bytes(_cipher(cipher, key).encrypt(nonce, data, aad))


def decrypt(cipher: str, data: bytes, key: bytes, aad: bytes | None) -> bytes:
    """What `encrypt` was given.

    Raises:
        InvalidError: a key of the wrong size, or data too short to hold a nonce.
        LuaError: it does not authenticate (kind INTERNAL).
    """
    from cryptography.exceptions import InvalidTag

    opened = _cipher(cipher, key)
    if len(data) < NONCE_BYTES:
        raise InvalidError("encrypted data too short")
    try:
        return bytes(opened.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], aad))
    except (InvalidTag, ValueError):
        raise _internal("decrypt: message authentication failed") from None


def pbkdf2(password: bytes, salt: bytes, iterations: int, length_bytes: int, algorithm: str) -> bytes:
    """A derived key of `length_bytes`; algorithm `sha256` or `sha512`.

    Raises:
        InvalidError: an empty password or salt, a count that is not positive or too large, another algorithm.
    """
    if not password:
        raise InvalidError("password cannot be empty")
    if not salt:
        raise InvalidError("salt cannot be empty")
    if iterations <= 0:
        raise InvalidError("iterations must be positive")
    if iterations > _MAX_ITERATIONS:
        raise InvalidError(f"iterations exceeds maximum allowed ({_MAX_ITERATIONS})")
    if length_bytes <= 0:
        raise InvalidError("key length must be positive")
    if length_bytes > _MAX_KEY_BYTES:
        raise InvalidError(f"key length exceeds maximum allowed ({_MAX_KEY_BYTES} bytes)")
    if algorithm not in ("sha256", "sha512"):
        raise InvalidError(f"unsupported hash function: {algorithm}")
    return hashlib.pbkdf2_hmac(algorithm, password, salt, iterations, length_bytes)


# --------------------------------------------------------------------------------------------------------- tokens
def sign_token(claims: Mapping[str, Any], key: bytes, algorithm: str) -> bytes:
    """A JSON Web Token. The claim `_header` (a mapping) adds to the header; an unknown algorithm means HS256.

    Raises:
        InvalidError: RS256 with a key that is no RSA private key in PEM.
        LuaError: claims that JSON cannot hold (kind INTERNAL).
    """
    used = algorithm if algorithm in _HMACS or algorithm == "RS256" else "HS256"
    body = dict(claims)
    header: dict[str, Any] = {"alg": used, "typ": "JWT"}
    if isinstance(body.get("_header"), Mapping):
        header.update(body.pop("_header"))
    signed = _part(jsoncodec.encode(header)) + b"." + _part(jsoncodec.encode(body))
    if used in _HMACS:
        signature = hmac.new(key, signed, _HMACS[used]).digest()
    else:
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
        from cryptography.hazmat.primitives.hashes import SHA256

        signature = _private_key(key).sign(signed, PKCS1v15(), SHA256())
    return signed + b"." + _part(signature)


def verify_token(token: bytes, key: bytes, algorithm: str, *, require_exp: bool, now_s: float) -> dict[str, Any]:
    """The claims of a token signed with `algorithm` and in force at `now_s` (Unix time).

    Raises:
        LuaError: not a token, another algorithm, a wrong signature or key, expired or not yet in force, or without
            `exp` where that is required (kind INTERNAL).
    """
    parts = token.split(b".")
    if len(parts) != 3:
        raise _refused("token is malformed: token contains an invalid number of segments")
    try:
        header, claims = (jsoncodec.decode(_unpart(part)) for part in parts[:2])
        signature = _unpart(parts[2])
    except (ValueError, LuaError) as error:
        raise _refused(f"token is malformed: {error}") from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise _refused("token is malformed: header and claims must be objects")
    used = header.get("alg")
    if used != algorithm or not (used in _HMACS or used == "RS256"):
        raise _refused(f"token signature is invalid: signing method {used} is invalid")
    if not _signature_fits(str(used), parts[0] + b"." + parts[1], signature, key):
        raise _refused("token signature is invalid: signature is invalid")
    _check_times(claims, require_exp=require_exp, now_s=now_s)
    return claims


def _check_times(claims: Mapping[str, Any], *, require_exp: bool, now_s: float) -> None:
    tests: tuple[tuple[str, Callable[[float], bool], str], ...] = (
        ("exp", lambda at: now_s < at, "token is expired"),
        ("nbf", lambda at: now_s >= at, "token is not valid yet"),
    )
    for name, holds, problem in tests:
        at = claims.get(name)
        if at is None:
            if name == "exp" and require_exp:
                raise _refused("token is missing required claim: exp claim is required")
        elif isinstance(at, bool) or not isinstance(at, (int, float)) or not math.isfinite(at):
            raise _refused(f"invalid type for claim: {name} is invalid")
        elif not holds(at):
            raise _refused(f"token has invalid claims: {problem}")


def _refused(problem: str) -> LuaError:
    error = _internal(problem)
    error.context = ("verify token",)
    return error


def _part(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _unpart(text: bytes) -> bytes:
    if b"=" in text:
        raise ValueError("illegal base64 data")
    return base64.b64decode(text + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _signature_fits(algorithm: str, signed: bytes, signature: bytes, key: bytes) -> bool:
    if algorithm in _HMACS:
        return hmac.compare_digest(hmac.new(key, signed, _HMACS[algorithm]).digest(), signature)
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        _public_key(key).verify(signature, signed, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _private_key(pem: bytes) -> RSAPrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidError(f"invalid RSA private key: {error}") from None
    if not isinstance(key, RSAPrivateKey):
        raise InvalidError("invalid RSA private key: key is not an RSA private key")
    return key


def _public_key(pem: bytes) -> RSAPublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    try:
        if b"CERTIFICATE" in pem:
            key: object = load_pem_x509_certificate(pem).public_key()
        else:
            key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _refused(f"token is unverifiable: {error}") from None
    if not isinstance(key, RSAPublicKey):
        raise _refused("token is unverifiable: key is not an RSA public key")
    return key
