"""The parser's cursor: looking at tokens, taking them, and saying what was expected instead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from sandbox.types.lex import SourceError, tokenize

__all__ = ["MAX_DEPTH", "Cursor"]

#: Levels of nesting. Lua itself stops at 200, of which its host uses some; a level costs about four Python frames.
MAX_DEPTH: Final = 160


class Cursor:
    """The tokens of one source and the place in them."""

    __slots__ = ("chunk", "depth", "ends", "i", "kinds", "source", "starts", "texts")

    def __init__(self, source: str, chunk: str) -> None:
        self.source = source
        self.chunk = chunk
        tokens = tokenize(source, chunk)
        self.kinds = tokens.kinds
        self.texts = tokens.texts
        self.starts = tokens.starts
        self.ends = tokens.ends
        self.i = 0
        self.depth = 0

    def error(self, message: str, offset: int) -> SourceError:
        """The error at an offset, to be raised."""
        return SourceError.at(message, self.source, self.chunk, offset)

    def fail(self, expected: str) -> NoReturn:
        """Raise `expected ..., got ...` at the current token."""
        raise self.unexpected(expected)

    def unexpected(self, expected: str) -> SourceError:
        """The error `expected ..., got ...` at the current token."""
        i = self.i
        kind = self.kinds[i]
        text = self.texts[i]
        if kind == "str":
            shown = f"string {text if len(text) <= 24 else text[:20] + '...'}".replace("\n", "\\n")
        elif kind == "eof":
            shown = text
        elif kind == "num":
            shown = f"number {text}"
        else:
            shown = f"'{text}'"
        message = f"expected {expected}, got {shown}"
        if kind == "!" and self.kinds[i + 1] == "=":
            message += " (Lua writes 'not equal' as ~=)"
        return self.error(message, self.starts[i])

    def expect(self, kind: str, where: str) -> None:
        """Take a token of this kind; `where` goes behind it in the message."""
        if self.kinds[self.i] != kind:
            self.fail(f"'{kind}' {where}" if where else f"'{kind}'")
        self.i += 1

    def close(self, kind: str, opener: str, opened_at: int) -> None:
        """Take the token that closes what `opener` at the offset `opened_at` opened."""
        if self.kinds[self.i] != kind:
            line = self.source.count("\n", 0, opened_at) + 1
            self.fail(f"'{kind}' to close '{opener}' of line {line}")
        self.i += 1

    def name(self, what: str) -> str:
        """Take a name; `what` says which one, as in `a field name`."""
        i = self.i
        if self.kinds[i] != "name":
            if self.kinds[i].isalpha() and self.kinds[i] not in {"str", "num", "eof"}:
                raise self.error(f"expected {what}, got '{self.texts[i]}', which is a keyword", self.starts[i])
            self.fail(what)
        self.i = i + 1
        return self.texts[i]

    def accept(self, kind: str) -> bool:
        """Take a token of this kind if it is next."""
        if self.kinds[self.i] == kind:
            self.i += 1
            return True
        return False

    def deeper(self) -> None:
        """One level down; the caller goes up by `depth -= 1`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            message = f"too many levels of nesting (limit {MAX_DEPTH}): split the expression or the function"
            raise self.error(message, self.starts[self.i])

    @contextmanager
    def level(self) -> Iterator[None]:
        """One level down for the length of a `with`."""
        self.deeper()
        yield
        self.depth -= 1
