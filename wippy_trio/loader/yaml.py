"""YAML and JSON files as values, with the place of every key.

Scalars resolve as in YAML 1.2 with the reference's additions: `yes`, `no`, `on`, `off`, `1:20` and dates stay texts;
`0x1F`, `0o17`, `0b11`, `017` and `1_000` are integers. A key given twice, nesting beyond `MAX_DEPTH`, aliases that
expand beyond `MAX_NODES` and files beyond `MAX_BYTES` are refused.

The builder reads libyaml's events instead of composing nodes: one pass, no recursion in C, and every limit is checked
before memory is spent. Source: docs start/structure; scalar rules as the reference's YAML library has them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import yaml

from wippy_trio.core.errors import ConfigError, SourcePosition

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "Document", "ValuePosition", "parse", "resolve_scalar"]

MAX_BYTES: Final = 16 << 20
MAX_DEPTH: Final = 200
MAX_NODES: Final = 2_000_000

Value = Any  # JSON-like: None, bool, int, float, str, list, dict with str keys
_Place = tuple[int, int]  # line and column, 0-based

_TAG: Final = "tag:yaml.org,2002:"
_WORDS: Final[Mapping[str, Value]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
}
_FIRST: Final = frozenset("0123456789+-.~nNtTfF")
_INT: Final = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BASES: Final = (16, 2, 8, 10)
_INT_LOW: Final = -(1 << 63)
_INT_HIGH: Final = (1 << 64) - 1


def resolve_scalar(text: str) -> Value:
    """The value of a plain (unquoted) scalar: None, bool, int, float or the text itself."""
    if text and text[0] not in _FIRST:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] == ".":
        return float(text) if _FLOAT.fullmatch(text) else text
    plain = text.replace("_", "")
    match = _INT.fullmatch(plain)
    if match is not None:
        number = next(int(digits, base) for digits, base in zip(match.groups()[1:], _BASES, strict=True) if digits)
        number = -number if match[1] == "-" else number
        if _INT_LOW <= number <= _INT_HIGH:
            return number
    return float(plain) if _FLOAT.fullmatch(plain) else text


@attrs.frozen(slots=True)
class Document:
    """A file's first document.

    Attributes:
        file: name for messages.
        value: the document; aliases share their value, so nothing in it may be changed in place.
        lines: the text, line by line.
    """

    file: str
    value: Value
    lines: Sequence[str] = attrs.field(repr=False)
    _places: Mapping[int, Mapping[str | int, _Place]] = attrs.field(factory=dict, repr=False)
    _start: _Place = (0, 0)

    def position(self, path: Sequence[str | int] = ()) -> SourcePosition:
        """The place of the deepest known part of `path` (keys and 0-based indexes from the top)."""
        return self.position_in(self.value, path, self._start)

    def position_in(self, container: Value, path: Sequence[str | int], start: _Place) -> SourcePosition:
        """Like `position`, from `container`, a part of the document that begins at `start`."""
        place = start
        for step in path:
            found = self._places.get(id(container), {}).get(step)
            if found is None:
                break
            place = found
            container = container[step]
        return self.at(place)

    def at(self, place: _Place) -> SourcePosition:
        """A 0-based line and column as a position."""
        line, column = place
        text = self.lines[line] if line < len(self.lines) else ""
        return SourcePosition(self.file, line + 1, column + 1, text)

    def child_place(self, container: Value, step: str | int) -> _Place:
        """The 0-based place of `container[step]`."""
        return self._places.get(id(container), {}).get(step, self._start)


class ValuePosition(SourcePosition):
    """The position of a mapping that can also tell where its keys are.

    Entries loaded from files carry one, so that a kind can point at the wrong field.
    """

    __slots__ = ("_container", "_document", "_place")

    def __init__(self, document: Document, container: Mapping[str, Value], place: tuple[int, int]) -> None:
        found = document.at(place)
        super().__init__(found.file, found.line, found.column, found.text)
        self._document = document
        self._container = container
        self._place = place

    def of(self, path: str | Sequence[str | int]) -> SourcePosition:
        """The place of a field: `pool.size`, `meta.router` or a sequence of keys and indexes.

        Names that do not begin with `meta` are fields of the entry's data, whether or not it has a `data:` block.
        """
        steps: list[str | int] = list(path.split(".")) if isinstance(path, str) else list(path)
        if steps[:1] == ["data"] and "data" not in self._container:
            del steps[0]
        if steps[:1] not in (["meta"], ["data"]) and "data" in self._container:
            steps.insert(0, "data")
        return self._document.position_in(self._container, steps, self._place)


def parse(content: bytes, file: str) -> Document:
    """Read a YAML file, or a JSON file when `file` ends in `.json`; only the first document counts.

    Raises:
        ConfigError: too large, not UTF-8, bad syntax, a duplicate key or a limit passed; with the place.
    """
    if len(content) > MAX_BYTES:
        message = f"file is larger than {MAX_BYTES >> 20} MiB"
        raise ConfigError(message, SourcePosition(file, 1, 1))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = "file is not UTF-8 text"
        raise ConfigError(message, SourcePosition(file, line, 1)) from error
    lines = text.split("\n")
    if file.endswith(".json"):
        return Document(file, _parse_json(text, file, lines), lines)
    builder = _Builder(file, lines)
    try:
        for event in _events(text):
            if builder.take(event):
                break
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line, mark.column) if mark is not None else (0, 0)
        raise builder.error(f"invalid YAML: {error.problem or error.context}", place) from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise ConfigError(f"invalid YAML: {error}", SourcePosition(file, 1, 1)) from error
    return Document(file, builder.value, lines, builder.places, builder.start)


def _events(text: str) -> Iterator[yaml.Event]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    yield from yaml.parse(text, Loader=loader)


def _parse_json(text: str, file: str, lines: Sequence[str]) -> Value:
    def fail(message: str, line: int = 1, column: int = 1) -> ConfigError:
        shown = lines[line - 1] if line <= len(lines) else ""
        return ConfigError(f"invalid JSON: {message}", SourcePosition(file, line, column, shown))

    def pairs(found: list[tuple[str, Value]]) -> dict[str, Value]:
        made = dict(found)
        if len(made) != len(found):
            seen: set[str] = set()
            twice = next(key for key, _ in found if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise fail(f'key "{twice}" is given twice')
        return made

    def constant(name: str) -> Value:
        raise fail(f"{name} is not a JSON value")

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=constant)
    except json.JSONDecodeError as error:
        raise fail(error.msg, error.lineno, error.colno) from error
    except RecursionError as error:
        raise fail("nested too deeply") from error


class _Open:
    """A mapping or sequence under construction."""

    __slots__ = ("anchor", "key", "key_place", "merges", "merging", "place", "places", "size", "value")

    def __init__(self, value: Value, anchor: str | None, place: _Place) -> None:
        self.value = value
        self.anchor = anchor
        self.place = place
        self.places: dict[str | int, _Place] = {}
        self.size = 1
        self.key: str | None = None
        self.key_place: _Place = place
        self.merging = False
        self.merges: list[tuple[Value, _Place]] = []


_UNFINISHED: Final = object()
_MERGE: Final = "<<"


class _Builder:
    """Turns events into values. `take` is true when the first document is complete."""

    def __init__(self, file: str, lines: Sequence[str]) -> None:
        self.value: Value = None
        self.places: dict[int, dict[str | int, _Place]] = {}
        self.start: _Place = (0, 0)
        self._file = file
        self._lines = lines
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Value, int]] = {}

    def error(self, message: str, place: _Place) -> ConfigError:
        line, column = place
        text = self._lines[line] if line < len(self._lines) else ""
        return ConfigError(message, SourcePosition(self._file, line + 1, column + 1, text))

    def take(self, event: yaml.Event) -> bool:
        mark = event.start_mark
        place = (mark.line, mark.column) if mark is not None else self.start
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event, place)
        elif isinstance(event, yaml.MappingStartEvent):
            self._open({}, event.anchor, place)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._open([], event.anchor, place)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event.anchor or "", place)
        return isinstance(event, yaml.DocumentEndEvent)

    def _scalar(self, event: yaml.ScalarEvent, place: _Place) -> None:
        top = self._stack[-1] if self._stack else None
        if top is not None and top.key is None and isinstance(top.value, dict):
            self._key(top, event, place)
            return
        if event.implicit[0] and event.tag is None:
            value = resolve_scalar(event.value)
        elif event.tag is None or event.implicit[1]:
            value = event.value
        else:
            value = self._tagged(event, place)
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._add(value, 1, place)

    def _key(self, top: _Open, event: yaml.ScalarEvent, place: _Place) -> None:
        key = event.value
        top.key_place = place
        top.key = key
        if event.anchor is not None:
            self._anchors[event.anchor] = (key, 1)
        if key == _MERGE and event.implicit[0]:
            top.merging = True
            return
        before = top.places.get(key)
        if before is not None:
            raise self.error(f'key "{key}" is given twice (first on line {before[0] + 1})', place)

    def _tagged(self, event: yaml.ScalarEvent, place: _Place) -> Value:
        """The value of a scalar with an explicit tag; tags of no meaning here leave the text."""
        tag = (event.tag or "").removeprefix(_TAG)
        plain = resolve_scalar(event.value)
        if tag in {"int", "bool", "null", "float"}:
            if tag == "float" and type(plain) is int:
                return float(plain)
            if type(plain) is not {"int": int, "bool": bool, "null": type(None), "float": float}[tag]:
                raise self.error(f"cannot read {event.value!r} as !!{tag}", place)
            return plain
        if tag == "binary":
            try:
                raw = base64.b64decode("".join(event.value.split()), validate=True)
            except ValueError as error:  # binascii.Error is one; non-ASCII text raises it bare
                raise self.error("!!binary value is not base64", place) from error
            try:
                return raw.decode()
            except UnicodeDecodeError:
                return raw
        return event.value

    def _alias(self, anchor: str, place: _Place) -> None:
        found = self._anchors.get(anchor)
        if found is None:
            raise self.error(f'unknown anchor "{anchor}"', place)
        value, size = found
        if value is _UNFINISHED:
            raise self.error(f'anchor "{anchor}" contains itself', place)
        top = self._stack[-1] if self._stack else None
        if top is not None and top.key is None and isinstance(top.value, dict):
            raise self.error("an alias cannot be a key", place)
        self._add(value, size, place)

    def _open(self, value: Value, anchor: str | None, place: _Place) -> None:
        if len(self._stack) >= MAX_DEPTH:
            raise self.error(f"nested deeper than {MAX_DEPTH} levels", place)
        top = self._stack[-1] if self._stack else None
        if top is not None and top.key is None and isinstance(top.value, dict):
            raise self.error("a key must be a text", place)
        if anchor is not None:
            self._anchors[anchor] = (_UNFINISHED, 0)
        self._stack.append(_Open(value, anchor, place))

    def _close(self) -> None:
        done = self._stack.pop()
        for merged, place in done.merges:
            self._merge(done, merged, place)
        self.places[id(done.value)] = done.places
        if done.anchor is not None:
            self._anchors[done.anchor] = (done.value, done.size)
        self._add(done.value, done.size, done.place)

    def _merge(self, target: _Open, merged: Value, place: _Place) -> None:
        for source in merged if isinstance(merged, list) else [merged]:
            if not isinstance(source, dict):
                raise self.error("a merge needs a mapping or a list of mappings", place)
            for key, value in source.items():
                if key not in target.value:
                    target.value[key] = value
                    target.places[key] = self.places.get(id(source), {}).get(key, place)

    def _add(self, value: Value, size: int, place: _Place) -> None:
        if not self._stack:
            self.value = value
            self.start = place
            return
        top = self._stack[-1]
        top.size += size
        if top.size > MAX_NODES:
            raise self.error(f"document expands to more than {MAX_NODES} values", place)
        if isinstance(top.value, list):
            top.places[len(top.value)] = place
            top.value.append(value)
            return
        key = top.key
        assert key is not None  # a value follows its key
        top.key = None
        if top.merging:
            top.merging = False
            top.merges.append((value, place))
            return
        top.value[key] = value
        top.places[key] = top.key_place
