"""The builtin functions of the expression language that take no closure."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wippy_trio.text.expression.function_lists import LIST_FUNCTIONS
from wippy_trio.text.expression.function_times import TIME_FUNCTIONS
from wippy_trio.text.expression.operators import (
    COMPARE,
    as_int,
    fail,
    format_value,
    is_number,
    text_argument,
    type_name,
)
from wippy_trio.text.gonumbers import wrap_int64
from wippy_trio.text.gotime import Duration, Time
from wippy_trio.text.jsoncodec import JsonError, decode, encode_indented

__all__ = ["FUNCTIONS", "MAX_TEXT_CHARS"]

#: Longest text a function may build.
MAX_TEXT_CHARS = 1_000_000
_NESTING = 100
Value = Any
Function = Callable[..., Value]


def _built(text: str) -> str:
    if len(text) > MAX_TEXT_CHARS:
        fail("memory budget exceeded")
    return text


# -------------------------------------------------------------------------------------------------------- numbers
def _len(value: Value) -> int:
    if type(value) in (list, dict, str, bytes):
        return len(value)
    return fail(f"invalid argument for len (type {type_name(value)})")


def _type(value: Value) -> str:
    names = {type(None): "nil", bool: "bool", int: "int", float: "float", str: "string", list: "array", bytes: "array"}
    return {**names, dict: "map", Time: "time.Time", Duration: "time.Duration"}.get(type(value), "unknown")


def _numeric(name: str, apply: Callable[[Any], Value]) -> Function:
    def call(value: Value) -> Value:
        if not is_number(value):
            fail(f"invalid argument for {name} (type {type_name(value)})")
        return apply(value)

    return call


def _rounded(apply: Callable[[float], int]) -> Callable[[Any], float]:
    return lambda number: float(apply(number)) if math.isfinite(number) else float(number)


def _half_away(number: float) -> int:
    return int(math.copysign(math.floor(abs(number) + 0.5), number)) if abs(number) < 1 << 52 else int(number)


def _int(value: Value) -> int:
    if is_number(value):
        return as_int(value)
    if type(value) is str:
        digits = value[1:] if value[:1] in ("-", "+") else value
        if digits.isascii() and digits.isdigit() and -(1 << 63) <= int(value) < 1 << 63:
            return int(value)
        return fail(f"invalid operation: int({value})")
    if isinstance(value, Duration):
        return value.ns
    return fail(f"invalid operation: int({type_name(value)})")


def _float(value: Value) -> float:
    if is_number(value):
        return float(value)
    if type(value) is str:
        try:
            return float(value)
        except ValueError:
            return fail(f"invalid operation: float({value})")
    return fail(f"invalid operation: float({type_name(value)})")


def _extreme(name: str, replaces: Callable[[Value, Value], bool]) -> Function:
    def scan(values: Sequence[Value], depth: int, *, single: bool) -> Value:
        if depth > _NESTING:
            fail("recursion depth exceeded")
        best: Value = None
        for value in values:
            found = scan(value, depth + 1, single=False) if type(value) is list else value
            if found is None and type(value) is list:
                continue
            if not is_number(found):
                if single and depth == 0:
                    return value
                fail(f"invalid argument for {name} (type {type_name(found)})")
            if best is None or replaces(best, found):
                best = found
        return best

    def call(*values: Value) -> Value:
        if not values:
            fail(f"not enough arguments to call {name}")
        return scan(values, 0, single=len(values) == 1)

    return call


def _numbers(name: str, values: Sequence[Value], depth: int = 0) -> list[float]:
    if depth > _NESTING:
        fail("recursion depth exceeded")
    found: list[float] = []
    for value in values:
        if type(value) is list:
            found += _numbers(name, value, depth + 1)
        elif is_number(value):
            found.append(float(value))
        else:
            fail(f"invalid argument for {name} (type {type_name(value)})")
    return found


def _mean(*values: Value) -> float:
    numbers = _numbers("mean", values)
    return sum(numbers) / len(numbers) if numbers else 0.0


def _median(*values: Value) -> float:
    numbers = sorted(_numbers("median", values))
    if not numbers:
        return 0.0
    middle = len(numbers) // 2
    return numbers[middle] if len(numbers) % 2 else (numbers[middle - 1] + numbers[middle]) / 2


def _bits(name: str, apply: Callable[[int, int], int], *, shift: bool = False) -> Function:
    def call(left: Value, right: Value) -> int:
        for value in (left, right):
            if type(value) is not int:
                fail(f"cannot use {type_name(value)} as argument (type int) to call {name}")
        if shift and right < 0:
            fail(f"invalid operation: negative shift count {right} (type int)")
        return wrap_int64(apply(left, min(right, 64) if shift else right))

    return call


# ----------------------------------------------------------------------------------------------------------- text
def _trim(text: Value, cutset: Value = None) -> str:
    if cutset is None:
        return text_argument("trim", text).strip()
    return text_argument("trim", text).strip(text_argument("trim", cutset)) if cutset else text_argument("trim", text)


def _trim_prefix(text: Value, prefix: Value = " ") -> str:
    return text_argument("trimPrefix", text).removeprefix(text_argument("trimPrefix", prefix))


def _trim_suffix(text: Value, suffix: Value = " ") -> str:
    return text_argument("trimSuffix", text).removesuffix(text_argument("trimSuffix", suffix))


def _split(name: str, *, keep: bool) -> Function:
    def call(text: Value, separator: Value, limit: Value = -1) -> list[Value]:
        source, mark, most = text_argument(name, text), text_argument(name, separator), as_int(limit)
        if most == 0:
            return []
        if mark:
            parts = source.split(mark) if most < 0 else source.split(mark, most - 1)
        else:
            cut = len(source) if most < 0 else most - 1
            parts = [*source[:cut], *([source[cut:]] if source[cut:] else [])]
        return [part + mark for part in parts[:-1]] + parts[-1:] if keep else parts

    return call


def _replace(*given: Value) -> str:
    source, before, after = (text_argument("replace", value) for value in given[:3])
    most = as_int(given[3]) if len(given) > 3 else -1
    found = source.count(before) if most < 0 else min(source.count(before), most)
    if len(source) + found * max(len(after) - len(before), 0) > MAX_TEXT_CHARS:
        fail("memory budget exceeded")
    return source.replace(before, after) if most < 0 else source.replace(before, after, most)


def _repeat(text: Value, times: Value) -> str:
    source, count = text_argument("repeat", text), as_int(times)
    if count < 0:
        fail(f"invalid argument for repeat (expected positive integer, got {count})")
    if count > MAX_TEXT_CHARS or len(source) * count > MAX_TEXT_CHARS:
        fail("memory budget exceeded")
    return source * count


def _join(items: Value, glue: Value = "") -> str:
    if type(items) is not list:
        fail(f"invalid argument for join (type {type_name(items)})")
    return _built(text_argument("join", glue).join([text_argument("join", item) for item in items]))


def _index(name: str, find: Callable[[bytes, bytes], int]) -> Function:
    def call(*given: Value) -> int:
        text, part = (text_argument(name, value).encode("utf-8", "surrogateescape") for value in given)
        return find(text, part)

    return call


def _affix(name: str, test: Callable[[str, str], bool]) -> Function:
    return lambda text, part: test(text_argument(name, text), text_argument(name, part))


def _to_json(value: Value) -> str:
    try:
        return _built(encode_indented(value))
    except JsonError as error:
        return fail(str(error))


def _from_json(text: Value) -> Value:
    try:
        return decode(text_argument("fromJSON", text).encode("utf-8", "surrogateescape"), floats_only=True)
    except JsonError as error:
        return fail(str(error))


def _to_base64(text: Value) -> str:
    return base64.b64encode(text_argument("toBase64", text).encode("utf-8", "surrogateescape")).decode()


def _from_base64(text: Value) -> str:
    try:
        return base64.b64decode(text_argument("fromBase64", text), validate=True).decode("utf-8", "surrogateescape")
    except ValueError:
        return fail("illegal base64 data")


#: name -> (fewest arguments, most arguments, function).
FUNCTIONS: Mapping[str, tuple[int, int, Function]] = {
    **LIST_FUNCTIONS,
    **TIME_FUNCTIONS,
    "len": (1, 1, _len),
    "type": (1, 1, _type),
    "abs": (1, 1, _numeric("abs", lambda number: wrap_int64(abs(number)) if type(number) is int else abs(number))),
    "ceil": (1, 1, _numeric("ceil", _rounded(math.ceil))),
    "floor": (1, 1, _numeric("floor", _rounded(math.floor))),
    "round": (1, 1, _numeric("round", _rounded(_half_away))),
    "int": (1, 1, _int),
    "float": (1, 1, _float),
    "string": (1, 1, lambda value: _built(format_value(value))),
    "trim": (1, 2, _trim),
    "trimPrefix": (1, 2, _trim_prefix),
    "trimSuffix": (1, 2, _trim_suffix),
    "upper": (1, 1, lambda value: text_argument("upper", value).upper()),
    "lower": (1, 1, lambda value: text_argument("lower", value).lower()),
    "split": (2, 3, _split("split", keep=False)),
    "splitAfter": (2, 3, _split("splitAfter", keep=True)),
    "replace": (3, 4, _replace),
    "repeat": (2, 2, _repeat),
    "join": (1, 2, _join),
    "indexOf": (2, 2, _index("indexOf", bytes.find)),
    "lastIndexOf": (2, 2, _index("lastIndexOf", bytes.rfind)),
    "hasPrefix": (2, 2, _affix("hasPrefix", str.startswith)),
    "hasSuffix": (2, 2, _affix("hasSuffix", str.endswith)),
    "max": (1, 255, _extreme("max", COMPARE["<"])),
    "min": (1, 255, _extreme("min", COMPARE[">"])),
    "mean": (1, 255, _mean),
    "median": (1, 255, _median),
    "toJSON": (1, 1, _to_json),
    "fromJSON": (1, 1, _from_json),
    "toBase64": (1, 1, _to_base64),
    "fromBase64": (1, 1, _from_base64),
    "bitand": (2, 2, _bits("bitand", lambda left, right: left & right)),
    "bitor": (2, 2, _bits("bitor", lambda left, right: left | right)),
    "bitxor": (2, 2, _bits("bitxor", lambda left, right: left ^ right)),
    "bitnand": (2, 2, _bits("bitnand", lambda left, right: left & ~right)),
    "bitshl": (2, 2, _bits("bitshl", lambda left, right: left << right, shift=True)),
    "bitshr": (2, 2, _bits("bitshr", lambda left, right: left >> right, shift=True)),
    "bitushr": (2, 2, _bits("bitushr", lambda left, right: (left & (1 << 64) - 1) >> right, shift=True)),
    "bitnot": (1, 1, _numeric("bitnot", lambda number: ~as_int(number))),
}
