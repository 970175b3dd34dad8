"""Structured logging: levels, names and fields, written through the standard library's `logging`.

`Log` is what code holds; `LogCore` decides what becomes of a record (written, sent to the bus, counted) and can be
changed while the node runs. Records of other libraries pass the same handler. Source: docs guides/observability,
lua/system/logger.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, TextIO

import attrs

from determinism.seams import Clock
from wippy_trio.core.events import Event
from wippy_trio.observability.bus import EventBus, Listening
from wippy_trio.observability.metrics import Metrics

__all__ = ["ConsoleFormatter", "JsonFormatter", "Log", "LogCore", "LogLevel", "LogSettings", "attach_handler"]

_ROOT: Final = "wippy"
_MAX_DEPTH: Final = 8
_MAX_TEXT_CHARACTERS: Final = 32_768
_MAX_ITEMS: Final = 256
_LINE_BREAKS: Final = str.maketrans({"\n": "\\n", "\r": "\\r", "\x1b": "\\x1b", "\x00": "\\x00"})
_COLORS: Final = {"debug": "\x1b[36m", "info": "\x1b[32m", "warn": "\x1b[33m", "error": "\x1b[31m"}
_DIM: Final = "\x1b[2m"
_RESET: Final = "\x1b[0m"

_EMPTY: Mapping[str, object] = {}


class LogLevel(IntEnum):
    """Levels and their numbers in configuration and events."""

    DEBUG = -1
    INFO = 0
    WARN = 1
    ERROR = 2

    @property
    def stdlib(self) -> int:
        """The number `logging` has for it."""
        return (self + 2) * 10

    @classmethod
    def parse(cls, text: str) -> LogLevel:
        """Read `debug`, `info`, `warn` or `error`.

        Raises:
            KeyError: none of these.
        """
        return cls[text.upper()]


@attrs.frozen(slots=True)
class LogSettings:
    """What becomes of records: written to the handlers from `min_level` up, sent to the event bus, or both."""

    propagate_downstream: bool = True
    stream_to_events: bool = False
    min_level: int = LogLevel.DEBUG

    @classmethod
    def parse(cls, data: object) -> LogSettings | None:
        """Read what a `logs.config.set` event carries; None where it is something else. Absent keys are defaults."""
        if isinstance(data, LogSettings):
            return data
        if not isinstance(data, Mapping):
            return None
        level = data.get("min_level", LogLevel.DEBUG)
        if isinstance(level, bool) or not isinstance(level, int | float):
            return None
        return cls(bool(data.get("propagate_downstream", True)), bool(data.get("stream_to_events", False)), int(level))

    def as_data(self) -> dict[str, object]:
        """The JSON-like form, as events carry it."""
        return {
            "propagate_downstream": self.propagate_downstream,
            "stream_to_events": self.stream_to_events,
            "min_level": int(self.min_level),
        }


class LogCore:
    """Where records go. One per node; `Log`s share it.

    Args:
        clock: stamps records.
        settings: to begin with.
        metrics: where `runtime_log_emissions_total` is counted.
    """

    def __init__(self, clock: Clock, settings: LogSettings | None = None, metrics: Metrics | None = None) -> None:
        self._clock = clock
        self.settings = settings or LogSettings()
        self._metrics = metrics
        self._bus: EventBus | None = None
        self._sending = False

    def log(self, name: str = "") -> Log:
        """A logger of this core."""
        return Log(self, name)

    def connect(self, bus: EventBus) -> Listening:
        """Send records to `bus` where the settings say so, and let `logs.config.*` events read and change them.

        Returns:
            the listening, to be closed when the node stops.
        """
        self._bus = bus
        return bus.listen("logs", "logs.config.(set|get)", self._configure)

    def _configure(self, event: Event) -> None:
        if event.kind == "logs.config.set":
            settings = LogSettings.parse(event.data)
            if settings is None:
                self.log("logs").warn("logs.config.set ignored: data is no log configuration", path=event.path)
                return
            self.settings = settings
        if self._bus is not None:
            self._bus.send_now(Event("logs", "logs.config.state", event.path, self.settings.as_data()))

    def enabled(self, level: LogLevel) -> bool:
        """Whether a record of this level would go anywhere."""
        settings = self.settings
        return settings.stream_to_events or (settings.propagate_downstream and level >= settings.min_level)

    def write(self, level: LogLevel, name: str, message: str, fields: Mapping[str, object]) -> None:
        """Write one record."""
        settings = self.settings
        wall_ns = self._clock.wall_ns()
        if settings.propagate_downstream and level >= settings.min_level:
            # One stdlib logger for all names: it keeps every name for ever, and Lua can make up any number.
            logger = logging.getLogger(_ROOT)
            if logger.isEnabledFor(level.stdlib):
                extra = {"wippy_fields": fields, "wippy_name": name, "wall_ns": wall_ns}
                record = logger.makeRecord(logger.name, level.stdlib, "", 0, "%s", (message,), None, extra=extra)
                logger.handle(record)
        if settings.stream_to_events and self._bus is not None and not self._sending:
            self._stream(level, name, message, fields, wall_ns)
        if self._metrics is not None:
            self._metrics.counter_add("runtime_log_emissions_total", 1.0, {"level": level.name.lower()})

    def _stream(self, level: LogLevel, name: str, message: str, fields: Mapping[str, object], wall_ns: int) -> None:
        bus = self._bus
        if bus is None or not bus.heard("logs", "logs.entry"):
            return
        entry = {
            "level": int(level),
            "time": wall_ns,
            "logger_name": name,
            "message": message,
            "caller": "undefined",
            "stack": "",
        }
        data = {"entry": entry, "fields": [_event_field(key, value) for key, value in fields.items()]}
        self._sending = True  # a listener that logs would otherwise hear itself for ever
        try:
            bus.send_now(Event("logs", "logs.entry", name, data))
        finally:
            self._sending = False


def _event_field(key: str, value: object) -> dict[str, object]:
    """A field as `logs.entry` carries it: integers in `int`, texts in `string`, the rest as its JSON text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return {"key": key, "type": "int64", "string": "", "int": value}
    if isinstance(value, str):
        return {"key": key, "type": "string", "string": value, "int": 0}
    return {"key": key, "type": "unknown", "string": _dumps(value), "int": 0}


class Log:
    """A named logger with fields of its own. Immutable: `with_fields` and `named` give children."""

    __slots__ = ("core", "fields", "name")

    def __init__(self, core: LogCore, name: str = "", fields: Mapping[str, object] = _EMPTY) -> None:
        self.core = core
        self.name = name
        self.fields = fields

    def with_fields(self, fields: Mapping[str, object]) -> Log:
        """A child whose records all carry these fields too."""
        return Log(self.core, self.name, {**self.fields, **fields})

    def named(self, name: str) -> Log:
        """A child named `<this>.<name>`."""
        return Log(self.core, f"{self.name}.{name}" if self.name else name, self.fields)

    def write(self, level: LogLevel, message: str, fields: Mapping[str, object]) -> None:
        """Write a record; `fields` win over the logger's own."""
        if self.core.enabled(level):
            self.core.write(level, self.name, message, {**self.fields, **fields} if self.fields else fields)

    def debug(self, message: str, /, **fields: object) -> None:
        """For whoever looks for a fault."""
        self.write(LogLevel.DEBUG, message, fields)

    def info(self, message: str, /, **fields: object) -> None:
        """What an operator wants to know."""
        self.write(LogLevel.INFO, message, fields)

    def warn(self, message: str, /, **fields: object) -> None:
        """What will become a fault if nobody looks."""
        self.write(LogLevel.WARN, message, fields)

    def error(self, message: str, /, **fields: object) -> None:
        """A fault."""
        self.write(LogLevel.ERROR, message, fields)


# ------------------------------------------------------------------------------------------------- stdlib logging


def _plain(value: object, depth: int = 0) -> Any:
    """A JSON-like copy of any value, within bounds; never raises for what it does not know."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if len(value) <= _MAX_TEXT_CHARACTERS else value[:_MAX_TEXT_CHARACTERS] + "…"
    if isinstance(value, bytes):
        return _plain(value.decode("utf-8", "backslashreplace"), depth)
    if depth >= _MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in list(value.items())[:_MAX_ITEMS]}
    if isinstance(value, Sequence | set | frozenset):
        return [_plain(item, depth + 1) for item in list(value)[:_MAX_ITEMS]]
    return _plain(str(value), depth)


def _dumps(value: object) -> str:
    return json.dumps(_plain(value), ensure_ascii=False)


def _moment(record: logging.LogRecord) -> dt.datetime:
    wall_ns = getattr(record, "wall_ns", None)
    seconds = wall_ns / 1e9 if isinstance(wall_ns, int) else record.created
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _level_name(record: logging.LogRecord) -> str:
    if record.levelno >= logging.ERROR:
        return "error"
    if record.levelno >= logging.WARNING:
        return "warn"
    return "info" if record.levelno >= logging.INFO else "debug"


def _name_and_fields(record: logging.LogRecord) -> tuple[str, Mapping[str, object]]:
    fields = getattr(record, "wippy_fields", None)
    name = getattr(record, "wippy_name", record.name)
    return name, fields if isinstance(fields, Mapping) else _EMPTY


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `level`, `ts` (ISO 8601, UTC), `logger`, `msg`, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        name, fields = _name_and_fields(record)
        line: dict[str, object] = {
            "level": _level_name(record),
            "ts": _moment(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        if name:
            line["logger"] = name
        line["msg"] = _plain(record.getMessage())
        for key, value in fields.items():
            line[key if key not in line else f"fields.{key}"] = value
        if record.exc_info:
            line["stacktrace"] = self.formatException(record.exc_info)
        return _dumps(line)


class ConsoleFormatter(logging.Formatter):
    """For people: `time LEVEL name message {fields}`; line breaks and escapes in texts are shown, not obeyed.

    Args:
        color: with terminal colours.
        started_ns: where given, times are seconds since then (the `-c` console); else date and time in UTC.
    """

    def __init__(self, *, color: bool = False, started_ns: int | None = None) -> None:
        super().__init__()
        self._color = color
        self._started_ns = started_ns

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record, without the final line end."""
        name, fields = _name_and_fields(record)
        level = _level_name(record)
        shown = f"{level.upper():<5}"
        if self._color:
            shown = f"{_COLORS[level]}{shown}{_RESET}"
        parts = [self._time(record), shown]
        if name:
            parts.append(name.translate(_LINE_BREAKS))
        parts.append(str(_plain(record.getMessage())).translate(_LINE_BREAKS))
        if fields:
            text = _dumps(fields).translate(_LINE_BREAKS)
            parts.append(f"{_DIM}{text}{_RESET}" if self._color else text)
        if record.exc_info:
            parts.append("\n" + self.formatException(record.exc_info))
        return "  ".join(parts)

    def _time(self, record: logging.LogRecord) -> str:
        moment = _moment(record)
        if self._started_ns is None:
            return f"{moment:%Y-%m-%d %H:%M:%S}"
        return f"{moment.timestamp() - self._started_ns / 1e9:6.2f}s"


def attach_handler(stream: TextIO, formatter: logging.Formatter, level: LogLevel) -> Callable[[], None]:
    """Write records from `level` up to `stream` (standard error: standard output belongs to the program).

    Other libraries' records are written from WARN up.

    Returns:
        a function that takes the handler away again.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    ours, root = logging.getLogger(_ROOT), logging.getLogger()
    before = (ours.level, ours.propagate)
    ours.setLevel(level.stdlib)
    ours.propagate = False
    for logger in (ours, root):
        logger.addHandler(handler)

    def detach() -> None:
        for logger in (ours, root):
            logger.removeHandler(handler)
        ours.setLevel(before[0])
        ours.propagate = before[1]

    return detach
