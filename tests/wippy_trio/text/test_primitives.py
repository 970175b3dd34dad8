from __future__ import annotations

import pytest

from sandbox.errors import LuaError
from wippy_trio.core.errors import InvalidError
from wippy_trio.text.primitives import decrypt, encrypt, pbkdf2, sign_token, verify_token


def test_known_answers() -> None:
    # NIST GCM test case 3 of AES-128 without additional data, and RFC 6070's first vector with SHA-256.
    assert encrypt("aes", b"", bytes(16), None, bytes(12)).hex()[24:] == "58e2fccefa7e3061367f1d57a4e7455a"
    assert pbkdf2(b"password", b"salt", 2, 32, "sha256").hex().startswith("ae4d0c95af6b46d3")


@pytest.mark.parametrize(("cipher", "key"), [("aes", bytes(24)), ("chacha20", bytes(32))])
def test_tampering_is_noticed(cipher: str, key: bytes) -> None:
    sealed = encrypt(cipher, b"text", key, b"aad", b"n" * 12)
    assert decrypt(cipher, sealed, key, b"aad") == b"text"
    for bad, aad in ((sealed[:-1] + b"x", b"aad"), (sealed, b"other"), (sealed[:13], b"aad")):
        with pytest.raises(LuaError, match="authentication failed"):
            decrypt(cipher, bad, key, aad)


def test_a_token_of_another_library() -> None:
    # The example of RFC 7519's usual introduction, signed with HS256.
    token = (
        b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ."
        b"SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
    )
    claims = verify_token(token, b"your-256-bit-secret", "HS256", require_exp=False, now_s=0)
    assert claims == {"sub": "1234567890", "name": "John Doe", "iat": 1516239022}


@pytest.mark.parametrize("algorithm", ["none", "odd", "RS256"])
def test_algorithms_are_not_negotiated(algorithm: str) -> None:
    token = sign_token({"exp": 5}, b"key", "HS256")
    with pytest.raises(LuaError, match="signing method"):
        verify_token(token, b"key", algorithm, require_exp=True, now_s=0)


def test_unsigned_tokens_are_refused() -> None:
    token = b"eyJhbGciOiJub25lIn0.e30."
    with pytest.raises(LuaError, match="signing method none is invalid"):
        verify_token(token, b"", "none", require_exp=False, now_s=0)


@pytest.mark.parametrize("exp", ["soon", True, 1e400])
def test_odd_expiries(exp: object) -> None:
    token = sign_token({"exp": exp}, b"key", "HS256")
    with pytest.raises(LuaError):
        verify_token(token, b"key", "HS256", require_exp=True, now_s=0)


def test_private_key_must_be_rsa() -> None:
    with pytest.raises(InvalidError, match="invalid RSA private key"):
        sign_token({}, b"nonsense", "RS256")
