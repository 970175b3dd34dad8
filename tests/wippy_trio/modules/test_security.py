from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import LuaError
from wippy_trio.core.frame import EMPTY_FRAME, Frame, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.kinds.security import KINDS
from wippy_trio.modules.security import _expiration_s
from wippy_trio.security.policy import parse_condition_policy
from wippy_trio.security.scope import Scope
from wippy_trio.storage.kv import MemoryStore

POLICIES = """
  - name: all
    kind: security.policy
    policy: {actions: "*", resources: "*", effect: allow}
    groups: [everyone]
  - name: no_write
    kind: security.policy
    policy: {actions: write, resources: "*", effect: deny}
    groups: [everyone]
  - name: mine
    kind: security.policy.expr
    policy: {actions: "*", resources: "doc:*", effect: allow, expression: "meta.owner == actor.id"}
"""
TOKENS = """
  - name: all
    kind: security.policy
    policy: {actions: "*", resources: "*", effect: allow}
"""


@asynccontextmanager
async def token_app(app: Any, entries: str, source: str, **data: Any) -> AsyncIterator[Callable[..., Any]]:
    """An app with a token store `app:tokens`, and a call of `source` in it."""
    script = Entry(
        EntryId("app", "script"),
        "function.lua",
        {},
        {"source": f"return function() {source}\nend", "method": "main", "modules": ["security"]},
    )
    declared = Entry(EntryId("app", "tokens"), "security.token_store", {}, data)
    kind = next(kind for kind in KINDS if kind.name == "security.token_store")
    async with app(entries, extra=[script]) as running:
        runtime = running.runtime
        with runtime.resources.offer(EntryId("app", "data"), MemoryStore(runtime.environment.clock)):
            async with kind.open(declared, runtime):
                yield lambda frame=EMPTY_FRAME: running.call("app:script", frame=frame)


def frame(*actions: str) -> Frame:
    """The frame of somebody who may do these actions."""
    block = {"actions": list(actions), "resources": "*", "effect": "allow"}
    scope = Scope.of([parse_condition_policy(EntryId("app", "granted"), block)]) if actions else Scope()
    return EMPTY_FRAME.with_identity(SecurityActor("user:1", {"team": "red"}), scope)


async def test_nobody_has_no_actor_and_no_scope(lua: Any) -> None:
    source = "local s = require('security') return {s.actor() == nil, s.scope() == nil, s.can('read', 'x')}"
    assert await lua(source, modules=["security"]) == [True, True, False]


async def test_the_frame_shows_as_actor_and_scope(lua: Any) -> None:
    source = """
        local s = require('security')
        return {s.actor():id(), s.actor():meta().team, #s.scope():policies(), s.can('read', 'x'), s.can('write', 'x')}
    """
    assert await lua(source, modules=["security"], frame=frame("read")) == ["user:1", "red", 1, True, False]


async def test_scopes_are_values(lua: Any) -> None:
    source = """
        local s = require('security')
        local all, mine = s.policy('app:all'), s.policy('app:mine')
        local a = s.new_actor('user:9', {n = 1})
        local one = s.new_scope():with(all)
        local two = one:with(mine):with(all)
        return {
          #one:policies(), #two:policies(), one:contains(mine), two:contains('app:mine'),
          two:contains({ns = 'app', name = 'mine'}), #two:without(mine):policies(), #two:policies(),
          two:policies()[1]:id(), #s.new_scope({mine, 'junk', all}):policies(),
          one:evaluate(a, 'read', 'doc:1'), s.new_scope():evaluate(a, 'read', 'doc:1'),
          s.named_scope('app:everyone'):evaluate(a, 'write', 'doc:1'),
          mine:evaluate(a, 'read', 'doc:1', {owner = 'user:9'}), mine:evaluate(a, 'read', 'doc:1', {owner = 'x'}),
        }
    """
    result = await lua(source, modules=["security"], entries=POLICIES)
    assert result[:9] == [1, 2, False, True, True, 1, 2, "app:mine", 2]
    assert result[9:] == ["allow", "undefined", "deny", "allow", "undefined"]


async def test_what_an_object_stands_for_cannot_be_changed(lua: Any) -> None:
    source = """
        local s = require('security')
        local a = s.new_actor('user:9', {role = 'guest', deep = {x = 1}})
        a:meta().role = 'admin'
        a:meta().deep.x = 2
        local set = pcall(function() a.id = 'root' end)
        for _, key in ipairs({'actor_id', 'id_value', 1}) do pcall(rawset, a, key, 'root') end
        local fake = setmetatable({}, {__index = {id = function() return 'root' end}})
        local ok, problem = pcall(function() return s.new_scope():evaluate(fake, 'read', 'x') end)
        return {a:id(), a:meta().role, a:meta().deep.x, set, not getmetatable(a), ok, tostring(problem)}
    """
    result = await lua(source, modules=["security"])
    assert result[:6] == ["user:9", "guest", 1, False, True, False]
    assert "Actor expected" in result[6]


async def test_missing_policies_and_groups_are_internal_errors(lua: Any) -> None:
    source = """
        local s = require('security')
        local list = {}
        for _, f in ipairs({'policy', 'named_scope', 'token_store'}) do
          for _, id in ipairs({'app:nope', 'nope', ':'}) do
            local v, e = s[f](id)
            list[#list + 1] = (v == nil) and e:kind() .. ' ' .. tostring(e):match('^[^:]*')
          end
        end
        return list
    """
    expected = [["Internal get policy"] * 3, ["Internal get policy group"] * 3, ["Internal acquire token store"] * 3]
    assert await lua(source, modules=["security"]) == [text for group in expected for text in group]


async def test_denials_are_returned_or_raised_as_in_the_reference(lua: Any) -> None:
    source = """
        local s = require('security')
        local list = {}
        for _, f in ipairs({'policy', 'named_scope'}) do
          local v, e = s[f]('app:all')
          list[#list + 1] = e:kind() .. ': ' .. tostring(e)
        end
        for _, f in ipairs({
          function() return s.new_actor('x') end,
          function() return s.new_scope() end,
          function() return s.token_store('app:tokens') end,
          function() return s.scope():without('app:all') end,
        }) do
          local ok, e = pcall(f)
          list[#list + 1] = tostring(ok) .. ': ' .. tostring(e)
        end
        return list
    """
    assert await lua(source, modules=["security"], entries=POLICIES, frame=frame("nothing")) == [
        "Invalid: permission denied: access policy",
        "Invalid: permission denied: access policy group",
        "false: not allowed to create actor with ID: x",
        "false: not allowed to create custom scopes",
        "false: not allowed to access token store: app:tokens",
        "false: not allowed to remove policy from scope",
    ]


async def test_wrong_arguments_are_raised(lua: Any) -> None:
    source = """
        local s = require('security')
        local list = {}
        for _, f in ipairs({
          function() s.can('read') end,
          function() s.new_actor({}) end,
          function() s.new_actor('x', 'meta') end,
          function() s.new_scope():with('app:all') end,
          function() s.new_scope():without(true) end,
          function() s.new_actor('x').id() end,
        }) do
          local ok, e = pcall(f)
          list[#list + 1] = not ok and tostring(e)
        end
        return list
    """
    result = await lua(source, modules=["security"])
    for text, expected in zip(
        result,
        [
            "bad argument #2 to can (string expected, got nil)",
            "bad argument #1 to new_actor (string expected, got table)",
            "bad argument #2 to new_actor (table expected, got string)",
            "bad argument #2 to with (Policy expected)",
            "bad argument #2 to without (Policy ID expected as string, table, or policy object)",
            "bad argument #1 to id (Actor expected)",
        ],
        strict=True,
    ):
        assert expected in text


async def test_tokens_from_creation_to_revocation(app: Any) -> None:
    source = """
        local s = require('security')
        local store = s.token_store('app:tokens')
        local actor = s.new_actor('user:5', {role = 'x'})
        local scope = s.new_scope({s.policy('app:all')})
        local token = assert(store:create(actor, scope, {expiration = '10m', meta = {d = 1}}))
        local a, sc, e = store:validate(token)
        local result = {#token > 60, token:find('.', 1, true) ~= nil, a:id(), a:meta().role, sc:contains('app:all'),
          e == nil}
        local bad_a, bad_s, bad = store:validate('junk')
        result[#result + 1] = bad_a == nil and bad_s == nil and bad:kind() .. ' ' .. tostring(bad)
        result[#result + 1] = store:revoke(token)
        local _, again = store:revoke(token)
        result[#result + 1] = tostring(again)
        local _, wrong = store:create(actor, s.new_scope(), {expiration = 'soon'})
        result[#result + 1] = wrong:kind() .. ' ' .. tostring(wrong)
        result[#result + 1] = store:close() and store:close()
        local _, _, closed = store:validate(token)
        result[#result + 1] = closed:kind() .. ' ' .. tostring(closed)
        return result
    """
    async with token_app(app, TOKENS, source, store="data", token_key="secret", default_expiration="1h") as call:
        result = await call()
    assert result == [
        True,
        True,
        "user:5",
        "x",
        True,
        True,
        "Internal validate token: invalid token format",
        True,
        "revoke token: token not found",
        "Invalid invalid expiration format",
        True,
        "Internal token store is closed",
    ]


async def test_token_permissions_see_the_store_and_what_it_is_about(app: Any) -> None:
    source = """
        local s = require('security')
        local store = s.token_store('app:tokens')
        local _, denied = store:create(s.new_actor('user:root'), s.new_scope())
        local token = store:create(s.new_actor('user:2'), s.new_scope())
        return {denied:kind() .. ' ' .. tostring(denied), type(token)}
    """
    allow = parse_condition_policy(
        EntryId("app", "a"),
        {"actions": "security.*", "resources": ["app:tokens", "custom", "user:*"], "effect": "allow"},
    )
    deny = parse_condition_policy(
        EntryId("app", "d"),
        {
            "actions": "security.token.create",
            "resources": "*",
            "effect": "deny",
            "conditions": [{"field": "meta.actor", "operator": "eq", "value": "user:root"}],
        },
    )
    limited = EMPTY_FRAME.with_identity(SecurityActor("u"), Scope.of([allow, deny]))
    async with token_app(app, "", source, store="data") as call:
        result = await call(frame=limited)
    assert result == ["Invalid not allowed to create token", "string"]


async def test_a_missing_backing_store_fails_at_use(app: Any) -> None:
    source = """
        local s = require('security')
        local _, e = s.token_store('app:tokens'):create(s.new_actor('u'), s.new_scope())
        return tostring(e)
    """
    async with token_app(app, "", source, store="gone") as call:
        text = await call()
    assert text == "create token: failed to acquire backing store: store not found: app:gone"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        (1500, 1.5),
        (0.5, 0.0005),
        ("90s", 90),
        (b"24h", 86_400),
        ("7d", 604_800),
        ("1d12h", 129_600),
        ({}, 0),
    ],
)
def test_expirations(value: object, seconds: float) -> None:
    assert _expiration_s(value) == seconds


@pytest.mark.parametrize("value", ["soon", "-1h", -1, float("inf"), float("nan"), "5", "1dd"])
def test_bad_expirations(value: object) -> None:
    with pytest.raises(LuaError, match="invalid expiration format"):
        _expiration_s(value)
