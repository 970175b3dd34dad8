"""Route patterns: what a path may look like, and which of two is more specific.

The rules are those of Go 1.22's ServeMux, which the reference's users know. Source: http/router, http/endpoint.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from wippy_trio.core.errors import InvalidError
from wippy_trio.http.headers import query_unescape

__all__ = ["Pattern", "Segment", "conflict", "parse_path", "pattern_of"]


class Segment(NamedTuple):
    """A pattern's path segment: `kind` is `literal`, `one` ({name}), `rest` ({name...}) or `end` ({$})."""

    kind: str
    text: str


class Pattern(NamedTuple):
    """A method (empty for any) and the segments of a path."""

    method: str
    segments: tuple[Segment, ...]
    text: str


def pattern_of(method: str, path: str) -> Pattern:
    """The pattern of a method and a whole path.

    Raises:
        InvalidError: see `parse_path`.
    """
    return Pattern(method, parse_path(path), f"{method} {path}" if method else path)


@lru_cache(maxsize=8192)
def parse_path(path: str) -> tuple[Segment, ...]:
    """A pattern's path as segments; a trailing slash means the whole subtree.

    Raises:
        InvalidError: not starting with `/`, a wildcard that is not a whole segment, a catch-all before the end, or
            a name used twice.
    """
    if not path:
        raise InvalidError("path is required")
    if not path.startswith("/"):
        raise InvalidError(f"path must start with /: {path}")
    pieces = path[1:].split("/")
    segments: list[Segment] = []
    names: set[str] = set()
    for index, piece in enumerate(pieces):
        last = index == len(pieces) - 1
        if piece.startswith(":") and len(piece) > 1:
            piece = f"{{{piece[1:]}}}"
        if not piece and last:
            segments.append(Segment("rest", ""))
        elif "{" in piece or "}" in piece:
            segments.append(_wildcard(path, piece, names, last=last))
        else:
            segments.append(Segment("literal", query_unescape(piece, plus=False)))
    return tuple(segments)


def _wildcard(path: str, piece: str, names: set[str], *, last: bool) -> Segment:
    name = piece[1:-1]
    if not (piece.startswith("{") and piece.endswith("}")) or "{" in name or "}" in name:
        raise InvalidError(f"bad wildcard segment {piece!r} in path {path}: a wildcard takes a whole segment")
    if name == "$" or name.endswith("..."):
        if not last:
            raise InvalidError(f"{piece} must be the last segment in path {path}")
        if name == "$":
            return Segment("end", "")
    plain = name.removesuffix("...")
    if not plain.isidentifier() or plain in names:
        raise InvalidError(f"bad or repeated wildcard name {piece!r} in path {path}")
    names.add(plain)
    return Segment("rest" if name.endswith("...") else "one", plain)


def conflict(one: Pattern, two: Pattern) -> bool:
    """Whether two patterns match a common request and neither is more specific."""
    if one.method and two.method and one.method != two.method and {one.method, two.method} != {"GET", "HEAD"}:
        return False
    paths = _compare(one.segments, two.segments)
    if paths == "disjoint":
        return False
    if one.method == two.method:
        return paths in ("overlap", "equal")
    # A pattern for any method is the more general one; GET is more general than HEAD, which it also serves.
    general = "first" if not one.method or (one.method == "GET" and two.method) else "second"
    return paths == "overlap" or (paths not in ("equal", general))


def _compare(one: tuple[Segment, ...], two: tuple[Segment, ...]) -> str:
    """Which path set contains the other: `equal`, `disjoint`, `overlap`, or `first`/`second` (the more general)."""
    first_general = second_general = False
    for index in range(max(len(one), len(two))):
        left = one[index] if index < len(one) else None
        right = two[index] if index < len(two) else None
        if left is not None and right is not None and left.kind == right.kind == "rest":
            break
        if left is not None and left.kind == "rest":
            if right is None:
                return "disjoint"
            first_general = True
            break
        if right is not None and right.kind == "rest":
            if left is None:
                return "disjoint"
            second_general = True
            break
        if left is None or right is None or (left.kind == "end") != (right.kind == "end"):
            return "disjoint"
        if left.kind == right.kind == "literal":
            if left.text != right.text:
                return "disjoint"
        elif left.kind == "one" and right.kind == "literal":
            first_general = True
        elif left.kind == "literal" and right.kind == "one":
            second_general = True
    if first_general and second_general:
        return "overlap"
    if first_general or second_general:
        return "first" if first_general else "second"
    return "equal"
