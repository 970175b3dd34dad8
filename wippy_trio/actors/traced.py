"""The start and the end of processes as spans, where whoever started them is in a trace.

Source: docs guides/observability (Process lifecycle).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wippy_trio.observability.trace import trace_of, tracer_of

if TYPE_CHECKING:
    from wippy_trio.actors.host import Process
    from wippy_trio.core.errors import LuaError
    from wippy_trio.runtime import Runtime

__all__ = ["trace_life"]


def trace_life(runtime: Runtime, process: Process) -> None:
    """Record `ENTRY.started` now, and `ENTRY.terminated` when it ends, below the span that started it."""
    parent, tracer = trace_of(process.actor.frame), tracer_of(runtime.extras)
    if parent is None or tracer is None or not tracer.settings.process:
        return
    entry = str(process.entry)
    told = {"process.pid": process.pid, "process.source": entry}
    tracer.begin(f"{entry}.started", parent=parent, attributes={**told, "lifecycle.event": "started"}).finish(
        status="unset"
    )

    def ended(_pid: str, _value: Any, error: LuaError | None) -> None:
        reason = "completed" if error is None else "error"
        told_then = {**told, "lifecycle.event": "terminated", "termination.reason": reason}
        tracer.begin(f"{entry}.terminated", parent=parent, attributes=told_then).finish(error)

    runtime.processes.watch(process.pid, ended)
