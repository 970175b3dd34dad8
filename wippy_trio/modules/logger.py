"""The `logger` module: structured logging. Source: docs lua/system/logger, guides/observability."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.values import as_text
from wippy_trio.module import Call, Module, ModuleClass
from wippy_trio.observability.log import Log, LogLevel

__all__ = ["MODULE"]

MODULE = Module("logger", classes={ModuleClass.IO}, prelude="logger.lua")

_LEVELS = (LogLevel.DEBUG, LogLevel.INFO, LogLevel.WARN, LogLevel.ERROR)


def _log(call: Call) -> Log:
    log = call.runtime.log
    assert isinstance(log, Log)
    return log


@MODULE.raw("logger.enabled")
def enabled(call: Call, level: int) -> bool:
    """Whether a record of this level (0 debug to 3 error) would go anywhere; spares making its fields."""
    return _log(call).core.enabled(_LEVELS[level])


@MODULE.immediate("logger.write")
def write(call: Call, level: int, line: int, name: object, message: object, fields: object) -> None:
    """Write a record with the process and the place it came from."""
    log = _log(call)
    record: dict[str, object] = {}
    if call.pid:
        record["pid"] = call.pid
    if call.frame.entry is not None and line > 0:
        record["location"] = f"{call.frame.entry}:{line}"
    if isinstance(fields, Mapping):
        record.update((as_text(key), value) for key, value in fields.items())
    parts = [part for part in (log.name, as_text(name)) if part]
    log.core.write(_LEVELS[level], ".".join(parts), as_text(message), record)
