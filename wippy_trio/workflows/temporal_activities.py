"""Activities on a Temporal worker: functions and processes whose entries name the worker, and the runtime's own.

Source: docs temporal/activities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import trio
from temporalio import activity
from temporalio.api.common.v1 import Payload as WirePayload
from temporalio.common import RawValue
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from sandbox.errors import KINDS, LuaError
from sandbox.values import unpack
from wippy_trio.actors.host import ProcessHost, SpawnOptions, terminated
from wippy_trio.actors.supervisor import only_error
from wippy_trio.core.errors import InvalidError, NotFoundError
from wippy_trio.core.frame import Frame, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.security.scope import Scope, policies_of
from wippy_trio.workflows import temporal_calls as calls
from wippy_trio.workflows.temporal_commands import CANCEL, TERMINATE
from wippy_trio.workflows.temporal_convert import context_of, pack_payloads, to_payload
from wippy_trio.workflows.temporal_loop import on_trio

if TYPE_CHECKING:
    from wippy_trio.core.entry import Entry
    from wippy_trio.runtime import Runtime
    from wippy_trio.workflows.temporal_client import TemporalClient
    from wippy_trio.workflows.wire import Context

__all__ = ["Activities", "frame_of"]

_headers: ContextVar[Mapping[str, WirePayload]] = ContextVar("activity_headers")


def frame_of(context: Context, runtime: Runtime) -> Frame:
    """The frame of code that inherits a context; policies that this node lacks are left out, as documented."""
    actor = scope = None
    if context.actor is not None:
        meta = context.actor.get("meta")
        actor = SecurityActor(str(context.actor.get("id") or ""), meta if isinstance(meta, Mapping) else {})
    if context.policies is not None:
        ids = [EntryId.parse(text) for text in context.policies]
        scope = policies_of(runtime.extras).resolve(ids, ())[0] if ids else Scope()
    return Frame(None, "", actor, scope, context.values)


class _Inbound(ActivityInboundInterceptor):
    async def execute_activity(self, given: ExecuteActivityInput) -> Any:
        """Keep the headers for the activity: the SDK tells them to interceptors only."""
        _headers.set(given.headers)
        return await super().execute_activity(given)


class Activities(Interceptor):
    """What this worker runs as activities.

    Args:
        runtime: the node's.
        worker: the worker's id.
        client: its connection.
        beat_s: how often an activity without a heartbeat timeout tells that it lives, and hears of its cancellation.
    """

    def __init__(self, runtime: Runtime, worker: EntryId, client: TemporalClient, beat_s: float) -> None:
        self._runtime = runtime
        self._worker = worker
        self._client = client
        self._beat_s = beat_s

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """See `Interceptor`."""
        return _Inbound(next)

    def dynamic(self) -> Any:
        """The one function that the SDK knows: it runs every type."""

        @activity.defn(dynamic=True)
        async def any_activity(args: Sequence[RawValue]) -> RawValue:
            payloads = [item.payload for item in args]
            result = await on_trio(self._run, activity.info(), _headers.get({}), payloads)
            return RawValue(result)

        return any_activity

    # trio from here on ----------------------------------------------------------------------------------------------
    async def _run(
        self, info: activity.Info, headers: Mapping[str, WirePayload], payloads: Sequence[WirePayload]
    ) -> WirePayload:
        """Run one attempt; the error of a function becomes the activity's."""
        own = _OWN.get(info.activity_type)
        if own is not None:
            await own(self, *unpack(pack_payloads(payloads)))
            return to_payload(None)
        entry = self._entry(info.activity_type)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._beat, info)
                result = await self._call(entry, pack_payloads(payloads), frame_of(context_of(headers), self._runtime))
                nursery.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise only_error(group) from None
        return to_payload(result)

    def _entry(self, name: str) -> Entry:
        """The entry that is registered as this activity.

        Raises:
            LuaError: NotFound; retryable, for another worker may have it.
        """
        entry: Entry | None = None
        try:
            entry = self._runtime.engine.entry(EntryId.parse(name))
        except InvalidError:
            pass
        if entry is None or _worker_of(entry) != self._worker:
            message = f"activity not registered on {self._worker}: {name}"
            raise LuaError(message, kind=KINDS["NOT_FOUND"], retryable=True)
        return entry

    async def _call(self, entry: Entry, args: bytes, frame: Frame) -> Any:
        functions = self._runtime.functions
        if entry.kind == "process.lua" and not functions.has(entry.id):
            return await self._host(entry).execute(entry.id, unpack(args), frame, SpawnOptions())
        packed = await functions.call_packed(entry.id, args, frame)
        values = unpack(packed.data)
        return values[0] if values else None

    def _host(self, entry: Entry) -> ProcessHost:
        """Where a process runs that is an activity and names no host: the one there is."""
        hosts = [host for _, host in self._runtime.resources.all(ProcessHost)]
        if len(hosts) != 1:
            raise InvalidError(f"{entry.id}: meta.default_host must say which host runs this activity")
        return hosts[0]

    async def _beat(self, info: activity.Info) -> None:
        """Tell the server that the attempt goes on; its answer brings a cancellation, which the SDK carries out."""
        timeout = info.heartbeat_timeout
        pause_s = self._beat_s if timeout is None else timeout.total_seconds() / 3
        while True:
            await trio.sleep(pause_s)
            activity.heartbeat()

    # the runtime's own ------------------------------------------------------------------------------------------------
    async def _cancel(self, source: str, pid: str, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        if self._runtime.processes.find(pid) is None:
            raise NotFoundError(f"process not found: {pid}")
        self._runtime.processes.cancel(pid, source, reason)

    async def _terminate(self, pid: str, workflow_id: str) -> None:
        if workflow_id:
            await calls.terminate(self._client, workflow_id)
            return
        await trio.lowlevel.checkpoint()
        participant = self._runtime.processes.find(pid)
        if participant is None:
            raise NotFoundError(f"process not found: {pid}")
        participant.terminate_now(terminated())


def _worker_of(entry: Entry) -> EntryId | None:
    """The worker that an entry names in `meta.temporal.activity`."""
    temporal = entry.meta.get("temporal")
    block = temporal.get("activity") if isinstance(temporal, Mapping) else None
    worker = block.get("worker") if isinstance(block, Mapping) else None
    return EntryId.parse(str(worker), entry.id.namespace) if worker else None


_OWN: Mapping[str, Any] = {
    CANCEL: Activities._cancel,  # noqa: SLF001 - its own
    TERMINATE: Activities._terminate,  # noqa: SLF001
}
