"""YAML as the reference writes it. Reading is `wippy_trio.loader.yaml.parse`.

Values: None, bool, int, float, str, list, dict with str keys. Source: docs page lua/data/yaml; the style is that of
Go's yaml.v3.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cmp_to_key
from typing import Any

import yaml
from yaml.emitter import Emitter

from sandbox.errors import KINDS, LuaError
from wippy_trio.core.errors import InvalidError
from wippy_trio.text.golayout_parse import parse_time
from wippy_trio.text.gonumbers import float_text
from wippy_trio.text.gotime import UTC

__all__ = ["MAX_DEPTH", "encode_yaml", "natural_key"]

MAX_DEPTH = 128
Value = Any
_WORDS = frozenset(
    """~ null Null NULL true True TRUE false False FALSE .nan .NaN .NAN .inf .Inf .INF +.inf +.Inf +.INF -.inf -.Inf
    -.INF << y Y yes Yes YES on On ON n N no No NO off Off OFF""".split()  # noqa: SIM905 - a list of words
) | {""}
_NUMBER = re.compile(
    r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
)
_SIXTIES = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_DATED = re.compile(r"[0-9]{4}-")
_DATES = ("2006-1-2T15:4:5.999999999Z07:00", "2006-1-2t15:4:5.999999999Z07:00", "2006-1-2 15:4:5.999999999", "2006-1-2")


class _Writer(Emitter):
    """libyaml's emitter with yaml.v3's indents: lists are indented below their key, what is in an item by two."""

    states: list[Any]
    indent: int | None
    indents: list[int | None]
    best_indent: int

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        self.indents.append(self.indent)
        if self.indent is None:
            self.indent = self.best_indent if flow else 0
        elif self.states and self.states[-1] == self.expect_block_sequence_item:
            self.indent += 2
        else:
            self.indent = self.best_indent * ((self.indent + self.best_indent) // self.best_indent)

    def check_empty_document(self) -> bool:
        return False  # an empty text alone needs no document mark

    def check_simple_key(self) -> bool:
        # The empty key is as simple as any; PyYAML would write it in the long form.
        if isinstance(self.event, yaml.ScalarEvent) and self.event.value == "":
            return True
        return bool(super().check_simple_key())


def encode_yaml(
    value: Value, *, indent: int = 4, field_order: Sequence[str] | None = None, sort_unordered: bool = False
) -> bytes:
    """A YAML document.

    Args:
        value: what to write.
        indent: spaces a level.
        field_order: keys that come first, in this order, at every level.
        sort_unordered: whether the other keys come by plain text order; otherwise numbers in them count as numbers.

    Raises:
        LuaError: nesting beyond `MAX_DEPTH` (kind INTERNAL).
    """
    ranks = {name: rank for rank, name in enumerate(field_order or ())}
    key = (lambda name: name) if sort_unordered else natural_key

    def ordered(mapping: Mapping[str, Value]) -> list[tuple[str, Value]]:
        return sorted(mapping.items(), key=lambda item: (ranks.get(item[0], len(ranks)), key(item[0])))

    stream = io.StringIO()
    writer = _Writer(stream, indent=indent, width=1 << 30, allow_unicode=True)
    events = [yaml.StreamStartEvent(), yaml.DocumentStartEvent(explicit=False), *_events(value, ordered, 0)]
    for event in [*events, yaml.DocumentEndEvent(explicit=False), yaml.StreamEndEvent()]:
        writer.emit(event)
    text = stream.getvalue().removesuffix("...\n")
    return text.encode("utf-8", "replace")


def _events(value: Value, ordered: Any, depth: int) -> Iterator[yaml.Event]:
    if depth > MAX_DEPTH:
        raise LuaError(f"nested deeper than {MAX_DEPTH} levels", kind=KINDS["INTERNAL"], retryable=False)
    if isinstance(value, Mapping):
        yield yaml.MappingStartEvent(None, None, implicit=True, flow_style=not value)
        for name, item in ordered(value):
            yield _scalar(name)
            yield from _events(item, ordered, depth + 1)
        yield yaml.MappingEndEvent()
    elif isinstance(value, (list, tuple)):
        yield yaml.SequenceStartEvent(None, None, implicit=True, flow_style=not value)
        for item in value:
            yield from _events(item, ordered, depth + 1)
        yield yaml.SequenceEndEvent()
    else:
        yield _scalar(value)


def _scalar(value: Value) -> yaml.ScalarEvent:
    if isinstance(value, str):
        return _string(value)
    if value is None:
        text = "null"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, float):
        text = float_text(value) if math.isfinite(value) else {math.inf: ".inf", -math.inf: "-.inf"}.get(value, ".nan")
    else:
        text = str(value)
    return yaml.ScalarEvent(None, None, (True, False), text)


def _string(text: str) -> yaml.ScalarEvent:
    try:
        text.encode()
    except UnicodeEncodeError:
        coded = base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
        return yaml.ScalarEvent(None, "tag:yaml.org,2002:binary", (False, False), coded)
    if "\n" in text:
        return yaml.ScalarEvent(None, None, (True, True), text, style="|")
    plain = not _reads_otherwise(text)
    # The first flag allows the plain style; without it the emitter quotes, doubly as asked for here.
    return yaml.ScalarEvent(None, None, (plain, True), text, style=None if plain else '"')


def _reads_otherwise(text: str) -> bool:
    """Whether a plain scalar of this text would be read as something else, by YAML 1.2 or by 1.1."""
    if text in _WORDS or _NUMBER.fullmatch(text.replace("_", "")) or _SIXTIES.fullmatch(text):
        return True
    if _DATED.match(text):
        for layout in _DATES:
            try:
                parse_time(layout, text, UTC)
            except InvalidError:
                continue
            return True
    return False


def natural_key(name: str) -> Any:
    """A sort key by which numbers inside names count as numbers, and letters come after other signs."""
    return cmp_to_key(_compare)(name)


def _compare(left: str, right: str) -> int:
    digits = False
    for index, (mine, other) in enumerate(zip(left, right, strict=False)):
        if mine == other:
            digits = mine.isdigit()
            continue
        mine_alpha, other_alpha = mine.isalpha(), other.isalpha()
        if mine_alpha and other_alpha:
            return -1 if mine < other else 1
        if mine_alpha or other_alpha:
            # After a number, a letter ends it and comes first; else letters come after other signs.
            return -1 if mine_alpha == digits else 1
        return _compare_numbers(left, right, index)
    return len(left) - len(right)


def _compare_numbers(left: str, right: str, index: int) -> int:
    one = 0
    if "0" in (left[index], right[index]):
        before = index - 1
        while before >= 0 and left[before].isdigit():
            if left[before] != "0":
                one = 1
                break
            before -= 1
    mine, mine_end = _run(left, index, one)
    other, other_end = _run(right, index, one)
    if mine != other:
        return -1 if mine < other else 1
    if mine_end != other_end:
        return -1 if mine_end < other_end else 1
    return -1 if left[index] < right[index] else 1


def _run(text: str, start: int, value: int) -> tuple[int, int]:
    end = start
    while end < len(text) and text[end].isdigit():
        value = value * 10 + ord(text[end]) - ord("0")
        end += 1
    return value, end
