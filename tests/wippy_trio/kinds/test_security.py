from __future__ import annotations

from typing import Any

import pytest

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError
from wippy_trio.core.frame import SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.kinds.security import KINDS
from wippy_trio.security.scope import policies_of
from wippy_trio.security.tokens import TokenStore
from wippy_trio.storage.kv import MemoryStore

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


async def test_a_policy_is_in_force_as_long_as_its_entry_lives(app: Any) -> None:
    heard: list[str] = []
    async with app() as running:
        runtime = running.runtime
        runtime.events.listen("security", "", lambda event: heard.append(f"{event.kind} {event.path}"))
        for kind, rule in (("security.policy", RULE), ("security.policy.expr", {**RULE, "expression": "true"})):
            async with BY_NAME[kind].open(entry(kind, policy=rule, groups=["g"]), runtime):
                policies = policies_of(runtime.extras)
                assert policies.policy(EntryId("app", "it")) in policies.group(EntryId("app", "g")).policies()
            assert policies.policy_ids() == ()
    assert heard == ["policy.register app:it", "policy.delete app:it"] * 2


async def test_expression_policies_judge_by_their_expression(lua: Any) -> None:
    entries = """
  - name: it
    kind: security.policy.expr
    policy:
      actions: [read, write]
      resources: "file:*"
      effect: allow
      expression: |
        (actor.meta.role == "editor" && action == "write") || (action == "read" && meta.public == true)
"""
    source = """
        local s = require('security')
        local scope = s.new_scope({s.policy('app:it')})
        local editor, guest = s.new_actor('e', {role = 'editor'}), s.new_actor('g')
        return {scope:evaluate(editor, 'write', 'file:1'), scope:evaluate(guest, 'write', 'file:1'),
          scope:evaluate(guest, 'read', 'file:1', {public = true}), scope:evaluate(guest, 'read', 'file:1'),
          scope:evaluate(editor, 'write', 'dir:1')}
    """
    result = await lua(source, modules=["security"], entries=entries)
    assert result == ["allow", "undefined", "allow", "undefined", "undefined"]


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
async def test_malformed_token_stores_are_refused(app: Any, data: dict[str, Any], message: str) -> None:
    kind = "security.token_store"
    async with app() as running:
        with pytest.raises(InvalidError, match=message):
            async with BY_NAME[kind].open(entry(kind, **data), running.runtime):
                pass


async def test_the_key_can_come_from_a_variable(app: Any) -> None:
    entries = """
  - {name: memory, kind: env.storage.static, values: {KEY: secret}}
  - {name: key, kind: env.variable, variable: KEY, storage: memory}
"""
    kind = "security.token_store"
    async with app(entries) as running:
        runtime = running.runtime
        with runtime.resources.offer(EntryId("app", "data"), MemoryStore(runtime.environment.clock)):
            for variable, signed in (("KEY", True), ("NOPE", False)):
                declared = entry(kind, store="data", token_key_env=variable)
                async with BY_NAME[kind].open(declared, runtime):
                    tokens = runtime.resources.get("app:it", TokenStore)
                    token = await tokens.create(SecurityActor("u"), None)
                    assert ("." in token) is signed
                    assert (await tokens.validate(token))[0] == SecurityActor("u")


async def test_a_resource_that_is_no_store_is_said_to_be_none(app: Any) -> None:
    kind = "security.token_store"
    async with app() as running:
        runtime = running.runtime
        with runtime.resources.offer(EntryId("app", "odd"), object()):
            async with BY_NAME[kind].open(entry(kind, store="odd"), runtime):
                with pytest.raises(InvalidError, match="resource is not a key-value store: app:odd"):
                    await runtime.resources.get("app:it", TokenStore).validate("x")
