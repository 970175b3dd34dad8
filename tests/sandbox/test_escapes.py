"""Ways out of the sandbox that user code may try: none leads anywhere.

The first half runs on the base library alone, the second through a whole VM with the front end and the kernel.
"""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.types import compile_source
from sandbox.values import pack_list, unpack
from sandbox.vm import OP_EXIT, Vm
from tests.sandbox.lua_base import LuaFailed, base_library

run = base_library()


@pytest.mark.parametrize(
    "code",
    [
        "python",
        "require and pcall(require, 'python')",
        "package.loaded",
        "package.preload",
        "package.searchers",
        "debug",
        "load or loadstring or loadfile or dofile",
        "getfenv or setfenv",
        "newproxy",
        "collectgarbage",
        "io",
        "os",
        "string.dump",
        "coroutine.close and nil",
        "rawlen",
        "warn",
        "utf8",
        "marker == nil or nil",
    ],
)
def test_nothing_dangerous_is_in_reach(code: str) -> None:
    assert not run(f"return {code}")


_WRITES = """
  local function tries(name, f) local ok = pcall(f) if ok then return name end end
  local view, raw = pairs(LIB)
  return tries("assign", function() LIB.format = 1 end)
    or tries("new field", function() LIB.evil = 1 end)
    or tries("rawset", function() rawset(LIB, "evil", 1) end)
    or tries("insert", function() table.insert(LIB, 1) end)
    or tries("insert at", function() table.insert(LIB, 1, 1) end)
    or tries("move", function() table.move({ 1 }, 1, 1, 1, LIB) end)
    or tries("setmetatable", function() setmetatable(LIB, {}) end)
    or tries("pairs state", function() raw.evil = 1 end)
    or tries("freeze", function() table.freeze(LIB) end)
    or (type(getmetatable(LIB)) == "table" and "getmetatable")
    or (LIB.evil ~= nil and "changed") or "closed"
"""


@pytest.mark.parametrize("library", ["string", "table", "math", "package", "getmetatable('')"])
def test_libraries_cannot_be_changed(library: str) -> None:
    assert run(_WRITES.replace("LIB", library)) == b"closed"


def test_library_iteration_still_works() -> None:
    assert run("local n = 0 for k, v in pairs(math) do n = n + 1 end return n > 30 and next(math) ~= 0") is True


@pytest.mark.parametrize(
    "code",
    [
        "pairs(o)", "ipairs(o)", "next(o)", "rawget(o, 'secret')", "rawset(o, 'secret', 1)", "table.insert(o, 1)",
        "table.remove(o)", "table.concat(o)", "table.sort(o)", "unpack(o)", "table.move(o, 1, 1, 1)",
        "setmetatable(o, {})", "setmetatable(o, nil)", "setmetatable({}, o)", "table.freeze(o)", "package.seeall(o)",
        "('x'):gsub('x', o)", "tonumber('1', o)", "('x'):rep(o)", "pairs({})(o)",
    ],
)  # fmt: skip
def test_objects_stay_closed(code: str) -> None:
    lua = base_library()
    lua("o = nil K.o = K.object({ secret = 1, 'one' })")
    with pytest.raises(LuaFailed):
        lua(f"local o = K.o local v = {code} if v == nil then error('nothing') end")
    assert lua("return type(K.o), getmetatable(K.o), K.o:name()") == (b"userdata", None, b"thing")


def test_iterators_keep_to_their_own_table() -> None:
    code = """
      local step = pairs({ a = 1 })
      local secret = K.object({ secret = 1 })
      return (step(secret)), (step(string))
    """
    assert run(code) == (b"a", b"a")


def test_finalizers_never_run() -> None:
    code = """
      local ran = 0
      local mt = { __gc = function() ran = ran + 1 end }
      for i = 1, 1000 do setmetatable({}, mt) end
      local late = {}
      for i = 1, 1000 do
        local t = setmetatable({}, late)
        late.__gc = mt.__gc
        table.freeze(t)
        package.seeall(setmetatable({}, late))
      end
      for i = 1, 200000 do local garbage = { i } end
      return ran, mt.__gc ~= nil
    """
    assert run(code) == (0, True)


def test_close_metamethods_are_refused() -> None:
    with pytest.raises(LuaFailed, match="'__close' is not supported"):
        run("setmetatable({}, { __close = function() end })")


@pytest.mark.parametrize(
    "code",
    [
        "return getmetatable('').__index",
        "return (pcall(function() getmetatable('').__index = function() end end))",
        "return (pcall(setmetatable, 'x', {}))",
        "return rawequal(getmetatable(''), string)",
        "return getmetatable('').__metatable",
        "return getmetatable(1) or getmetatable(print) or getmetatable(nil) or getmetatable(true)",
        "return (pcall(setmetatable, setmetatable({}, { __metatable = 1 }), {}))",
        "return (pcall(setmetatable, _G, {}))",
        "return (pcall(setmetatable, {}, string))",
        "return (pcall(package.seeall, string))",
        "return (pcall(pcall, package.seeall, {})) and nil",
        "return ({ pcall(table.sort, { {}, {} }, package.seeall) })[1]",
    ],
)
def test_metatables_are_locked(code: str) -> None:
    assert not run(code)


def test_protected_metatables_show_only_their_lock() -> None:
    assert run("return getmetatable(setmetatable({}, { __metatable = 'lock' }))") == b"lock"


def test_errors_of_a_kill_cannot_be_caught_by_the_library() -> None:
    for code in ("('a'):rep(1000):find('[a')", "string.format(('%d'):rep(100000), 1)", "('a'):gsub('a', '%9')"):
        with pytest.raises(LuaFailed):
            run(f"K.ticks, K.limit = 0, 1 local x = {code} K.limit = nil")
        run("K.limit = nil")


# -- through a VM ----------------------------------------------------------------------------------------------------


class Machine:
    """A VM whose clock goes 0.1 ms further at every look."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self.vm = Vm(self._host, lambda: 0.25)

    def _host(self, operation: int, *_arguments: object) -> object:
        if operation == 0:
            self._now_s += 0.0001
            return self._now_s
        return 1, b"\xc0"

    def run(self, body: str, actor: int = 1, cpu_limit_s: float = 0.005) -> tuple[bool, Any]:
        """Run `body` as an actor's main function: whether it returned, and its first result or its error."""
        source = compile_source(f"return {{ main = function() {body} end }}", "app:probe").lua
        assert self.vm.define(actor, "app:probe", source.encode(), "app:probe", {}, {}) is None
        self.vm.start(actor, b"{p|%d}" % actor, actor, b"main", pack_list([]), cpu_limit_s, 100)
        for _ in range(10_000):
            output = self.vm.run()
            more, commands = (output[0], output[1:]) if isinstance(output, tuple) else (output, ())
            for i in range(0, len(commands), 5):
                if commands[i] == OP_EXIT and commands[i + 1] == actor:
                    return bool(commands[i + 2]), unpack(commands[i + 3])[0]
            if not more:
                break
        return False, "the actor waits"


def outcome(body: str, cpu_limit_s: float = 0.005) -> tuple[bool, str]:
    ok, value = Machine().run(body, cpu_limit_s=cpu_limit_s)
    return ok, str(value)


@pytest.mark.parametrize(
    "body",
    [
        "while true do end",
        "pcall(function() while true do end end)",
        "xpcall(function() while true do end end, function() return 'caught' end)",
        "coroutine.resume(coroutine.create(function() while true do end end))",
        "pcall(coroutine.wrap(function() pcall(function() while true do end end) end))",
        "('a'):rep(300000):find('.-.-b')",
        "('a'):rep(300000):gsub('a', function() while true do end end)",
        "table.sort({ 3, 2, 1 }, function() while true do end end)",
        "table.sort(setmetatable({}, { __len = function() return 1 << 60 end, __index = function() return 1 end }))",
        "local f f = function() return f() end f()",
        (
            "setmetatable({}, { __index = function() while true do end end }).x = nil local y = "
            "setmetatable({}, { __index = function() while true do end end }).x"
        ),
        "local t = setmetatable({}, { __tostring = function() while true do end end }) return tostring(t)",
        "while true do ('x'):rep(1 << 16) end",
        "while true do string.format('%s', 'x') end",
    ],
)
def test_no_code_escapes_the_cpu_limit(body: str) -> None:
    ok, message = outcome(body)
    assert not ok
    assert "CPU limit exceeded" in message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("local function f() return 1 + f() end f()", "stack overflow"),
        ("local function f() return coroutine.wrap(f)() end f()", "stack overflow"),
        (("setmetatable({}, { __index = function(t, k) return t[k + 1] end })[1] = nil local t = "
         "setmetatable({}, { __index = function(t, k) return t[k + 1] end }) return t[1]"), "stack overflow"),
        ("local s = 'x' while true do s = s .. s end", "string too long"),
        ("local co co = coroutine.wrap(function() return co() end) co()", "non-suspended"),
        ("string.format = nil", "read-only"),
        ("local _, lib = pairs(string) lib.format = nil", "read-only"),
        ("local _, lib = pairs(coroutine) lib.wrap = nil", "read-only"),
        ("rawset(string, 'format', nil)", "read-only"),
        ("rawset(errors, 'new', nil)", "read-only"),
        ("setmetatable(_G, {})", "protected metatable"),
        ("pairs(channel.new(1))", "table expected, got userdata"),
        ("rawget(channel.new(1), 'buf')", "table expected, got userdata"),
    ],
)  # fmt: skip
def test_what_must_fail_fails(body: str, message: str) -> None:
    ok, text = outcome(body, cpu_limit_s=1.0)
    assert not ok
    assert message in text


def test_actors_of_one_vm_share_nothing_writable() -> None:
    machine = Machine()
    tries = """
      leaked = 1
      _G.leaked2 = 2
      rawset(_G, "leaked3", 3)
      for _, lib in pairs({ string, table, math, coroutine, errors, channel, package, getmetatable("") }) do
        pcall(rawset, lib, "leaked", 4)
        pcall(function() lib.leaked = 4 end)
        pcall(table.insert, lib, 4)
        for _, v in pairs(lib) do
          if type(v) == "table" then pcall(rawset, v, "leaked", 5) end
        end
      end
      math.randomseed(1)
      return "done"
    """
    assert machine.run(tries, actor=1) == (True, "done")
    looks = """
      local seen = tostring(leaked) .. tostring(leaked2) .. tostring(leaked3)
      for _, lib in pairs({ string, table, math, coroutine, errors, channel, package, getmetatable("") }) do
        seen = seen .. tostring(lib.leaked) .. tostring(lib[1])
        for _, v in pairs(lib) do
          if type(v) == "table" then seen = seen .. tostring(v.leaked) end
        end
      end
      return string.gsub(seen, "nil", "") .. math.random()
    """
    assert machine.run(looks, actor=2) == (True, "0.25")


def test_seeded_draws_belong_to_the_actor() -> None:
    machine = Machine()
    assert machine.run("math.randomseed(7) return math.random() ~= 0.25", actor=1) == (True, True)
    assert machine.run("return math.random()", actor=2) == (True, 0.25)


@pytest.mark.parametrize("name", ["__w_n = 1e18", "return __w_rt", "local __w_T = nil"])
def test_the_runtimes_own_names_are_refused(name: str) -> None:
    with pytest.raises(Exception, match="reserved"):
        outcome(name)


def test_the_environment_is_the_actors_own() -> None:
    assert outcome("return tostring(_ENV == _G) .. type(_ENV.load) .. type(_ENV.debug)") == (True, "truenilnil")
    assert outcome("local _ENV = {} return x == nil") == (True, "True")


@pytest.mark.parametrize(
    "body",
    [
        "return channel.new(1).owner == nil",
        "local e = errors.new('a') pcall(function() e.text = 'z' end) return tostring(e) == 'a'",
        "local ch = channel.new(1) pcall(function() ch.cap = 1e9 end) return ch.cap == nil",
    ],
)
def test_objects_hide_their_fields(body: str) -> None:
    assert Machine().run(body) == (True, True)


@pytest.mark.parametrize(
    "body",
    [
        "local t = {} t.t = t return t",
        "error(setmetatable({}, { __tostring = function() error('x') end }))",
        "error(setmetatable({}, { __tostring = function() while true do end end }))",
        "local t = {} t.t = t error({ message = 'x', details = t })",
    ],
)
def test_no_result_or_error_breaks_the_vm(body: str) -> None:
    ok, _ = Machine().run(body)
    assert not ok


@pytest.mark.parametrize("length", ["error('x')", "while true do end"])
def test_a_result_is_read_without_its_metamethods(length: str) -> None:
    ok, _ = Machine().run(f"return setmetatable({{ 1 }}, {{ __len = function() {length} end }})")
    assert ok
