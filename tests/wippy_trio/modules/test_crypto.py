from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


async def test_random(lua: Any) -> None:
    source = """
        local crypto = require('crypto')
        local told = {#crypto.random.bytes(5), #crypto.random.string(40), #crypto.random.uuid(),
          crypto.random.string(20, 'ab'):find('^[ab]+$') ~= nil, crypto.random.bytes(9) ~= crypto.random.bytes(9)}
        local function tell(v, e) told[#told + 1] = v == nil and e:kind() .. ': ' .. tostring(e) end
        tell(crypto.random.bytes(0))
        tell(crypto.random.bytes(1048577))
        tell(crypto.random.string(-1))
        tell(crypto.random.string(3, ''))
        return told
    """
    assert await lua(source, modules=["crypto"]) == [
        5, 40, 36, True, True,
        "Invalid: length must be a positive integer",
        "Invalid: length exceeds maximum allowed size (1MB)",
        "Invalid: length must be a positive integer",
        "Invalid: charset cannot be empty",
    ]  # fmt: skip


@pytest.mark.parametrize(("cipher", "size"), [("aes", 16), ("aes", 32), ("chacha20", 32)])
async def test_encryption(lua: Any, cipher: str, size: int) -> None:
    source = f"""
        local crypto = require('crypto')
        local key = ('k'):rep({size})
        local sealed = crypto.encrypt.{cipher}('text', key, 'aad')
        local told = {{#sealed, crypto.decrypt.{cipher}(sealed, key, 'aad'),
          sealed ~= crypto.encrypt.{cipher}('text', key, 'aad')}}
        local function tell(v, e) told[#told + 1] = v == nil and e:kind() end
        tell(crypto.decrypt.{cipher}(sealed, key))
        tell(crypto.decrypt.{cipher}('short', key))
        tell(crypto.decrypt.{cipher}(('x'):rep(14), key))
        tell(crypto.encrypt.{cipher}('text', 'bad'))
        return told
    """
    assert await lua(source, modules=["crypto"]) == [32, "text", True, "Internal", "Invalid", "Internal", "Invalid"]


async def test_tokens(lua: Any) -> None:
    source = """
        local crypto = require('crypto')
        local told = {}
        local function tell(v, e) told[#told + 1] = v and v.sub or e:kind() .. ': ' .. tostring(e) end
        local function token(claims, ...) return crypto.jwt.encode(claims, 'key', ...) end
        local now = os.time()
        tell(crypto.jwt.verify(token({sub = 'a', exp = now + 5, _header = {kid = 'k'}}), 'key'))
        tell(crypto.jwt.verify(token({sub = 'b'}), 'key', 'HS256', false))
        tell(crypto.jwt.verify(token({sub = 'c', exp = now + 5}, 'HS512'), 'key', 'HS512'))
        tell(crypto.jwt.verify(token({sub = 'd', exp = now + 5}, 'odd'), 'key'))
        tell(crypto.jwt.verify(token({}), 'key'))
        tell(crypto.jwt.verify(token({exp = now - 5}), 'key'))
        tell(crypto.jwt.verify(token({exp = now + 5, nbf = now + 3}), 'key'))
        tell(crypto.jwt.verify(token({exp = now + 5}), 'other'))
        tell(crypto.jwt.verify(token({exp = now + 5}, 'HS384'), 'key'))
        tell(crypto.jwt.verify('a.b', 'key'))
        tell(crypto.jwt.verify('a.b.c', 'key'))
        return told
    """
    told = await lua(source, modules=["crypto"])
    assert told[:4] == ["a", "b", "c", "d"]
    assert all(text.startswith("Internal: verify token: token") for text in told[4:])
    assert [text.partition("token: ")[2].partition(":")[0] for text in told[4:9]] == [
        "token is missing required claim",
        "token has invalid claims",
        "token has invalid claims",
        "token signature is invalid",
        "token signature is invalid",
    ]


async def test_rsa_tokens(lua: Any) -> None:
    key = rsa.generate_private_key(65537, 1024)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
    source = """
        local private, public = ...
        local crypto = require('crypto')
        local token = crypto.jwt.encode({sub = 'r'}, private, 'RS256')
        local _, bad = crypto.jwt.encode({}, 'no key', 'RS256')
        local _, unusable = crypto.jwt.verify(token, 'no key', 'RS256', false)
        return {crypto.jwt.verify(token, public, 'RS256', false).sub, bad:kind(), unusable:kind()}
    """
    assert await lua(source, modules=["crypto"], args=[private, public]) == ["r", "Invalid", "Internal"]


async def test_derivation_and_the_rest(lua: Any) -> None:
    source = """
        local crypto = require('crypto')
        local hex = function(s) return (s:gsub('.', function(c) return ('%02x'):format(c:byte()) end)) end
        local told = {hex(crypto.pbkdf2('password', 'salt', 1, 20)), #crypto.pbkdf2('p', 's', 20000, 64, 'sha512'),
          crypto.constant_time_compare('a', 'a'), crypto.constant_time_compare('a', 'ab'),
          crypto.hmac.sha256('key', 'data'):sub(1, 8), #crypto.hmac.sha512('key', '')}
        local function tell(v, e) told[#told + 1] = v == nil and e:kind() end
        tell(crypto.hmac.sha256('', 'data'))
        tell(crypto.pbkdf2('', 's', 1, 1))
        tell(crypto.pbkdf2('p', '', 1, 1))
        tell(crypto.pbkdf2('p', 's', 0, 1))
        tell(crypto.pbkdf2('p', 's', 10000001, 1))
        tell(crypto.pbkdf2('p', 's', 1, 0))
        tell(crypto.pbkdf2('p', 's', 1, 1, 'md5'))
        return told
    """
    assert await lua(source, modules=["crypto"]) == [
        "120fb6cffcf8b32c43e7225256c4f837a86548c9", 64, True, False, "5031fe3d", 128, *["Invalid"] * 7,
    ]  # fmt: skip
