from __future__ import annotations

from typing import Any

import pytest
import trio

from tests.conftest import OpenApp
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.functions.intercept import RetryPolicy, option_s

# A function that fails `fails` times with `kind`, by a counter in a store; it answers how often it was called.
FLAKY = """
- name: tries
  kind: store.memory
- name: f
  kind: function.lua
  modules: [store]
  source: |
    return function(fails, kind, retryable)
      local tries = require("store").get("app:tries")
      local n = (tries:get("n") or 0) + 1
      tries:set("n", n)
      local failure = { message = "try " .. math.floor(n), kind = kind, retryable = retryable }
      if n <= fails then return nil, errors.new(failure) end
      return n
    end
- name: caller
  kind: function.lua
  modules: [funcs]
  source: |
    return function(options, ...)
      return require("funcs").new():with_options(options):call("app:f", ...)
    end
"""


async def tried(running: Any, options: dict[str, Any], *args: Any) -> tuple[Any, float]:
    began = trio.current_time()
    try:
        return await running.call("app:caller", options, *args), trio.current_time() - began
    except LuaError as error:
        return error.message, trio.current_time() - began


async def test_a_call_is_tried_again_with_growing_pauses(app: OpenApp, autojump_clock: Any) -> None:
    retry = {"max_attempts": 4, "initial_delay": 100, "jitter": 0}
    async with app(FLAKY) as running:
        # The first wait is the second interval, as in the reference.
        result, waited_s = await tried(running, {"retry": retry}, 3, "Unavailable")
        assert result == 4
        assert waited_s == pytest.approx(0.2 + 0.4 + 0.8)


async def test_attempts_are_counted(app: OpenApp, autojump_clock: Any) -> None:
    async with app(FLAKY) as running:
        result, _ = await tried(running, {"retry": {"max_attempts": 3, "initial_delay": "1ms"}}, 9, "Timeout")
        assert result == "try 3"
        result, waited_s = await tried(running, {"retry": {"max_attempts": 1}}, 9, "Timeout")
        assert (result, waited_s) == ("try 4", 0)


@pytest.mark.parametrize("kind", ["Invalid", "PermissionDenied", "Internal"])
async def test_kinds_that_are_not_tried_again(app: OpenApp, autojump_clock: Any, kind: str) -> None:
    async with app(FLAKY) as running:
        assert (await tried(running, {"retry": {"max_attempts": 3}}, 9, kind))[0] == "try 1"
        wanted = {"retry": {"max_attempts": 2, "initial_delay": 1, "retry_kinds": [kind]}}
        assert (await tried(running, wanted, 9, kind))[0] == "try 3"


async def test_what_says_that_it_is_not_retryable_is_believed(app: OpenApp, autojump_clock: Any) -> None:
    async with app(FLAKY) as running:
        options = {"retry": {"max_attempts": 3, "retry_kinds": ["Timeout"]}}
        assert (await tried(running, options, 9, "Timeout", False))[0] == "try 1"


async def test_flat_options_and_defaults_of_the_entry(app: OpenApp, autojump_clock: Any) -> None:
    text = FLAKY.replace("- name: f\n", "- name: f\n  meta: {options: {retry: {max_attempts: 3, initial_delay: 10}}}\n")
    async with app(text) as running:
        assert await running.call("app:f", 2, "Unavailable") == 3
        assert (await tried(running, {"retry.max_attempts": 1, "retry": {}}, 9, "Unavailable"))[0] == "try 4"


async def test_a_cancelled_call_is_not_tried_again(app: OpenApp, autojump_clock: Any) -> None:
    async with app(FLAKY) as running:
        with trio.move_on_after(0.25) as scope:
            await running.call("app:caller", {"retry": {"max_attempts": 9, "jitter": 0}}, 99, "Timeout")
        assert scope.cancelled_caught
        assert await running.call("app:f", 0, "") == 3


def test_policies() -> None:
    assert RetryPolicy.parse({}) is None
    assert RetryPolicy.parse({"retry": {"max_attempts": 1}}) is None
    fields = {"max_attempts": 5000, "initial_delay": "1s", "max_delay": "3s", "skip_kinds": ["Conflict"]}
    policy = RetryPolicy.parse({"retry": fields})
    assert policy is not None
    assert policy.max_attempts == 1000
    assert [policy.delay_s(attempt, 0.5) for attempt in (1, 2, 3, 10_000)] == [2.0, 3.0, 3.0, 3.0]
    assert policy.delay_s(1, 0.0) == pytest.approx(1.8)
    assert policy.delay_s(1, 1.0) == pytest.approx(2.2)
    assert not policy.applies(LuaError("x", kind="Conflict", retryable=True))
    only = RetryPolicy.parse({"retry": {"max_attempts": 2, "retry_kinds": ["Timeout"]}})
    assert only is not None
    assert not only.applies(LuaError("x", kind="Unavailable"))
    assert only.applies(LuaError("x", kind="Timeout"))


@pytest.mark.parametrize(
    "retry",
    [
        {"initial_delay": "soon"},
        {"max_delay": []},
        {"backoff_factor": "two"},
        {"jitter": -1},
        {"jitter": True},
        {"retry_kinds": "Timeout"},
    ],
)
def test_policies_that_make_no_sense(retry: dict[str, Any]) -> None:
    with pytest.raises(InvalidError, match=f"invalid call option retry.{next(iter(retry))}"):
        RetryPolicy.parse({"retry": {"max_attempts": 2, **retry}})


def test_durations_among_options() -> None:
    assert (option_s(250, "timeout"), option_s(1.5, "timeout"), option_s("2s", "timeout")) == (0.25, 0.0015, 2.0)
    wrong: list[Any] = [True, None, "", "soon", []]
    for value in wrong:
        with pytest.raises(InvalidError, match="invalid call option timeout"):
            option_s(value, "timeout")
