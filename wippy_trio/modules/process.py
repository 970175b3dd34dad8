"""The `process` module: spawn, message, monitor, link, name. Source: docs lua/core/process."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from sandbox.values import Multi, as_text, pack_list
from wippy_trio.actors.actor import LuaActor
from wippy_trio.actors.host import ProcessHost, SpawnOptions, terminated
from wippy_trio.actors.outdated import tell_one
from wippy_trio.core.errors import (
    InternalError,
    InvalidError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
    UnsupportedError,
)
from wippy_trio.core.frame import Frame, carried
from wippy_trio.core.ids import EntryId, Pid
from wippy_trio.functions.frames import derived_frame
from wippy_trio.module import LATER, Call, Module, ModuleClass, WorkflowRule

if TYPE_CHECKING:
    from wippy_trio.workflows.host import WorkflowHost

__all__ = ["MODULE"]

MODULE = Module(
    "process",
    classes={ModuleClass.PROCESS, ModuleClass.NONDETERMINISTIC, ModuleClass.WORKFLOW},
    prelude="process.lua",
    always=True,
)
_RELATION = {"spawn_monitored": (True, False), "spawn_linked": (False, True), "spawn_linked_monitored": (True, True)}
_NONE = False, False
_NOTHING: Mapping[str, Any] = {}
_SCOPES = {0: "", 1: ".eventual", 2: ".consistent", 3: ".strong"}


@MODULE.immediate("process.id", workflow=WorkflowRule.RECORDED)
def process_id(call: Call) -> str:
    """Entry id of the running frame."""
    if call.frame.entry is None:
        message = "no running entry"
        raise InternalError(message)
    return str(call.frame.entry)


@MODULE.immediate("process.check")
def check(call: Call, action: str, resource: str) -> bool:
    """A permission asked for by a builder."""
    call.require(action, resource, {"pid": call.pid})
    return True


def _workflow(call: Call, pid: str) -> tuple[WorkflowHost, str] | None:
    """The host and id of a workflow by its PID; None for processes."""
    hosts = call.runtime.extras.get("workflow_hosts")
    if not hosts:
        return None
    from wippy_trio.workflows.host import find_host

    return find_host(hosts, pid)


@MODULE.immediate("process.send", workflow=WorkflowRule.RECORDED)
def send(call: Call, destination: str, topic: str, *payloads: Any) -> object:
    """Send to a PID or name that is not in the sender's VM, or that needs a permission check; False: it is full."""
    topology = call.runtime.processes
    pid = topology.resolve(destination)
    _require(call, "process.send", pid, "not allowed to send to: {}")
    if _workflow(call, pid) is not None:
        return LATER
    return bool(topology.offer(pid, topic, call.pid, pack_list(payloads)))


@MODULE.later("process.send")
@MODULE.waiting("process.send_waiting", workflow=WorkflowRule.RECORDED)
async def send_waiting(call: Call, destination: str, topic: str, *payloads: Any) -> bool:
    """The same, waiting for room in a full mailbox, or until a workflow's message is durable."""
    topology = call.runtime.processes
    pid = topology.resolve(destination)
    _require(call, "process.send", pid, "not allowed to send to: {}")
    workflow = _workflow(call, pid)
    if workflow is not None:
        await workflow[0].signal(workflow[1], topic, pack_list(payloads), call.pid)
        return True
    await topology.send_waiting(pid, topic, call.pid, pack_list(payloads))
    return True


def _require(call: Call, action: str, resource: str, message: str) -> None:
    if not call.allowed(action, resource, {"pid": call.pid}):
        raise PermissionDeniedError(message.format(resource))


def _frame(call: Call, builder: object, actor: object, scope: object) -> tuple[Frame, Mapping[str, Any]]:
    if builder is False and actor is None and scope is None and not call.frame.options and not call.frame.extras:
        return call.frame, _NOTHING  # as it is: what starts replaces entry and PID
    frame, fields = derived_frame(call, builder, actor, scope)
    options = fields.get("options") or {}
    return Frame(None, "", frame.actor, frame.scope, frame.values, options, carried(frame)), fields


def _target(call: Call, id_text: str, host_text: str) -> tuple[EntryId, ProcessHost | WorkflowHost]:
    entry = EntryId.parse(id_text)
    if not entry.namespace:
        message = f"invalid process id '{id_text}': expected namespace:name"
        raise InvalidError(message)
    host: ProcessHost | WorkflowHost | None = call.runtime.resources.find(EntryId.parse(host_text), ProcessHost)
    if host is None:
        host = call.runtime.extras.get("workflow_hosts", {}).get(host_text)
    if host is None:
        supervisor = call.runtime.extras.get("supervisor")
        service = None if supervisor is None else supervisor.get(EntryId.parse(host_text))
        if service is not None:
            raise UnavailableError(f"host {host_text} is not running: {service.error or service.state}")
        message = f"host not found: {host_text}"
        raise NotFoundError(message)
    return entry, host


@MODULE.immediate("process.spawn", workflow=WorkflowRule.RECORDED)
def spawn(  # noqa: PLR0913, PLR0917 - what Lua's spawner holds, then the arguments
    call: Call, how: str, builder: Any, actor: Any, scope: Any, id_text: str, host_text: str, *args: Any
) -> object:
    """Start a process; `how` names the variant."""
    if how == "spawn_monitored":
        _require(call, "process.spawn.monitored", id_text, "not allowed to spawn monitored process: {}")
    elif how == "spawn_linked":
        _require(call, "process.spawn.linked", id_text, "not allowed to spawn linked process: {}")
    elif how == "spawn_linked_monitored":
        _require(call, "process.spawn.monitored", id_text, "not allowed to spawn monitored process: {}")
        _require(call, "process.spawn.linked", id_text, "not allowed to spawn linked process: {}")
    _require(call, "process.spawn", id_text, "not allowed to spawn process: {}")
    _require(call, "process.host", host_text, "not allowed to spawn on host: {}")
    entry, host = _target(call, id_text, host_text)
    if not isinstance(host, ProcessHost):
        return LATER
    frame, fields = _frame(call, builder, actor, scope)
    return host.spawn(entry, args, frame, _options(call, fields, how))


@MODULE.later("process.spawn")
async def spawn_workflow(  # noqa: PLR0913, PLR0917 - as `spawn`
    call: Call, how: str, builder: Any, actor: Any, scope: Any, id_text: str, host_text: str, *args: Any
) -> str:
    """Start a workflow; its PID is given out when the start is durable."""
    entry, host = _target(call, id_text, host_text)
    frame, fields = _frame(call, builder, actor, scope)
    started = host.spawn(entry, args, frame, _options(call, fields, how))
    return started if isinstance(started, str) else await started


def _options(call: Call, fields: Mapping[str, Any], how: str = "") -> SpawnOptions:
    """What a builder holds for the start of a process."""
    if not fields:
        return SpawnOptions(call.pid, *_RELATION.get(how, _NONE))
    monitor, link = _RELATION.get(how, _NONE)
    messages = [(as_text(topic), _list(payloads)) for topic, payloads in _list(fields.get("messages"))]
    return SpawnOptions(call.pid, monitor, link, as_text(fields.get("name") or ""), messages)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


@MODULE.waiting("process.exec", workflow=WorkflowRule.RECORDED)
async def execute(call: Call, builder: Any, actor: Any, scope: Any, id_text: str, host_text: str, *args: Any) -> Any:
    """Start a process, wait for its end, return its result."""
    _require(call, "process.exec", id_text, "not allowed to execute process: {}")
    _require(call, "process.host", host_text, "not allowed to spawn on host: {}")
    entry, host = _target(call, id_text, host_text)
    frame, fields = _frame(call, builder, actor, scope)
    return await host.execute(entry, args, frame, _options(call, fields))


@MODULE.immediate("process.upgrade", workflow=WorkflowRule.RECORDED)
def upgrade(call: Call, id_text: str, *args: Any) -> Multi:
    """Make ready for new code: the number of its unit and the method, which the Lua half puts in place at once."""
    del args  # they go on inside the VM
    assert isinstance(call, LuaActor)
    entry = EntryId.parse(id_text) if id_text else call.frame.entry
    engine = call.shard.engine
    declared = engine.entry(entry) if entry is not None else None
    if entry is None or declared is None or declared.kind != "process.lua":
        message = f"cannot upgrade: process entry not found: {entry}"
        raise NotFoundError(message)
    if call.unit is None:
        message = "only a process can be upgraded, not a call"
        raise InvalidError(message)
    unit = engine.unit(entry)
    number = call.shard.ensure(unit)
    call.frame = attrs.evolve(call.frame, entry=entry)
    call.unit = unit
    closers = call.drop_all()  # what the old code waited for and was handed is nothing to the new
    if closers:
        engine.start_soon(partial(call.release, closers))
    return Multi(number, str(declared.data.get("method") or "main"))


@MODULE.immediate("process.upgradable", workflow=WorkflowRule.FORBIDDEN)
def set_upgradable(call: Call, wanted: bool) -> None:
    """Tell the actor when its code is outdated; at once, when it is already."""
    assert isinstance(call, LuaActor)
    call.upgradable = wanted
    if wanted:
        tell_one(call, call.shard.engine.is_outdated(call))


# relations ---------------------------------------------------------------------------------------------------------
def _resolve(call: Call, verb: str, destination: str) -> str:
    pid = str(call.runtime.processes.resolve(destination))
    _require(call, f"process.{verb}", pid, f"not allowed to {verb}: {{}}")
    return pid


@MODULE.immediate("process.terminate", workflow=WorkflowRule.RECORDED)
def terminate(call: Call, destination: str, _extra: object = None) -> object:
    """Kill a process at once."""
    pid = _resolve(call, "terminate", destination)
    if _workflow(call, pid) is not None:
        return LATER
    participant = call.runtime.processes.find(pid)
    if participant is None:
        message = f"process not found: {pid}"
        raise NotFoundError(message)
    participant.terminate_now(terminated())
    return True


@MODULE.later("process.terminate")
async def terminate_workflow(call: Call, destination: str, _extra: object = None) -> bool:
    """End a workflow."""
    host, workflow_id = _its_workflow(call, destination)
    await host.end(workflow_id)
    return True


@MODULE.immediate("process.cancel", workflow=WorkflowRule.RECORDED)
def cancel(call: Call, destination: str, reason: object = "") -> object:
    """Ask a process to stop."""
    pid = _resolve(call, "cancel", destination)
    if _workflow(call, pid) is not None:
        return LATER
    if call.runtime.processes.find(pid) is None:
        message = f"process not found: {pid}"
        raise NotFoundError(message)
    call.runtime.processes.cancel(pid, call.pid, _reason(reason))
    return True


@MODULE.later("process.cancel")
async def cancel_workflow(call: Call, destination: str, reason: object = "") -> bool:
    """Ask a workflow to stop."""
    host, workflow_id = _its_workflow(call, destination)
    await host.request_cancel(workflow_id, _reason(reason), call.pid)
    return True


def _reason(reason: object) -> str:
    return as_text(reason) if isinstance(reason, (str, bytes)) else ""


def _its_workflow(call: Call, destination: str) -> tuple[WorkflowHost, str]:
    found = _workflow(call, call.runtime.processes.resolve(destination))
    if found is None:  # its worker closed meanwhile
        message = f"process not found: {destination}"
        raise NotFoundError(message)
    return found


def _present(call: Call, pid: str) -> str:
    """The PID; a workflow's end is awaited from now on, as a process's is anyway."""
    found = _workflow(call, pid)
    if found is not None:
        found[0].present(found[1])
    return pid


def _absent(call: Call, pid: str) -> None:
    """Nobody need wait for a workflow's end on behalf of this caller."""
    found = _workflow(call, pid)
    if found is not None:
        found[0].absent(found[1])


@MODULE.immediate("process.monitor", workflow=WorkflowRule.FORBIDDEN)
def monitor(call: Call, destination: str, _extra: object = None) -> bool:
    """Watch for EXIT."""
    call.runtime.processes.monitor(call.pid, _present(call, _resolve(call, "monitor", destination)))
    return True


@MODULE.immediate("process.unmonitor", workflow=WorkflowRule.FORBIDDEN)
def unmonitor(call: Call, destination: str, _extra: object = None) -> bool:
    """Stop watching."""
    pid = _resolve(call, "unmonitor", destination)
    call.runtime.processes.unmonitor(call.pid, pid)
    _absent(call, pid)
    return True


@MODULE.immediate("process.link", workflow=WorkflowRule.FORBIDDEN)
def link(call: Call, destination: str, _extra: object = None) -> bool:
    """Link both ways."""
    call.runtime.processes.link(call.pid, _present(call, _resolve(call, "link", destination)))
    return True


@MODULE.immediate("process.unlink", workflow=WorkflowRule.FORBIDDEN)
def unlink(call: Call, destination: str, _extra: object = None) -> bool:
    """Remove a link."""
    pid = _resolve(call, "unlink", destination)
    call.runtime.processes.unlink(call.pid, pid)
    _absent(call, pid)
    return True


# names ---------------------------------------------------------------------------------------------------------------
def _scope(scope: object) -> str:
    number = 0 if scope is None else scope
    if number not in _SCOPES:
        message = f"invalid name scope: {scope}"
        raise InvalidError(message)
    return _SCOPES[int(str(number).partition(".")[0])]


def _local_only(scope: str) -> None:
    if scope:
        message = f"name scope {scope[1:].upper()} needs a cluster, which is not built yet (docs/reference/status.md)"
        raise UnsupportedError(message)


@MODULE.immediate("process.registry.register", workflow=WorkflowRule.FORBIDDEN)
def register(call: Call, name: str, pid: str | None = None, scope: object = None) -> bool:
    """Bind a name to a PID of this node."""
    suffix = _scope(scope)
    _require(call, f"process.registry.register{suffix}", name, "not allowed to register: {}")
    target = pid or call.pid
    if pid:
        Pid.parse(pid)
        if pid != call.pid:
            _require(call, "process.registry.foreign", pid, "not allowed to register a name for: {}")
    _local_only(suffix)
    call.runtime.processes.register(name, _present(call, target))
    return True


@MODULE.immediate("process.registry.lookup", workflow=WorkflowRule.FORBIDDEN)
def lookup(call: Call, name: str) -> str:
    """The PID that holds a name."""
    pid = call.runtime.processes.lookup(name)
    if pid is None:
        message = f"name not found: {name}"
        raise NotFoundError(message)
    return str(pid)


@MODULE.immediate("process.registry.unregister", workflow=WorkflowRule.FORBIDDEN)
def unregister(call: Call, name: str, scope: object = None) -> bool:
    """Free a name."""
    suffix = _scope(scope)
    _require(call, f"process.registry.unregister{suffix}", name, "not allowed to unregister: {}")
    _local_only(suffix)
    return bool(call.runtime.processes.unregister(name))
