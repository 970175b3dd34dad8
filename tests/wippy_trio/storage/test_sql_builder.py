"""The builder's text against what the reference's builder printed for the same calls (sql_builder_cases.json)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wippy_trio.core.errors import InvalidError
from wippy_trio.storage.sql_builder import Fragment, Placeholders, args_text, eq
from wippy_trio.storage.sql_builder_described import condition, sql_value, statement
from wippy_trio.storage.sql_builder_statements import Insert, Select, Update

CASES = json.loads((Path(__file__).parent / "sql_builder_cases.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[f"{case['kind']}-{at}" for at, case in enumerate(CASES)])
def test_text_is_the_reference_s(case) -> None:
    made = condition(case["calls"]) if case["kind"] == "condition" else statement(case["kind"], case["calls"])
    if "error" in case:
        with pytest.raises(InvalidError) as failed:
            made.to_sql()
        assert str(failed.value) == case["error"]
        return
    text, args = made.to_sql()
    assert (text, len(args)) == (case["sql"], case["count"])
    assert case["shown"].endswith(f": {text} [Args: {args_text(args)}]")


def test_statements_are_immutable() -> None:
    base = Select().columns("a").from_("t")
    narrowed = base.where(eq({"b": 1}))
    assert base.to_sql() == ("SELECT a FROM t", ())
    assert narrowed.to_sql() == ("SELECT a FROM t WHERE b = ?", (1,))


def test_marks_of_a_subquery_are_numbered_once() -> None:
    inner = Select().columns("a").from_("s").where(Fragment("x = ?", (1,))).placeholder_format(Placeholders.DOLLAR)
    outer = Update().table("t").set("b", 2).from_select(inner, "q").placeholder_format(Placeholders.DOLLAR)
    assert outer.to_sql() == ("UPDATE t SET b = $1 FROM (SELECT a FROM s WHERE x = $2) AS q", (2, 1))


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (Placeholders.QUESTION, "a ?? b = ? AND c = ?"),
        (Placeholders.DOLLAR, "a ? b = $1 AND c = $2"),
        (Placeholders.AT, "a ? b = @p1 AND c = @p2"),
        (Placeholders.COLON, "a ? b = :1 AND c = :2"),
    ],
)
def test_placeholders(style, expected) -> None:
    assert style.rewrite("a ?? b = ? AND c = ?") == expected


def test_values_that_cannot_be_bound() -> None:
    assert sql_value(["null"]) is None
    assert sql_value(["bytes", "a"]) == b"a"
    with pytest.raises(InvalidError):
        sql_value({"a": 1})


def test_negative_limits_are_zero() -> None:
    assert Select().columns("a").limit(-1).offset(-5).to_sql()[0] == "SELECT a LIMIT 0 OFFSET 0"


def test_args_text_of_special_floats() -> None:
    special = (float("nan"), float("inf"), float("-inf"), 1e20, 0.0)
    assert args_text(special) == "[NaN +Inf -Inf 100000000000000000000 0]"


def test_insert_from_select() -> None:
    made = Insert().into("t").columns("a").select(Select().columns("b").from_("s").where(eq({"c": None})))
    assert made.to_sql() == ("INSERT INTO t (a) SELECT b FROM s WHERE c IS NULL", ())
