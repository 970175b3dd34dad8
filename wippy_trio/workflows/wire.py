"""What goes into a workflow's step machine (events) and what comes out (commands): frozen values with one codec.

The machine (`machine.py`) is `activate(now_ns, events) -> commands`. Whoever drives it decides what events there are:
the embedded engine (`driver.py`), a Temporal worker, a replay, a simulation. Lua values travel as the bytes of
`sandbox.values`: `args`, `input` and `payloads` are an encoded list of values, `result` an encoded list of one.

`seq` numbers what a run waits for (activities, timers, children, external requests), from 1, in the order of the
commands. `line` is where in the Lua source a command came from; it never counts when commands are compared.

The classes are in `wire_events.py` and `wire_commands.py`, the codec is in `wire_codec.py`; all are here for use.
Source: ours (architecture, section 5d).
"""

from __future__ import annotations

from wippy_trio.workflows.wire_codec import decode, encode, from_json, to_json, value_to_json
from wippy_trio.workflows.wire_commands import (
    CancelActivity,
    CancelChild,
    CancelExternal,
    CancelTimer,
    Command,
    Complete,
    ContinueAsNew,
    Fail,
    RecordVersion,
    ScheduleActivity,
    SendMessage,
    SignalExternal,
    StartChild,
    StartTimer,
    TerminateExternal,
    UpdateAccept,
    UpdateComplete,
    UpdateReject,
    UpsertAttributes,
)
from wippy_trio.workflows.wire_events import (
    NIL,
    NONE,
    ActivityResolved,
    CancelRequested,
    ChildResolved,
    ChildStarted,
    Context,
    Event,
    ExternalResolved,
    Failure,
    PatchKnown,
    SignalReceived,
    Started,
    Terminated,
    TimedOut,
    TimerFired,
    UpdateReceived,
)

__all__ = [
    "NIL",
    "NONE",
    "ActivityResolved",
    "CancelActivity",
    "CancelChild",
    "CancelExternal",
    "CancelRequested",
    "CancelTimer",
    "ChildResolved",
    "ChildStarted",
    "Command",
    "Complete",
    "Context",
    "ContinueAsNew",
    "Event",
    "ExternalResolved",
    "Fail",
    "Failure",
    "PatchKnown",
    "RecordVersion",
    "ScheduleActivity",
    "SendMessage",
    "SignalExternal",
    "SignalReceived",
    "StartChild",
    "StartTimer",
    "Started",
    "TerminateExternal",
    "Terminated",
    "TimedOut",
    "TimerFired",
    "UpdateAccept",
    "UpdateComplete",
    "UpdateReceived",
    "UpdateReject",
    "UpsertAttributes",
    "decode",
    "encode",
    "from_json",
    "to_json",
    "value_to_json",
]
