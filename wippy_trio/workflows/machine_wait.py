"""What a workflow run waits for, by its number. Source: ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from wippy_trio.workflows.machine import WorkflowMachine

__all__ = ["Wait"]


@attrs.define(slots=True, eq=False)
class Wait:
    """Something a run waits for.

    Attributes:
        kind: picks the answer.
        command: the kernel's number of the operation; 0 where nothing in Lua waits any more.
        value: a timer's source and interval; a child's PID.
        line: of the code.
        on_cancel: what happens when the code gives up waiting.
    """

    kind: str
    command: int
    value: Any = None
    line: str = ""
    on_cancel: Callable[[WorkflowMachine, Wait], None] | None = None
    seq: int = 0
