from __future__ import annotations

from typing import Any

import attrs

from wippy_trio.core.frame import EMPTY_FRAME

VALUES = {"text": "a", "n": 1, "yes": True, "list": [1, {"x": 2}], "map": {"k": "v"}, "odd": object(), "raw": b"\xff"}


async def test_values_of_the_frame(lua: Any) -> None:
    source = """
        local ctx = require('ctx')
        local all = ctx.all()
        local odd, problem = ctx.get('odd')
        return {ctx.get('text'), ctx.get('n'), ctx.get('yes'), ctx.get('list')[2].x, all.map.k, #all.raw,
          odd == nil and problem == nil}
    """
    frame = attrs.evolve(EMPTY_FRAME, values=VALUES)
    assert await lua(source, modules=["ctx"], frame=frame) == ["a", 1, True, 2, "v", 1, True]


async def test_errors(lua: Any) -> None:
    source = """
        local ctx = require('ctx')
        local function told(v, e)
          return tostring(v) .. ' ' .. e:kind() .. ' ' .. tostring(e:retryable()) .. ' ' .. tostring(e)
        end
        return {told(ctx.get('nope')), told(ctx.get('')), next(ctx.all()) == nil, select(2, pcall(ctx.get, {}))}
    """
    assert await lua(source, modules=["ctx"]) == [
        "nil NotFound false key not found: nope",
        "nil Invalid false empty key",
        True,
        "bad argument #1 to get (string expected, got table)",
    ]
