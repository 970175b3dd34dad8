"""Regular expressions of `@pattern`, compiled here to a small program that sandbox/prelude/types.lua runs.

The syntax is RE2's, as the reference has it. The program is a non-deterministic automaton over code points; running it
takes time in proportion to the text, whatever the pattern. Source: docs page lua/types (validators).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NoReturn

__all__ = ["RegexError", "compile_regex"]

_MAX_RUNE: Final = 0x10FFFF
_MAX_PROGRAM: Final = 4000
_MAX_REPEAT: Final = 1000
_MAX_DEPTH: Final = 50

Ranges = tuple[tuple[int, int], ...]

_DIGIT: Final[Ranges] = ((48, 57),)
_SPACE: Final[Ranges] = ((9, 10), (12, 13), (32, 32))
_WORD: Final[Ranges] = ((48, 57), (65, 90), (95, 95), (97, 122))
_POSIX: Final[dict[str, Ranges]] = {
    "alnum": ((48, 57), (65, 90), (97, 122)), "alpha": ((65, 90), (97, 122)), "ascii": ((0, 127),),
    "blank": ((9, 9), (32, 32)), "cntrl": ((0, 31), (127, 127)), "digit": _DIGIT, "graph": ((33, 126),),
    "lower": ((97, 122),), "print": ((32, 126),), "punct": ((33, 47), (58, 64), (91, 96), (123, 126)),
    "space": ((9, 13), (32, 32)), "upper": ((65, 90),), "word": _WORD, "xdigit": ((48, 57), (65, 70), (97, 102)),
}  # fmt: skip
_CONTROL: Final = {"a": 7, "f": 12, "t": 9, "n": 10, "r": 13, "v": 11}

# Operations of the program; types.lua has the same numbers.
_CHAR, _SPLIT, _JUMP, _MATCH, _ASSERT = 1, 2, 3, 4, 5
_BEGIN, _END, _LINE_BEGIN, _LINE_END, _BOUNDARY, _NO_BOUNDARY = 1, 2, 3, 4, 5, 6


class RegexError(ValueError):
    """A pattern that is no RE2 regular expression."""


@dataclass(frozen=True, slots=True)
class _Node:
    """`kind` is char, assert, all (in a row), any (alternatives) or repeat."""

    kind: str
    ranges: Ranges = ()
    parts: tuple[_Node, ...] = ()
    low: int = 0
    high: int | None = None


_EMPTY: Final = _Node("all")


def compile_regex(pattern: str) -> str:
    """The program for `pattern` as a Lua table constructor of one line.

    Raises:
        RegexError: wrong syntax, or a program of more than 4,000 instructions.
    """
    program: list[tuple[int, ...]] = []
    _emit(_Reader(pattern).read(), program)
    program.append((_MATCH,))
    return "{" + ",".join("{" + ",".join(map(str, step)) + "}" for step in program) + "}"


def _emit(node: _Node, program: list[tuple[int, ...]]) -> None:
    """Append the instructions of a node; jumps are 1-based."""
    if len(program) > _MAX_PROGRAM:
        raise RegexError(f"the expression is too large (limit {_MAX_PROGRAM} steps)")
    if node.kind == "char":
        program.append((_CHAR, *(bound for pair in node.ranges for bound in pair)))
    elif node.kind == "assert":
        program.append((_ASSERT, node.low))
    elif node.kind == "all":
        for part in node.parts:
            _emit(part, program)
    elif node.kind == "any":
        ends: list[int] = []
        for part in node.parts[:-1]:
            split = len(program)
            program.append(())
            _emit(part, program)
            ends.append(len(program))
            program.append(())
            program[split] = (_SPLIT, split + 2, len(program) + 1)
        _emit(node.parts[-1], program)
        for end in ends:
            program[end] = (_JUMP, len(program) + 1)
    else:
        _emit_repeat(node, program)


def _emit_repeat(node: _Node, program: list[tuple[int, ...]]) -> None:
    inner = node.parts[0]
    for _ in range(node.low):
        _emit(inner, program)
    if node.high is None:
        split = len(program)
        program.append(())
        _emit(inner, program)
        program.append((_JUMP, split + 1))
        program[split] = (_SPLIT, split + 2, len(program) + 1)
        return
    splits: list[int] = []
    for _ in range(node.high - node.low):
        splits.append(len(program))
        program.append(())
        _emit(inner, program)
    for split in splits:
        program[split] = (_SPLIT, split + 2, len(program) + 1)


def _normal(ranges: list[tuple[int, int]]) -> Ranges:
    out: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if out and low <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(high, out[-1][1]))
        else:
            out.append((low, high))
    return tuple(out)


def _complement(ranges: Ranges) -> Ranges:
    out: list[tuple[int, int]] = []
    at = 0
    for low, high in ranges:
        if at < low:
            out.append((at, low - 1))
        at = high + 1
    if at <= _MAX_RUNE:
        out.append((at, _MAX_RUNE))
    return tuple(out)


def _folded(ranges: Ranges) -> Ranges:
    """With the other case of every letter; beyond ASCII only for ranges short enough to list."""
    out = list(ranges)
    for low, high in ranges:
        for first, last, shift in ((65, 90, 32), (97, 122, -32)):
            if low <= last and high >= first:
                out.append((max(low, first) + shift, min(high, last) + shift))
        if high > 127 and high - low < 2000:
            for point in range(max(low, 128), high + 1):
                if not 0xD800 <= point <= 0xDFFF:
                    char = chr(point)
                    out += [(ord(c), ord(c)) for c in (char.lower(), char.upper()) if len(c) == 1]
    return _normal(out)


class _Reader:
    """Recursive descent over RE2's syntax."""

    def __init__(self, pattern: str) -> None:
        self.text = pattern
        self.i = 0
        self.depth = 0
        self.flags: frozenset[str] = frozenset()

    def error(self, problem: str) -> RegexError:
        return RegexError(f"{problem} in regular expression {self.text!r}")

    def fail(self, problem: str) -> NoReturn:
        raise self.error(problem)

    def more(self, *texts: str) -> bool:
        """Take one of these texts if it is next."""
        for text in texts:
            if self.text.startswith(text, self.i):
                self.i += len(text)
                return True
        return False

    def peek(self) -> str:
        return self.text[self.i : self.i + 1]

    def read(self) -> _Node:
        node = self.alternatives()
        if self.i < len(self.text):
            self.fail("unexpected )")
        return node

    def alternatives(self) -> _Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail("too many nested groups")
        flags = self.flags
        parts = [self.sequence()]
        while self.more("|"):
            parts.append(self.sequence())
        self.flags = flags
        self.depth -= 1
        return parts[0] if len(parts) == 1 else _Node("any", parts=tuple(parts))

    def sequence(self) -> _Node:
        parts: list[_Node] = []
        while self.peek() not in {"", "|", ")"}:
            atom = self.atom()
            if atom is not None:
                parts.append(self.repeated(atom))
        return parts[0] if len(parts) == 1 else _Node("all", parts=tuple(parts))

    def repeated(self, atom: _Node) -> _Node:
        counts = self.counts()
        if counts is None:
            return atom
        self.more("?")  # lazy or greedy: the same, for only whether it matches is asked
        if self.counts() is not None:
            self.fail("invalid nested repetition operator")
        return _Node("repeat", parts=(atom,), low=counts[0], high=counts[1])

    def counts(self) -> tuple[int, int | None] | None:
        if self.more("*"):
            return 0, None
        if self.more("+"):
            return 1, None
        if self.more("?"):
            return 0, 1
        if self.peek() != "{":
            return None
        close = self.text.find("}", self.i)
        low, comma, high = self.text[self.i + 1 : close].partition(",") if close > 0 else ("", "", "")
        if not (low.isdecimal() and low.isascii() and (not high or (high.isdecimal() and high.isascii()))):
            return None  # a plain brace
        self.i = close + 1
        least = int(low)
        most = int(high) if high else (None if comma else least)
        if least > _MAX_REPEAT or (most is not None and (most > _MAX_REPEAT or most < least)):
            self.fail("invalid repeat count")
        return least, most

    def char(self, ranges: Ranges) -> _Node:
        return _Node("char", _folded(ranges) if "i" in self.flags else ranges)

    def atom(self) -> _Node | None:
        """One item; None for flags, which match nothing."""
        char = self.peek()
        if char in {"*", "+", "?"}:
            self.fail("missing argument to repetition operator")
        if char == "{" and self.counts() is not None:
            self.fail("missing argument to repetition operator")
        self.i += 1
        if char == "(":
            return self.group()
        if char == "[":
            return self.char(self.bracket())
        if char == ".":
            return _Node("char", ((0, _MAX_RUNE),) if "s" in self.flags else ((0, 9), (11, _MAX_RUNE)))
        if char == "^":
            return _Node("assert", low=_LINE_BEGIN if "m" in self.flags else _BEGIN)
        if char == "$":
            return _Node("assert", low=_LINE_END if "m" in self.flags else _END)
        if char == "\\":
            return self.escape()
        return self.char(((ord(char), ord(char)),))

    def group(self) -> _Node | None:
        outer = self.flags
        if self.more("?P<", "?<"):
            close = self.text.find(">", self.i)
            name = self.text[self.i : max(close, self.i)]
            if not name.replace("_", "a").isalnum():
                self.fail("invalid named capture")
            self.i = close + 1
        elif self.more("?"):
            on = True
            flags = set(self.flags)
            while self.peek() not in {":", ")"}:
                flag = self.peek()
                self.i += 1
                if flag == "-" and on:
                    on = False
                elif flag and flag in "imsU":
                    (flags.add if on else flags.discard)(flag)
                else:
                    self.fail("invalid or unsupported group syntax (?")
            self.flags = frozenset(flags)
            if self.more(")"):
                return None
            self.i += 1
        node = self.alternatives()
        if not self.more(")"):
            self.fail("missing )")
        self.flags = outer
        return node

    def escape(self) -> _Node:
        char = self.peek()
        anchor = {"A": _BEGIN, "z": _END, "b": _BOUNDARY, "B": _NO_BOUNDARY}.get(char)
        if anchor:
            self.i += 1
            return _Node("assert", low=anchor)
        if char == "Q":
            self.i += 1
            close = self.text.find("\\E", self.i)
            literal = self.text[self.i : close if close >= 0 else len(self.text)]
            self.i = close + 2 if close >= 0 else len(self.text)
            return _Node("all", parts=tuple(self.char(((ord(c), ord(c)),)) for c in literal))
        return self.char(self.escaped())

    def escaped(self) -> Ranges:
        """What stands behind a backslash, inside brackets or out."""
        char = self.peek()
        self.i += 1
        known = {"d": _DIGIT, "s": _SPACE, "w": _WORD}.get(char.lower())
        if known:
            return known if char.islower() else _complement(known)
        if char in _CONTROL:
            return ((_CONTROL[char], _CONTROL[char]),)
        if char == "x":
            return self.hexadecimal()
        if char in {"p", "P"}:
            self.fail("Unicode classes (\\p) are not supported")
        if char and char in "01234567":
            digits = char
            while len(digits) < 3 and self.peek() and self.peek() in "01234567":
                digits += self.peek()
                self.i += 1
            if char == "0" or len(digits) > 1:
                return ((int(digits, 8), int(digits, 8)),)
        elif char and (not char.isascii() or not char.isalnum()):
            return ((ord(char), ord(char)),)
        raise self.error(f"invalid escape sequence \\{char}")

    def hexadecimal(self) -> Ranges:
        if self.more("{"):
            close = self.text.find("}", self.i)
            digits = self.text[self.i : max(close, self.i)]
            self.i = close + 1
        else:
            digits = self.text[self.i : self.i + 2]
            self.i += 2
            if len(digits) < 2:
                digits = ""
        if not digits or any(c not in "0123456789abcdefABCDEF" for c in digits) or int(digits, 16) > _MAX_RUNE:
            self.fail("invalid escape sequence \\x")
        point = int(digits, 16)
        return ((point, point),)

    def bracket(self) -> Ranges:
        negated = self.more("^")
        ranges: list[tuple[int, int]] = []
        first = True
        while first or self.peek() != "]":
            first = False
            if not self.peek():
                self.fail("missing closing ]")
            if self.more("[:"):
                ranges += self.posix()
                continue
            low = self.member()
            single = len(low) == 1 and low[0][0] == low[0][1]
            if single and self.peek() == "-" and self.text[self.i + 1 : self.i + 2] != "]":
                self.i += 1
                high = self.member()
                if len(high) != 1 or high[0][0] != high[0][1] or high[0][0] < low[0][0]:
                    self.fail("invalid character class range")
                ranges.append((low[0][0], high[0][0]))
            else:
                ranges += low
        self.i += 1
        found = _normal(ranges)
        if negated:
            return _complement(_folded(found) if "i" in self.flags else found)
        return found

    def posix(self) -> Ranges:
        close = self.text.find(":]", self.i)
        name = self.text[self.i : max(close, self.i)]
        known = _POSIX.get(name.removeprefix("^"))
        if known is None:
            self.fail("invalid character class")
        self.i = close + 2
        return _complement(known) if name.startswith("^") else known

    def member(self) -> Ranges:
        char = self.peek()
        if not char:
            self.fail("missing closing ]")
        self.i += 1
        if char == "\\":
            return self.escaped()
        return ((ord(char), ord(char)),)
