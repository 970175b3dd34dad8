"""`funcs`: calls, their context and errors; futures that are asked, awaited and cancelled."""

import pytest
import trio

from tests.conftest import RunLua
from wippy_trio.core.frame import EMPTY_FRAME, Decision, SecurityActor

FUNCTIONS = """
- name: add
  kind: function.lua
  source: return function(a, b) return a + b end
- name: fail
  kind: function.lua
  source: |
    return function()
      return nil, errors.new({message = "no luck", kind = errors.CONFLICT, retryable = true})
    end
- name: slow
  kind: function.lua
  modules: [time]
  source: return function(value) require("time").sleep("10s") return value end
- name: tenant
  kind: function.lua
  modules: [ctx]
  source: return function() return require("ctx").get("tenant") end
"""


async def run(lua: RunLua, body: str) -> object:
    source = f'local funcs, time = require("funcs"), require("time") {body}'
    return await lua(source, modules=["funcs", "time"], entries=FUNCTIONS)


async def test_a_call_gives_the_result_or_the_error(lua: RunLua) -> None:
    body = """
      local sum = funcs.call("app:add", 2, 3)
      local value, err = funcs.call("app:fail")
      return {sum, value == nil, err:kind(), err:message(), err:retryable()}
    """
    assert await run(lua, body) == [5, True, "Conflict", "no luck", True]


@pytest.mark.parametrize(
    ("target", "kind"), [('"app:nobody"', "NotFound"), ('"add"', "Invalid"), ('""', "Invalid"), ("nil", "Invalid")]
)
@pytest.mark.parametrize("how", ["call", "async"])
async def test_a_wrong_target_is_an_error(lua: RunLua, how: str, target: str, kind: str) -> None:
    later = "if f then f:channel():receive() f, err = f:result() end" if how == "async" else ""
    assert await run(lua, f"local f, err = funcs.{how}({target}) {later} return {{f == nil, err:kind()}}") == [
        True,
        kind,
    ]


async def test_a_future_before_and_after_its_end(lua: RunLua) -> None:
    body = """
      local f = funcs.async("app:slow", "tea")
      local value, err = f:result()
      local before = {f:is_complete(), value == nil, err == nil}
      local payload, open = f:response():receive()
      return {before, f:is_complete(), payload:data(), open, f:result():data(), select(2, f:error())}
    """
    assert await run(lua, body) == [[False, True, True], True, "tea", True, "tea", False]


async def test_await_waits_for_the_value_or_the_error(lua: RunLua) -> None:
    body = """
      local a, b = funcs.async("app:slow", "tea"), funcs.async("app:fail")
      local value, err = b:await()
      return {a:await(), value == nil, err:message()}
    """
    assert await run(lua, body) == ["tea", True, "no luck"]


async def test_await_has_a_timeout(lua: RunLua) -> None:
    body = """
      local f = funcs.async("app:slow", "tea")
      local value, err = f:await("2s")
      return {value == nil, err:kind(), f:await("9s")}
    """
    start = trio.current_time()
    assert await run(lua, body) == [True, "Timeout", "tea"]
    assert trio.current_time() - start == pytest.approx(10, abs=0.1)


async def test_futures_run_side_by_side(lua: RunLua) -> None:
    start = trio.current_time()
    body = """
      local all, sum = {}, 0
      for i = 1, 5 do all[i] = funcs.async("app:slow", i) end
      for i = 1, 5 do sum = sum + all[i]:await() end
      return sum
    """
    assert await run(lua, body) == 15
    assert trio.current_time() - start == pytest.approx(10, abs=0.1)


async def test_a_cancelled_future_says_so(lua: RunLua) -> None:
    body = """
      local f = funcs.async("app:slow", "tea")
      f:cancel()
      local value, err = f:await()
      return {f:is_canceled(), value == nil, err:kind()}
    """
    assert await run(lua, body) == [True, True, "Canceled"]


async def test_executors_are_values(lua: RunLua) -> None:
    body = """
      local plain = funcs.new()
      local acme = plain:with_context({tenant = "acme"})
      local other = acme:with_context({tenant = "other"})
      return {acme:call("app:tenant"), other:call("app:tenant"), acme:async("app:tenant"):await(),
              plain:call("app:tenant") == nil}
    """
    assert await run(lua, body) == ["acme", "other", "acme", True]


class _NoCalls:
    """A scope that allows everything but calls."""

    def evaluate(self, _actor: object, action: str, *_: object) -> Decision:
        return Decision.DENY if action == "funcs.call" else Decision.ALLOW


async def test_calls_want_a_permission(lua: RunLua) -> None:
    frame = EMPTY_FRAME.with_identity(SecurityActor("someone"), _NoCalls())
    source = """
      local funcs = require("funcs")
      local a, one = funcs.call("app:add", 1, 2)
      local b, two = funcs.async("app:add", 1, 2)
      return {a == nil, one:kind(), b == nil, two:kind()}
    """
    told = await lua(source, modules=["funcs"], entries=FUNCTIONS, frame=frame)
    assert told == [True, "PermissionDenied", True, "PermissionDenied"]
