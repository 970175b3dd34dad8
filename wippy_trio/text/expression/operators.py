"""What the operators of the expression language do with values.

Values: None, bool, int (64 bits, wrapping), float, str, bytes, list, dict with str keys, and the time values of
`wippy_trio.text.gotime`. Strings are text; what the language counts in bytes (slices, indexes) is counted in UTF-8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import re2

from wippy_trio.text.expression.lex import ExpressionError
from wippy_trio.text.gonumbers import float_text, wrap_int64
from wippy_trio.text.gotime import Duration, Time

__all__ = [
    "ARITHMETIC",
    "BINARY",
    "COMPARE",
    "as_int",
    "contains",
    "equal",
    "fail",
    "fetch",
    "format_value",
    "is_number",
    "pattern_of",
    "slice_of",
    "text_argument",
    "type_name",
]

Value = Any
_GO_NAMES: dict[type, str] = {
    type(None): "<nil>",
    bool: "bool",
    int: "int",
    float: "float64",
    str: "string",
    bytes: "[]uint8",
    list: "[]interface {}",
    dict: "map[string]interface {}",
    Time: "time.Time",
    Duration: "time.Duration",
}


def type_name(value: Value) -> str:
    """The type of `value` as the language's messages name it."""
    return _GO_NAMES.get(type(value), type(value).__name__)


def fail(message: str) -> NoReturn:
    """Raise an `ExpressionError`."""
    raise ExpressionError(message)


def is_number(value: Value) -> bool:
    """Whether `value` is an integer or a float (a bool is not)."""
    kind = type(value)
    return kind is int or kind is float


def as_int(value: Value) -> int:
    """An index or count: floats lose their fraction."""
    kind = type(value)
    if kind is int:
        return value  # type: ignore[no-any-return]
    if kind is float and math.isfinite(value):
        return wrap_int64(int(value))
    return fail(f"invalid operation: int({type_name(value)})")


def text_argument(name: str, value: Value) -> str:
    """`value`, which has to be a string argument of the function `name`."""
    if type(value) is str:
        return value
    return fail(f"cannot use {type_name(value)} as argument (type string) to call {name}")


# ---------------------------------------------------------------------------------------------------- arithmetic
def _add(left: Value, right: Value) -> Value:
    if is_number(left) and is_number(right):
        total = left + right
        return wrap_int64(total) if type(total) is int else total
    if type(left) is str and type(right) is str:
        return left + right
    if isinstance(left, Time) and isinstance(right, Duration):
        return left.add(right)
    if isinstance(left, Duration) and isinstance(right, Time):
        return right.add(left)
    if isinstance(left, Duration) and isinstance(right, Duration):
        return Duration(wrap_int64(left.ns + right.ns))
    return _mismatch(left, "+", right)


def _subtract(left: Value, right: Value) -> Value:
    if is_number(left) and is_number(right):
        difference = left - right
        return wrap_int64(difference) if type(difference) is int else difference
    if isinstance(left, Time) and isinstance(right, Time):
        return left.sub(right)
    if isinstance(left, Time) and isinstance(right, Duration):
        return left.add(Duration(-right.ns))
    if isinstance(left, Duration) and isinstance(right, Duration):
        return Duration(wrap_int64(left.ns - right.ns))
    return _mismatch(left, "-", right)


def _multiply(left: Value, right: Value) -> Value:
    if is_number(left) and is_number(right):
        product = left * right
        return wrap_int64(product) if type(product) is int else product
    sides = [side.ns if isinstance(side, Duration) else side for side in (left, right)]
    if (isinstance(left, Duration) or isinstance(right, Duration)) and is_number(sides[0]) and is_number(sides[1]):
        return Duration(wrap_int64(int(sides[0] * sides[1])))
    return _mismatch(left, "*", right)


def _divide(left: Value, right: Value) -> float:
    if not (is_number(left) and is_number(right)):
        return _mismatch(left, "/", right)
    if right == 0:
        if left == 0 or left != left:  # noqa: PLR0124 - not-a-number
            return math.nan
        return math.copysign(math.inf, left) * math.copysign(1.0, right)
    return float(left) / float(right)


def _modulo(left: Value, right: Value) -> int:
    if type(left) is not int or type(right) is not int:
        return _mismatch(left, "%", right)
    if right == 0:
        return fail("integer divide by zero")
    remainder = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


def _power(left: Value, right: Value) -> float:
    for side in (left, right):
        if not is_number(side):
            return fail(f"invalid operation: float({type_name(side)})")
    try:
        return math.pow(left, right)
    except OverflowError:
        return math.inf if left > 0 or right % 2 == 0 else -math.inf
    except ValueError:
        return math.inf if left == 0 else math.nan


def _mismatch(left: Value, operator: str, right: Value) -> NoReturn:
    fail(f"invalid operation: {type_name(left)} {operator} {type_name(right)}")


ARITHMETIC: Mapping[str, Callable[[Value, Value], Value]] = {
    "+": _add,
    "-": _subtract,
    "*": _multiply,
    "/": _divide,
    "%": _modulo,
    "**": _power,
    "^": _power,
}


# ---------------------------------------------------------------------------------------------------- comparison
def _ordered(operator: str, test: Callable[[Any, Any], bool]) -> Callable[[Value, Value], bool]:
    def compare(left: Value, right: Value) -> bool:
        if is_number(left) and is_number(right):
            return test(left, right)
        if type(left) is type(right):
            if type(left) is str:
                return test(_bytes(left), _bytes(right))
            if isinstance(left, Time):
                return test(left.unix_ns, right.unix_ns)
            if isinstance(left, Duration):
                return test(left.ns, right.ns)
        return _mismatch(left, operator, right)

    return compare


COMPARE: Mapping[str, Callable[[Value, Value], bool]] = {
    "<": _ordered("<", lambda left, right: left < right),
    ">": _ordered(">", lambda left, right: left > right),
    "<=": _ordered("<=", lambda left, right: left <= right),
    ">=": _ordered(">=", lambda left, right: left >= right),
}


def equal(left: Value, right: Value) -> bool:
    """Equality: numbers by value whatever their kind, lists and maps by content, else the same type and value."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if type(left) is not type(right):
        return False
    if type(left) is list:
        return len(left) == len(right) and all(map(equal, left, right))
    if type(left) is dict:
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    if isinstance(left, Time):
        return bool(left.unix_ns == right.unix_ns)
    return bool(left == right)


def contains(needle: Value, whole: Value) -> bool:
    """The operator `in`: an item of a list, a key of a map; false for nil."""
    if whole is None:
        return False
    if type(whole) is list:
        return any(equal(item, needle) for item in whole)
    if type(whole) is dict:
        if needle is not None and type(needle) is not str:
            return fail(f"cannot use {type_name(needle)} as type string in map key")
        return needle in whole
    return fail(f'operator "in" not defined on {type_name(whole)}')


# ------------------------------------------------------------------------------------------------------- members
def fetch(base: Value, key: Value) -> Value:
    """`base[key]`: a missing key of a map is nil, an index outside a list fails, a negative one counts from the end."""
    kind = type(base)
    if kind is dict:
        if key is not None and type(key) is not str:
            return fail(f"cannot use {type_name(key)} to get an element from {type_name(base)}")
        return base.get(key)
    if kind in (list, str, bytes):
        if kind is str and not base.isascii():
            base = _bytes(base)
        index, length = as_int(key), len(base)
        if index < 0:
            index += length
        if not 0 <= index < length:
            return fail(f"index out of range: {index} (array length is {length})")
        found = base[index]
        return ord(found) if type(found) is str and kind is str else found
    return fail(f"cannot fetch {format_value(key)} from {type_name(base)}")


def slice_of(base: Value, start: Value, stop: Value) -> Value:
    """`base[start:stop]` of a list or of a string's bytes; bounds are clamped, negative ones count from the end."""
    if type(base) not in (list, str, bytes):
        return fail(f"cannot slice {type_name(base)}")
    source = base if type(base) is not str or base.isascii() else _bytes(base)
    length = len(source)
    first = 0 if start is None else as_int(start)
    last = length if stop is None else as_int(stop)
    first = max(first + length, 0) if first < 0 else first
    last = max(last + length, 0) if last < 0 else min(last, length)
    part = source[min(first, last) : last]
    return part.decode("utf-8", "surrogateescape") if type(base) is str and type(part) is bytes else part


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def format_value(value: Value) -> str:
    """The text of a value as `string(value)` gives it."""
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if value is None:
        return "<nil>"
    if kind is bool:
        return "true" if value else "false"
    if kind is float:
        return float_text(value)
    if kind is list:
        return f"[{' '.join(map(format_value, value))}]"
    if kind is dict:
        return f"map[{' '.join(f'{key}:{format_value(value[key])}' for key in sorted(value))}]"
    if kind is bytes:
        return f"[{' '.join(map(str, value))}]"
    return str(value)


# ----------------------------------------------------------------------------------------------------------- text
def _text_test(test: Callable[[str, str], bool]) -> Callable[[Value, Value], bool]:
    def apply(left: Value, right: Value) -> bool:
        if left is None or right is None:
            return False
        for value in (left, right):
            if type(value) is not str:
                fail(f"interface conversion: interface {{}} is {type_name(value)}, not string")
        return test(left, right)

    return apply


#: What the plain binary operators do.
BINARY: Mapping[str, Callable[[Value, Value], Value]] = {
    **ARITHMETIC,
    **COMPARE,
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "in": contains,
    "contains": _text_test(lambda text, part: part in text),
    "startsWith": _text_test(str.startswith),
    "endsWith": _text_test(str.endswith),
}


def pattern_of(text: str) -> Any:
    """A compiled regular expression (RE2 syntax, linear time), to be used on bytes."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(text.encode("utf-8", "surrogateescape"), options)
    except re2.error as error:
        problem = error.args[0]
        shown = problem.decode("utf-8", "replace") if isinstance(problem, bytes) else problem
        return fail(f"error parsing regexp: {shown}: `{text}`")
