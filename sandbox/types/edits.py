"""Edits of a source text, collected in any order and applied at once; every line keeps its number."""

from __future__ import annotations

__all__ = ["Edits"]


class Edits:
    """Changes (start, end, text) of a source."""

    __slots__ = ("edits", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.edits: list[tuple[int, int, str]] = []

    def blank(self, start: int, end: int, text: str = " ") -> None:
        """Replace a span by `text` and the span's newlines."""
        span = self.source[start:end]
        if "\n" in span or "\r" in span:
            text += "".join(char for char in span if char in "\r\n")
        self.edits.append((start, end, text))

    def insert(self, at: int, text: str) -> None:
        self.edits.append((at, at, text))

    def reserve(self, at: int) -> int:
        """A place among the edits, to be filled or left empty later."""
        self.edits.append((at, at, ""))
        return len(self.edits) - 1

    def fill(self, place: int, text: str) -> None:
        """Put a text in a reserved place."""
        at, end, _ = self.edits[place]
        self.edits[place] = (at, end, text)

    def edited(self, start: int = 0) -> str:
        """The source from `start`, with the edits; those at one place stay in the order in which they came."""
        source = self.source
        out: list[str] = []
        last = start
        for begin, end, text in sorted(self.edits, key=_start):
            if last < begin:
                out.append(source[last:begin])
            out.append(text)
            last = end
        out.append(source[last:])
        return "".join(out)


def _start(edit: tuple[int, int, str]) -> int:
    return edit[0]
