"""SELECT, INSERT, UPDATE and DELETE as frozen values: each method gives a new statement, `to_sql` gives the text.

Method names are those of the Lua builders, so that the Lua module only passes calls on.
Source: docs lua/storage/sql, sections SELECT, INSERT, UPDATE and DELETE Builder.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Self

import attrs

from wippy_trio.core.errors import InvalidError
from wippy_trio.storage.sql import SqlValue
from wippy_trio.storage.sql_builder import Built, Condition, Fragment, Placeholders, joined

__all__ = ["Delete", "Insert", "Select", "Statement", "Update"]


class _Writer:
    """Collects text and arguments of one statement."""

    __slots__ = ("args", "texts")

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.args: list[SqlValue] = []

    def add(self, *texts: str) -> None:
        self.texts.extend(texts)

    def clause(self, lead: str, parts: tuple[Condition, ...], separator: str) -> None:
        """`lead` and the parts; nothing at all where there are no parts."""
        if parts:
            text, args = joined(parts, separator)
            self.add(lead, text)
            self.args.extend(args)

    def built(self, placeholders: Placeholders) -> Built:
        return placeholders.rewrite("".join(self.texts)), tuple(self.args)


@attrs.frozen(slots=True, kw_only=True)
class Statement:
    """What all four share: trailing fragments and the style of the marks."""

    suffixes: tuple[Condition, ...] = ()
    placeholders: Placeholders = Placeholders.QUESTION

    def suffix(self, text: str, *args: SqlValue) -> Self:
        """Add a trailing fragment."""
        return attrs.evolve(self, suffixes=(*self.suffixes, Fragment(text, args)))

    def placeholder_format(self, placeholders: Placeholders) -> Self:
        """Write marks in this style."""
        return attrs.evolve(self, placeholders=placeholders)

    def to_sql(self) -> Built:
        """Text and arguments.

        Raises:
            InvalidError: a part that the statement cannot do without is missing.
        """
        writer = _Writer()
        self._write(writer)
        return writer.built(self.placeholders)

    def _write(self, writer: _Writer) -> None:
        raise NotImplementedError


@attrs.frozen(slots=True, kw_only=True)
class _Filtered(Statement):
    """What SELECT, UPDATE and DELETE share: conditions, order and a window."""

    conditions: tuple[Condition, ...] = ()
    orders: tuple[str, ...] = ()
    limit_count: int | None = None
    offset_count: int | None = None

    def where(self, condition: Condition) -> Self:
        """Add a condition; all of them must hold."""
        return attrs.evolve(self, conditions=(*self.conditions, condition))

    def order_by(self, *columns: str) -> Self:
        """Add columns to the order."""
        return attrs.evolve(self, orders=(*self.orders, *columns))

    def limit(self, count: int) -> Self:
        """At most `count` rows; a negative count is 0."""
        return attrs.evolve(self, limit_count=max(0, count))

    def offset(self, count: int) -> Self:
        """Skip `count` rows; a negative count is 0."""
        return attrs.evolve(self, offset_count=max(0, count))

    def _write_window(self, writer: _Writer) -> None:
        if self.limit_count is not None:
            writer.add(f" LIMIT {self.limit_count}")
        if self.offset_count is not None:
            writer.add(f" OFFSET {self.offset_count}")
        writer.clause(" ", self.suffixes, " ")

    def _write_orders(self, writer: _Writer) -> None:
        if self.orders:
            writer.add(" ORDER BY ", ", ".join(self.orders))


@attrs.frozen(slots=True, kw_only=True)
class Select(_Filtered):
    """A SELECT."""

    names: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    source: Condition | None = None
    joins: tuple[Condition, ...] = ()
    groups: tuple[str, ...] = ()
    group_conditions: tuple[Condition, ...] = ()

    def columns(self, *names: str) -> Select:
        """Add result columns."""
        return attrs.evolve(self, names=(*self.names, *names))

    def distinct(self) -> Select:
        """Add DISTINCT."""
        return attrs.evolve(self, options=(*self.options, "DISTINCT"))

    def from_(self, table: str) -> Select:
        """Read from `table`."""
        return attrs.evolve(self, source=Fragment(table))

    def join(self, clause: str, *args: SqlValue, kind: str = "") -> Select:
        """Add a join; `kind` is empty, `LEFT`, `RIGHT` or `INNER`."""
        word = f"{kind} JOIN" if kind else "JOIN"
        return attrs.evolve(self, joins=(*self.joins, Fragment(f"{word} {clause}", args)))

    def group_by(self, *columns: str) -> Select:
        """Add columns to the grouping."""
        return attrs.evolve(self, groups=(*self.groups, *columns))

    def having(self, condition: Condition) -> Select:
        """Add a condition on groups."""
        return attrs.evolve(self, group_conditions=(*self.group_conditions, condition))

    def where(self, condition: Condition) -> Select:
        """Add a condition; an empty fragment is ignored (only here, as in the reference)."""
        if isinstance(condition, Fragment) and not condition.text:
            return self
        return attrs.evolve(self, conditions=(*self.conditions, condition))

    def _write(self, writer: _Writer) -> None:
        if not self.names:
            raise InvalidError("select statements must have at least one result column")
        writer.add("SELECT ", *(f"{option} " for option in self.options))
        writer.clause("", tuple(map(Fragment, self.names)), ", ")
        if self.source is not None:
            writer.clause(" FROM ", (self.source,), "")
        writer.clause(" ", self.joins, " ")
        writer.clause(" WHERE ", self.conditions, " AND ")
        if self.groups:
            writer.add(" GROUP BY ", ", ".join(self.groups))
        writer.clause(" HAVING ", self.group_conditions, " AND ")
        writer.clause(" ORDER BY ", tuple(map(Fragment, self.orders)), ", ")
        self._write_window(writer)


@attrs.frozen(slots=True, kw_only=True)
class Insert(Statement):
    """An INSERT of rows, or of what a SELECT gives."""

    table: str = ""
    names: tuple[str, ...] = ()
    rows: tuple[tuple[SqlValue, ...], ...] = ()
    query: Select | None = None
    prefixes: tuple[Condition, ...] = ()
    words: tuple[str, ...] = ()
    #: Columns, rows come from `set_map`: what is added afterwards takes their place, as in the reference.
    names_mapped: bool = False
    rows_mapped: bool = False

    def into(self, table: str) -> Insert:
        """Insert into `table`."""
        return attrs.evolve(self, table=table)

    def columns(self, *names: str) -> Insert:
        """Add columns; the first ones after `set_map` replace its columns."""
        before = () if self.names_mapped and names else self.names
        return attrs.evolve(self, names=(*before, *names), names_mapped=self.names_mapped and not names)

    def values(self, *row: SqlValue) -> Insert:
        """Add one row; the first one after `set_map` replaces its row."""
        before = () if self.rows_mapped else self.rows
        return attrs.evolve(self, rows=(*before, row), rows_mapped=False)

    def set_map(self, values: Mapping[str, SqlValue]) -> Insert:
        """Replace columns and rows by these, in alphabetical order of the columns."""
        names = tuple(sorted(values))
        row = tuple(values[name] for name in names)
        return attrs.evolve(self, names=names, rows=(row,), names_mapped=True, rows_mapped=True)

    def select(self, query: Select) -> Insert:
        """Insert what `query` gives."""
        return attrs.evolve(self, query=query)

    def prefix(self, text: str, *args: SqlValue) -> Insert:
        """Add a fragment before INSERT."""
        return attrs.evolve(self, prefixes=(*self.prefixes, Fragment(text, args)))

    def options(self, *words: str) -> Insert:
        """Add keywords after INSERT."""
        return attrs.evolve(self, words=(*self.words, *words))

    def _write(self, writer: _Writer) -> None:
        if not self.table:
            raise InvalidError("insert statements must specify a table")
        if not self.rows and self.query is None:
            raise InvalidError("insert statements must have at least one set of values or select clause")
        if self.prefixes:
            writer.clause("", self.prefixes, " ")
            writer.add(" ")
        writer.add("INSERT ")
        if self.words:
            writer.add(" ".join(self.words), " ")
        writer.add("INTO ", self.table, " ")
        if self.names:
            writer.add(f"({','.join(self.names)}) ")
        if self.query is not None:
            writer.clause("", (self.query,), "")
        else:
            writer.add("VALUES ", ",".join(f"({','.join('?' * len(row))})" for row in self.rows))
            for row in self.rows:
                writer.args.extend(row)
        writer.clause(" ", self.suffixes, " ")


@attrs.frozen(slots=True, kw_only=True)
class _Aliased:
    """A SELECT in parentheses with a name."""

    query: Select
    alias: str

    def to_sql(self) -> Built:
        # Marks are numbered once, by the statement around it.
        text, args = self.query.placeholder_format(Placeholders.QUESTION).to_sql()
        return f"({text}) AS {self.alias}", args


@attrs.frozen(slots=True, kw_only=True)
class Update(_Filtered):
    """An UPDATE. An assignment's value is a value or an expression."""

    target: str = ""
    assignments: tuple[tuple[str, SqlValue | Condition], ...] = ()
    source: Condition | None = None

    def table(self, name: str) -> Update:
        """Update table `name`."""
        return attrs.evolve(self, target=name)

    def set(self, column: str, value: SqlValue | Condition) -> Update:
        """Add an assignment."""
        return attrs.evolve(self, assignments=(*self.assignments, (column, value)))

    def set_map(self, values: Mapping[str, SqlValue]) -> Update:
        """Add assignments, in alphabetical order of the columns."""
        added = tuple((name, values[name]) for name in sorted(values))
        return attrs.evolve(self, assignments=(*self.assignments, *added))

    def from_(self, table: str) -> Update:
        """Add a FROM clause."""
        return attrs.evolve(self, source=Fragment(table))

    def from_select(self, query: Select, alias: str) -> Update:
        """FROM what `query` gives, called `alias`."""
        return attrs.evolve(self, source=_Aliased(query=query, alias=alias))

    def _write(self, writer: _Writer) -> None:
        if not self.target:
            raise InvalidError("update statements must specify a table")
        if not self.assignments:
            raise InvalidError("update statements must have at least one Set clause")
        writer.add("UPDATE ", self.target, " SET ")
        for index, (column, value) in enumerate(self.assignments):
            writer.add(", " if index else "", column, " = ")
            if value is None or isinstance(value, bool | int | float | str | bytes | datetime):
                writer.add("?")
                writer.args.append(value)
            else:
                text, args = value.to_sql()
                writer.add(text)
                writer.args.extend(args)
        if self.source is not None:
            writer.clause(" FROM ", (self.source,), "")
        writer.clause(" WHERE ", self.conditions, " AND ")
        self._write_orders(writer)
        self._write_window(writer)


@attrs.frozen(slots=True, kw_only=True)
class Delete(_Filtered):
    """A DELETE."""

    source: str = ""

    def from_(self, table: str) -> Delete:
        """Delete from `table`."""
        return attrs.evolve(self, source=table)

    def _write(self, writer: _Writer) -> None:
        if not self.source:
            raise InvalidError("delete statements must specify a From table")
        writer.add("DELETE FROM ", self.source)
        writer.clause(" WHERE ", self.conditions, " AND ")
        self._write_orders(writer)
        self._write_window(writer)
