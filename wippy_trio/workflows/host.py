"""What `process.spawn`, `exec`, `send`, `monitor`, `link`, ... mean for workflows, whichever engine runs them.

An engine runs a `WorkflowHost` under the id of a worker; the PID of a workflow is
`{node@worker|workflow id}` and outlives runs and restarts. A workflow that somebody watches is present in the topology
like a process; its end is awaited, so that one that has closed already ends at once. Source: docs temporal/workflows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import trio

from sandbox.values import pack_list
from wippy_trio.actors.topology import CANCEL, EXIT
from wippy_trio.core.errors import LuaError, UnavailableError
from wippy_trio.core.ids import EntryId, Pid
from wippy_trio.workflows.machine_context import frame_context
from wippy_trio.workflows.options import WorkflowOptions, parse_workflow_options
from wippy_trio.workflows.wire import NONE, Context

if TYPE_CHECKING:
    from wippy_trio.actors.host import SpawnOptions
    from wippy_trio.actors.topology import Topology
    from wippy_trio.core.frame import Frame
    from wippy_trio.runtime import Runtime
    from wippy_trio.workflows.history import RunInfo, RunQuery

__all__ = ["HOSTS", "StartRequest", "WorkflowHost", "find_host"]

#: Where hosts are found among the runtime's extras: by the text of their id.
HOSTS = "workflow_hosts"
_NO_CONTEXT, _NO_OPTIONS = Context(), WorkflowOptions()


@attrs.frozen(slots=True)
class StartRequest:
    """A workflow to be started.

    Attributes:
        entry: what runs.
        workflow_id: its id.
        named: whether the caller chose the id, so that a workflow that runs under it may be the answer.
        args: encoded list of arguments.
        options, context: of the start.
        source: PID of who starts it, or empty.
        messages: (topic, encoded payloads) it finds at its start; a workflow that runs already gets them, too.
    """

    entry: EntryId
    workflow_id: str
    named: bool = False
    args: bytes = NONE
    options: WorkflowOptions = _NO_OPTIONS
    context: Context = _NO_CONTEXT
    source: str = ""
    messages: tuple[tuple[str, bytes], ...] = ()


class Presence:
    """A workflow in the topology, for as long as somebody watches it. Implements `topology.Participant`.

    What is done to it here is done in the background; who wants to know whether it was done asks the host.
    """

    def __init__(self, host: WorkflowHost, workflow_id: str, run_id: str) -> None:
        self.host = host
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.scope = trio.CancelScope()

    def deliver_now(self, topic: str, source: str, data: bytes) -> int:
        """See `topology.Participant`."""
        self.host.in_background(self.host.signal, self.workflow_id, topic, data, source)
        return 0

    def event_now(self, event: dict[str, Any]) -> None:
        """A cancellation is passed on; workflows hear of nothing else, for they have no links."""
        if event.get("kind") == CANCEL:
            source, reason = str(event.get("from") or ""), str(event.get("reason") or "")
            self.host.in_background(self.host.request_cancel, self.workflow_id, reason, source)

    def terminate_now(self, error: LuaError) -> None:
        """See `topology.Participant`."""
        self.host.in_background(self.host.end, self.workflow_id, error.message)


class WorkflowHost(ABC):
    """Where workflows run, as others see it: while `run` runs.

    Args:
        id: of the worker; the host in PIDs.
        runtime: the node's.
        node: the node in PIDs.
    """

    def __init__(self, id: EntryId, runtime: Runtime, node: str) -> None:
        self.id = id
        self.runtime = runtime
        self._node = node
        self._topology: Topology = runtime.processes
        self._nursery: trio.Nursery | None = None
        self._present: dict[str, Presence] = {}

    # an engine's part ----------------------------------------------------------------------------------------------
    @abstractmethod
    async def start(self, request: StartRequest) -> str:
        """Start a workflow, or find the one that runs under the id; returns the run's id once that is durable.

        Raises:
            LuaError: AlreadyExists where the options say that a workflow of that id is an error; or why not.
        """

    @abstractmethod
    async def signal(self, workflow_id: str, topic: str, payloads: bytes, source: str = "") -> None:
        """Send a message; returns when it is durable.

        Raises:
            LuaError: NotFound when no such workflow runs.
        """

    @abstractmethod
    async def request_cancel(self, workflow_id: str, reason: str = "", source: str = "") -> None:
        """Ask a workflow to stop.

        Raises:
            LuaError: NotFound when no such workflow runs.
        """

    @abstractmethod
    async def end(self, workflow_id: str, reason: str = "") -> None:
        """Terminate a workflow.

        Raises:
            LuaError: NotFound when no such workflow runs.
        """

    @abstractmethod
    async def outcome(self, workflow_id: str, run_id: str = "") -> Any:
        """Wait for the end of a workflow, over all runs that continue the given (or latest) one; returns its result.

        Raises:
            LuaError: what it failed of; NotFound when there is no such workflow.
        """

    @abstractmethod
    async def query(self, workflow_id: str, name: str, args: bytes = NONE) -> Any:
        """Ask a workflow about its state.

        Raises:
            LuaError: NotFound for an unknown workflow or query.
        """

    @abstractmethod
    async def update(self, workflow_id: str, name: str, args: bytes, update_id: str) -> Any:
        """Ask a workflow to do something, and wait for its answer; asked twice with one `update_id` it is done once.

        Raises:
            LuaError: it was rejected or failed.
        """

    @abstractmethod
    async def runs(self, wanted: RunQuery) -> list[RunInfo]:
        """Runs of this host, newest first; `wanted.worker` does not matter.

        Raises:
            LuaError: the engine cannot be asked.
        """

    @abstractmethod
    async def exported(self, info: RunInfo) -> dict[str, Any]:
        """The history of a run as JSON-like data (`export.py`).

        Raises:
            LuaError: NotFound when there is none.
        """

    @abstractmethod
    async def reset(self, info: RunInfo, number: int, reason: str = "") -> str:
        """Go on anew from an earlier record; an open run ends by that. Returns the id of the new run.

        Args:
            info: the run whose history is the beginning of the new one.
            number: last record that counts; 0 = none, the workflow starts again with its arguments.
            reason: for people.

        Raises:
            LuaError: NotFound, Invalid, or what the engine cannot do.
        """

    # for processes -------------------------------------------------------------------------------------------------
    def pid(self, workflow_id: str) -> str:
        """PID of a workflow."""
        return str(Pid(self._node, str(self.id), workflow_id))

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Be found by the `process` module (`runtime.extras["workflow_hosts"]`), until cancelled."""
        hosts: dict[str, WorkflowHost] = self.runtime.extras.setdefault(HOSTS, {})
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            hosts[str(self.id)] = self
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                del hosts[str(self.id)]
                self._nursery = None

    async def spawn(self, entry: EntryId, args: Sequence[Any], frame: Frame, options: SpawnOptions) -> str:
        """Start a workflow as a process would be; returns its PID. `frame.options` holds the options of the start.

        Raises:
            LuaError: as `start`.
        """
        request = self._request(entry, args, frame, options)
        run_id = await self.start(request)
        pid = self.pid(request.workflow_id)
        if options.monitor or options.link:
            self.present(request.workflow_id, run_id)
            if options.monitor and not self._topology.monitors(options.parent, pid):
                self._topology.monitor(options.parent, pid)
            if options.link:
                self._topology.link(options.parent, pid)
        return pid

    async def execute(self, entry: EntryId, args: Sequence[Any], frame: Frame, options: SpawnOptions) -> Any:
        """Start a workflow, wait for its end and return its result; cancelled, the workflow goes on.

        Raises:
            LuaError: as `start`, or what the workflow failed of.
        """
        request = self._request(entry, args, frame, options)
        return await self.outcome(request.workflow_id, await self.start(request))

    def _request(self, entry: EntryId, args: Sequence[Any], frame: Frame, options: SpawnOptions) -> StartRequest:
        given = parse_workflow_options(frame.options)
        chosen = given.workflow_id or options.name
        return StartRequest(
            entry,
            chosen or self.runtime.environment.ids.uuid(),
            bool(chosen),
            pack_list(args),
            given,
            frame_context(frame),
            options.parent,
            tuple((topic, pack_list(payloads)) for topic, payloads in options.messages),
        )

    # presence --------------------------------------------------------------------------------------------------------
    def present(self, workflow_id: str, run_id: str = "") -> None:
        """Let a workflow be monitored, linked and named: its end becomes an event. No error when it has ended.

        Raises:
            UnavailableError: the host does not run.
        """
        pid = self.pid(workflow_id)
        if pid in self._present:
            return
        if self._nursery is None:
            raise UnavailableError(f"workflow host is not running: {self.id}")
        presence = self._present[pid] = Presence(self, workflow_id, run_id)
        self._topology.enter(pid, presence)
        self._nursery.start_soon(self._watch, pid, presence)

    def absent(self, workflow_id: str) -> None:
        """Somebody watches a workflow no more; when nobody does, nor holds a name of it, its end is not awaited."""
        pid = self.pid(workflow_id)
        presence = self._present.get(pid)
        if presence is not None and not any(self._topology.relations(pid).values()):
            presence.scope.cancel()

    async def _watch(self, pid: str, presence: Presence) -> None:
        value: Any = None
        error: LuaError | None = None
        try:
            with presence.scope:
                value = await self.outcome(presence.workflow_id, presence.run_id)
        except LuaError as problem:
            error = problem
        finally:
            del self._present[pid]
            if not presence.scope.cancelled_caught and error is None:  # links hear of every end, as in the original
                for linked in self._topology.relations(pid)["links"]:
                    other = self._topology.find(linked)
                    if other is not None:
                        other.event_now({"kind": EXIT, "from": pid, "result": {"value": value}})
            self._topology.leave(pid, value, error)

    def in_background(self, function: Any, *args: Any) -> None:
        """Do what its caller does not wait for; what goes wrong is logged."""
        if self._nursery is not None:
            self._nursery.start_soon(self._try, function, args)

    async def _try(self, function: Any, args: Sequence[Any]) -> None:
        try:
            await function(*args)
        except LuaError as problem:
            self.runtime.log.warn("a workflow was not reached", host=str(self.id), workflow=args[0], error=str(problem))


def find_host(hosts: Mapping[str, WorkflowHost], pid: str) -> tuple[WorkflowHost, str] | None:
    """The host and the id of a workflow by its PID; None for the PID of anything else."""
    try:
        target = Pid.parse(pid)
    except LuaError:
        return None
    host = hosts.get(target.host)
    return None if host is None or host.pid(target.unique) != pid else (host, target.unique)
