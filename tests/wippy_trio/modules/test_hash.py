from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

ALGORITHMS = ["md5", "sha1", "sha256", "sha512"]


@pytest.mark.parametrize("name", ALGORITHMS)
async def test_digests_and_macs(lua: Any, name: str) -> None:
    source = f"""
        local hash = require('hash')
        local raw = hash.{name}('abc', true)
        return {{hash.{name}('abc'), #raw, hash.hmac_{name}('abc', 'key'), #hash.hmac_{name}('abc', 'key', true),
          hash.hmac_{name}('abc', '')}}
    """
    size = hashlib.new(name).digest_size
    assert await lua(source, modules=["hash"]) == [
        hashlib.new(name, b"abc").hexdigest(),
        size,
        hmac.new(b"key", b"abc", name).hexdigest(),
        size,
        hmac.new(b"", b"abc", name).hexdigest(),
    ]


async def test_fnv(lua: Any) -> None:
    source = "local h = require('hash') return {h.fnv32('hello'), h.fnv64('hello'), h.fnv32('')}"
    assert await lua(source, modules=["hash"]) == [0xB6FA7167, float(0x7B495389BDBDD4C7), 0x811C9DC5]


async def test_errors(lua: Any) -> None:
    source = """
        local hash = require('hash')
        local told = {}
        for _, f in ipairs({'md5', 'sha1', 'sha256', 'sha512', 'fnv32', 'fnv64', 'hmac_md5'}) do
          local v, e = hash[f](5)
          told[#told + 1] = v == nil and e:kind() .. ': ' .. tostring(e)
        end
        local _, e = hash.hmac_sha256('data')
        told[#told + 1] = e:kind() .. ': ' .. tostring(e)
        return told
    """
    expected = ["Invalid: data must be a string"] * 7 + ["Invalid: secret must be a string"]
    assert await lua(source, modules=["hash"]) == expected
