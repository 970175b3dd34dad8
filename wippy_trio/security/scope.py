"""Scopes (immutable sets of policies), the registry of policies and groups, and the one access check."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import attrs

from wippy_trio.core.errors import NotFoundError, PermissionDeniedError
from wippy_trio.core.frame import Decision, Frame, SecurityActor
from wippy_trio.core.ids import EntryId

__all__ = ["NO_ATTRIBUTES", "Access", "Policy", "PolicyRegistry", "Scope", "policies_of"]

NO_ATTRIBUTES: Mapping[str, Any] = MappingProxyType({})


class Policy(Protocol):
    """One rule. Judging never raises: what a policy cannot decide is `UNDEFINED`."""

    @property
    def id(self) -> EntryId: ...

    def evaluate(self, actor: SecurityActor, action: str, resource: str, attributes: Mapping[str, Any]) -> Decision: ...


@attrs.frozen(slots=True)
class Scope:
    """An immutable set of policies, by id. Order does not matter; two policies of one id: the later wins.

    A scope holds the policies as they were when it was made; a policy changed later is seen by new scopes only.
    Source: docs system/security, Scopes.
    """

    by_id: Mapping[EntryId, Policy] = attrs.field(factory=dict, repr=lambda held: repr([str(id) for id in held]))

    @classmethod
    def of(cls, policies: Iterable[Policy] = ()) -> Scope:
        """A scope of these policies."""
        return cls({policy.id: policy for policy in policies})

    def with_policy(self, policy: Policy) -> Scope:
        """A scope that also holds `policy`."""
        return Scope({**self.by_id, policy.id: policy})

    def without(self, policy_id: EntryId) -> Scope:
        """A scope that lacks the policy of this id (the same scope where it never held it)."""
        if policy_id not in self.by_id:
            return self
        return Scope({id: policy for id, policy in self.by_id.items() if id != policy_id})

    def merged(self, other: Scope) -> Scope:
        """A scope of the policies of both."""
        return Scope({**self.by_id, **other.by_id})

    def contains(self, policy_id: EntryId) -> bool:
        """Whether a policy of this id is held."""
        return policy_id in self.by_id

    def policies(self) -> tuple[Policy, ...]:
        """The policies, in the order they were added."""
        return tuple(self.by_id.values())

    def evaluate(self, actor: SecurityActor, action: str, resource: str, attributes: Mapping[str, Any]) -> Decision:
        """Deny if any policy denies; else allow if any allows; else undefined. An empty scope is undefined."""
        decision = Decision.UNDEFINED
        for policy in self.by_id.values():
            verdict = policy.evaluate(actor, action, resource, attributes)
            if verdict is Decision.DENY:
                return Decision.DENY
            if verdict is Decision.ALLOW:
                decision = Decision.ALLOW
        return decision


@attrs.frozen(slots=True)
class _Listed:
    policy: Policy
    groups: frozenset[EntryId]


class PolicyRegistry:
    """The policies of this node and the groups they belong to. Groups exist as long as they have a member."""

    def __init__(self) -> None:
        self._listed: dict[EntryId, _Listed] = {}

    def put(self, policy: Policy, groups: Iterable[EntryId] = ()) -> None:
        """Add a policy, or replace the one of the same id together with its groups."""
        self._listed[policy.id] = _Listed(policy, frozenset(groups))

    def remove(self, policy_id: EntryId) -> None:
        """Forget a policy; one that is not there is no error."""
        self._listed.pop(policy_id, None)

    def policy(self, policy_id: EntryId) -> Policy:
        """The policy of this id.

        Raises:
            NotFoundError: there is none.
        """
        found = self._listed.get(policy_id)
        if found is None:
            raise NotFoundError("policy not found", details={"policy": str(policy_id)})
        return found.policy

    def group(self, group_id: EntryId) -> Scope:
        """A scope of the policies that belong to a group now.

        Raises:
            NotFoundError: no policy names this group.
        """
        members = [listed.policy for listed in self._listed.values() if group_id in listed.groups]
        if not members:
            raise NotFoundError("policy group not found", details={"group": str(group_id)})
        return Scope.of(members)

    def policy_ids(self) -> tuple[EntryId, ...]:
        """All ids, sorted."""
        return tuple(sorted(self._listed))

    def group_ids(self) -> tuple[EntryId, ...]:
        """All groups with at least one member, sorted."""
        return tuple(sorted({group for listed in self._listed.values() for group in listed.groups}))

    def resolve(self, policies: Iterable[EntryId], groups: Iterable[EntryId]) -> tuple[Scope, tuple[EntryId, ...]]:
        """A scope of named policies and groups (a service's `security` block), and the names that do not exist.

        The reference starts a service even where a policy is missing, so it is for the caller to warn.
        """
        scope, missing = Scope(), []
        for policy_id in policies:
            try:
                scope = scope.with_policy(self.policy(policy_id))
            except NotFoundError:
                missing.append(policy_id)
        for group_id in groups:
            try:
                scope = scope.merged(self.group(group_id))
            except NotFoundError:
                missing.append(group_id)
        return scope, tuple(missing)


def policies_of(extras: dict[str, Any]) -> PolicyRegistry:
    """The node's policies, kept among the runtime's `extras`; made at first use."""
    registry = extras.setdefault("policies", PolicyRegistry())
    assert isinstance(registry, PolicyRegistry)
    return registry


class Access:
    """The check that stands before every permitted action.

    Args:
        strict: whether a missing actor or scope means no (`security.strict_mode`); otherwise it means yes.
        report_incomplete: told (frame, action, resource) when actor or scope is missing; for a debug log.

    Source: docs concepts/security-model, guides/configuration.
    """

    def __init__(
        self, *, strict: bool = False, report_incomplete: Callable[[Frame, str, str], None] | None = None
    ) -> None:
        self.strict = strict
        self._report = report_incomplete

    def allowed(self, frame: Frame, action: str, resource: str, attributes: Mapping[str, Any] = NO_ATTRIBUTES) -> bool:
        """Whether the frame's actor may do it.

        With actor and scope: only where the scope says allow. Without one of them: unless strict mode is on.
        """
        if frame.actor is not None and frame.scope is not None:
            return frame.scope.evaluate(frame.actor, action, resource, attributes) is Decision.ALLOW
        if self._report is not None:
            self._report(frame, action, resource)
        return not self.strict

    def require(
        self,
        frame: Frame,
        action: str,
        resource: str,
        attributes: Mapping[str, Any] = NO_ATTRIBUTES,
        message: str = "",
    ) -> None:
        """Like `allowed`, as a guard.

        Raises:
            PermissionDeniedError: it is not allowed; with `message`, or one that names action and resource.
        """
        if not self.allowed(frame, action, resource, attributes):
            raise PermissionDeniedError(
                message or f"not allowed: {action} on {resource!r}",
                details={"action": action, "resource": resource},
            )

    @staticmethod
    def can(frame: Frame, action: str, resource: str, attributes: Mapping[str, Any] = NO_ATTRIBUTES) -> bool:
        """What `security.can` answers: as `allowed`, but no without an actor or a scope, in either mode.

        Source: tests/app security/can.lua.
        """
        if frame.actor is None or frame.scope is None:
            return False
        return frame.scope.evaluate(frame.actor, action, resource, attributes) is Decision.ALLOW
