"""Hosts whose processes outlive the node: workflows, wherever their history is kept.

Such a host is offered (`runtime.resources.offer`) under the id of the entry that programs name as host, and entered
in the topology (`Topology.add_durable`) under the host part of its PIDs, so that `process.send` and the like find it.
Running workflows that this node knows of are participants of the topology, which keeps who monitors, links and names
them; their end is told to it by `Topology.leave`. Source: docs temporal/workflows, concepts/workflows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from wippy_trio.core.errors import LuaError
from wippy_trio.core.frame import Frame
from wippy_trio.core.ids import EntryId

if TYPE_CHECKING:
    from wippy_trio.actors.host import SpawnOptions

__all__ = ["DurableHost", "Ended"]


@attrs.frozen(slots=True)
class Ended:
    """How a workflow that has closed ended: its result, or the error it failed of."""

    value: Any = None
    error: LuaError | None = None


class DurableHost(ABC):
    """Starts workflows and reaches those it started, also before the node was last restarted."""

    id: EntryId

    @abstractmethod
    async def spawn(self, entry: EntryId, args: Sequence[Any], frame: Frame, options: SpawnOptions) -> str:
        """Start a workflow, with the relations `options` asks for; returns its PID once the start is durable.

        `frame.options` are the start options (`temporal.workflow.id`, ...); `options.name` is an explicit id.

        Raises:
            AlreadyExistsError: it runs already, and the policy in force refuses.
            NotFoundError: no such workflow entry.
            InvalidError: a malformed start option.
            UnavailableError: the start could not be made durable.
        """

    @abstractmethod
    async def execute(self, entry: EntryId, args: Sequence[Any], frame: Frame, options: SpawnOptions) -> Any:
        """Start a workflow (or join the one that runs) and wait for its result; a caller that is cancelled leaves it
        running.

        Raises:
            LuaError: what the workflow failed of, or what `spawn` raises.
        """

    @abstractmethod
    async def send(self, pid: str, topic: str, source: str, data: bytes) -> None:
        """Send a signal; returns once it is durable. `data` is an encoded list of payloads.

        Raises:
            NotFoundError: no such workflow runs.
            UnavailableError: it could not be made durable.
        """

    @abstractmethod
    async def cancel(self, pid: str, source: str, reason: str) -> None:
        """Ask a workflow to stop; returns once the request is durable. Errors as `send`."""

    @abstractmethod
    async def terminate(self, pid: str, source: str) -> None:
        """End a workflow at once; returns once that is durable. Errors as `send`."""

    @abstractmethod
    async def attach(self, pid: str) -> Ended | None:
        """Make sure that the topology knows the workflow, before it is monitored, linked or named.

        Returns:
            None when it runs and is a participant of the topology now; how it ended when it has closed.

        Raises:
            NotFoundError: there never was such a workflow.
        """
