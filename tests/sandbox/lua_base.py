"""A VM with only the base library in it: what the tests of sandbox/prelude's base files run on."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from lupa.lua55 import LuaRuntime

_KERNEL = b"""
local K = { ticks = 0, class_of = {} }
local actor = { state = {} }
K.current = function() return actor end
K.is_object = function(v)
  local class = type(v) == "table" and K.class_of[debug.getmetatable(v)]
  return class and class.name or nil
end
K.random = function() return K.draw and K.draw() or 0.5 end
local KILL = setmetatable({}, { __tostring = function() return "killed" end })
K.tick_check = function(cost)
  K.ticks = K.ticks + cost
  if K.limit and K.ticks > K.limit then error(KILL, 0) end
end
K.class_of_thing = { __index = { name = function() return "thing" end }, __metatable = false, __name = "Thing",
  __newindex = function() error("cannot set a field of Thing", 2) end }
K.class_of[K.class_of_thing] = { name = "Thing" }
K.object = function(fields) return setmetatable(fields, K.class_of_thing) end
local load = load
local function prelude(name, text) return assert(load(text, "=kernel/" .. name, "t"))(K) end
local rawnext = next
local function freeze(lib)
  return setmetatable({}, { __index = lib, __metatable = false,
    __newindex = function() error("library is read-only", 2) end,
    __pairs = function() return rawnext, lib, nil end })
end
local function run(base, text)
  local g = {}
  for k, v in rawnext, base do g[k] = type(v) == "table" and freeze(v) or v end
  g._G, g.pcall, g.error, g.K, g.coroutine = g, pcall, error, K, coroutine
  setmetatable(g, { __index = { marker = true }, __metatable = false })
  local chunk = assert(load(text, "@test", "t", g))
  local results = table.pack(pcall(chunk))
  if not results[1] then
    local e = results[2]
    return false, e == KILL and "killed" or (type(e) == "string" and e or tostring(e))
  end
  return table.unpack(results, 1, results.n)
end
return K, prelude, run
"""


class LuaFailed(Exception):
    """The code raised; the text is the message."""


def base_library() -> Callable[[str], Any]:
    """A function that runs Lua source in a fresh environment and returns its results (one value, or a tuple)."""
    lua = LuaRuntime(
        encoding=None, string_hash_seed=1, register_eval=False, register_builtins=False, unpack_returned_tuples=True
    )
    _, prelude, run = lua.execute(_KERNEL)
    base: Any = None
    for name in ("numbers", "pattern", "baselib"):
        base = prelude(name.encode(), (files("sandbox") / "prelude" / f"{name}.lua").read_bytes())

    def execute(source: str | bytes) -> Any:
        results = run(base, source.encode() if isinstance(source, str) else source)
        ok, values = (results[0], results[1:]) if isinstance(results, tuple) else (results, ())
        if not ok:
            raise LuaFailed(values[0].decode("utf-8", "replace"))
        return values[0] if len(values) == 1 else values

    return execute
