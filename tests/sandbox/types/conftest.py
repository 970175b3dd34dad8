"""A small run-time half (`rt`) to run emitted programs in, without the kernel."""

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from lupa.lua55 import LuaRuntime

from sandbox.types import compile_source

RT = b"""
local rt, classes, raw = {}, {}, debug.getmetatable
function rt.class(name, methods, options)
  local mt = { __index = options.index or methods, __name = name, __metatable = false }
  for k, f in pairs(options.meta or {}) do mt[k] = f end
  mt.__newindex = function() error("cannot set a field of " .. name, 2) end
  classes[mt] = name
  return { metatable = mt }
end
function rt.is_object(v) return type(v) == "table" and classes[raw(v)] or nil end
local Error = rt.class("Error", {
  message = function(e) return e.text end, kind = function(e) return e.kind_name end,
}, { meta = { __tostring = function(e) return e.text end } })
function rt.new_error(kind, message) return setmetatable({ text = message, kind_name = kind }, Error.metatable) end
function rt.is_error(v) return rt.is_object(v) == "Error" end
function rt.cat(...)
  local t = table.pack(...)
  local r = t[t.n]
  for i = t.n - 1, 1, -1 do r = t[i] .. r end
  return r
end
rt.slice, rt.ticks = 100, 0
function rt.tick() rt.ticks = rt.ticks + 1 return 100 end
rt.load = function(text, name) return assert(load(text, name, "t")) end
function rt.run(text, name, ...)
  local env = {}
  for k, v in pairs(_G) do env[k] = v end
  for k, v in pairs(rt.types.globals) do env[k] = v end
  env._G, env.require = env, rt.require
  env.type = function(v) return rt.is_object(v) and "userdata" or type(v) end
  return rt.load(text, name)(env, rt, ...)
end
return rt
"""


class Program:
    """A Lua VM that runs typed sources."""

    def __init__(self) -> None:
        self.lua = LuaRuntime(encoding=None, string_hash_seed=1, register_eval=False, register_builtins=False)
        self.rt = self.lua.execute(RT)
        types = (files("sandbox") / "prelude" / "types.lua").read_bytes()
        self.rt[b"types"] = self.rt[b"load"](types, b"=types")(self.rt)
        self.modules: dict[str, object] = {}
        self.rt[b"require"] = lambda name: self.modules[name.decode()]

    def plain(self, text: str) -> Any:
        """Run Lua text as it is."""
        return self.lua.execute(text.encode())

    def __call__(self, source: str, *args: object) -> Any:
        return self.run(source, *args)

    def run(self, source: str, *args: object) -> Any:
        """Compile and run; strings come back as `str`."""
        compiled = compile_source(source, "test")
        return _text(self.rt[b"run"](compiled.lua.encode(), b"@test", *args))


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, tuple):
        return tuple(_text(item) for item in value)
    return value


@pytest.fixture
def lua() -> Program:
    return Program()


@pytest.fixture
def loads(lua: Program) -> Callable[[str], None]:
    """Compile a source and have Lua 5.5 load the result."""

    def check(source: str) -> None:
        lua.rt[b"load"](compile_source(source, "test").lua.encode(), b"@test")

    return check
