from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from wippy_trio.core.frame import EMPTY_FRAME


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields = dict(record.__dict__["wippy_fields"])
        if "pid" in fields:
            name = record.__dict__["wippy_name"]
            self.seen.append({"level": record.levelname, "name": name, "msg": record.getMessage(), **fields})


@pytest.fixture
def records() -> Iterator[list[dict[str, Any]]]:
    logger, handler = logging.getLogger("wippy"), Records()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler.seen
    logger.removeHandler(handler)
    logger.setLevel(before)


async def test_records_carry_process_and_place(lua: Any, records: list[dict[str, Any]]) -> None:
    source = "local logger = require('logger')\nlogger:info('hello', {n = 1, deep = {x = {1, 2}}, [5] = 'dropped'})"
    await lua(source, modules=["logger"])
    (record,) = records
    assert record.pop("pid").startswith("{")
    entry, _, line = record.pop("location").rpartition(":")
    assert (entry, line) == ("test:script", "2")
    assert record == {"level": "INFO", "name": "", "msg": "hello", "n": 1, "deep": {"x": [1, 2]}}


async def test_children_keep_name_and_fields(lua: Any, records: list[dict[str, Any]]) -> None:
    source = """
        local logger = require('logger')
        local child = logger:named('http'):with({service = 'api', n = 1}):named('router')
        child:debug('one', {n = 2})
        child:warn('two')
        logger:error('three')
    """
    await lua(source, modules=["logger"])
    shown = [(r["level"], r["name"], r["msg"], r.get("service"), r.get("n")) for r in records]
    assert shown == [
        ("DEBUG", "http.router", "one", "api", 2),
        ("WARNING", "http.router", "two", "api", 1),
        ("ERROR", "", "three", None, None),
    ]


async def test_errors_are_texts_and_leave_the_callers_table(lua: Any, records: list[dict[str, Any]]) -> None:
    source = """
        local logger = require('logger')
        local fields = {error = errors.new('boom'), cause = errors.new('why'), f = function() end}
        logger:error('bad', fields)
        logger:info('fine', {error = 'kept'})
        return fields.error == nil and fields.cause ~= nil
    """
    assert await lua(source, modules=["logger"]) is True
    assert (records[0]["error"], records[0]["cause"]) == ("boom", "why")
    assert records[0]["f"].startswith("function")
    assert records[1]["error"] == "kept"


async def test_wrong_arguments_are_raised(lua: Any) -> None:
    source = """
        local logger = require('logger')
        local list = {}
        for _, f in ipairs({
          function() logger:info() end,
          function() logger:info('x', nil) end,
          function() logger:with('x') end,
          function() logger:named('') end,
          function() logger.info('x', {}) end,
        }) do
          local ok, e = pcall(f)
          list[#list + 1] = not ok and tostring(e)
        end
        list[#list + 1] = type(logger)
        return list
    """
    result = await lua(source, modules=["logger"], frame=EMPTY_FRAME)
    for text, expected in zip(
        result,
        [
            "bad argument #2 to info (string expected, got nil)",
            "bad argument #3 to info (table expected, got nil)",
            "bad argument #2 to with (table expected, got string)",
            "bad argument #2 to named (name cannot be empty)",
            "bad argument #1 to info (expected logger.Logger, call it with a colon)",
            "userdata",
        ],
        strict=True,
    ):
        assert expected in text
