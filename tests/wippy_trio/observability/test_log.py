from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from wippy_trio.core.events import Event
from wippy_trio.observability.bus import EventBus
from wippy_trio.observability.log import (
    ConsoleFormatter,
    JsonFormatter,
    LogCore,
    LogLevel,
    LogSettings,
    attach_handler,
)
from wippy_trio.observability.metrics import Metrics


class FakeClock:
    def wall_ns(self) -> int:
        return 1_700_000_000_250_000_000

    def monotonic_s(self) -> float:
        return 0.0

    def cpu_s(self) -> float:
        return 0.0

    def zone(self) -> str:
        return "UTC"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    detach = attach_handler(stream, JsonFormatter(), LogLevel.DEBUG)
    yield stream
    detach()
    logging.getLogger("wippy").error("nobody writes this any more")
    assert "nobody" not in stream.getvalue()


def written(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines(output: io.StringIO) -> None:
    log = LogCore(FakeClock()).log("http")
    log.info("started %d", port=80, deep={"a": [1, None, object]}, msg="field")
    assert written(output) == [
        {
            "level": "info",
            "ts": "2023-11-14T22:13:20.250Z",
            "logger": "http",
            "msg": "started %d",
            "port": 80,
            "deep": {"a": [1, None, "<class 'object'>"]},
            "fields.msg": "field",
        }
    ]


def test_children_add_fields_and_names(output: io.StringIO) -> None:
    parent = LogCore(FakeClock()).log().with_fields({"a": 1, "b": 1})
    child = parent.named("x").named("y").with_fields({"b": 2})
    child.warn("hi", c=3, a=0)
    parent.error("parent")
    first, second = written(output)
    assert first == {**first, "logger": "x.y", "level": "warn", "a": 0, "b": 2, "c": 3}
    assert "logger" not in second
    assert (second["a"], second["b"]) == (1, 1)


def test_levels_are_held_back_by_core_and_handler(output: io.StringIO) -> None:
    core = LogCore(FakeClock(), LogSettings(min_level=LogLevel.WARN))
    core.log().info("no")
    core.log().warn("yes")
    core.settings = LogSettings()
    logging.getLogger("wippy").setLevel(logging.ERROR)
    core.log().warn("no")
    assert [line["msg"] for line in written(output)] == ["yes"]
    core.settings = LogSettings(propagate_downstream=False)
    assert not core.enabled(LogLevel.ERROR)


def test_other_libraries_are_heard_from_warnings_up(output: io.StringIO) -> None:
    other = logging.getLogger("some.library")
    other.info("no")
    try:
        raise ValueError("boom")
    except ValueError:
        other.exception("yes %s", 1)
    (line,) = written(output)
    assert (line["logger"], line["level"], line["msg"]) == ("some.library", "error", "yes 1")
    assert "ValueError: boom" in line["stacktrace"]


def test_the_console_shows_one_line_whatever_the_text(output: io.StringIO) -> None:
    stream = io.StringIO()
    detach = attach_handler(stream, ConsoleFormatter(), LogLevel.INFO)
    log = LogCore(FakeClock()).log("app")
    log.info("evil\n\x1b[2Jline", user="a\nb")
    log.debug("too low")
    detach()
    assert stream.getvalue() == '2023-11-14 22:13:20  INFO   app  evil\\n\\x1b[2Jline  {"user": "a\\nb"}\n'


def test_the_coloured_console_counts_seconds() -> None:
    stream = io.StringIO()
    started_ns = FakeClock().wall_ns() - 1_500_000_000
    detach = attach_handler(stream, ConsoleFormatter(color=True, started_ns=started_ns), LogLevel.INFO)
    LogCore(FakeClock()).log().error("bad", n=1)
    detach()
    assert stream.getvalue() == '  1.50s  \x1b[31mERROR\x1b[0m  bad  \x1b[2m{"n": 1}\x1b[0m\n'


def test_records_stream_to_the_bus_and_are_counted() -> None:
    bus, metrics, heard = EventBus(), Metrics(), []
    core = LogCore(FakeClock(), LogSettings(propagate_downstream=False, stream_to_events=True), metrics)
    listening = core.connect(bus)

    def hear(event: Event) -> None:
        heard.append(event)
        core.log().debug("a listener that logs does not hear itself")

    bus.listen("logs", "logs.entry", hear)
    core.log("svc").debug("hello", n=1, s="x", f=1.5)
    assert heard == [
        Event(
            "logs",
            "logs.entry",
            "svc",
            {
                "entry": {
                    "level": -1,
                    "time": 1_700_000_000_250_000_000,
                    "logger_name": "svc",
                    "message": "hello",
                    "caller": "undefined",
                    "stack": "",
                },
                "fields": [
                    {"key": "n", "type": "int64", "string": "", "int": 1},
                    {"key": "s", "type": "string", "string": "x", "int": 0},
                    {"key": "f", "type": "unknown", "string": "1.5", "int": 0},
                ],
            },
        )
    ]
    assert metrics.value("runtime_log_emissions_total", {"level": "debug"}) == 2
    listening.close()


def test_settings_are_read_and_changed_over_the_bus() -> None:
    bus = EventBus()
    states: list[Event] = []
    core = LogCore(FakeClock())
    core.connect(bus)
    bus.listen("logs", "logs.config.state", states.append)
    bus.send_now(Event("logs", "logs.config.get", "q"))
    wanted = {"propagate_downstream": False, "stream_to_events": True, "min_level": 2}
    bus.send_now(Event("logs", "logs.config.set", "p", wanted))
    bus.send_now(Event("logs", "logs.config.set", "bad", {"min_level": "high"}))
    bus.send_now(Event("logs", "logs.config.set", "bad", 7))
    assert [(state.path, state.data) for state in states] == [("q", LogSettings().as_data()), ("p", wanted)]
    assert core.settings == LogSettings(propagate_downstream=False, stream_to_events=True, min_level=2)


def test_levels_have_names() -> None:
    assert LogLevel.parse("warn") is LogLevel.WARN
    with pytest.raises(KeyError):
        LogLevel.parse("loud")


def test_long_and_deep_values_are_cut(output: io.StringIO) -> None:
    deep: list[Any] = []
    deep.append(deep)
    LogCore(FakeClock()).log().info("x" * 40_000, deep=deep, wide=list(range(999)), raw=b"\xff", key={1: 2})
    (line,) = written(output)
    assert len(line["msg"]) == 32_769
    assert len(line["wide"]) == 256
    assert line["raw"] == "\\xff"
    assert line["key"] == {"1": 2}
