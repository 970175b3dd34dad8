"""Tokens of the Wippy Lua dialect, and the error every stage of the front end raises.

Source: docs page lua/types (syntax of annotations); the rest is Lua 5.3.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final, NoReturn

__all__ = ["MAX_SOURCE_BYTES", "SourceError", "Tokens", "line_starts", "tokenize"]

#: A source longer than this is refused.
MAX_SOURCE_BYTES: Final = 4 * 1024 * 1024

KEYWORDS: Final = frozenset((
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local", "nil",
    "not", "or", "repeat", "return", "then", "true", "until", "while",
))  # fmt: skip

_TOKEN: Final = re.compile(
    r"""
 [ \t\r\n\f\v]+
|(?P<name>[A-Za-z_][A-Za-z0-9_]*)
|--(?:\[(?P<ceq>=*)\[(?s:.*?)\](?P=ceq)\]|(?!\[=*\[)[^\n]*)
|(?P<num>0[xX][0-9a-fA-F]*(?:\.(?!\.)[0-9a-fA-F]*)?(?:[pP][+-]?[0-9]+)?
        |[0-9]+(?:\.(?!\.)[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
|(?P<str>"[^"\\\n]*(?:\\(?:z[ \t\r\n\f\v]*|\r\n|(?s:.))[^"\\\n]*)*"
        |'[^'\\\n]*(?:\\(?:z[ \t\r\n\f\v]*|\r\n|(?s:.))[^'\\\n]*)*'
        |\[(?P<seq>=*)\[(?s:.*?)\](?P=seq)\])
|(?P<op>\.\.\.|\.\.|==|~=|<=|>=|<<|>>|//|::|->|\?:|-(?!-)|\[(?!=*\[)|[+*/%^\#&~|<>=(){}\];:,.?!@])
""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(
    r"\\(?:[abfnrtvz\\\"'\n\r]|x[0-9a-fA-F]{2}|25[0-5]|2[0-4][0-9]|[01][0-9]{2}|[0-9]{1,2}(?![0-9])"
    r"|u\{0*[0-7]?[0-9a-fA-F]{1,7}\}|(?P<bad>(?s:.)))"
)
_WORD: Final = re.compile(r"[A-Za-z0-9_.]+")
_HEX: Final = re.compile(r"0[xX]\.?[0-9a-fA-F]")


class SourceError(Exception):
    """A source that is not a program: what is wrong, what was expected, and where.

    Attributes:
        message: one sentence without the place.
        chunk: name of the source.
        line, column: 1-based; the column counts characters.
        line_text: the whole line, without its newline.
    """

    def __init__(self, message: str, chunk: str, line: int, column: int, line_text: str) -> None:
        super().__init__(message)
        self.message = message
        self.chunk = chunk
        self.line = line
        self.column = column
        self.line_text = line_text

    def __str__(self) -> str:
        return f"{self.chunk}:{self.line}:{self.column}: {self.message}"

    def render(self) -> str:
        """The error with its line and a caret below the place."""
        before = self.line_text[: self.column - 1]
        indent = "".join("\t" if char == "\t" else " " for char in before)
        return f"{self}\n  {self.line_text}\n  {indent}^"

    @classmethod
    def at(cls, message: str, source: str, chunk: str, offset: int) -> SourceError:
        """The error at a character offset of `source`."""
        start = source.rfind("\n", 0, offset) + 1
        end = source.find("\n", start)
        text = source[start : len(source) if end < 0 else end].rstrip("\r")
        return cls(message, chunk, source.count("\n", 0, start) + 1, offset - start + 1, text)


class Tokens:
    """The tokens of a source as parallel lists; the last one is `eof`.

    A kind is `name`, `num`, `str`, `eof`, or the text of the keyword or operator itself.
    """

    __slots__ = ("ends", "kinds", "starts", "texts")

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.texts: list[str] = []
        self.starts: list[int] = []
        self.ends: list[int] = []


def line_starts(source: str) -> tuple[int, ...]:
    """Offsets at which the lines of `source` begin."""
    starts = [0]
    find = source.find
    at = find("\n")
    while at >= 0:
        starts.append(at + 1)
        at = find("\n", at + 1)
    return tuple(starts)


def position(starts: tuple[int, ...], offset: int) -> tuple[int, int]:
    """Line and column (1-based) of an offset."""
    line = bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1


def tokenize(source: str, chunk: str) -> Tokens:
    """Split `source` into tokens.

    Raises:
        SourceError: a character, number or string that Lua does not know, or a source above `MAX_SOURCE_BYTES`.
    """
    size = len(source)
    if size * 4 > MAX_SOURCE_BYTES and len(source.encode("utf-8", "surrogateescape")) > MAX_SOURCE_BYTES:
        raise SourceError(f"source is larger than {MAX_SOURCE_BYTES} bytes", chunk, 1, 1, "")
    out = Tokens()
    add_kind, add_text = out.kinds.append, out.texts.append
    add_start, add_end = out.starts.append, out.ends.append
    at = 0
    if source.startswith("\ufeff"):
        at = 1
    if source.startswith("#", at):
        at = source.find("\n")
        at = size if at < 0 else at
    match = _TOKEN.match
    keywords = KEYWORDS
    while at < size:
        found = match(source, at)
        if found is None:
            _refuse(source, chunk, at)
        kind = found.lastgroup
        end = found.end()
        if kind is not None and kind != "ceq":
            text = found.group()
            if kind == "name":
                if text in keywords:
                    kind = text
            elif kind == "op":
                kind = text
            elif kind == "num":
                _check_number(source, chunk, at, end)
            else:
                kind = "str"
                if "\\" in text and text[0] != "[":
                    _check_escapes(source, chunk, at, text)
            add_kind(kind)
            add_text(text)
            add_start(at)
            add_end(end)
        at = end
    add_kind("eof")
    add_text("end of file")
    add_start(size)
    add_end(size)
    if "__w_" in source:
        _check_reserved(out, source, chunk)
    return out


def _check_reserved(tokens: Tokens, source: str, chunk: str) -> None:
    """The emitted program keeps its budget and helpers in locals of these names: a source must not reach them."""
    for kind, text, start in zip(tokens.kinds, tokens.texts, tokens.starts, strict=True):
        if kind == "name" and text.startswith("__w_"):
            raise SourceError.at("names that begin with '__w_' are reserved for the runtime", source, chunk, start)


def _check_number(source: str, chunk: str, start: int, end: int) -> None:
    text = source[start:end]
    follow = source[end : end + 1]
    hexadecimal = text[:2] in {"0x", "0X"}
    if (hexadecimal and _HEX.match(text) is None) or (follow.isascii() and (follow.isalnum() or follow == "_")):
        whole = _WORD.match(source, start)
        shown = whole.group() if whole else text
        raise SourceError.at(f"malformed number '{shown}'", source, chunk, start)


def _check_escapes(source: str, chunk: str, start: int, text: str) -> None:
    for found in _ESCAPE.finditer(text):
        bad = found.group("bad")
        if bad is not None:
            hint = {"x": "; \\x takes two hexadecimal digits", "u": "; write \\u{XXXX}"}.get(bad, "")
            if bad.isdigit():
                hint = "; decimal escapes go up to \\255"
            raise SourceError.at(f"invalid escape sequence '\\{bad}'{hint}", source, chunk, start + found.start())


def _refuse(source: str, chunk: str, at: int) -> NoReturn:
    char = source[at]
    if char in {'"', "'"}:
        raise SourceError.at(f"unfinished string: expected a closing {char} on the same line", source, chunk, at)
    opened = re.compile(r"(--)?\[(=*)\[").match(source, at)
    if opened:
        what = "comment" if opened.group(1) else "string"
        message = f"unfinished long {what}: expected a closing ]{opened.group(2)}]"
        raise SourceError.at(message, source, chunk, at)
    shown = char if char.isprintable() else f"\\u{ord(char):04x}"
    raise SourceError.at(f"unexpected character '{shown}'", source, chunk, at)
