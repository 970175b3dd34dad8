"""An open run as this node holds it: what it waits for, what it has not been told yet, its machine while it is needed.

Most open runs are idle: their machine is made from the record when something happens to them. Source: ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import trio

from wippy_trio.core.errors import LuaError, RateLimitedError
from wippy_trio.workflows.history import Pending, RunInfo
from wippy_trio.workflows.wire import Event, SendMessage, Started, Terminated, TimedOut

if TYPE_CHECKING:
    from wippy_trio.workflows.machine import WorkflowMachine

__all__ = ["Answer", "Cancellable", "Inbound", "LiveRun", "WorkflowSettings"]


@attrs.frozen(slots=True)
class WorkflowSettings:
    """Bounds of the embedded engine.

    Attributes:
        machines_count: machines that are kept for idle runs (`workflows.cache`).
        activities_count: activities that run at once (`workflows.activities`).
        inbox_count: events one run may have waiting.
        records_count, history_bytes: a longer history fails its run (`workflows.history_length`, ..`_size`).
        retry_s: wait before a run whose code could not be run is tried again.
        keep_s: how long closed runs are kept (`workflows.retention`).
    """

    machines_count: int = 1_000
    activities_count: int = 1_000
    inbox_count: int = 10_000
    records_count: int = 51_200
    history_bytes: int = 50 * 1024 * 1024
    retry_s: float = 10.0
    keep_s: float = 30 * 86_400.0


class Answer:
    """What somebody waits for: set once."""

    __slots__ = ("error", "event", "value")

    def __init__(self) -> None:
        self.event = trio.Event()
        self.value: Any = None
        self.error: LuaError | None = None

    def give(self, value: Any = None, error: LuaError | None = None) -> None:
        """Give it; the first counts."""
        if not self.event.is_set():
            self.value, self.error = value, error
            self.event.set()

    async def wait(self) -> Any:
        """The value.

        Raises:
            LuaError: what was given instead.
        """
        await self.event.wait()
        if self.error is not None:
            raise self.error
        return self.value


class Cancellable(Protocol):
    """Something under way that can be ended early."""

    def cancel(self) -> None:
        """End it."""

    def lose(self) -> None:
        """End it as the death of its worker would."""


class Inbound:
    """An event on its way to a run. `tell(error)` is called when it is durable (None) or will never be."""

    __slots__ = ("event", "posted", "tell")

    def __init__(
        self, event: Event, tell: Callable[[LuaError | None], None] | None = None, posted: int | None = None
    ) -> None:
        self.event = event
        self.tell = tell
        self.posted = posted


class LiveRun:
    """An open run."""

    __slots__ = (
        "canceled",
        "caught_up",
        "closed",
        "heard",
        "inbox",
        "info",
        "last_ns",
        "left",
        "length",
        "lost_count",
        "machine",
        "outbox",
        "pending",
        "scopes",
        "sending",
        "size_bytes",
        "stuck",
        "updates",
        "waking",
        "working",
    )

    def __init__(self, info: RunInfo, pending: Iterable[Pending] = ()) -> None:
        self.info = info
        self.length = info.length
        self.size_bytes = info.size_bytes
        self.last_ns = info.started_ns
        self.pending = {item.seq: item for item in pending}
        self.inbox: deque[Inbound] = deque()
        self.machine: WorkflowMachine | None = None
        self.working = False
        #: Held by whoever makes its machine.
        self.waking = trio.Lock()
        self.canceled = False
        #: How often in a row the VM failed under it.
        self.lost_count = 0
        #: Whether messages may have been left for it in the history before its first step.
        self.left = False
        #: Why its code cannot be run at present.
        self.stuck: LuaError | None = None
        self.closed = trio.Event()
        #: Set when no message is left for it in the history that came before whatever comes next.
        self.caught_up = trio.Event()
        self.caught_up.set()
        #: Numbers of those messages that it was told, until they are gone from the history.
        self.heard: set[int] = set()
        #: Activities that run for it here, by number.
        self.scopes: dict[int, Cancellable] = {}
        #: Messages to processes that have not been sent yet, in order, and whether a task sends them.
        self.outbox: deque[SendMessage] = deque()
        self.sending = False
        #: Who waits for the answer to an update, by its id.
        self.updates: dict[str, Answer] = {}

    @property
    def run_id(self) -> str:
        """Its id."""
        return self.info.run_id

    @property
    def waits_to_start(self) -> bool:
        """Whether its first step lies in the future, and nobody ends it before that."""
        return 0 in self.pending and not (
            self.inbox and isinstance(self.inbox[0].event, Started | Terminated | TimedOut)
        )

    def put(self, inbound: Inbound, limit: int) -> None:
        """Line an event up; `limit` 0 = in any case.

        Raises:
            RateLimitedError: too many are waiting.
        """
        if limit and len(self.inbox) >= limit:
            raise RateLimitedError(f"workflow {self.info.workflow_id} has {limit} events waiting")
        if isinstance(inbound.event, Started | Terminated | TimedOut):
            self.inbox.appendleft(inbound)
        else:
            self.inbox.append(inbound)
