from __future__ import annotations

from typing import Any

import pytest

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError
from wippy_trio.core.ids import EntryId
from wippy_trio.kinds.security import KINDS

BY_NAME = {kind.name: kind for kind in KINDS}
RULE = {"actions": "*", "resources": "*", "effect": "allow"}


def entry(kind: str, **data: Any) -> Entry:
    return Entry(EntryId("app", "it"), kind, {}, data)


def test_malformed_policies_are_refused_before_anything_opens() -> None:
    for kind, data, message in (
        ("security.policy", {}, "policy must be a map"),
        ("security.policy", {"policy": {**RULE, "effect": "x"}}, "invalid policy effect: x"),
        ("security.policy", {"policy": RULE, "groups": "g"}, "groups must be a list"),
        ("security.policy.expr", {"policy": RULE}, "expression cannot be empty"),
        ("security.policy.expr", {"policy": {**RULE, "expression": "1 +"}}, "expression compilation failed"),
    ):
        check = BY_NAME[kind].check
        assert check is not None
        with pytest.raises(InvalidError, match=message):
            check(entry(kind, **data))


async def test_a_policy_is_in_force_as_long_as_its_entry_lives(lua: Any) -> None:
    heard: list[str] = []
    lua.runtime.events.listen("security", "", lambda event: heard.append(f"{event.kind} {event.path}"))
    source = "local p = require('security').policy('app:it') return p and p:id()"
    async with BY_NAME["security.policy"].open(entry("security.policy", policy=RULE), lua.runtime):
        assert await lua(source, modules=["security"]) == "app:it"
    assert await lua("return require('security').policy('app:it') == nil", modules=["security"]) is True
    assert heard == ["policy.register app:it", "policy.delete app:it"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "store ID is required"),
        ({"store": "s", "token_length": -1}, "token length must be positive"),
        ({"store": "s", "token_length": "32"}, "token length must be positive"),
        ({"store": "s", "default_expiration": "soon"}, "invalid duration"),
        ({"store": "s", "token_key": 5}, "token_key must be a string"),
    ],
)
async def test_malformed_token_stores_are_refused(lua: Any, data: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        async with BY_NAME["security.token_store"].open(entry("security.token_store", **data), lua.runtime):
            pass


async def test_the_key_can_come_from_a_variable(lua: Any) -> None:
    entries = """
entries:
  - {name: memory, kind: env.storage.static, values: {KEY: secret}}
  - {name: key, kind: env.variable, variable: KEY, storage: memory}
  - {name: data, kind: store.memory}
  - {name: signed, kind: security.token_store, store: data, token_key_env: KEY}
  - {name: plain, kind: security.token_store, store: data, token_key_env: NOPE}
"""
    source = """
        local s = require('security')
        local a, scope = s.new_actor('u'), s.new_scope()
        local function dotted(id) return s.token_store(id):create(a, scope):find('.', 1, true) ~= nil end
        return {dotted('app:signed'), dotted('app:plain')}
    """
    assert await lua(source, modules=["security"], entries=entries) == [True, False]


async def test_a_resource_that_is_no_store_is_said_to_be_none(lua: Any) -> None:
    with lua.runtime.resources.offer(EntryId("app", "odd"), object()):
        async with BY_NAME["security.token_store"].open(entry("security.token_store", store="odd"), lua.runtime):
            source = """
                local s = require('security')
                local _, e = s.token_store('app:it'):create(s.new_actor('u'), s.new_scope())
                return tostring(e)
            """
            text = await lua(source, modules=["security"])
    assert text == "create token: resource is not a key-value store: app:odd"
