"""Conditions of declarative policies: a field, an operator, and a value or another field.

Every failure to compare (a text where a number is needed, an unknown path) makes the policy undefined rather than
raise. Source: docs system/security, Conditions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import attrs

from wippy_trio.core.errors import InvalidError
from wippy_trio.core.frame import SecurityActor

__all__ = ["OPERATORS", "Condition", "Incomparable", "Subject"]


class _Matcher(Protocol):
    def search(self, text: str) -> object: ...


class Incomparable(Exception):
    """The two sides cannot be compared: the policy that asked does not speak."""


@attrs.frozen(slots=True)
class Subject:
    """What is judged: who does what to which thing, and what is known of the thing (`meta.*`)."""

    actor: SecurityActor
    action: str
    resource: str
    attributes: Mapping[str, Any]

    def field(self, path: str) -> object:
        """The value at `actor.id`, `actor.meta.a.b`, `action`, `resource` or `meta.a.b`; None where there is none.

        Any other path is one literal key of `meta`, dots and all.

        Raises:
            Incomparable: `actor` or `meta` without a field, or an unknown field of the actor.
        """
        root, *rest = path.split(".")
        match root:
            case "action":
                return self.action
            case "resource":
                return self.resource
            case "meta":
                if not rest:
                    raise Incomparable
                return _walk(self.attributes, rest)
            case "actor":
                return self._actor_field(rest)
            case _:
                return self.attributes.get(path)

    def _actor_field(self, rest: Sequence[str]) -> object:
        match list(rest):
            case ["id", *_]:
                return self.actor.id
            case ["meta"]:
                return self.actor.meta
            case ["meta", *keys]:
                return _walk(self.actor.meta, keys)
            case _:
                raise Incomparable


def _walk(value: object, keys: Sequence[str]) -> object:
    for key in keys:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|infinity)|nan", re.IGNORECASE | re.ASCII)


def _number(value: object) -> float | None:
    """A number, or a text that is one (as Go's ParseFloat takes decimal texts)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str) and (found := _NUMBER.fullmatch(value)):
        number = float(value)
        return None if math.isinf(number) and not found[3] else number
    return None


def _text(value: object) -> str | None:
    """The text by which a scalar is compared; None for lists, maps and nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
        return str(int(value)) if value.is_integer() else format(Decimal(repr(value)), "f")
    return str(value) if isinstance(value, int) else None


def _equal(left: object, right: object) -> bool:
    first, second = _number(left), _number(right)
    if first is not None and second is not None:
        return first == second
    first_text, second_text = _text(left), _text(right)
    return first_text is not None and first_text == second_text


def _order(test: Callable[[float, float], bool]) -> Callable[[object, object], bool]:
    def compare(left: object, right: object) -> bool:
        first, second = _number(left), _number(right)
        if first is None or second is None:
            raise Incomparable
        return test(first, second)

    return compare


def _within(left: object, right: object) -> bool:
    if isinstance(right, str):
        return _equal(left, right)
    if isinstance(right, list | tuple):
        return any(_equal(left, item) for item in right)
    raise Incomparable


def _contains(left: object, right: object) -> bool:
    text, part = _text(left), _text(right)
    if text is not None and part is not None:
        return part in text
    if isinstance(left, list | tuple | str):
        return any(_equal(item, right) for item in left)
    raise Incomparable


_PLAIN: Mapping[str, Callable[[object, object], bool]] = {
    "eq": _equal,
    "lt": _order(lambda a, b: a < b),
    "gt": _order(lambda a, b: a > b),
    "lte": _order(lambda a, b: a <= b),
    "gte": _order(lambda a, b: a >= b),
    "in": _within,
    "contains": _contains,
}
_OPPOSITES = {"ne": "eq", "nin": "in", "ncontains": "contains", "nmatches": "matches"}

#: Every operator a condition may use.
OPERATORS: frozenset[str] = frozenset({*_PLAIN, *_OPPOSITES, "matches", "exists", "nexists"})


@attrs.frozen(slots=True)
class Condition:
    """One condition: `field operator value`, or `field operator` the value of the field `value_from`.

    `pattern` is the compiled value of `matches` and `nmatches`: RE2, unanchored. A pattern that would come from
    another field is never compiled, hence never holds (the reference does the same).
    """

    field: str
    operator: str
    value: object = None
    value_from: str = ""
    pattern: _Matcher | None = attrs.field(default=None, eq=False, repr=False)

    @classmethod
    def parse(cls, index: int, data: object) -> Condition:
        """Read a condition as an entry states it; `index` (from 0) is for the message.

        Raises:
            InvalidError: a part is missing, the operator is unknown, or the pattern is no RE2 expression.
        """
        if not isinstance(data, Mapping):
            raise InvalidError(f"condition {index}: must be a map")
        field, operator = data.get("field") or "", data.get("operator") or ""
        value, value_from = data.get("value"), data.get("value_from") or ""
        if not isinstance(field, str) or not field:
            raise InvalidError(f"condition {index}: field is required")
        if not isinstance(operator, str) or not operator:
            raise InvalidError(f"condition {index}: operator is required")
        if not isinstance(value_from, str) or (value is None and not value_from):
            raise InvalidError(f"condition {index}: value or value_from is required")
        if operator not in OPERATORS:
            raise InvalidError(f"condition {index}: invalid operator: {operator}")
        pattern = None
        if operator in {"matches", "nmatches"} and isinstance(value, str):
            pattern = _compile(value)
        return cls(field, operator, value, value_from, pattern)

    def holds(self, subject: Subject) -> bool:
        """Whether the condition is met.

        Raises:
            Incomparable: it cannot be told.
        """
        left = subject.field(self.field)
        right = subject.field(self.value_from) if self.value_from else self.value
        if self.operator in {"exists", "nexists"}:
            return self._exists(left, right)
        if left is None:
            return False  # of nothing only its absence can be said: `ne` and the like do not hold either
        opposite = _OPPOSITES.get(self.operator)
        operator = opposite or self.operator
        met = self._matches(left, right) if operator == "matches" else _PLAIN[operator](left, right)
        return met is not (opposite is not None)

    def _exists(self, left: object, right: object) -> bool:
        wanted = self.operator == "exists"
        if isinstance(right, bool):
            return ((left is not None) == wanted) == right
        if left is None:
            raise Incomparable  # the reference crashes here; an undecided policy is the safe reading
        return wanted

    def _matches(self, left: object, right: object) -> bool:
        text = _text(left)
        if text is None or self.pattern is None or right != self.value:
            raise Incomparable
        return self.pattern.search(text) is not None


def _compile(pattern: str) -> _Matcher:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        compiled: _Matcher = re2.compile(pattern, options=options)
    except re2.error as error:
        raise InvalidError(f"invalid regex pattern {pattern!r}: {error}") from None
    return compiled
