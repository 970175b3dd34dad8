"""Search criteria over entries.

| Key | Matches |
| --- | --- |
| `.kind` `.name` `.ns` `.id` | the field, with one `*` as a wildcard |
| `meta.x` | equal; a list matches where all its items are in the list `x` |
| `~meta.x` | regular expression (RE2), anywhere in the text |
| `*meta.x` | part of the text, or of one text in the list |
| `^meta.x` `$meta.x` | beginning and end of the text |

`x` is a key of meta as it stands: `meta.a.b` looks for the key `a.b`. A key that is none of these, a pattern that is no
regular expression and a criterion of the wrong type match everything, as in the reference.
Source: docs internals/registry (Finder), lua/core/registry (Find Entries); spec registry finder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import re2

from wippy_trio.core.entry import Entry
from wippy_trio.registry.changes import same_value

__all__ = ["Predicate", "compile_criteria", "matches_glob"]

Predicate = Callable[[Entry], bool]

_ROOTS: Final[Mapping[str, Callable[[Entry], str]]] = {
    ".kind": lambda entry: entry.kind,
    ".name": lambda entry: entry.id.name,
    ".ns": lambda entry: entry.id.namespace,
    ".id": lambda entry: str(entry.id),
}
_META: Final = "meta."


def compile_criteria(criteria: Mapping[str, Any]) -> tuple[Predicate, tuple[str, ...]]:
    """A test for entries that fit all `criteria`, and warnings about criteria that were passed over."""
    tests: list[Predicate] = []
    warnings: list[str] = []
    for key in sorted(criteria):
        made = _criterion(key, criteria[key])
        if isinstance(made, str):
            warnings.append(made)
        elif made is not None:
            tests.append(made)
    return (lambda entry: all(test(entry) for test in tests)), tuple(warnings)


def _criterion(key: str, wanted: Any) -> Predicate | str | None:
    if key.startswith("."):
        root = _ROOTS.get(key)
        if root is None or not isinstance(wanted, str):
            return None
        return lambda entry: matches_glob(wanted, root(entry))
    operator = key[:1] if key[:1] in {"~", "*", "^", "$"} else ""
    name = key.removeprefix(operator)
    if not name.startswith(_META):
        return f"criterion {key!r} is passed over: fields of meta are written meta.{name}"
    field = name.removeprefix(_META)
    if not operator:
        return lambda entry: field in entry.meta and _equal(entry.meta[field], wanted)
    if not isinstance(wanted, str):
        return None
    if operator == "~":
        return _regex(key, field, wanted)
    if operator == "*":
        return lambda entry: _contains(entry.meta.get(field), wanted)
    if operator == "^":
        return lambda entry: _text(entry, field).startswith(wanted) and isinstance(entry.meta.get(field), str)
    return lambda entry: _text(entry, field).endswith(wanted) and isinstance(entry.meta.get(field), str)


def _text(entry: Entry, field: str) -> str:
    value = entry.meta.get(field)
    return value if isinstance(value, str) else ""


def _equal(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, list | tuple):
        return isinstance(actual, list | tuple) and all(
            any(same_value(item, one) for item in actual) for one in wanted
        )
    return same_value(actual, wanted)


def _contains(value: Any, part: str) -> bool:
    if isinstance(value, str):
        return part in value
    return isinstance(value, list | tuple) and any(isinstance(item, str) and part in item for item in value)


@lru_cache(maxsize=100)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


def _regex(key: str, field: str, pattern: str) -> Predicate | str:
    try:
        compiled = _compiled(pattern)
    except re2.error as error:
        return f"criterion {key!r} is passed over: {pattern!r} is no regular expression: {error}"

    def test(entry: Entry) -> bool:
        value = entry.meta.get(field)
        return isinstance(value, str) and compiled.search(value) is not None

    return test


def matches_glob(pattern: str, text: str) -> bool:
    """Whether `text` equals `pattern`, in which the first `*` stands for any characters."""
    prefix, star, suffix = pattern.partition("*")
    if not star:
        return text == pattern
    return text.startswith(prefix) and text.endswith(suffix) and len(text) >= len(prefix) + len(suffix)
