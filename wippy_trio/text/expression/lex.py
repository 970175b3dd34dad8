"""Characters to tokens of the expression language."""

from __future__ import annotations

import re
from typing import NamedTuple

from sandbox.errors import KINDS, LuaError

__all__ = ["MAX_SOURCE_CHARS", "ExpressionError", "Token", "error_at", "tokenize"]

MAX_SOURCE_CHARS = 65_536
_OPERATOR_WORDS = frozenset(
    {"not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"}
)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\"}

_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<comment>//[^\n]*|/\*.*?\*/)
    | (?P<bytes>[bB](?=['"]))
    | (?P<quoted>['"])
    | (?P<raw>`(?:[^`]|``)*`)
    | (?P<number>0[xX][0-9a-fA-F_]*|0[oO][0-7_]*|0[bB][01_]*
        |(?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]*)?)
    | (?P<word>[^\W\d][\w$]*|\$[\w$]*)
    | (?P<bracket>[()\[\]{}])
    | (?P<operator>\?\.|\?\?|\?|\|\||\||::|:|&&|==|!=|<=|>=|\*\*|\.\.|\#\#?|[-+*/%^,;!=<>.])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r"\\(?:([abfnrtv\\'\"])|([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|u\{([0-9a-fA-F]{1,6})\})"
)


class ExpressionError(LuaError):
    """An expression that does not compile, or fails while it runs. Kind INTERNAL, as in the reference.

    Source: docs page lua/dynamic/expression, table of errors.
    """

    kind = KINDS["INTERNAL"]
    retryable = False
    #: Offset of the place in the source, until the program adds it to the message.
    at: int | None = None


class Token(NamedTuple):
    """`kind` is one of name, number, string, bytes, operator, bracket, end; `at` the 0-based character offset."""

    kind: str
    value: str
    at: int

    def describe(self) -> str:
        """The token as the messages of the language name it."""
        if self.kind == "end":
            return "EOF"
        kind = {"name": "Identifier"}.get(self.kind, self.kind.capitalize())
        quoted = self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{kind}("{quoted}")'


def error_at(source: str, at: int, message: str) -> ExpressionError:
    """`message (line:column)`, followed by the line and a mark below the place."""
    before = source[:at]
    line_number = before.count("\n") + 1
    start = before.rfind("\n") + 1
    line = source[start:].partition("\n")[0].replace("\t", " ")
    column = at - start
    place = f"{message} ({line_number}:{column + 1})"
    return ExpressionError(f"{place}\n | {line}\n | {'.' * column}^" if line else place)


def tokenize(source: str) -> list[Token]:
    """All tokens, the last of kind `end`.

    Raises:
        ExpressionError: an unknown character, a bad number, an open string or comment, or more than
            `MAX_SOURCE_CHARS` characters.
    """
    if len(source) > MAX_SOURCE_CHARS:
        message = f"expression is longer than {MAX_SOURCE_CHARS} characters"
        raise ExpressionError(message)
    tokens: list[Token] = []
    at = 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise error_at(source, at, f"unrecognized character: U+{ord(source[at]):04X} {source[at]!r}")
        kind, text = match.lastgroup, match.group()
        if kind in ("quoted", "bytes"):
            token, at = _read_string(source, at, is_bytes=kind == "bytes")
            tokens.append(token)
            continue
        if kind == "operator" and source.startswith("/*", at):
            raise error_at(source, len(source), "unclosed comment")
        if kind == "number":
            following = source[match.end() : match.end() + 1]
            if following and (following.isalnum() or following in "_$"):
                raise error_at(source, match.end(), f'bad number syntax: "{text}{following}"')
            tokens.append(Token("number", text, at))
        elif kind == "raw":
            tokens.append(Token("string", text[1:-1].replace("``", "`"), at))
        elif kind == "word":
            tokens.append(Token("operator" if text in _OPERATOR_WORDS else "name", text, at))
        elif kind in ("bracket", "operator"):
            tokens.append(Token(kind, text, at))
        at = match.end()
    tokens.append(Token("end", "", max(len(source) - 1, 0)))
    return tokens


def _read_string(source: str, start: int, *, is_bytes: bool) -> tuple[Token, int]:
    opening = start + 1 if is_bytes else start
    quote = source[opening]
    parts: list[str] = []
    at = opening + 1
    while True:
        char = source[at : at + 1]
        if char in ("", "\n"):
            raise error_at(source, min(at, len(source)), "literal not terminated")
        if char == quote:
            return Token("bytes" if is_bytes else "string", "".join(parts), start), at + 1
        if char != "\\":
            parts.append(char)
            at += 1
            continue
        match = _ESCAPE.match(source, at)
        if match is None:
            raise error_at(source, at + 1, "invalid char escape")
        parts.append(_unescape(match, source, is_bytes=is_bytes))
        at = match.end()


def _unescape(match: re.Match[str], source: str, *, is_bytes: bool) -> str:
    simple, octal, *hexes = match.groups()
    if simple is not None:
        return _ESCAPES.get(simple, simple)
    code = int(octal, 8) if octal is not None else int(next(item for item in hexes if item is not None), 16)
    if code > (0xFF if is_bytes else 0x10FFFF):
        raise error_at(source, match.start() + 1, "invalid char escape")
    return chr(code)
