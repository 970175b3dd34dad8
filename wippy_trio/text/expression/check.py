"""Static checks of an expression: what can be seen to fail before it runs.

A type is a word: `any` (unknown), nil, bool, int, float, string, bytes, map, time, duration, location, or `array` with
the type of its items after a colon. An environment given at compile time makes its names the only ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from wippy_trio.text.expression.functions import FUNCTIONS
from wippy_trio.text.expression.lex import ExpressionError, error_at
from wippy_trio.text.expression.nodes import (
    ArrayOf,
    Binary,
    Builtin,
    Call,
    Chain,
    Condition,
    Constant,
    Let,
    MapOf,
    Member,
    Name,
    Node,
    Pointer,
    Predicate,
    Sequence,
    SliceOf,
    Unary,
)
from wippy_trio.text.expression.operators import pattern_of
from wippy_trio.text.expression.parse import BUILTIN_NAMES, PREDICATES
from wippy_trio.text.gotime import Duration, Location, Time

__all__ = ["check"]

_NUMBERS = frozenset({"int", "float"})
_PLAIN = {
    type(None): "nil", bool: "bool", int: "int", float: "float", str: "string", bytes: "bytes", dict: "map",
    list: "array:any", Time: "time", Duration: "duration", Location: "location",
}  # fmt: skip
_SHOWN = {
    "any": "unknown", "float": "float64", "map": "map[string]interface {}", "bytes": "[]uint8", "time": "time.Time",
    "duration": "time.Duration", "location": "*time.Location",
}  # fmt: skip
_ORDERED = ("number", "string", "time", "duration")
#: operator -> what both sides may be, when they are alike.
_ALIKE = {
    "or": ("bool",), "and": ("bool",), "||": ("bool",), "&&": ("bool",),
    "<": _ORDERED, ">": _ORDERED, "<=": _ORDERED, ">=": _ORDERED,
    "-": ("number", "time", "duration"), "*": ("number", "duration"), "+": ("number", "string", "duration"),
    "/": ("number",), "**": ("number",), "^": ("number",), "%": ("int",), "..": ("int",),
    "matches": ("string",), "contains": ("string",), "startsWith": ("string",), "endsWith": ("string",),
}  # fmt: skip
_MIXED = {
    ("time", "-", "duration"): "time", ("time", "-", "time"): "duration", ("time", "+", "duration"): "time",
    ("duration", "+", "time"): "time", ("int", "*", "duration"): "duration", ("float", "*", "duration"): "duration",
    ("duration", "*", "int"): "duration", ("duration", "*", "float"): "duration",
}  # fmt: skip
_BOOLEAN = frozenset(
    {"or", "and", "||", "&&", "<", ">", "<=", ">=", "matches", "contains", "startsWith", "endsWith", "in", "==", "!="}
)
_RESULTS = {
    "type": "string", "string": "string", "trim": "string", "trimPrefix": "string", "trimSuffix": "string",
    "upper": "string", "lower": "string", "replace": "string", "repeat": "string", "join": "string",
    "toJSON": "string", "toBase64": "string", "fromBase64": "string",
    "len": "int", "int": "int", "indexOf": "int", "lastIndexOf": "int", "count": "int", "bitand": "int",
    "bitor": "int", "bitxor": "int", "bitnand": "int", "bitshl": "int", "bitshr": "int", "bitushr": "int",
    "bitnot": "int", "findIndex": "int", "findLastIndex": "int",
    "ceil": "float", "floor": "float", "round": "float", "float": "float",
    "hasPrefix": "bool", "hasSuffix": "bool", "all": "bool", "any": "bool", "none": "bool", "one": "bool",
    "split": "array:string", "splitAfter": "array:string", "keys": "array:any", "values": "array:any",
    "toPairs": "array:any", "reverse": "array:any", "uniq": "array:any", "concat": "array:any",
    "flatten": "array:any", "sort": "array:any", "map": "array:any", "fromPairs": "map", "groupBy": "map",
    "now": "time", "date": "time", "duration": "duration", "timezone": "location",
}  # fmt: skip
#: Builtins whose first arguments are strings, and how many.
_STRINGS = {
    "trim": 2, "trimPrefix": 2, "trimSuffix": 2, "upper": 1, "lower": 1, "indexOf": 2, "lastIndexOf": 2,
    "hasPrefix": 2, "hasSuffix": 2, "fromJSON": 1, "toBase64": 1, "fromBase64": 1, "duration": 1, "timezone": 1,
    "split": 2, "splitAfter": 2, "replace": 3, "repeat": 1,
}  # fmt: skip
_LISTS = {
    "reverse": "reverse", "uniq": "uniq", "flatten": "flatten", "take": "take from", "concat": "concat",
    "first": "get first element from", "last": "get last element from",
}  # fmt: skip
_BOOL_BODY = frozenset(
    {"all", "none", "any", "one", "filter", "find", "findIndex", "findLast", "findLastIndex", "count"}
)


def check(tree: Node, source: str, environment: Mapping[str, Any] | None = None) -> str:
    """The type of the whole expression.

    Raises:
        ExpressionError: types that cannot go together, a name the environment lacks, a wrong count of arguments, a
            bad regular expression.
    """
    return _Checker(source, environment).visit(tree)


def _is(kind: str, wanted: str) -> bool:
    return kind in _NUMBERS if wanted == "number" else kind == wanted


def _shown(kind: str) -> str:
    if kind.startswith("array"):
        item = kind[6:]
        return "[]" + ("interface {}" if item in ("any", "nil") else _shown(item))
    return _SHOWN.get(kind, kind)


def _comparable(left: str, right: str) -> bool:
    if left == right or "any" in (left, right) or "nil" in (left, right):
        return True
    return (left in _NUMBERS and right in _NUMBERS) or (left.startswith("array") and right.startswith("array"))


class _Checker:
    def __init__(self, source: str, environment: Mapping[str, Any] | None) -> None:
        self.source = source
        self.environment = environment
        self.variables: dict[str, str] = {}
        self.items: list[tuple[str, str]] = []

    def fail(self, node: Node, message: str) -> ExpressionError:
        return error_at(self.source, node.at, message)

    def visit(self, node: Node) -> str:
        return _VISITORS[type(node)](self, node)

    # ---------------------------------------------------------------------------------------- names and literals
    def constant(self, node: Constant) -> str:
        return _PLAIN[type(node.value)]

    def name(self, node: Name) -> str:
        if node.name in self.variables:
            return self.variables[node.name]
        if node.name == "$env" or self.environment is None:
            return "any"
        if node.name not in self.environment:
            raise self.fail(node, f"unknown name {node.name}")
        return _PLAIN.get(type(self.environment[node.name]), "any")

    def let(self, node: Let) -> str:
        taken = "builtin" if node.name in BUILTIN_NAMES or node.name in PREDICATES else "variable"
        if self.environment is not None and node.name in self.environment:
            raise self.fail(node, f"cannot redeclare {node.name}")
        if taken == "builtin" or node.name in self.variables:
            raise self.fail(node, f"cannot redeclare {taken} {node.name}")
        self.variables[node.name] = self.visit(node.value)
        kind = self.visit(node.body)
        del self.variables[node.name]
        return kind

    def sequence(self, node: Sequence) -> str:
        return [self.visit(item) for item in node.items][-1]

    def array(self, node: ArrayOf) -> str:
        kinds = {self.visit(item) for item in node.items}
        only = kinds.pop() if len(kinds) == 1 else "any"
        return f"array:{'any' if only == 'nil' else only}"

    def mapping(self, node: MapOf) -> str:
        for pair in node.pairs:
            for part in pair:
                self.visit(part)
        return "map"

    def pointer(self, node: Pointer) -> str:
        if not self.items:
            raise self.fail(node, "cannot use pointer accessor outside predicate")
        kind, loop = self.items[-1]
        if not node.name:
            return kind
        if node.name not in {"map": ("index",), "reduce": ("index", "acc")}.get(loop, ()):
            raise self.fail(node, f"unknown pointer #{node.name}")
        return "int" if node.name == "index" else "any"

    # ------------------------------------------------------------------------------------------------- operators
    def unary(self, node: Unary) -> str:
        kind = self.visit(node.operand)
        if node.operator in ("not", "!"):
            if kind in ("bool", "any"):
                return "bool"
        elif kind in _NUMBERS or kind == "any":
            return kind
        raise self.fail(node, f"invalid operation: {node.operator} (mismatched type {_shown(kind)})")

    def binary(self, node: Binary) -> str:
        left, right, operator = self.visit(node.left), self.visit(node.right), node.operator
        if operator == "??":
            return right if left == "nil" else left if right in ("nil", left) else "any"
        if operator == "matches" and isinstance(node.right, Constant) and type(node.right.value) is str:
            self.pattern(node.right, node.right.value)
        if not self.fits(node, left, right):
            detail = f"mismatched types {_shown(left)} and {_shown(right)}"
            raise self.fail(node, f"invalid operation: {operator} ({detail})")
        if operator in _BOOLEAN:
            return "bool"
        if operator == "..":
            return "array:int"
        if operator in ("/", "**", "^"):
            return "float"
        if (left, operator, right) in _MIXED:
            return _MIXED[left, operator, right]
        return "any" if "any" in (left, right) else "float" if {left, right} == _NUMBERS else left

    def fits(self, node: Binary, left: str, right: str) -> bool:
        if node.operator in ("==", "!="):
            return _comparable(left, right)
        if node.operator == "in":
            return self.inside(node, left, right)
        if (left, node.operator, right) in _MIXED or (left == right == "any"):
            return True
        if node.operator == "matches" and left == "bytes":
            return right in ("string", "any")
        alike = _ALIKE[node.operator] + (("time",) if node.operator == "+" and "any" in (left, right) else ())
        return any((left == "any" or _is(left, kind)) and (right == "any" or _is(right, kind)) for kind in alike)

    def inside(self, node: Binary, left: str, right: str) -> bool:
        if right == "map" and left not in ("string", "any"):
            raise self.fail(node, f"cannot use {_shown(left)} as type string in map key")
        if right.startswith("array") and not _comparable(left, right[6:]):
            raise self.fail(node, f"cannot use {_shown(left)} as type {_shown(right[6:])} in array")
        return right in ("map", "any") or right.startswith("array") or (left == "any" and right == "string")

    def pattern(self, node: Node, text: str) -> None:
        try:
            pattern_of(text)
        except ExpressionError as error:
            raise self.fail(node, error.message) from None

    def condition(self, node: Condition) -> str:
        test = self.visit(node.test)
        if test not in ("bool", "any"):
            raise self.fail(node.test, f"non-bool expression (type {_shown(test)}) used as condition")
        then, otherwise = self.visit(node.then), self.visit(node.otherwise)
        return otherwise if then == "nil" else then if otherwise in ("nil", then) else "any"

    # ----------------------------------------------------------------------------------------- members and calls
    def member(self, node: Member) -> str:
        base, key = self.visit(node.base), self.visit(node.key)
        named = node.key.value if isinstance(node.key, Constant) and type(node.key.value) is str else None
        if base == "any":
            return "any"
        if base == "map":
            if key not in ("string", "any"):
                raise self.fail(node.key, f"cannot use {_shown(key)} to get an element from {_shown(base)}")
            return "any"
        if base.startswith("array"):
            if key not in ("int", "any"):
                raise self.fail(node.key, f"array elements can only be selected using an integer (got {_shown(key)})")
            return base[6:]
        if base in ("time", "duration"):
            return "any"
        if named is not None:
            raise self.fail(node, f"type {_shown(base)} has no field {named}")
        raise self.fail(node, f"type {_shown(base)}[{_shown(key)}] is undefined")

    def slice(self, node: SliceOf) -> str:
        base = self.visit(node.base)
        if base not in ("any", "string", "bytes") and not base.startswith("array"):
            raise self.fail(node, f"cannot slice {_shown(base)}")
        for bound in (node.start, node.stop):
            if bound is not None and (kind := self.visit(bound)) not in ("int", "any"):
                raise self.fail(bound, f"non-integer slice index {_shown(kind)}")
        return base

    def call(self, node: Call) -> str:
        if isinstance(node.target, Name):
            if self.environment is not None and node.target.name not in self.environment:
                raise self.fail(node, f"unknown name {node.target.name}")
        else:
            self.visit(node.target)
        for argument in node.arguments:
            self.visit(argument)
        return "any"

    def builtin(self, node: Builtin) -> str:
        if node.name in PREDICATES:
            return self.loop(node)
        kinds = [self.visit(argument) for argument in node.arguments]
        if node.name == "now":
            return "time"
        low, high, _ = FUNCTIONS[node.name]
        if not low <= len(kinds) <= high:
            few = "not enough" if len(kinds) < low else "too many"
            raise self.fail(node, f"{few} arguments to call {node.name}")
        self.arguments(node, kinds)
        if node.name in ("abs", "take"):
            return kinds[0]
        if node.name in ("first", "last", "get"):
            return kinds[0][6:] if kinds[0].startswith("array") else "any"
        if node.name in ("max", "min", "mean", "median"):
            return kinds[0] if all(kind in _NUMBERS for kind in kinds) and len(set(kinds)) == 1 else "any"
        return _RESULTS.get(node.name, "any")

    def arguments(self, node: Builtin, kinds: list[str]) -> None:
        first, name = kinds[0] if kinds else "any", node.name
        for argument, kind in zip(node.arguments[: _STRINGS.get(name, 0)], kinds, strict=False):
            if kind not in ("string", "any"):
                raise self.fail(argument, f"cannot use {_shown(kind)} as argument (type string) to call {name}")
        if name.startswith("bit"):
            for argument, kind in zip(node.arguments, kinds, strict=True):
                if kind not in ("int", "any"):
                    raise self.fail(argument, f"cannot use {_shown(kind)} as argument (type int) to call {name}")
        if name == "get" and first not in ("any", "map") and not first.startswith("array"):
            raise self.fail(node.arguments[0], f"type {_shown(first)} does not support indexing")
        if name in _LISTS and first != "any" and not first.startswith("array"):
            raise self.fail(node, f"cannot {_LISTS[name]} {_shown(first)}")
        if name == "len" and first not in ("any", "string", "map", "bytes") and not first.startswith("array"):
            raise self.fail(node, f"invalid argument for len (type {_shown(first)})")
        if name in ("abs", "ceil", "floor", "round") and first != "any" and first not in _NUMBERS:
            raise self.fail(node, f"invalid argument for {name} (type {_shown(first)})")
        if name in ("int", "float") and first not in ("any", "string", "duration") and first not in _NUMBERS:
            raise self.fail(node, f"invalid argument for {name} (type {_shown(first)})")
        if name in ("max", "min", "mean", "median"):
            for kind in kinds:
                if kind == "any" or kind.startswith("array"):
                    return
                if kind not in _NUMBERS:
                    raise self.fail(node, f"invalid argument for {name} (type {_shown(kind)})")

    def loop(self, node: Builtin) -> str:
        values = self.visit(node.arguments[0])
        if values != "any" and not values.startswith("array"):
            shown = f"builtin {node.name} takes only array (got {_shown(values)})"
            raise self.fail(node.arguments[0], shown)
        body = "any"
        if len(node.arguments) > 1:
            self.items.append((values[6:] if values != "any" else "any", node.name))
            body = self.visit(node.arguments[1])
            self.items.pop()
        for extra in node.arguments[2:]:
            self.visit(extra)
        if node.name in _BOOL_BODY and len(node.arguments) > 1 and body not in ("bool", "any"):
            raise self.fail(node.arguments[1], f"predicate should return boolean (got {_shown(body)})")
        if node.name in ("filter", "sortBy"):
            return "array:any" if node.name == "filter" or values == "any" else values
        return body if node.name == "reduce" else _RESULTS.get(node.name, "any")


_VISITORS: Mapping[type[Node], Callable[[_Checker, Any], str]] = {
    Constant: _Checker.constant,
    Name: _Checker.name,
    Unary: _Checker.unary,
    Binary: _Checker.binary,
    Chain: lambda checker, node: checker.visit(node.body),
    Member: _Checker.member,
    SliceOf: _Checker.slice,
    Call: _Checker.call,
    Builtin: _Checker.builtin,
    Predicate: lambda checker, node: checker.visit(node.body),
    Pointer: _Checker.pointer,
    Let: _Checker.let,
    Sequence: _Checker.sequence,
    Condition: _Checker.condition,
    ArrayOf: _Checker.array,
    MapOf: _Checker.mapping,
}
