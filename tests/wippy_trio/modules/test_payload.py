from __future__ import annotations

from typing import Any

import pytest


async def test_making(lua: Any) -> None:
    source = """
        local p = payload.new({a = {1, 2}})
        local e = payload.new(errors.new('oops'))
        return {p:get_format(), p:data().a[2], p:unmarshal().a[1], tostring(p), e:get_format(),
          payload.new(nil):data() == nil,
          payload.new('x'):get_format(), type(p), require('payload') == payload}
    """
    assert await lua(source) == [
        "lua/any", 2, 1, "payload{format=lua/any}", "golang/error", True, "lua/any", "userdata", True,
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["JSON", "YAML", "MSGPACK", "GOLANG", "LUA"])
async def test_round_trips(lua: Any, form: str) -> None:
    source = f"""
        local p, problem = payload.new({{name = 'x', n = {{1, 2.5, true}}}}):transcode(payload.format.{form})
        local back = p:data()
        local again = p:transcode(payload.format.JSON):transcode(payload.format.YAML):unmarshal()
        return {{problem == nil, p:get_format() == payload.format.{form}, back.name, back.n, again.n[2]}}
    """
    assert await lua(source) == [True, True, "x", [1, 2.5, True], 2.5]


async def test_texts(lua: Any) -> None:
    source = """
        local f = payload.format
        return {payload.new('hi'):transcode(f.STRING):data(), payload.new(5):transcode(f.STRING):data(),
          payload.new(true):transcode(f.STRING):data(), #payload.new('\\255'):transcode(f.BYTES):data(),
          payload.new({1}):transcode(f.BYTES):data(), payload.new({}):transcode(f.JSON):transcode(f.BYTES):get_format()}
    """
    assert await lua(source) == ["hi", "5", "true", 1, "[1]", "application/octet-stream"]


async def test_errors(lua: Any) -> None:
    source = """
        local told = {}
        local function tell(v, e) told[#told + 1] = v == nil and e:kind() .. ': ' .. tostring(e) end
        tell(payload.new({}):transcode('odd/format'))
        tell(payload.new({1, x = 2}):transcode(payload.format.JSON))
        tell(payload.new({}):transcode(payload.format.STRING))
        told[#told + 1] = select(2, pcall(payload.new(1).data, 5))
        told[#told + 1] = select(2, pcall(payload.new(1).transcode, payload.new(1)))
        return told
    """
    told = await lua(source)
    assert told[0] == "Internal: transcode failed: no way from lua/any to odd/format"
    assert told[1].startswith("Internal: transcode failed: cannot encode mixed-key table")
    assert told[2].startswith("Internal: transcode failed: cannot convert")
    assert "payload expected" in told[3]
    assert "string expected" in told[4]
