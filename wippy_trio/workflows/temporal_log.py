"""What Temporal's SDK and its core say, in the log of the node.

Both speak to Python's logging, which is one for the process; the last client that opened gets their lines. By itself
core would write to standard output. Source: ours.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio
from temporalio.runtime import LogForwardingConfig, LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

if TYPE_CHECKING:
    from wippy_trio.runtime import Log

__all__ = ["sdk_log"]

_LOGGERS = ("temporalio", "trio-asyncio")
_prepared: list[Runtime] = []


class _LogHandler(logging.Handler):
    """What the SDK calls a warning is often news, so its lines come one level lower. Any thread may call."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log
        self._token = trio.lowlevel.current_trio_token()

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        try:
            here = trio.lowlevel.current_trio_token() is self._token
        except RuntimeError:
            here = False
        if here:
            self._write(record)
            return
        try:
            self._token.run_sync_soon(self._write, record)
        except trio.RunFinishedError:
            pass  # nobody is left to read it

    def _write(self, record: logging.LogRecord) -> None:
        text = record.getMessage().partition("\n")[0]
        error = str(record.exc_info[1]) if record.exc_info and record.exc_info[1] is not None else None
        fields = {"logger": record.name} | ({"error": error} if error else {})
        if record.levelno >= logging.ERROR:
            self._log.warn(text, **fields)
        else:
            self._log.debug(text, **fields)


@contextmanager
def sdk_log(log: Log) -> Iterator[None]:
    """Send their lines to `log` for the duration of the block."""
    if not _prepared:  # core's threads are made once for the process, and say where it logs
        levels = TelemetryFilter(core_level="WARN", other_level="ERROR")
        forwarding = LogForwardingConfig(logging.getLogger("temporalio.core"))
        runtime = Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(levels, forwarding)))
        Runtime.set_default(runtime, error_if_already_set=False)
        _prepared.append(runtime)
    mine: list[logging.Handler] = [_LogHandler(log)]
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.handlers = mine
    try:
        yield
    finally:
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            if logger.handlers is mine:
                logger.handlers = [logging.NullHandler()]
