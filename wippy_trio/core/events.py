"""Events: news of what happened, and the patterns that select them. Source: docs lua/core/events, internals/events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import attrs

__all__ = ["Event", "Matcher", "compile_glob", "compile_pattern"]

_MAX_SEGMENTS = 32

Matcher = Callable[[str], bool]


@attrs.frozen(slots=True)
class Event:
    """What happened: in which system, of which kind, to what (`path`), and more about it (JSON-like, or None)."""

    system: str
    kind: str
    path: str = ""
    data: Any = None


@lru_cache(maxsize=4_096)
def compile_pattern(pattern: str) -> Matcher:
    """A test for names split at dots: a segment is a literal, `*` (any one), `**` (any number) or `(a|b)`.

    An empty pattern matches everything. Patterns of more than 32 segments never match: they serve nobody and `**`
    costs time that grows with them.
    """
    if not pattern:
        return _always
    segments = tuple(pattern.split("."))
    if not any(_is_special(segment) for segment in segments):
        return pattern.__eq__
    if pattern == "*":
        return lambda name: name != "" and "." not in name
    if pattern == "**":
        return _always
    if len(segments) > _MAX_SEGMENTS:
        return _never
    parsed = tuple(_parse_segment(segment) for segment in segments)
    return lambda name: _matches(parsed, name.split("."))


def _is_special(segment: str) -> bool:
    return segment in {"*", "**"} or (segment.startswith("(") and segment.endswith(")"))


def _always(name: str) -> bool:
    return True


def _never(name: str) -> bool:
    return False


def _parse_segment(segment: str) -> str | frozenset[str]:
    """A star as it is; else the set of literals it stands for."""
    if segment in {"*", "**"}:
        return segment
    if _is_special(segment):
        return frozenset(segment[1:-1].split("|"))
    return frozenset({segment})


def _matches(pattern: Sequence[str | frozenset[str]], names: Sequence[str]) -> bool:
    """Match by the set of positions reached so far, so that many `**` cost no more than their product."""
    reached = {0}
    for segment in pattern:
        if segment == "**":
            reached = set(range(min(reached), len(names) + 1))
        else:
            reached = {
                at + 1 for at in reached if at < len(names) and (isinstance(segment, str) or names[at] in segment)
            }
        if not reached:
            return False
    return len(names) in reached


@lru_cache(maxsize=4_096)
def compile_glob(pattern: str) -> Matcher:
    """A test as Lua subscriptions use it: what `compile_pattern` matches, and `begin*` for all that begins so.

    The reference has two matchers, segments on its bus and prefixes behind `events.subscribe`; under the second,
    `*` is everything and `a.*` also covers `a.b.c`. Taking either answer keeps the documented patterns of both.
    """
    if pattern in {"", "*"}:
        return _always
    by_segments = compile_pattern(pattern)
    if not pattern.endswith("*"):
        return by_segments
    prefix = pattern[:-1]
    return lambda name: name.startswith(prefix) or by_segments(name)
