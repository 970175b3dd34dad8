"""Policies: a filter of actions and resources, an effect, and conditions or an expression.

Source: docs system/security, Policies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import attrs

from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.core.frame import Decision, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.security.condition import Condition, Incomparable, Subject

__all__ = [
    "ConditionPolicy",
    "Evaluator",
    "ExpressionPolicy",
    "Filter",
    "matches_pattern",
    "parse_condition_policy",
    "parse_expression_policy",
    "parse_groups",
]

_EFFECTS: Final = {"allow": Decision.ALLOW, "deny": Decision.DENY}


class Evaluator(Protocol):
    """A compiled expression. Errors are `LuaError`s; the result may be of any type."""

    def __call__(self, env: Mapping[str, object], /) -> object: ...


def matches_pattern(pattern: str, value: str) -> bool:
    """Whether an action or resource pattern covers a value.

    `*` covers everything, `name*` what begins with `name`, anything else only itself; a star elsewhere is an
    ordinary character. `app.*` drops the dot as well: it covers `app`, `app.x` and also `application`. So does the
    reference; it is odd, but narrowing it would change who may do what in existing applications.
    """
    if pattern in {"*", value}:
        return True
    if len(pattern) > 2 and pattern.endswith(".*"):
        return value.startswith(pattern[:-2])
    return len(pattern) > 1 and pattern.endswith("*") and value.startswith(pattern[:-1])


@attrs.frozen(slots=True)
class Filter:
    """What a policy speaks about: it applies where one action pattern and one resource pattern match."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    effect: Decision

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Filter:
        """Read `actions`, `resources` (a text or a list of texts) and `effect`.

        Raises:
            InvalidError: one is missing, empty or of the wrong type.
        """
        effect = data.get("effect")
        if effect not in _EFFECTS:
            raise InvalidError(f"invalid policy effect: {effect or ''}")
        actions, resources = _patterns(data, "actions"), _patterns(data, "resources")
        return cls(actions, resources, _EFFECTS[effect])

    def covers(self, action: str, resource: str) -> bool:
        """Whether the policy applies to this action on this resource."""
        return any(matches_pattern(pattern, action) for pattern in self.actions) and any(
            matches_pattern(pattern, resource) for pattern in self.resources
        )


def _patterns(data: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = data.get(name)
    if isinstance(value, str):
        if not value:
            raise InvalidError(f"{name} string cannot be empty")
        return (value,)
    if isinstance(value, list | tuple):
        if not value:
            raise InvalidError(f"{name} list cannot be empty")
        return tuple(item for item in value if isinstance(item, str))
    raise InvalidError(f"{name} must be a string or list")


@attrs.frozen(slots=True)
class ConditionPolicy:
    """A declarative policy: it takes effect where all its conditions hold."""

    id: EntryId
    filter: Filter
    conditions: tuple[Condition, ...] = ()

    def evaluate(self, actor: SecurityActor, action: str, resource: str, attributes: Mapping[str, Any]) -> Decision:
        """The effect, or undefined where the policy does not apply or a condition fails or cannot be judged."""
        if not self.filter.covers(action, resource):
            return Decision.UNDEFINED
        if self.conditions:
            subject = Subject(actor, action, resource, attributes)
            try:
                if not all(condition.holds(subject) for condition in self.conditions):
                    return Decision.UNDEFINED
            except Incomparable:
                return Decision.UNDEFINED
        return self.filter.effect


@attrs.frozen(slots=True)
class ExpressionPolicy:
    """A policy with one boolean expression over `actor` (id, meta), `action`, `resource` and `meta`."""

    id: EntryId
    filter: Filter
    expression: str
    evaluator: Evaluator = attrs.field(eq=False, repr=False)

    def evaluate(self, actor: SecurityActor, action: str, resource: str, attributes: Mapping[str, Any]) -> Decision:
        """The effect where the expression is true; undefined where it is false, fails or is no boolean."""
        if not self.filter.covers(action, resource):
            return Decision.UNDEFINED
        env = {
            "actor": {"id": actor.id, "meta": actor.meta},
            "action": action,
            "resource": resource,
            "meta": attributes,
        }
        try:
            met = self.evaluator(env)
        except LuaError:
            return Decision.UNDEFINED
        return self.filter.effect if met is True else Decision.UNDEFINED


def parse_condition_policy(id: EntryId, policy: object) -> ConditionPolicy:
    """Read the `policy` block of a `security.policy` entry.

    Raises:
        InvalidError: the block is missing or wrong; the message says what.
    """
    block = _block(policy)
    conditions = block.get("conditions") or ()
    if not isinstance(conditions, Sequence) or isinstance(conditions, str):
        raise InvalidError("conditions must be a list")
    return ConditionPolicy(
        id, Filter.parse(block), tuple(Condition.parse(index, item) for index, item in enumerate(conditions))
    )


def parse_expression_policy(id: EntryId, policy: object, compile: Callable[[str], Evaluator]) -> ExpressionPolicy:
    """Read the `policy` block of a `security.policy.expr` entry; `compile` makes an evaluator of the text.

    Raises:
        InvalidError: the block is missing or wrong, or the expression does not compile.
    """
    block = _block(policy)
    rule = Filter.parse(block)
    expression = block.get("expression")
    if not isinstance(expression, str) or not expression:
        raise InvalidError("expression cannot be empty")
    try:
        evaluator = compile(expression)
    except LuaError as error:
        raise InvalidError(f"expression compilation failed: {error}") from error
    return ExpressionPolicy(id, rule, expression, evaluator)


def _block(policy: object) -> Mapping[str, Any]:
    if not isinstance(policy, Mapping):
        raise InvalidError("policy must be a map with actions, resources and effect")
    return policy


def parse_groups(groups: object, namespace: str) -> tuple[EntryId, ...]:
    """The groups a policy belongs to: `name` is of the entry's namespace, `ns:name` is taken as it is.

    The reference reads `ns:name` for declarative policies only; here both kinds of policy do.

    Raises:
        InvalidError: not a list of texts.
    """
    if groups is None:
        return ()
    if not isinstance(groups, list | tuple) or not all(isinstance(group, str) for group in groups):
        raise InvalidError("groups must be a list of strings")
    return tuple(EntryId.parse(group, namespace) for group in groups)
