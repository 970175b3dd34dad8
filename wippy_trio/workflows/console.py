"""Questions and orders about workflows to a running node, and replay: what `wippy-trio workflow` says. Source: ours.

A request is JSON-like: `do` and its arguments, as `answer` has them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from sandbox.values import pack_list, unpack
from wippy_trio.core.errors import InvalidError, LuaError, NotFoundError
from wippy_trio.core.ids import EntryId
from wippy_trio.workflows.export import is_temporal, read_records
from wippy_trio.workflows.history import RunInfo, RunQuery, Status
from wippy_trio.workflows.host import HOSTS, WorkflowHost
from wippy_trio.workflows.wire import Complete, Fail, decode

if TYPE_CHECKING:
    from wippy_trio.runtime import Runtime

__all__ = ["answer", "replay_export"]

_LIST_COUNT = 1_000


async def answer(runtime: Runtime, request: Mapping[str, Any]) -> Any:
    """Answer a question about workflows, or carry out an order.

    Args:
        runtime: of the node.
        request: `do`: list (name, status, worker, limit), show, export, query (name, args), signal (name, args),
            update (name, args, update_id), cancel (reason), terminate (reason), reset (number, reason); all but list
            with `id` and, where there are several, `worker`; show, export and reset with `run`, too.

    Raises:
        LuaError: what cannot be answered or done.
    """
    operation = _OPERATIONS.get(str(request.get("do")))
    if operation is None:
        raise InvalidError(f"unknown order '{request.get('do')}'; there are: {', '.join(_OPERATIONS)}")
    return await operation(runtime, request)


def _text(request: Mapping[str, Any], key: str, default: str | None = "") -> str:
    value = request.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or (not value and default is None):
        raise InvalidError(f"{key} must be a text")
    return value


def _args(request: Mapping[str, Any]) -> bytes:
    args = request.get("args") or []
    if not isinstance(args, list):
        raise InvalidError("args must be a list")
    return pack_list(args)


def _hosts(runtime: Runtime, request: Mapping[str, Any]) -> list[WorkflowHost]:
    hosts: dict[str, WorkflowHost] = runtime.extras.get(HOSTS, {})
    worker = _text(request, "worker")
    if worker and worker not in hosts:
        raise NotFoundError(f"no worker {worker} runs here; there are: {', '.join(sorted(hosts)) or 'none'}")
    return [hosts[name] for name in sorted(hosts) if worker in {"", name}]


async def _find(runtime: Runtime, request: Mapping[str, Any]) -> tuple[WorkflowHost, RunInfo]:
    """The host of a workflow and its latest run, or the run that was asked for."""
    workflow_id, run_id = _text(request, "id", None), _text(request, "run")
    for host in _hosts(runtime, request):
        for info in await host.runs(RunQuery(workflow_id=workflow_id, limit=_LIST_COUNT if run_id else 1)):
            if run_id in {"", info.run_id}:
                return host, info
    raise NotFoundError(f"workflow not found: {workflow_id}{f' run {run_id}' if run_id else ''}")


def _told(info: RunInfo) -> dict[str, Any]:
    told = attrs.asdict(info, filter=lambda field, _value: field.name not in {"memo", "search", "outcome"})
    told["status"] = str(info.status)
    for name, data in (("memo", info.memo), ("search", info.search)):
        if data:
            told[name] = unpack(data)
    if info.outcome:
        end = decode(info.outcome)
        if isinstance(end, Complete):
            values = unpack(end.result)
            told["result"] = values[0] if values else None
        elif isinstance(end, Fail):
            told["error"] = {"kind": end.failure.kind, "message": str(end.failure.error())}
    return told


async def _list(runtime: Runtime, request: Mapping[str, Any]) -> Any:
    status = _text(request, "status")
    if status and status not in list(Status):
        raise InvalidError(f"unknown status '{status}'; there are: {', '.join(Status)}")
    limit = request.get("limit", _LIST_COUNT)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InvalidError("limit must be a number from 1 up")
    wanted = RunQuery(name=_text(request, "name"), status=status, limit=limit)
    found: list[RunInfo] = []
    for host in _hosts(runtime, request):
        found.extend(await host.runs(wanted))
    found.sort(key=lambda info: (-info.started_ns, info.workflow_id))
    return {"node": runtime.node, "runs": [_told(info) for info in found[:limit]]}


async def _show(runtime: Runtime, request: Mapping[str, Any]) -> Any:
    host, info = await _find(runtime, request)
    told = _told(info)
    if info.status is Status.OPEN:
        try:
            told["state"] = await host.query(info.workflow_id, "state")
            told["tasks"] = _tasks(await host.query(info.workflow_id, "tasks"))
        except LuaError as problem:  # no worker can say
            told["unknown"] = str(problem)
    return told


def _tasks(found: Any) -> list[Any]:
    """Where each task of the code waits, out of what the kernel tells of an actor."""
    actor = found[0] if isinstance(found, list) and found else found
    tasks = actor.get("tasks") if isinstance(actor, Mapping) else None
    return tasks if isinstance(tasks, list) else []


async def _export(runtime: Runtime, request: Mapping[str, Any]) -> Any:
    host, info = await _find(runtime, request)
    return await host.exported(info)


async def _query(runtime: Runtime, request: Mapping[str, Any]) -> Any:
    host, info = await _find(runtime, request)
    return await host.query(info.workflow_id, _text(request, "name", None), _args(request))


async def _signal(runtime: Runtime, request: Mapping[str, Any]) -> Any:
    host, info = await _find(runtime, request)
    await host.signal(info.workflow_id, _text(request, "name", None), _args(request))
    return _told(info)


async def _update(runtime: Runtime, request: Mapping[str, Any]) -> Any:
    host, info = await _find(runtime, request)
    update_id = _text(request, "update_id") or runtime.environment.ids.uuid()
    return await host.update(info.workflow_id, _text(request, "name", None), _args(request), update_id)


async def _cancel(runtime: Runtime, request: Mapping[str, Any]) -> Any:
    host, info = await _find(runtime, request)
    await host.request_cancel(info.workflow_id, _text(request, "reason"))
    return _told(info)


async def _terminate(runtime: Runtime, request: Mapping[str, Any]) -> Any:
    host, info = await _find(runtime, request)
    await host.end(info.workflow_id, _text(request, "reason"))
    return _told(info)


async def _reset(runtime: Runtime, request: Mapping[str, Any]) -> Any:
    host, info = await _find(runtime, request)
    number = request.get("number", 0)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise InvalidError("number must be a whole number, 0 or more")
    return {"workflow_id": info.workflow_id, "run_id": await host.reset(info, number, _text(request, "reason"))}


_OPERATIONS: Mapping[str, Callable[[Runtime, Mapping[str, Any]], Awaitable[Any]]] = {
    "list": _list,
    "show": _show,
    "export": _export,
    "query": _query,
    "signal": _signal,
    "update": _update,
    "cancel": _cancel,
    "terminate": _terminate,
    "reset": _reset,
}


async def replay_export(runtime: Runtime, data: Mapping[str, Any]) -> dict[str, Any]:
    """Replay an exported history, ours or Temporal's, with the code that the app has now.

    Returns:
        `same`, `count` (of records), `name`, and where they differ `difference`: a `text`, and for ours `record`,
        `recorded`, `now`, `field`, `was`, `is`, `line`; for Temporal's `now`: the step's commands with their lines.

    Raises:
        LuaError: it is no history, or the replay cannot be done.
    """
    if is_temporal(data):
        return await _replay_temporal(runtime, data)
    from wippy_trio.workflows.machine import WorkflowMachine
    from wippy_trio.workflows.machine_shard import MachineShard
    from wippy_trio.workflows.replay import NondeterminismError, replay

    records = read_records(data)
    name = str(data.get("name") or data.get("entry") or "")
    if not records:
        raise InvalidError("the history is empty")
    if runtime.engine.entry(EntryId.parse(str(data.get("entry") or name))) is None:
        raise NotFoundError(f"workflow not found: {data.get('entry') or name}")
    shard = MachineShard(runtime.engine, "replay", runtime.engine.limits.memory_bytes)
    told: dict[str, Any] = {"same": True, "name": name, "count": len(records)}
    try:
        (await replay(lambda: WorkflowMachine(shard), records)).close()
    except NondeterminismError as problem:
        found = problem.difference
        told["same"] = False
        told["difference"] = {
            "text": problem.message,
            "record": found.number,
            "recorded": found.recorded,
            "now": found.made,
            "field": found.field,
            "was": found.was,
            "is": found.now,
            "line": found.line,
        }
    return told


async def _replay_temporal(runtime: Runtime, data: Mapping[str, Any]) -> dict[str, Any]:
    import orjson

    try:
        from wippy_trio.workflows.temporal_replay import replay_temporal
    except ImportError as problem:
        raise InvalidError(f"histories of Temporal need the extra wippy-trio[temporal]: {problem}") from problem
    report = await replay_temporal(runtime, orjson.dumps(data))
    told: dict[str, Any] = {"same": report.same, "name": report.workflow_type, "count": report.events_count}
    if not report.same:
        told["difference"] = {"text": report.problem, "now": list(report.now)}
    return told
