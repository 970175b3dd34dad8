"""The `system` module: facts about the node, its services and hosts, and shutdown. Source: docs lua/system/system."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import trio

from sandbox.values import as_text
from wippy_trio.actors.host import ProcessHost
from wippy_trio.actors.inspect import Row, rows_of
from wippy_trio.actors.supervisor import Service, Supervisor
from wippy_trio.core.errors import AlreadyExistsError, InternalError, InvalidError, PermissionDeniedError
from wippy_trio.core.ids import EntryId
from wippy_trio.module import Call, Module, ModuleClass
from wippy_trio.system.machine import Machine, machine_of

__all__ = ["MODULE"]

MODULE = Module("system", classes={ModuleClass.PROCESS, ModuleClass.NONDETERMINISTIC}, prelude="system.lua")

Reader = Callable[[Machine], object]


def _require(call: Call, action: str, resource: str) -> None:
    """Denials of this module are INVALID, but for locks, as in the reference."""
    if not call.allowed(action, resource):
        raise InvalidError(f"permission denied: {action}" + (f" on {resource}" if resource else ""))


def _machine(call: Call) -> Machine:
    return machine_of(call.runtime.extras, call.environment.disk)


def _read(name: str, resource: str, reader: Reader) -> None:
    """Declare an operation that reads a fact of the machine."""

    @MODULE.immediate(name)
    def read(call: Call) -> object:
        _require(call, "system.read", resource)
        return reader(_machine(call))


_read("system.memory.stats", "memory", lambda machine: machine.memory_stats())
_read("system.memory.allocated", "memory", lambda machine: machine.resident_bytes)
_read("system.memory.heap_objects", "memory", lambda machine: machine.object_count)
_read("system.memory.get_limit", "memory_limit", lambda machine: machine.memory_limit_bytes)
_read("system.gc.get_percent", "gc_percent", lambda machine: machine.gc_percent)
_read("system.runtime.max_procs", "gomaxprocs", lambda machine: machine.max_procs)
_read("system.runtime.cpu_count", "cpu", lambda machine: machine.cpu_count)
_read("system.process.pid", "pid", lambda machine: machine.pid)
_read("system.process.hostname", "hostname", lambda machine: machine.hostname)


@MODULE.immediate("system.runtime.goroutines")
def goroutines(call: Call) -> int:
    """What the reference counts as goroutines: here, trio tasks."""
    _require(call, "system.read", "goroutines")
    return trio.lowlevel.current_statistics().tasks_living


@MODULE.immediate("system.process.cwd")
def cwd(call: Call) -> str:
    """The working directory."""
    _require(call, "system.read", "cwd")
    try:
        return _machine(call).cwd
    except OSError as error:
        raise InternalError(str(error), retryable=False, context=("get working directory",)) from error


@MODULE.immediate("system.memory.set_limit")
def set_limit(call: Call, limit: int | None = None) -> int:
    """Set the soft memory limit; the one before."""
    _require(call, "system.control", "memory_limit")
    if limit is None:
        raise InvalidError("memory limit value required")
    return _machine(call).set_memory_limit(limit)


@MODULE.immediate("system.gc.collect")
def collect(call: Call) -> bool:
    """Collect garbage."""
    _require(call, "system.gc", "gc")
    _machine(call).collect()
    return True


@MODULE.immediate("system.gc.set_percent")
def set_percent(call: Call, percent: int | None = None) -> int:
    """Set how lazily garbage is collected; the value before."""
    _require(call, "system.gc", "gc_percent")
    if percent is None:
        raise InvalidError("percent value required")
    return _machine(call).set_gc_percent(percent)


@MODULE.immediate("system.runtime.set_max_procs")
def set_max_procs(call: Call, count: int) -> int:
    """Set the number of processors; the one before."""
    _require(call, "system.control", "gomaxprocs")
    return _machine(call).set_max_procs(count)


@MODULE.immediate("system.exit")
def exit_node(call: Call, code: int = 0) -> bool:
    """Shut the node down with an exit code."""
    _require(call, "system.exit", "")
    request_exit = call.runtime.extras.get("request_exit")
    if request_exit is None:
        raise InternalError("shutdown is not available here", retryable=False)
    request_exit(code)
    return True


@MODULE.immediate("system.modules")
def modules(call: Call) -> list[dict[str, object]]:
    """The Lua modules in use on this node."""
    _require(call, "system.read", "modules")
    held: dict[str, Module | None] = call.runtime.engine._modules  # noqa: SLF001 - it has no other face yet
    return [
        {"name": name, "description": _description(module), "class": sorted(module.classes)}
        for name, module in sorted(held.items())
        if module is not None
    ]


def _description(module: Module) -> str:
    """The first line of the documentation of the Python file that declares the module's operations."""
    for operation in module.operations.values():
        source = sys.modules.get(operation.handler.__module__)
        text = (source.__doc__ or "") if source is not None else ""
        return text.partition("\n")[0].partition(" Source:")[0].strip()
    return ""


# ------------------------------------------------------------------------------------------ services and processes


def _services(call: Call) -> Supervisor:
    supervisor = call.runtime.extras.get("supervisor")
    if not isinstance(supervisor, Supervisor):
        raise InternalError("service info not available", retryable=False)
    return supervisor


def _wall_ns(call: Call, monotonic_s: float | None) -> int:
    """Unix time of a moment of the monotonic clock; 0 for one that never was."""
    if monotonic_s is None:
        return 0
    clock = call.environment.clock
    return clock.wall_ns() - int((clock.monotonic_s() - monotonic_s) * 1e9)


def _service(call: Call, service: Service) -> dict[str, object]:
    started_ns = _wall_ns(call, service.started_s)
    shown: dict[str, object] = {
        "id": str(service.id),
        "status": str(service.state),
        "desired": str(service.desired),
        "retry_count": service.failures,
        "last_update": _wall_ns(call, service.changed_s),
        "started_at": started_ns,
    }
    if service.error is not None:
        shown["details"] = str(service.error)
    return shown


@MODULE.immediate("system.supervisor.state")
def supervisor_state(call: Call, id: object) -> dict[str, object]:
    """One service."""
    _require(call, "system.read", "supervisor")
    name = as_text(id)
    if not name:
        raise InvalidError("service ID required")
    service = _services(call).get(EntryId.parse(name))
    if service is None:
        raise InternalError(f"service not found: {name}", retryable=False, context=("get service state",))
    return _service(call, service)


@MODULE.immediate("system.supervisor.states")
def supervisor_states(call: Call) -> list[dict[str, object]]:
    """All services."""
    _require(call, "system.read", "supervisor")
    return [_service(call, service) for service in _services(call).all()]


@MODULE.immediate("system.hosts.list")
def hosts_list(call: Call) -> list[dict[str, object]]:
    """The process hosts. One worker runs a host's queue, so that nothing is ever stolen from another."""
    _require(call, "system.read", "hosts")
    return [
        {
            "id": str(id),
            "workers": 1,
            "processes": len(host.processes),
            "executed": host.executed_count,
            "stolen": 0,
            "queue_depth": 0,
        }
        for id, host in call.runtime.resources.all(ProcessHost)
    ]


@MODULE.immediate("system.hosts.processes")
def hosts_processes(call: Call, host_id: object) -> list[dict[str, object]]:
    """The processes of a host; none for one that does not exist, as in the reference."""
    _require(call, "system.read", "hosts")
    name = as_text(host_id)
    if not name:
        raise InvalidError("host ID required")
    host = call.runtime.resources.find(EntryId.parse(name), ProcessHost)
    if host is None:
        return []
    shown = []
    rows = {row.pid: row for row in rows_of(call.runtime, host.processes)}
    for pid, process in host.processes.items():
        fields: dict[str, object] = {
            "pid": pid,
            "host": name,
            "source": str(process.entry),
            "state": "running" if process.actor is call else _state(rows[pid]),
            "steps": rows[pid].steps,
            "started_at": _wall_ns(call, process.started_s),
        }
        if process.parent.startswith("{"):
            fields["parent"] = process.parent
        identity = process.actor.frame.actor
        if identity is not None and identity.id:
            fields["actor_id"] = identity.id
        fields["stats"] = _stats(rows[pid])
        shown.append(fields)
    return shown


def _stats(row: Row) -> dict[str, object]:
    """`subscriptions` and `threads` as the reference has them; processor time and timers are ours."""
    stats: dict[str, object] = {
        "subscriptions": row.subscriptions,
        "threads": row.tasks,
        "cpu_seconds": row.cpu_s,
        "timers": row.timers,
    }
    if row.next_timer_s is not None:
        stats["next_timer_seconds"] = row.next_timer_s
    return stats


def _state(row: Row) -> str:
    """The state as the reference names it: who waits for a message is idle, for anything else blocked."""
    if row.state != "waiting":
        return row.state
    return "idle" if row.waits.startswith("channel.") else "blocked"


# ----------------------------------------------------------------------------------------------------------- cluster
# This node stands alone: what the reference answers without a cluster is answered here.


@MODULE.immediate("system.node.id")
def node_id(call: Call) -> str:
    """The node's id."""
    _require(call, "system.read", "node")
    return call.runtime.node


@MODULE.immediate("system.node.addr")
def node_addr(call: Call) -> str:
    """The advertised address, which only a member of a cluster has."""
    _require(call, "system.read", "node")
    raise InternalError("local node address not available", retryable=False)


@MODULE.immediate("system.node.role")
def node_role(call: Call) -> str:
    """The node's part in the consensus."""
    _require(call, "system.read", "node")
    return "non-member"


@MODULE.immediate("system.cluster.members")
def cluster_members(call: Call) -> list[dict[str, object]]:
    """The nodes this one knows: itself."""
    _require(call, "system.read", "cluster")
    return [{"id": call.runtime.node, "is_local": True}]


@MODULE.immediate("system.cluster.leader")
def cluster_leader(call: Call) -> str:
    """The leader's id: there is none."""
    _require(call, "system.read", "cluster")
    return ""


@MODULE.immediate("system.cluster.size")
def cluster_size(call: Call) -> int:
    """How many nodes this one knows."""
    _require(call, "system.read", "cluster")
    return 1


@MODULE.immediate("system.raft")
def raft(call: Call, resource: str) -> None:
    """Whatever is asked of the consensus of a node without one; `resource` is `raft` or `raft_stats`."""
    _require(call, "system.read", resource)
    raise InternalError("raft not available", retryable=False)


def _locks(call: Call, name: str) -> Any:
    if not call.allowed("system.lock", name):
        raise PermissionDeniedError(f"permission denied: system.lock on {name}")
    locks = call.runtime.extras.get("locks")
    if locks is None:
        raise InternalError("lock service not available", retryable=False)
    if not call.pid:
        raise InternalError("caller PID not available", retryable=False)
    return locks


@MODULE.immediate("system.lock.acquire")
def lock_acquire(call: Call, name: object) -> bool:
    """Take a cluster-wide lock, or fail at once."""
    wanted = as_text(name)
    if not _locks(call, wanted).acquire_now(wanted, call.pid):
        raise AlreadyExistsError(f"lock held: {wanted}")
    return True


@MODULE.immediate("system.lock.release")
def lock_release(call: Call, name: object) -> bool:
    """Give a lock back; False where the caller does not hold it."""
    held = as_text(name)
    return bool(_locks(call, held).release_now(held, call.pid))
