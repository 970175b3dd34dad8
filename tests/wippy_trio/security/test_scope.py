from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations
from typing import Any

import attrs
import pytest

from wippy_trio.core.errors import NotFoundError, PermissionDeniedError
from wippy_trio.core.frame import EMPTY_FRAME, Decision, Frame, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.security.scope import Access, PolicyRegistry, Scope

ACTOR = SecurityActor("user:1")


@attrs.frozen
class Fixed:
    id: EntryId
    decision: Decision

    def evaluate(self, actor: SecurityActor, action: str, resource: str, attributes: Mapping[str, Any]) -> Decision:
        return self.decision


def fixed(decision: Decision) -> Fixed:
    return Fixed(EntryId("app", decision.value), decision)


ALLOW, DENY, SILENT = fixed(Decision.ALLOW), fixed(Decision.DENY), fixed(Decision.UNDEFINED)


def judge(*policies: Fixed) -> Decision:
    return Scope.of(policies).evaluate(ACTOR, "read", "thing", {})


def test_deny_beats_allow_in_any_order() -> None:
    for order in permutations((ALLOW, DENY, SILENT)):
        assert judge(*order) is Decision.DENY
    for order in permutations((ALLOW, SILENT)):
        assert judge(*order) is Decision.ALLOW
    assert judge(SILENT) is Decision.UNDEFINED
    assert judge() is Decision.UNDEFINED


def test_scopes_are_immutable_sets_by_id() -> None:
    empty = Scope()
    one = empty.with_policy(ALLOW)
    assert not empty.contains(ALLOW.id)
    assert one.contains(ALLOW.id)
    assert one.with_policy(ALLOW).policies() == (ALLOW,)
    assert one.without(ALLOW.id).policies() == ()
    assert one.without(DENY.id) is one
    assert one.merged(Scope.of([DENY])).policies() == (ALLOW, DENY)


def test_groups_follow_their_members() -> None:
    registry = PolicyRegistry()
    admin, staff = EntryId("app", "admin"), EntryId("app", "staff")
    registry.put(ALLOW, [admin, staff])
    registry.put(DENY, [staff])
    assert registry.group(staff).policies() == (ALLOW, DENY)
    assert registry.group_ids() == (admin, staff)
    assert registry.policy_ids() == (ALLOW.id, DENY.id)

    held = registry.group(staff)
    registry.put(ALLOW, [staff])
    with pytest.raises(NotFoundError, match="policy group not found"):
        registry.group(admin)
    registry.remove(DENY.id)
    registry.remove(DENY.id)
    assert registry.group(staff).policies() == (ALLOW,)
    assert held.policies() == (ALLOW, DENY), "a scope keeps what it was made of"
    with pytest.raises(NotFoundError, match="policy not found"):
        registry.policy(DENY.id)


def test_resolving_names_reports_the_missing_ones() -> None:
    registry = PolicyRegistry()
    group, gone = EntryId("app", "g"), EntryId("app", "gone")
    registry.put(DENY, [group])
    registry.put(ALLOW)
    scope, missing = registry.resolve([ALLOW.id, gone], [group, gone])
    assert scope.policies() == (ALLOW, DENY)
    assert missing == (gone, gone)


def frame(*policies: Fixed) -> Frame:
    return EMPTY_FRAME.with_identity(ACTOR, Scope.of(policies))


@pytest.mark.parametrize("strict", [True, False])
def test_a_complete_context_is_judged_by_its_scope_alone(strict: bool) -> None:
    access = Access(strict=strict)
    assert access.allowed(frame(ALLOW), "read", "thing")
    assert not access.allowed(frame(SILENT), "read", "thing"), "undefined is no"
    assert not access.allowed(frame(ALLOW, DENY), "read", "thing")
    with pytest.raises(PermissionDeniedError, match="not allowed: read on 'thing'"):
        access.require(frame(), "read", "thing")
    access.require(frame(ALLOW), "read", "thing")


def test_a_missing_actor_or_scope_is_allowed_unless_strict_and_reported() -> None:
    reports: list[tuple[str, str]] = []
    report = lambda _frame, action, resource: reports.append((action, resource))
    for incomplete in (EMPTY_FRAME, EMPTY_FRAME.with_identity(ACTOR, None), EMPTY_FRAME.with_identity(None, Scope())):
        assert Access(report_incomplete=report).allowed(incomplete, "a", "r")
        assert not Access(strict=True).allowed(incomplete, "a", "r")
        assert not Access().can(incomplete, "a", "r"), "security.can says no either way"
    assert reports == [("a", "r")] * 3
    assert Access.can(frame(ALLOW), "a", "r")
