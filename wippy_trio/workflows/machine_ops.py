"""What the operations of Lua modules mean in a workflow: which command each becomes, and how its answer is told.

`WAITING`: operation name -> function that emits its command. `IMMEDIATE`: answered by the machine at once. `ANSWERS`:
kind of wait -> what an event does to it. Everything else is computed (rule PURE, or derived from the run's seed and
time) or refused. Source: docs temporal/workflows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sandbox.values import Boxed, as_bytes, as_text, pack_list
from wippy_trio.core.errors import CanceledError, InvalidError
from wippy_trio.core.ids import EntryId
from wippy_trio.core.units import duration_ns
from wippy_trio.workflows import machine_messages as messages
from wippy_trio.workflows.machine_context import context_of
from wippy_trio.workflows.machine_wait import Wait
from wippy_trio.workflows.options import parse_activity_options, parse_workflow_options
from wippy_trio.workflows.wire import (
    ActivityResolved,
    CancelActivity,
    CancelChild,
    CancelTimer,
    ChildStarted,
    Context,
    ScheduleActivity,
    StartChild,
    StartTimer,
)

if TYPE_CHECKING:
    from wippy_trio.workflows.machine import WorkflowMachine
    from wippy_trio.workflows.machine_shard import Request

__all__ = ["ANSWERS", "IMMEDIATE", "WAITING", "Wait"]

_NS = 1_000_000_000
_YES = pack_list([True])
_NOTHING = pack_list([None])


def _canceled() -> CanceledError:
    return CanceledError("operation canceled")


# timers ------------------------------------------------------------------------------------------------------------
def _boxed_time(machine: WorkflowMachine) -> Boxed:
    now_ns = machine.now_ns()
    return Boxed("time.Time", [now_ns // _NS, now_ns % _NS, "L"])


def _cancel_timer(machine: WorkflowMachine, wait: Wait) -> None:
    machine.settled(wait)
    machine.add(CancelTimer(wait.seq))
    machine.reject(wait.command, _canceled())


def _timer(machine: WorkflowMachine, request: Request, kind: str, ns: int, value: Any = None) -> None:
    seq = machine.wait(Wait(kind, request.command, value, request.line, _cancel_timer))
    machine.add(StartTimer(seq, max(int(ns), 0), line=request.line))


def _sleep(machine: WorkflowMachine, request: Request, ns: int) -> None:
    if ns <= 0:
        machine.resolve(request.command, _NOTHING)
    else:
        _timer(machine, request, "sleep", ns)


def _after(machine: WorkflowMachine, request: Request, ns: int) -> None:
    _timer(machine, request, "after", ns)


def _fire(machine: WorkflowMachine, request: Request, source: int, ns: int) -> None:
    _timer(machine, request, "fire", ns, source)


def _tick(machine: WorkflowMachine, request: Request, source: int, ns: int) -> None:
    _timer(machine, request, "tick", ns, (source, ns))


def _future_timeout(machine: WorkflowMachine, request: Request, duration: Any) -> None:
    try:
        ns = round(duration * 1_000_000) if isinstance(duration, int | float) else duration_ns(as_text(duration))
    except (ValueError, InvalidError) as problem:
        raise InvalidError(f"invalid timeout: {problem}") from problem
    _timer(machine, request, "awaited", ns)


def _slept(machine: WorkflowMachine, wait: Wait, _event: Any) -> None:
    machine.settled(wait)
    if wait.kind == "after":
        machine.resolve(wait.command, pack_list([_boxed_time(machine)]))
        return
    if wait.kind == "fire":
        machine.feed(wait.value, _boxed_time(machine), last=True)
    machine.resolve(wait.command, _NOTHING if wait.kind == "sleep" else _YES)


def _ticked(machine: WorkflowMachine, wait: Wait, _event: Any) -> None:
    source, ns = wait.value
    machine.settled(wait)
    machine.feed(source, _boxed_time(machine), last=False)
    seq = machine.wait(wait)
    machine.add(StartTimer(seq, ns, line=wait.line))


# activities ----------------------------------------------------------------------------------------------------------
def _cancel_activity(machine: WorkflowMachine, wait: Wait) -> None:
    options = wait.value
    machine.add(CancelActivity(wait.seq, options.wait_for_cancellation))
    if not options.wait_for_cancellation:
        machine.settled(wait)
        machine.reject(wait.command, _canceled())


def _call(machine: WorkflowMachine, request: Request, *given: Any) -> None:
    executor, actor, scope, target, args = given
    fields = executor.value if isinstance(executor, Boxed) else {}
    _schedule(machine, request, fields, (actor, scope), as_text(target), as_bytes(args))


def _call_method(
    machine: WorkflowMachine, request: Request, target: Any, builder: Any, actor: Any, scope: Any, *args: Any
) -> None:
    values = builder.get("values") or {}
    for name in target.get("required") or ():
        if as_text(name) not in values and as_text(name) not in machine.frame().values:
            raise InvalidError(f"missing required context: {as_text(name)}")
    _schedule(machine, request, builder, (actor, scope), as_text(target["function"]), pack_list(args))


def _schedule(
    machine: WorkflowMachine,
    request: Request,
    fields: Mapping[str, Any],
    identity: tuple[Any, Any],
    target: str,
    args: bytes,
) -> None:
    declared = machine.shard.engine.entry(EntryId.parse(target))
    defaults = declared.meta.get("options") if declared is not None else None
    merged = {**(defaults if isinstance(defaults, Mapping) else {}), **(fields.get("options") or {})}
    options = parse_activity_options(merged)
    context = context_of(machine.frame(), fields.get("values"), *identity)
    wait = Wait("activity", request.command, options, request.line, _cancel_activity)
    seq = machine.wait(wait)
    machine.add(ScheduleActivity(seq, target, args, options, context, line=request.line))


def _answered(machine: WorkflowMachine, wait: Wait, event: ActivityResolved) -> None:
    machine.settled(wait)
    if event.failure is None:
        machine.resolve(wait.command, event.result)
    else:
        machine.reject(wait.command, event.failure.error())


# children ------------------------------------------------------------------------------------------------------------
def _cancel_child(machine: WorkflowMachine, wait: Wait) -> None:
    machine.add(CancelChild(wait.seq))
    options = wait.value
    if not options.wait_for_cancellation:
        machine.settled(wait)
        machine.reject(wait.command, _canceled())


def _start_child(
    machine: WorkflowMachine,
    request: Request,
    kind: str,
    fields: Mapping[str, Any],
    context: Context | None,
    target: tuple[str, str, bytes],
) -> None:
    assert machine.started is not None
    id_text, host, args = target
    entry = EntryId.parse(id_text)
    if not entry.namespace:
        raise InvalidError(f"invalid workflow id '{id_text}': expected namespace:name")
    options = parse_workflow_options(fields.get("options") or {})
    wait = Wait(kind, request.command, options, request.line, _cancel_child if kind == "exec" else None)
    seq = machine.wait(wait)
    name = as_text(fields.get("name") or "")
    workflow_id = options.workflow_id or name or f"{machine.started.run_id}_{seq}"
    raw = fields.get("messages")
    messages = [[as_text(topic), payloads or []] for topic, payloads in raw] if isinstance(raw, list) else []
    machine.add(
        StartChild(seq, workflow_id, str(entry), host, args, options, context, pack_list(messages), line=request.line)
    )


def _spawn(machine: WorkflowMachine, request: Request, how: str, *given: Any) -> None:
    id_text = as_text(given[3])
    if "monitored" in how:
        machine.require("process.spawn.monitored", id_text, "not allowed to spawn monitored process: {}")
    if "linked" in how:
        machine.require("process.spawn.linked", id_text, "not allowed to spawn linked process: {}")
    machine.require("process.spawn", id_text, "not allowed to spawn process: {}")
    machine.require("process.host", as_text(given[4]), "not allowed to spawn on host: {}")
    _run_child(machine, request, "spawn", given)


def _exec(machine: WorkflowMachine, request: Request, *given: Any) -> None:
    machine.require("process.exec", as_text(given[3]), "not allowed to execute process: {}")
    machine.require("process.host", as_text(given[4]), "not allowed to spawn on host: {}")
    _run_child(machine, request, "exec", given)


def _run_child(machine: WorkflowMachine, request: Request, kind: str, given: tuple[Any, ...]) -> None:
    builder, actor, scope, id_text, host, *args = given
    fields = builder.value if isinstance(builder, Boxed) else {}
    context = context_of(machine.frame(), fields.get("values"), actor, scope)
    _start_child(machine, request, kind, fields, context, (id_text, host, pack_list(args)))


def _exec_workflow(machine: WorkflowMachine, request: Request, id_text: str, *args: Any) -> None:
    _start_child(machine, request, "exec", {}, None, (id_text, "", pack_list(args)))


def _spawned(machine: WorkflowMachine, wait: Wait, event: Any) -> None:
    if isinstance(event, ChildStarted):
        if event.failure is not None:
            machine.settled(wait)
            machine.reject(wait.command, event.failure.error())
        else:
            machine.resolve(wait.command, pack_list([event.pid]))
            wait.kind, wait.value = "child", event.pid
    elif event.failure is not None:
        machine.settled(wait)
        machine.reject(wait.command, event.failure.error())


def _child_closed(machine: WorkflowMachine, wait: Wait, event: Any) -> None:
    if not isinstance(event, ChildStarted):
        machine.settled(wait)
        machine.child_closed(wait.value, event.result, event.failure)


def _executed(machine: WorkflowMachine, wait: Wait, event: Any) -> None:
    if isinstance(event, ChildStarted) and event.failure is None:
        return
    _answered(machine, wait, event)


IMMEDIATE: Mapping[str, Callable[..., Any]] = {
    "workflow.info": messages.info,
    "workflow.version": messages.version,
    "workflow.attrs": messages.attrs,
    "workflow.expose": messages.expose,
    "workflow.history": lambda machine: list(machine.history),
}
WAITING: Mapping[str, Callable[..., None]] = {
    "time.sleep": _sleep,
    "time.after": _after,
    "time.fire": _fire,
    "time.tick": _tick,
    "funcs.sleep": _future_timeout,
    "funcs.call": _call,
    "contract.call": _call_method,
    "workflow.exec": _exec_workflow,
    "process.exec": _exec,
    "process.spawn": _spawn,
    "process.send": messages.send,
    "process.send_waiting": messages.send,
    "process.cancel": messages.cancel,
    "process.terminate": messages.terminate,
    "process.upgrade": messages.upgrade,
}
ANSWERS: Mapping[str, Callable[[Any, Wait, Any], None]] = {
    "sleep": _slept,
    "after": _slept,
    "fire": _slept,
    "awaited": _slept,
    "tick": _ticked,
    "activity": _answered,
    "spawn": _spawned,
    "child": _child_closed,
    "exec": _executed,
    "external": messages.external_answered,
}
