"""Wildcards over dot-separated names: `*` is one segment, `**` any number, `(a|b)` a choice.

A `*` inside a segment is a plain character, and a lone `*` matches one non-empty segment.
Source: docs internals/events; spec layout wildcard.rules.
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["matches"]


def matches(pattern: str, text: str) -> bool:
    """Whether `text` as a whole fits `pattern`. An empty pattern matches nothing."""
    if not pattern:
        return False
    if pattern == "*":
        return text != "" and "." not in text
    segments = _segments(pattern)
    if segments is None:
        return pattern == text
    return _fits(segments, tuple(text.split(".")))


@lru_cache(maxsize=4_096)
def _segments(pattern: str) -> tuple[str | frozenset[str], ...] | None:
    """The pattern's segments, or None where it holds no wildcard."""
    found = tuple(_segment(part) for part in pattern.split("."))
    plain = all(isinstance(part, str) and part not in {"*", "**"} for part in found)
    return None if plain else found


def _segment(part: str) -> str | frozenset[str]:
    if part.startswith("(") and part.endswith(")") and len(part) > 1:
        return frozenset(part[1:-1].split("|"))
    return part


def _fits(pattern: tuple[str | frozenset[str], ...], text: tuple[str, ...]) -> bool:
    """Match segment by segment; the row of reachable places keeps `**` linear in pattern times text."""
    reached = {0}
    for part in pattern:
        if part == "**":
            reached = set(range(min(reached), len(text) + 1)) if reached else reached
        elif part == "*":
            reached = {place + 1 for place in reached if place < len(text)}
        elif isinstance(part, frozenset):
            reached = {place + 1 for place in reached if place < len(text) and text[place] in part}
        else:
            reached = {place + 1 for place in reached if place < len(text) and text[place] == part}
    return len(text) in reached
