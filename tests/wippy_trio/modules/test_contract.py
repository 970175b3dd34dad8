"""contract: contracts, bindings and calls through them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio.testing

from sandbox.errors import LuaError
from wippy_trio.core.frame import EMPTY_FRAME, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.security.scope import Scope

RunLua = Callable[..., Awaitable[Any]]


def function(name: str, body: str, *modules: str) -> str:
    return f"""
- name: {name}
  kind: function.lua
  modules: [{", ".join(modules)}]
  source: |
    return function(...) {body} end
"""


ENTRIES = (
    """
- name: greeter
  kind: contract.definition
  methods:
    - {name: greet, description: Says hello}
    - name: echo
      description: Gives back
      input_schemas: [{format: application/schema+json, definition: {type: string}}]
      output_schemas: [{format: application/schema+json, definition: {type: string}}]
- name: clock
  kind: contract.definition
  methods: [{name: now}]
- name: friendly
  kind: contract.binding
  contracts:
    - {contract: greeter, default: true, methods: {greet: "app:greet", echo: echo}}
    - {contract: "app:clock", methods: {now: now}}
- name: strict
  kind: contract.binding
  contracts:
    - {contract: greeter, methods: {greet: whoami, echo: fail}, context_required: [tenant]}
"""
    + function("greet", 'return "hello " .. tostring(...)')
    + function("echo", "return {...}")
    + function("now", "return 12")
    + function("fail", 'return nil, errors.new({ message = "broken", kind = errors.CONFLICT, retryable = true })')
    + function(
        "whoami",
        """
      local ctx, security = require("ctx"), require("security")
      local actor = security.actor()
      return { tenant = ctx.get("tenant"), level = ctx.get("level"), actor = actor and actor:id() }""",
        "ctx",
        "security",
    )
)

PRELUDE = 'local contract = require("contract")\n'


async def run(lua: RunLua, source: str, *modules: str, **options: Any) -> Any:
    return await lua(PRELUDE + source, modules=["contract", *modules], entries=ENTRIES, **options)


# ---------------------------------------------------------------------------------------------------------- calling


async def test_a_method_is_called_with_what_follows_the_instance(lua: RunLua) -> None:
    source = """
    local g = contract.open("app:friendly")
    return { g:greet("you"), g.greet("not this", "but this"), g:echo(1, "two"), g:now(), type(g), g.nothing == nil }
    """
    assert await run(lua, source) == ["hello you", "hello but this", [1, "two"], 12, "userdata", True]


async def test_errors_of_the_implementation_keep_their_kind(lua: RunLua) -> None:
    source = """
    local g = contract.open("app:strict", { tenant = "acme" })
    local v, err = g:echo()
    return { v == nil, err:kind(), err:retryable(), err:message() }
    """
    assert await run(lua, source) == [True, "Conflict", True, "broken"]


async def test_an_asynchronous_call_gives_a_future(lua: RunLua) -> None:
    source = """
    local g = contract.open("app:friendly")
    local a, b = g:greet_async("a"), g:now_async()
    local failing = contract.open("app:strict?tenant=acme"):echo_async()
    local v, err = failing:await()
    return { b:response():receive():data(), a:await(), a:is_complete(), v == nil, err:kind() }
    """
    assert await run(lua, source) == [12, "hello a", True, True, "Conflict"]


async def test_options_are_those_of_function_calls(lua: RunLua, autojump_clock: trio.testing.MockClock) -> None:
    source = """
    local c = contract.get("app:greeter")
    local started = time.now()
    local g = c:with_options({ retry = { max_attempts = 3, initial_delay = 1000, jitter = 0 } })
      :open("app:strict", { tenant = "x" })
    local _, err = g:echo()
    local waited = time.now():sub(started):seconds()
    local direct = contract.open("app:strict", { tenant = "x" }, { retry = { max_attempts = 2, initial_delay = 5000 } })
    started = time.now()
    direct:echo()
    return { err:kind(), waited >= 3, time.now():sub(started):seconds() >= 4 }
    """
    source = 'local time = require("time")\n' + source
    assert await run(lua, source, "time") == ["Conflict", True, True]


# ---------------------------------------------------------------------------------------------------------- context


@pytest.mark.parametrize(
    ("opened", "context"),
    [
        ('contract.open("app:strict", { tenant = "acme", level = 3 })', {"tenant": "acme", "level": 3}),
        ('contract.open("app:strict?tenant=acme&level=3")', {"tenant": "acme", "level": 3}),
        ('contract.open("app:strict?tenant=a%20b&level=2.5&level=9")', {"tenant": "a b", "level": 2.5}),
        ('contract.open("app:strict?tenant=acme&level=true", { tenant = "mine" })', {"tenant": "mine", "level": True}),
        ('c:open("app:strict", { tenant = "acme" })', {"tenant": "acme"}),
        ('with({ tenant = "a", level = 1 }):open("app:strict?tenant=q&level=7")', {"tenant": "a", "level": 1}),
        ('with({ tenant = "a", level = 1 }):open("app:strict", { level = 2 })', {"tenant": "a", "level": 2}),
        ('with({ tenant = "a" }):with_context({ level = 1 }):open("app:strict")', {"tenant": "a", "level": 1}),
    ],
)
async def test_context_values_reach_the_function(lua: RunLua, opened: str, context: dict[str, Any]) -> None:
    source = f"""
    local c = contract.get("app:greeter")
    local function with(values) return c:with_context(values) end
    local g, err = {opened}
    if err then return nil, err end
    return g:greet()
    """
    assert await run(lua, source) == context


async def test_the_scope_counts_for_the_default_binding_too(lua: RunLua) -> None:
    """As the docs say; the reference's code drops it (docs_vs_code of the specification)."""
    source = """
    local c = contract.get("app:greeter")
    return { c:open():greet("x"), c:open(nil, { tenant = "y" }):greet("y") }
    """
    assert await run(lua, source) == ["hello x", "hello y"]


async def test_required_context_may_come_from_the_caller(lua: RunLua) -> None:
    source = 'return contract.open("app:strict"):greet().tenant'
    frame = EMPTY_FRAME.child(EntryId("app", "x"), values={"tenant": "mine"})
    assert await run(lua, source, frame=frame) == "mine"
    with pytest.raises(LuaError, match=r"missing required context keys: \[tenant\]") as caught:
        await run(lua, "return contract.open('app:strict'):greet()")
    assert caught.value.kind == "Invalid"


async def test_identity_is_passed_on_or_replaced(lua: RunLua) -> None:
    source = """
    local security = require("security")
    local c = contract.get("app:greeter"):with_context({ tenant = "t" })
    local other = c:with_actor(security.new_actor("other")):with_scope(security.new_scope())
    return { c:open("app:strict"):greet().actor, other:open("app:strict"):greet().actor }
    """
    from wippy_trio.security.policy import parse_condition_policy

    rule = {"actions": "*", "resources": "*", "effect": "allow"}
    scope = Scope.of([parse_condition_policy(EntryId("app", "all"), rule)])
    frame = EMPTY_FRAME.with_identity(SecurityActor("me"), scope)
    assert await run(lua, source, "security", frame=frame) == ["me", "other"]


# -------------------------------------------------------------------------------------------------------- introspection


async def test_a_contract_describes_itself(lua: RunLua) -> None:
    source = """
    local c = contract.get("app:greeter")
    local missing, err = c:method("nothing")
    local m = c:methods()
    m[1].name = "changed"
    return { c:id(), c:methods(), c:method("greet"), missing == nil, err:kind(), c:implementations(),
      contract.find_implementations("app:clock"), #contract.find_implementations("app:nothing"), type(c) }
    """
    schema = [{"format": "application/schema+json", "definition": {"type": "string"}}]
    greet = {"name": "greet", "description": "Says hello"}
    echo = {"name": "echo", "description": "Gives back", "input_schemas": schema, "output_schemas": schema}
    assert await run(lua, source) == [
        "app:greeter", [greet, echo], greet, True, "NotFound", ["app:friendly", "app:strict"],
        ["app:friendly"], 0, "userdata",
    ]  # fmt: skip


async def test_is_tells_what_an_instance_implements(lua: RunLua) -> None:
    source = """
    local f, s = contract.open("app:friendly"), contract.open("app:strict")
    return { contract.is(f, "app:greeter"), contract.is(f, "app:clock"), contract.is(s, "app:clock"),
      contract.is(contract.get("app:clock"), "app:clock") }
    """
    assert await run(lua, source) == [True, True, False, False]
    with pytest.raises(LuaError, match="bad argument #1 to is"):
        await run(lua, "return contract.is({}, 'app:clock')")


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ('return contract.get("app:nothing")', "NotFound"),
        ('return contract.get("")', "NotFound"),
        ('return contract.open("app:nothing")', "NotFound"),
        ('return contract.open("")', "Invalid"),
        ('return contract.open("friendly")', "Invalid"),
        ('return contract.open("app:friendly?a=%zz")', "Invalid"),
        ('return contract.get("app:clock"):open()', "NotFound"),
        ('return contract.get("app:clock"):method("")', "NotFound"),
    ],
)
async def test_what_is_not_there(lua: RunLua, source: str, kind: str) -> None:
    script = f"local v, err = (function() {source} end)() return {{ v == nil, err:kind() }}"
    assert await run(lua, script) == [True, kind]


DENIED = [
    ('contract.get("app:greeter")', "not allowed to access contract: app:greeter"),
    ('contract.open("app:friendly?a=1")', "not allowed to open binding: app:friendly"),
    ('contract.find_implementations("app:greeter")', "not allowed to list implementations: app:greeter"),
]


@pytest.mark.parametrize(("source", "message"), DENIED)
async def test_everything_wants_a_permission(lua: RunLua, source: str, message: str) -> None:
    script = f"local v, err = {source} return {{ v == nil, err:kind(), err:message() }}"
    frame = EMPTY_FRAME.with_identity(SecurityActor("someone"), Scope.of())
    assert await run(lua, script, frame=frame) == [True, "PermissionDenied", message]


@pytest.mark.parametrize(
    ("action", "source", "message"),
    [
        ("contract.open", "c:open()", "not allowed to open binding: app:friendly"),
        ("contract.implementations", "c:implementations()", "not allowed to list implementations: app:greeter"),
        ("contract.context", "c:with_context({})", "not allowed to use contracts with custom context"),
        ("contract.security", "c:with_scope(nil)", "not allowed to use contracts with custom security context"),
        ("contract.call", "c:open():greet()", "not allowed to call method: greet"),
        ("contract.call", "c:open():greet_async()", "not allowed to call method: greet"),
        ("network.select", 'c:with_options({ network = "app:tor" })', "not allowed to select network: app:tor"),
    ],
)
async def test_each_step_wants_its_permission(lua: RunLua, action: str, source: str, message: str) -> None:
    from wippy_trio.security.policy import parse_condition_policy

    rules: list[dict[str, Any]] = [
        {"actions": "*", "resources": "*", "effect": "allow"},
        {"actions": [action], "resources": "*", "effect": "deny"},
    ]
    scope = Scope.of([parse_condition_policy(EntryId("app", rule["effect"]), rule) for rule in rules])
    script = f"""
    local c = contract.get("app:greeter")
    local v, err = {source}
    return {{ v == nil, err:kind(), err:message() }}
    """
    frame = EMPTY_FRAME.with_identity(SecurityActor("someone"), scope)
    assert await run(lua, script, frame=frame) == [True, "PermissionDenied", message]


async def test_an_instance_cannot_be_turned_into_another(lua: RunLua) -> None:
    source = 'local g = contract.open("app:friendly") g.greet = function() return "mine" end'
    with pytest.raises(LuaError, match="cannot set a field"):
        await run(lua, source)
