from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wippy_trio.core.errors import InternalError, InvalidError
from wippy_trio.core.frame import Decision, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.security.condition import OPERATORS
from wippy_trio.security.policy import (
    Evaluator,
    matches_pattern,
    parse_condition_policy,
    parse_expression_policy,
    parse_groups,
)

ID = EntryId("app", "rule")
ALICE = SecurityActor("user:alice", {"role": "admin", "clearance": 3, "org": {"unit": "x"}, "tags": ["a", "b"]})
META: dict[str, Any] = {"owner": "user:alice", "n": 5, "text": "7", "flag": True, "deep": {"er": 1}, "a.b": "dotted"}


def verdict(condition: dict[str, Any], meta: dict[str, Any] | None = None, resource: str = "doc:1") -> bool:
    block = {"actions": "*", "resources": "*", "effect": "allow", "conditions": [condition]}
    policy = parse_condition_policy(ID, block)
    return policy.evaluate(ALICE, "read", resource, META if meta is None else meta) is Decision.ALLOW


def test_patterns() -> None:
    yes = [("*", ""), ("*", "x"), ("doc.read", "doc.read"), ("doc:*", "doc:1"), ("app.*", "app.x"), ("app.*", "app")]
    yes.append(("app.*", "application"))  # the reference's, on purpose
    no = [("*.read", "doc.read"), ("doc:*", "do"), ("read", "reader"), ("a*b", "axb"), ("", "x"), (".*", "x")]
    for pattern, value in yes:
        assert matches_pattern(pattern, value), (pattern, value)
    for pattern, value in no:
        assert not matches_pattern(pattern, value), (pattern, value)


def test_lists_of_actions_and_resources_both_have_to_match() -> None:
    policy = parse_condition_policy(ID, {"actions": ["read", "list"], "resources": ["doc:*", 7], "effect": "deny"})

    def judge(action: str, resource: str) -> Decision:
        return policy.evaluate(ALICE, action, resource, {})

    assert judge("read", "doc:1") is Decision.DENY
    assert judge("write", "doc:1") is Decision.UNDEFINED
    assert judge("read", "img:1") is Decision.UNDEFINED


@pytest.mark.parametrize(
    ("field", "operator", "value", "expected"),
    [
        ("actor.id", "eq", "user:alice", True),
        ("actor.meta.role", "ne", "guest", True),
        ("actor.meta.org.unit", "eq", "x", True),
        ("actor.meta.org.gone", "eq", "x", False),
        ("actor.meta.role.deeper", "eq", "x", False),
        ("action", "in", ["read", "write"], True),
        ("action", "in", "read", True),
        ("action", "nin", ["read"], False),
        ("resource", "contains", "oc:", True),
        ("resource", "ncontains", "zip", True),
        ("meta.deep.er", "eq", "1", True),
        ("a.b", "eq", "dotted", True),
        ("meta.n", "eq", "5", True),
        ("meta.n", "eq", 5.0, True),
        ("meta.text", "gt", 6, True),
        ("meta.text", "lte", "7.0", True),
        ("meta.n", "lt", 5, False),
        ("meta.n", "gte", 5, True),
        ("meta.owner", "lt", 5, False),
        ("meta.flag", "eq", "true", True),
        ("meta.flag", "eq", 1, False),
        ("actor.meta.tags", "contains", "b", True),
        ("actor.meta.tags", "ncontains", "b", False),
        ("actor.meta.tags", "contains", ["b"], False),
        ("actor.meta.tags", "eq", ["a", "b"], False),
        ("resource", "matches", "^doc:[0-9]+$", True),
        ("resource", "matches", "oc", True),
        ("resource", "nmatches", "^img", True),
        ("meta.n", "matches", "5", True),
        ("meta.owner", "exists", True, True),
        ("meta.owner", "exists", False, False),
        ("meta.gone", "exists", False, True),
        ("meta.gone", "nexists", True, True),
        ("meta.owner", "nexists", True, False),
        ("meta.owner", "exists", "yes", True),
        ("meta.gone", "exists", "yes", False),
        ("actor", "eq", "x", False),
        ("meta", "eq", "x", False),
        ("actor.nickname", "exists", True, False),
    ],
)
def test_operators(field: str, operator: str, value: Any, expected: bool) -> None:
    assert verdict({"field": field, "operator": operator, "value": value}) is expected


@pytest.mark.parametrize("operator", ["ne", "nin", "ncontains", "nmatches"])
def test_a_missing_field_satisfies_no_negation(operator: str) -> None:
    assert not verdict({"field": "meta.gone", "operator": operator, "value": "x"})


@pytest.mark.parametrize("operator", ["nin", "ncontains", "nmatches", "lt"])
def test_what_cannot_be_compared_makes_the_policy_silent(operator: str) -> None:
    assert not verdict({"field": "meta.deep", "operator": operator, "value": 5})


def test_comparing_with_another_field() -> None:
    rule = {"field": "meta.owner", "operator": "eq", "value_from": "actor.id", "value": "ignored"}
    assert verdict(rule)
    assert not verdict({**rule, "value_from": "meta.gone"})
    assert not verdict({"field": "meta.owner", "operator": "matches", "value_from": "actor.id"})


def test_an_evil_pattern_takes_no_time() -> None:
    assert not verdict({"field": "resource", "operator": "matches", "value": "(a+)+$"}, resource="a" * 5000 + "b")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (None, "policy must be a map"),
        ({"actions": "*", "resources": "*"}, "invalid policy effect: "),
        ({"actions": "*", "resources": "*", "effect": "maybe"}, "invalid policy effect: maybe"),
        ({"resources": "*", "effect": "allow"}, "actions must be a string or list"),
        ({"actions": "", "resources": "*", "effect": "allow"}, "actions string cannot be empty"),
        ({"actions": [], "resources": "*", "effect": "allow"}, "actions list cannot be empty"),
        ({"actions": "*", "resources": 3, "effect": "allow"}, "resources must be a string or list"),
    ],
)
def test_bad_blocks_are_refused(block: Any, message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        parse_condition_policy(ID, block)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("x", "condition 0: must be a map"),
        ({"operator": "eq", "value": 1}, "condition 0: field is required"),
        ({"field": "f", "value": 1}, "condition 0: operator is required"),
        ({"field": "f", "operator": "eq"}, "condition 0: value or value_from is required"),
        ({"field": "f", "operator": "like", "value": 1}, "condition 0: invalid operator: like"),
        ({"field": "f", "operator": "matches", "value": "(?=x)"}, "invalid regex pattern"),
    ],
)
def test_bad_conditions_are_refused(condition: Any, message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        verdict(condition)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=25)
@given(st.sampled_from(sorted(OPERATORS - {"matches", "nmatches"})), values, values)
def test_judging_never_raises(operator: str, left: Any, right: Any) -> None:
    rule = {"field": "meta.left", "operator": operator, "value_from": "meta.right"}
    assert verdict(rule, {"left": left, "right": right}) in {True, False}


def compiler(result: object) -> Any:
    def compile(text: str) -> Evaluator:
        if text == "broken":
            raise InvalidError("unexpected token")

        def run(env: Mapping[str, object], /) -> object:
            if isinstance(result, Exception):
                raise result
            assert env == {"actor": {"id": ALICE.id, "meta": ALICE.meta}, "action": "r", "resource": "x", "meta": {}}
            return result

        return run

    return compile


def test_expression_policies_speak_only_when_true() -> None:
    block = {"actions": "r", "resources": "*", "effect": "deny", "expression": "e"}

    def judge(result: object) -> Decision:
        return parse_expression_policy(ID, block, compiler(result)).evaluate(ALICE, "r", "x", {})

    assert judge(True) is Decision.DENY
    for silent in (False, 1, "true", None, InternalError("division by zero")):
        assert judge(silent) is Decision.UNDEFINED
    with pytest.raises(InvalidError, match="expression cannot be empty"):
        parse_expression_policy(ID, {**block, "expression": ""}, compiler(True))
    with pytest.raises(InvalidError, match="expression compilation failed: unexpected token"):
        parse_expression_policy(ID, {**block, "expression": "broken"}, compiler(True))


def test_groups_are_of_the_entrys_namespace_unless_they_name_one() -> None:
    assert parse_groups(["admin", "other:admin"], "app") == (EntryId("app", "admin"), EntryId("other", "admin"))
    assert parse_groups(None, "app") == ()
    with pytest.raises(InvalidError, match="groups must be a list"):
        parse_groups("admin", "app")
