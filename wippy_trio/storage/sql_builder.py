"""SQL text from described parts: conditions, placeholders, and the four statements (in `sql_builder_statements`).

Every value here is frozen and `to_sql` is pure: the same parts give the same text and arguments. The text is that of
the reference's builder, character for character, empty corner cases included; `tests/.../test_sql_builder.py` holds
what that builder printed. Source: docs lua/storage/sql "Query Builder".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Protocol, TypeAlias

import attrs

from wippy_trio.core.errors import InvalidError
from wippy_trio.storage.sql import SqlValue

__all__ = [
    "Built",
    "Comparison",
    "Condition",
    "Conjunction",
    "Fragment",
    "Operator",
    "Placeholders",
    "args_text",
    "eq",
    "joined",
]

#: SQL text and its arguments, in the order of the marks.
Built: TypeAlias = tuple[str, tuple[SqlValue, ...]]
_TRUE, _FALSE = "(1=1)", "(1=0)"


class Condition(Protocol):
    """Anything that renders to SQL with `?` marks."""

    def to_sql(self) -> Built:
        """Text and arguments.

        Raises:
            InvalidError: incomplete, or a value that the operator does not take.
        """


class Placeholders(Enum):
    """How argument marks are written; the value is the prefix before the number."""

    QUESTION = ""
    DOLLAR = "$"
    AT = "@p"
    COLON = ":"

    def rewrite(self, text: str) -> str:
        """`text` with its `?` marks in this style; `??` stands for a question mark, except in QUESTION style."""
        if self is Placeholders.QUESTION:
            return text
        pieces: list[str] = []
        number, position = 0, 0
        while (mark := text.find("?", position)) >= 0:
            pieces.append(text[position:mark])
            if text.startswith("??", mark):
                pieces.append("?")
                position = mark + 2
            else:
                number += 1
                pieces.append(f"{self.value}{number}")
                position = mark + 1
        pieces.append(text[position:])
        return "".join(pieces)


class Operator(Enum):
    """Comparisons of a column with a value: the sign, and the family that says how null is treated."""

    EQ = ("=", "equal")
    NOT_EQ = ("<>", "equal")
    LT = ("<", "order")
    LTE = ("<=", "order")
    GT = (">", "order")
    GTE = (">=", "order")
    LIKE = ("LIKE", "like")
    NOT_LIKE = ("NOT LIKE", "like")


_NULL_REFUSED = {
    "order": "cannot use null with less than or greater than operators",
    "like": "cannot use null with like operators",
}


@attrs.frozen(slots=True)
class Comparison:
    """Columns compared with values, joined by AND, columns in alphabetical order.

    Null makes `IS NULL` or `IS NOT NULL` of the two equalities. No columns: `(1=1)` for the equalities, empty text for
    the others.
    """

    operator: Operator
    values: Mapping[str, SqlValue]

    def to_sql(self) -> Built:
        """See `Condition.to_sql`."""
        sign, family = self.operator.value
        if not self.values:
            return (_TRUE if family == "equal" else ""), ()
        parts: list[str] = []
        args: list[SqlValue] = []
        for column in sorted(self.values):
            value = self.values[column]
            if value is not None:
                parts.append(f"{column} {sign} ?")
                args.append(value)
            elif family == "equal":
                parts.append(f"{column} IS NULL" if self.operator is Operator.EQ else f"{column} IS NOT NULL")
            else:
                raise InvalidError(_NULL_REFUSED[family])
        return " AND ".join(parts), tuple(args)


def eq(values: Mapping[str, SqlValue]) -> Comparison:
    """Equality, what a plain table means wherever a condition is asked."""
    return Comparison(Operator.EQ, values)


@attrs.frozen(slots=True)
class Fragment:
    """Raw SQL with `?` marks and its arguments."""

    text: str
    args: tuple[SqlValue, ...] = ()

    def to_sql(self) -> Built:
        """See `Condition.to_sql`."""
        return self.text, self.args


@attrs.frozen(slots=True)
class Conjunction:
    """Conditions joined by AND or OR, in parentheses; none at all is true for AND and false for OR."""

    all_of: bool
    parts: tuple[Condition, ...] = ()

    def to_sql(self) -> Built:
        """See `Condition.to_sql`."""
        if not self.parts:
            return (_TRUE if self.all_of else _FALSE), ()
        texts: list[str] = []
        args: list[SqlValue] = []
        for part in self.parts:
            text, part_args = part.to_sql()
            if text:
                texts.append(text)
                args.extend(part_args)
        word = " AND " if self.all_of else " OR "
        return (f"({word.join(texts)})" if texts else ""), tuple(args)


def joined(parts: Iterable[Condition], separator: str) -> Built:
    """`parts` in a row.

    Empty ones are left out, but an empty first one leaves its separator behind, as in the reference.
    """
    texts: list[str] = []
    args: list[SqlValue] = []
    for index, part in enumerate(parts):
        text, part_args = part.to_sql()
        if not text:
            continue
        texts.append(f"{separator}{text}" if index else text)
        args.extend(part_args)
    return "".join(texts), tuple(args)


def args_text(args: Sequence[SqlValue]) -> str:
    """`args` as the reference prints them in `tostring(builder)`: `[1 text true <nil>]`."""
    return f"[{' '.join(map(_arg_text, args))}]"


def _arg_text(value: SqlValue) -> str:
    render = _ARG_TEXTS.get(type(value), str)
    return render(value)


def _float_text(value: float) -> str:
    """Shortest form, with an exponent below 1e-4 and from 1e21 on."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    size = abs(value)
    if size and not 1e-4 <= size < 1e21:
        digits, _, exponent = f"{value!r}".partition("e")
        if not exponent:
            digits, _, exponent = f"{value:.17e}".partition("e")
            digits = digits.rstrip("0").rstrip(".")
        return f"{digits.removesuffix('.0')}e{exponent[0]}{exponent[1:].rjust(2, '0')}"
    text = f"{value!r}"
    if "e" in text:  # Python switches to an exponent at 1e16 already
        text = f"{value:.0f}"
    return text.removesuffix(".0")


_ARG_TEXTS: Mapping[type, Callable[..., str]] = {
    type(None): lambda _: "<nil>",
    bool: lambda value: "true" if value else "false",
    float: _float_text,
    bytes: lambda value: f"[{' '.join(map(str, value))}]",
}
