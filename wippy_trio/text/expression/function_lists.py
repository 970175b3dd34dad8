"""The builtin functions of the expression language over lists and maps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wippy_trio.text.expression.operators import COMPARE, as_int, equal, fail, fetch, format_value, type_name

__all__ = ["LIST_FUNCTIONS", "SortKey", "order_of"]

_NESTING = 100
Value = Any


def _list(value: Value, verb: str) -> list[Value]:
    if type(value) is not list:
        fail(f"cannot {verb} {type_name(value)}")
    return value


def _first(values: Value) -> Value:
    return fetch(values, 0) if type(values) in (list, str) and values else None


def _last(values: Value) -> Value:
    return fetch(values, -1) if type(values) in (list, str) and values else None


def _get(base: Value, key: Value) -> Value:
    if base is None:
        return None
    if type(base) in (list, str):
        index = as_int(key)
        return fetch(base, index) if -len(base) <= index < len(base) else None
    if type(base) is dict:
        return base.get(key) if key is None or type(key) is str else None
    return None


def _take(values: Value, count: Value) -> list[Value]:
    items = _list(values, "take from")
    if type(count) is not int:
        fail(f"cannot take {type_name(count)} elements")
    if count < 0:
        fail(f"reflect.Value.Slice: slice index out of bounds: {count}")
    return items[:count]


def _map(verb: str, value: Value) -> dict[str, Value]:
    if type(value) is not dict:
        fail(f"cannot {verb}".replace("{}", type_name(value)))
    return value


def _from_pairs(pairs: Value) -> dict[str, Value]:
    made: dict[str, Value] = {}
    for pair in _list(pairs, "transform from pairs"):
        if type(pair) is not list:
            fail(f"invalid pair {format_value(pair)}")
        if len(pair) != 2:
            fail(f"invalid pair length {format_value(pair)}")
        made[pair[0] if type(pair[0]) is str else format_value(pair[0])] = pair[1]
    return made


def _uniq(values: Value) -> list[Value]:
    found: list[Value] = []
    plain: set[Value] = set()
    for value in _list(values, "uniq"):
        key = (type(value) is bool, value) if type(value) in (bool, int, float, str, type(None)) else None
        if key is None:
            if not any(equal(value, other) for other in found):
                found.append(value)
        elif key not in plain:
            plain.add(key)
            found.append(value)
    return found


def _concat(*lists: Value) -> list[Value]:
    if not lists:
        fail("invalid number of arguments (expected at least 1, got 0)")
    return [item for values in lists for item in _list(values, "concat")]


def _flatten(values: Value, depth: int = 0) -> list[Value]:
    if depth > _NESTING:
        fail("recursion depth exceeded")
    found: list[Value] = []
    for value in _list(values, "flatten"):
        found += _flatten(value, depth + 1) if type(value) is list else [value]
    return found


def order_of(order: Value) -> bool:
    """Whether `order` asks for descending; `asc` and `desc` are all there is."""
    if order not in ("asc", "desc"):
        fail(f"invalid order {format_value(order)}, expected asc or desc")
    return bool(order == "desc")


class SortKey:
    """Orders values as the operator `<` does, so that unlike values fail as they do there."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __lt__(self, other: SortKey) -> bool:
        return COMPARE["<"](self.value, other.value)


def _sort(values: Value, order: Value = "asc") -> list[Value]:
    return sorted(_list(values, "sort"), key=SortKey, reverse=order_of(order))


#: name -> (fewest arguments, most arguments, function).
LIST_FUNCTIONS: Mapping[str, tuple[int, int, Callable[..., Value]]] = {
    "first": (1, 1, _first),
    "last": (1, 1, _last),
    "get": (2, 2, _get),
    "take": (2, 2, _take),
    "keys": (1, 1, lambda value: list(_map("get keys from {}", value))),
    "values": (1, 1, lambda value: list(_map("get values from {}", value).values())),
    "toPairs": (1, 1, lambda value: [[key, item] for key, item in _map("transform {} to pairs", value).items()]),
    "fromPairs": (1, 1, _from_pairs),
    "reverse": (1, 1, lambda values: _list(values, "reverse")[::-1]),
    "uniq": (1, 1, _uniq),
    "concat": (1, 255, _concat),
    "flatten": (1, 1, _flatten),
    "sort": (1, 2, _sort),
}
