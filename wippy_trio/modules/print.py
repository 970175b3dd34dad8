"""The global `print`: a log record with the process and the place. Source: docs lua/core/base."""

from __future__ import annotations

from sandbox.values import as_text
from wippy_trio.module import Call, Module, ModuleClass

__all__ = ["MODULE"]

MODULE = Module("print", classes={ModuleClass.DETERMINISTIC}, prelude="print.lua", always=True)


@MODULE.raw("print.write")
def write(call: Call, text: bytes, location: bytes) -> None:
    """Log one line at level info."""
    call.runtime.log.info(as_text(text), pid=call.pid, location=as_text(location))
