"""Statements as Lua describes them: a kind and a list of calls, replayed on the frozen statements.

A Lua builder keeps the calls made on it and sends them when its text is wanted; so it stays a plain immutable value
and a builder costs nothing here. Values: scalars as they are; `["null"]`, `["bytes", s]` and, in `set`,
`["condition", ...]` for what is no scalar. Source: ours (modules/sql.lua is the other half).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from sandbox.values import as_bytes, as_text
from wippy_trio.core.errors import InvalidError
from wippy_trio.storage.sql import SqlValue
from wippy_trio.storage.sql_builder import Comparison, Condition, Conjunction, Fragment, Operator, Placeholders
from wippy_trio.storage.sql_builder_statements import Delete, Insert, Select, Statement, Update

__all__ = ["condition", "sql_value", "sql_values", "statement"]

#: What came from Lua: scalars, lists and dictionaries; an empty list arrives as an empty dictionary.
Described: TypeAlias = Any

_NEW: Mapping[str, Callable[[], Statement]] = {
    "select": Select,
    "insert": Insert,
    "update": Update,
    "delete": Delete,
}
_JOINS = {"join": "", "left_join": "LEFT", "right_join": "RIGHT", "inner_join": "INNER"}
_NAMES = frozenset({"columns", "order_by", "group_by", "options"})
_TEXTS = frozenset({"into", "table"})
_FRAGMENTS = frozenset({"suffix", "prefix"})
_COUNTS = frozenset({"limit", "offset"})
_CONDITIONS = frozenset({"where", "having"})


def sql_value(described: Described) -> SqlValue:
    """A value to be bound."""
    if isinstance(described, list):
        return None if described[0] == "null" else as_bytes(described[1])
    if described is None or isinstance(described, bool | int | float | str | bytes):
        return described
    raise InvalidError(f"cannot bind a value of type {type(described).__name__}")


def sql_values(described: Described) -> tuple[SqlValue, ...]:
    """Several values to be bound."""
    return tuple(map(sql_value, described or ()))


def _row(described: Described) -> dict[str, SqlValue]:
    return {as_text(name): sql_value(value) for name, value in described.items()}


def condition(described: Sequence[Described]) -> Condition:
    """A condition: `["expr", text, args]`, `["and", parts]`, `["or", parts]`, or `[operator, row]`."""
    verb, *rest = described
    if verb == "expr":
        return Fragment(as_text(rest[0]), sql_values(rest[1]))
    if verb in {"and", "or"}:
        return Conjunction(verb == "and", tuple(map(condition, rest[0] or ())))
    return Comparison(Operator[verb.upper()], _row(rest[0]))


def statement(kind: str, calls: Sequence[Sequence[Described]]) -> Statement:
    """The statement of `kind` (`select`, `insert`, `update`, `delete`) after `calls`, each `[method, *arguments]`."""
    made: Any = _NEW[kind]()
    for method, *arguments in calls or ():
        made = _applied(made, method, arguments)
    result: Statement = made
    return result


def _applied(made: Any, method: str, arguments: list[Described]) -> Any:
    if method in _CONDITIONS:
        return getattr(made, method)(condition(arguments[0]))
    if method in _NAMES:
        return getattr(made, method)(*map(as_text, arguments[0] or ()))
    if method in _TEXTS:
        return getattr(made, method)(as_text(arguments[0]))
    if method in _COUNTS:
        return getattr(made, method)(arguments[0])
    if method in _FRAGMENTS:
        return getattr(made, method)(as_text(arguments[0]), *sql_values(arguments[1]))
    if method in _JOINS:
        return made.join(as_text(arguments[0]), *sql_values(arguments[1]), kind=_JOINS[method])
    if method == "from":
        return made.from_(as_text(arguments[0]))
    if method == "distinct":
        return made.distinct()
    if method == "placeholder_format":
        return made.placeholder_format(Placeholders[arguments[0].upper()])
    if method == "values":
        return made.values(*sql_values(arguments[0]))
    if method == "set_map":
        return made.set_map(_row(arguments[0]))
    if method == "set":
        return made.set(as_text(arguments[0]), _assigned(arguments[1]))
    if method == "select":
        return made.select(statement("select", arguments[0]))
    assert method == "from_select", method
    return made.from_select(statement("select", arguments[0]), as_text(arguments[1]))


def _assigned(described: Described) -> SqlValue | Condition:
    if isinstance(described, list) and described[0] == "condition":
        return condition(described[1])
    return sql_value(described)
