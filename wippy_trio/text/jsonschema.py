"""JSON Schema (2020-12) validation: the whole of the applicators and assertions, without remote references.

`format` is an annotation, not a check, as in the reference. Unknown keywords are ignored. Source: docs page
lua/data/json, "Schema Validation".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import re2

from wippy_trio.core.errors import InvalidError

__all__ = ["MAX_DEPTH", "MAX_PROBLEMS", "Schema", "compile_schema"]

#: How deep schemas may refer to schemas while one value is checked.
MAX_DEPTH = 200
#: How many problems are collected.
MAX_PROBLEMS = 32
Value = Any
Problem = tuple[str, str]


def _is_integer(value: Value) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


_TYPES: Mapping[str, Callable[[Value], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: value is True or value is False,
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": _is_integer,
}


def _type_of(value: Value) -> str:
    return next(name for name, test in _TYPES.items() if test(value))


def _same(left: Value, right: Value) -> bool:
    """Equality of JSON values: 1 equals 1.0, but not true."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(item, right[key]) for key, item in left.items())
    return (type(left) is type(right) and bool(left == right)) or (_TYPES["number"](left) and bool(left == right))


class Schema:
    """A compiled schema; immutable."""

    __slots__ = ("_root",)

    def __init__(self, root: Value) -> None:
        self._root = root

    def problems(self, value: Value) -> list[Problem]:
        """What is wrong with `value`: (JSON pointer, text) pairs, at most `MAX_PROBLEMS`; empty when it is valid.

        Raises:
            InvalidError: references go round in a circle, or one leads nowhere.
        """
        return _Check(self._root).collect(value)


def compile_schema(schema: Value) -> Schema:
    """Check a schema's own form.

    Raises:
        InvalidError: it is neither an object nor a boolean, or a keyword has a value of the wrong kind.
    """
    pending: list[tuple[str, Value]] = [("", schema)]
    while pending:
        path, node = pending.pop()
        if isinstance(node, bool):
            continue
        if not isinstance(node, dict):
            raise InvalidError(f"schema at {path or '/'} must be an object or a boolean")
        _check_keywords(path, node)
        pending += _subschemas(path, node)
    return Schema(schema)


_MAPS_OF = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS_OF = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = ("not", "if", "then", "else", "items", "additionalProperties", "contains", "propertyNames",
           "unevaluatedItems", "unevaluatedProperties")  # fmt: skip
_COUNTS = (
    "minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains",
)  # fmt: skip
_LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


def _subschemas(path: str, node: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    for key in _MAPS_OF:
        for name, item in node.get(key, {}).items():
            yield f"{path}/{key}/{name}", item
    for key in _LISTS_OF:
        for index, item in enumerate(node.get(key, [])):
            yield f"{path}/{key}/{index}", item
    for key in _SINGLE:
        if key in node and not (key == "items" and isinstance(node[key], list)):
            yield f"{path}/{key}", node[key]


def _check_keywords(path: str, node: Mapping[str, Value]) -> None:
    def refuse(key: str, expected: str) -> None:
        raise InvalidError(f"schema at {path or '/'}: {key} must be {expected}")

    for key in _MAPS_OF:
        if key in node and not isinstance(node[key], dict):
            refuse(key, "an object")
    for key in (*_LISTS_OF, "enum"):
        # An empty list of a Lua table arrives as an empty object.
        if key in node and not isinstance(node[key], list):
            refuse(key, "a list")
    for key in _COUNTS:
        if key in node and not (_is_integer(node[key]) and node[key] >= 0):
            refuse(key, "a whole number")
    for key in _LIMITS:
        if key in node and not _TYPES["number"](node[key]):
            refuse(key, "a number")
    if "required" in node and not isinstance(node["required"], list) and node["required"] != {}:
        refuse("required", "a list of names")
    names = node.get("type", [])
    for name in names if isinstance(names, list) else [names]:
        if name not in _TYPES:
            refuse("type", "one of " + ", ".join(_TYPES))
    for pattern in ([node["pattern"]] if "pattern" in node else []) + list(node.get("patternProperties", {})):
        _pattern(pattern)
    if not isinstance(node.get("$ref", ""), str):
        refuse("$ref", "a string")


def _pattern(text: Value) -> Any:
    if not isinstance(text, str):
        raise InvalidError("pattern must be a string")
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text, options)
    except re2.error as error:
        raise InvalidError(f"invalid pattern {text!r}: {error}") from None


class _Check:
    """One validation. `seen` of each method collects what was evaluated: property names and item indexes."""

    def __init__(self, root: Value) -> None:
        self.root = root
        self.depth = 0

    def collect(self, value: Value) -> list[Problem]:
        found: list[Problem] = []
        for problem in self.check(self.root, value, "", set()):
            found.append(problem)
            if len(found) == MAX_PROBLEMS:
                break
        return found

    def valid(self, schema: Value, value: Value, seen: set[str | int]) -> bool:
        inner: set[str | int] = set()
        if next(self.check(schema, value, "", inner), None) is not None:
            return False
        seen |= inner
        return True

    def check(self, schema: Value, value: Value, path: str, seen: set[str | int]) -> Iterator[Problem]:
        if schema is True:
            return
        if schema is False:
            yield path, "no value is allowed here"
            return
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise InvalidError(f"schema references nest deeper than {MAX_DEPTH} levels")
        if "$ref" in schema:
            yield from self.check(self.resolve(schema["$ref"]), value, path, seen)
        yield from _plain_checks(schema, value, path)
        yield from self.combined(schema, value, path, seen)
        if isinstance(value, dict):
            yield from self.object(schema, value, path, seen)
        elif isinstance(value, list):
            yield from self.array(schema, value, path, seen)
        self.depth -= 1

    def resolve(self, reference: str) -> Value:
        """A reference inside the same schema: `#`, `#/$defs/name`, or `#name` of an `$anchor`."""
        target, _, fragment = reference.partition("#")
        if target and target != (self.root.get("$id") if isinstance(self.root, dict) else None):
            raise InvalidError(f"cannot resolve {reference}: only references within the schema are supported")
        node = self.root
        if fragment and not fragment.startswith("/"):
            found = _anchored(self.root, fragment)
            if found is None:
                raise InvalidError(f"cannot resolve {reference}")
            return found
        for step in unquote(fragment).split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            try:
                node = node[int(key)] if isinstance(node, list) else node[key]
            except (KeyError, IndexError, ValueError, TypeError):
                raise InvalidError(f"cannot resolve {reference}") from None
        return node

    def combined(self, schema: Mapping[str, Value], value: Value, path: str, seen: set[str | int]) -> Iterator[Problem]:
        for item in schema.get("allOf", ()):
            yield from self.check(item, value, path, seen)
        if "anyOf" in schema:
            # All are tried, for each that fits evaluates properties of its own.
            matched = sum(self.valid(item, value, seen) for item in schema["anyOf"])
            if not matched:
                yield path, "value matches none of the schemas of anyOf"
        if "oneOf" in schema:
            matched = sum(self.valid(item, value, seen) for item in schema["oneOf"])
            if matched != 1:
                yield path, f"value matches {matched} schemas of oneOf, not exactly one"
        if "not" in schema and self.valid(schema["not"], value, set()):
            yield path, "value must not match the schema of not"
        if "if" in schema:
            branch = "then" if self.valid(schema["if"], value, seen) else "else"
            if branch in schema:
                yield from self.check(schema[branch], value, path, seen)

    def object(
        self, schema: Mapping[str, Value], value: dict[str, Value], path: str, seen: set[str | int]
    ) -> Iterator[Problem]:
        known: set[str] = set()
        for name, item in schema.get("properties", {}).items():
            if name in value:
                known.add(name)
                yield from self.check(item, value[name], _below(path, name), set())
        for pattern, item in schema.get("patternProperties", {}).items():
            compiled = _pattern(pattern)
            for name, held in value.items():
                if compiled.search(name):
                    known.add(name)
                    yield from self.check(item, held, _below(path, name), set())
        if "additionalProperties" in schema:
            for name in sorted(value.keys() - known):
                if schema["additionalProperties"] is False:
                    yield _below(path, name), "property is not allowed"
                else:
                    yield from self.check(schema["additionalProperties"], value[name], _below(path, name), set())
            known |= value.keys()
        for name, item in schema.get("dependentSchemas", {}).items():
            if name in value:
                yield from self.check(item, value, path, seen)
        for name in value if "propertyNames" in schema else ():
            yield from self.check(schema["propertyNames"], name, _below(path, name), set())
        seen |= known
        if "unevaluatedProperties" in schema:
            for name in sorted(value.keys() - seen):
                yield from self.check(schema["unevaluatedProperties"], value[name], _below(path, name), set())
            seen |= value.keys()

    def array(
        self, schema: Mapping[str, Value], value: list[Value], path: str, seen: set[str | int]
    ) -> Iterator[Problem]:
        first = schema.get("prefixItems", schema["items"] if isinstance(schema.get("items"), list) else [])
        for index, item in enumerate(first[: len(value)]):
            seen.add(index)
            yield from self.check(item, value[index], _below(path, index), set())
        rest = schema.get("items", schema.get("additionalItems"))
        if rest is not None and not isinstance(rest, list):
            for index in range(len(first), len(value)):
                seen.add(index)
                yield from self.check(rest, value[index], _below(path, index), set())
        if "contains" in schema:
            matching = [index for index, item in enumerate(value) if self.valid(schema["contains"], item, set())]
            seen |= set(matching)
            low, high = schema.get("minContains", 1), schema.get("maxContains", math.inf)
            if not low <= len(matching) <= high:
                yield path, f"{len(matching)} items match the schema of contains, expected {low} to {high}"
        if "unevaluatedItems" in schema:
            for index in range(len(value)):
                if index not in seen:
                    yield from self.check(schema["unevaluatedItems"], value[index], _below(path, index), set())
            seen |= set(range(len(value)))


def _anchored(node: Value, name: str) -> Value:
    pending = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if item.get("$anchor") == name:
                return item
            pending += item.values()
        elif isinstance(item, list):
            pending += item
    return None


def _below(path: str, step: str | int) -> str:
    return f"{path}/{str(step).replace('~', '~0').replace('/', '~1')}"


def _plain_checks(schema: Mapping[str, Value], value: Value, path: str) -> Iterator[Problem]:
    """The assertions that look at the value alone."""
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        if not any(_TYPES[name](value) for name in names):
            yield path, f"value is {_type_of(value)} but should be {' or '.join(names)}"
    if "enum" in schema and not any(_same(value, item) for item in schema["enum"]):
        yield path, "value is not one of the allowed values"
    if "const" in schema and not _same(value, schema["const"]):
        yield path, "value is not the expected constant"
    if isinstance(value, str):
        yield from _counted(schema, path, len(value), "Length", "characters")
        if "pattern" in schema and not _pattern(schema["pattern"]).search(value):
            yield path, f"value does not match the pattern {schema['pattern']}"
    elif isinstance(value, list):
        yield from _counted(schema, path, len(value), "Items", "items")
        if schema.get("uniqueItems") is True and _has_duplicate(value):
            yield path, "items are not unique"
    elif isinstance(value, dict):
        yield from _counted(schema, path, len(value), "Properties", "properties")
        for name in schema.get("required", ()):
            if name not in value:
                yield path, f"required property {name} is missing"
        for name, needed in schema.get("dependentRequired", {}).items():
            for other in needed if name in value else ():
                if other not in value:
                    yield path, f"property {other} is required with {name}"
    elif _TYPES["number"](value):
        yield from _measured(schema, path, value)


def _counted(schema: Mapping[str, Value], path: str, count: int, what: str, unit: str) -> Iterator[Problem]:
    low, high = schema.get(f"min{what}"), schema.get(f"max{what}")
    if low is not None and count < low:
        yield path, f"{count} {unit}, expected at least {low}"
    if high is not None and count > high:
        yield path, f"{count} {unit}, expected at most {high}"


def _measured(schema: Mapping[str, Value], path: str, value: float) -> Iterator[Problem]:
    if "minimum" in schema and value < schema["minimum"]:
        yield path, f"{value} is less than {schema['minimum']}"
    if "maximum" in schema and value > schema["maximum"]:
        yield path, f"{value} is more than {schema['maximum']}"
    if "exclusiveMinimum" in schema and value <= schema["exclusiveMinimum"]:
        yield path, f"{value} is not more than {schema['exclusiveMinimum']}"
    if "exclusiveMaximum" in schema and value >= schema["exclusiveMaximum"]:
        yield path, f"{value} is not less than {schema['exclusiveMaximum']}"
    step = schema.get("multipleOf")
    if step and not math.isclose(value / step, round(value / step), rel_tol=1e-12, abs_tol=1e-12):
        yield path, f"{value} is not a multiple of {step}"


def _has_duplicate(items: list[Value]) -> bool:
    return any(_same(item, other) for index, item in enumerate(items) for other in items[:index])
