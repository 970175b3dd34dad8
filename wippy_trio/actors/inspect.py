"""Looking at a running node: a table of its processes, what each waits on, how they ended. Source: ours.

Nothing is kept for this while processes run, but their last endings; it is gathered when somebody asks, in chunks
between which the others run. Results are plain values, fit for JSON. docs/guides/inspection.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import attrs
import trio

from sandbox.values import as_text, pack_list, unpack
from wippy_trio.actors.actor import LuaActor
from wippy_trio.actors.host import Process
from wippy_trio.actors.mailbox import Mailbox
from wippy_trio.actors.supervisor import Supervisor
from wippy_trio.actors.timers import timers_of
from wippy_trio.actors.tree import Tree
from wippy_trio.core.errors import InvalidError, LuaError, NotFoundError
from wippy_trio.core.ids import EntryId

if TYPE_CHECKING:
    from wippy_trio.actors.exits import Exit
    from wippy_trio.actors.shard import Shard
    from wippy_trio.runtime import Runtime

__all__ = ["Row", "details", "endings", "find_pid", "rows_of", "survey", "why"]

_CHUNK = 200
_MAX_TIMERS = 100


@attrs.frozen(slots=True)
class Row:
    """A process in one line.

    Attributes:
        pid: its PID.
        entry: what it runs.
        type: process, call (of a function), supervisor, or mailbox (of a task in Python; its name is the entry).
        parent: PID of who started it, or the service whose process it is; empty for the runtime itself.
        state: running, ready, waiting, or idle (a call about to begin or end).
        waits: what its main task waits on, and `line` where.
        mailbox: messages it holds; `steps`: how often it was run.
        restarts: how often it, or its service, was started again.
        age_s: seconds since its start; None for calls, whose start nobody notes.
        cpu_s: seconds that its code has run.
        tasks: tasks in it; `subscriptions`: topics it listens to, the inbox and events among them.
        timers: sleeps, timers and tickers that wait; `next_timer_s`: seconds to the first of them.
    """

    pid: str
    entry: str
    type: str
    parent: str
    state: str = "waiting"
    waits: str = ""
    line: str = ""
    mailbox: int = 0
    steps: int = 0
    restarts: int = 0
    age_s: float | None = None
    cpu_s: float = 0.0
    tasks: int = 0
    subscriptions: int = 0
    timers: int = 0
    next_timer_s: float | None = None


def _actor(participant: object) -> LuaActor | None:
    actor = getattr(participant, "actor", None)
    return actor if isinstance(actor, LuaActor) else None


def _trees(runtime: Runtime) -> Iterator[Tree]:
    for pid in runtime.processes.pids():
        participant = runtime.processes.find(pid)
        if isinstance(participant, Tree):
            yield participant


def _restarts(runtime: Runtime) -> dict[str, int]:
    """PID -> how often the child that it is was started again."""
    return {row["pid"]: row["restarts"] for tree in _trees(runtime) for row in tree.which_children() if row.get("pid")}


def _service_restarts(runtime: Runtime, parent: str) -> int:
    supervisor = runtime.extras.get("supervisor")
    if not isinstance(supervisor, Supervisor) or parent.startswith("{") or ":" not in parent:
        return 0
    service = supervisor.get(EntryId.parse(parent))
    return service.restarts if service is not None else 0


def _row(runtime: Runtime, pid: str, restarts: Mapping[str, int]) -> Row | None:
    participant = runtime.processes.find(pid)
    if participant is None:
        return None
    now_s = runtime.environment.clock.monotonic_s()
    actor = _actor(participant)
    if isinstance(participant, (Process, Tree)):
        entry = participant.path if isinstance(participant, Tree) else str(participant.entry)
        again = restarts.get(pid) if pid in restarts else _service_restarts(runtime, participant.parent)
        kind = "supervisor" if isinstance(participant, Tree) else "process"
        age_s = now_s - participant.started_s
        return Row(pid, entry, kind, participant.parent, restarts=again or 0, age_s=age_s)
    if isinstance(participant, Mailbox):
        held, age_s = participant.waiting_count, now_s - participant.started_s
        return Row(pid, participant.name, "mailbox", participant.parent, mailbox=held, age_s=age_s)
    entry = str(actor.frame.entry or "") if actor is not None else ""
    return Row(pid, entry, "call" if actor is not None else "other", "")


async def survey(runtime: Runtime, pids: Iterable[str] | None = None) -> list[Row]:
    """A line about each process, in order of their start.

    Args:
        runtime: of the node.
        pids: of whom; all unless given. Who has ended meanwhile is left out.
    """
    restarts = _restarts(runtime)
    wanted = list(runtime.processes.pids() if pids is None else pids)
    rows: list[Row] = []
    for at in range(0, len(wanted), _CHUNK):
        rows += rows_of(runtime, wanted[at : at + _CHUNK], restarts)
        await trio.lowlevel.checkpoint()
    return rows


def rows_of(runtime: Runtime, pids: Iterable[str], restarts: Mapping[str, int] = MappingProxyType({})) -> list[Row]:
    """A line about each of these processes, at once; `restarts` is what supervisors know of them."""
    rows: list[Row] = []
    shards: dict[Shard, dict[int, int]] = {}  # shard -> actor id -> place in rows
    for pid in pids:
        row = _row(runtime, pid, restarts)
        if row is None:
            continue
        actor = _actor(runtime.processes.find(pid))
        if actor is not None:
            shards.setdefault(actor.shard, {})[actor.actor_id] = len(rows)
            waiting = timers_of(actor)
            if waiting:
                row = attrs.evolve(row, timers=len(waiting), next_timer_s=waiting[0][1])
        rows.append(row)
    for shard, places in shards.items():
        told = unpack(shard.vm.survey(pack_list(list(places))))[0] or []
        for start in range(0, len(told), 9):
            number, depth, steps, state, waits, line, cpu_s, tasks, topics = told[start : start + 9]
            at = places[number]
            rows[at] = attrs.evolve(
                rows[at],
                state=as_text(state),
                waits=as_text(waits),
                line=as_text(line),
                mailbox=depth,
                steps=steps,
                cpu_s=cpu_s,
                tasks=tasks,
                subscriptions=topics,
            )
    return rows


# one process ---------------------------------------------------------------------------------------------------------
def find_pid(runtime: Runtime, text: str) -> str:
    """The PID that is meant: a PID, a registered name, or an end of one such as `0x0001a` that fits one process.

    Raises:
        InvalidError: it fits several.
        NotFoundError: it fits none, neither of those that run nor of those whose ending is remembered.
    """
    processes = runtime.processes
    exits = runtime.engine.exits
    if processes.find(text) is not None or exits.find(text) is not None:
        return text
    holder = processes.lookup(text)
    if holder is not None:
        return str(holder)
    part = text.strip("{}")
    for known in (processes.pids(), exits.pids()):
        fitting = list(dict.fromkeys(pid for pid in known if part and _fits(pid, part)))
        if len(fitting) == 1:
            return str(fitting[0])
        if fitting:
            raise InvalidError(f"'{text}' fits {len(fitting)} processes: {', '.join(fitting[:5])}")
    failed, done = exits.capacity
    raise NotFoundError(
        f"no process {text}: none runs, and it is not among the last {failed} failures and {done} other endings"
    )


def _fits(pid: str, part: str) -> bool:
    unique = pid[:-1].rpartition("|")[2]
    return unique == part or pid[1:-1] == part or unique.removeprefix("0x").lstrip("0") == part


def details(runtime: Runtime, text: str, *, trace: bool = False) -> dict[str, Any]:
    """Everything about one live process.

    Args:
        runtime: of the node.
        text: as for `find_pid`.
        trace: with a Lua traceback of each task.

    Raises:
        LuaError: as of `find_pid`, or it has ended.
    """
    pid = find_pid(runtime, text)
    row = _row(runtime, pid, _restarts(runtime))
    participant = runtime.processes.find(pid)
    if row is None:
        raise NotFoundError(f"process has ended: {pid} (`why` tells how)")
    told: dict[str, Any] = {**attrs.asdict(row), **runtime.processes.relations(pid)}
    if isinstance(participant, Tree):
        told["children"] = participant.which_children()
        told["waits"] = "endings of its children"
        return told
    actor = _actor(participant)
    if actor is None:
        return told
    frame = actor.frame
    told["host"] = str(participant.host.id) if isinstance(participant, Process) else ""
    told["actor"] = frame.actor.id if frame.actor is not None else ""
    told["operations"] = _operations(actor)
    timers = timers_of(actor)
    told["timers"], told["next_timer_s"] = len(timers), timers[0][1] if timers else None
    told["waiting_timers"] = [{"operation": name, "due_s": due_s} for name, due_s in timers[:_MAX_TIMERS]]
    data = actor.shard.vm.inspect(actor.actor_id, trace)
    if data is not None:
        told |= _inside(unpack(data)[0])
    return told


def _operations(actor: LuaActor) -> list[str]:
    """What runs on the host for it now."""
    tasks = actor.nursery.child_tasks if actor.nursery is not None else ()
    return sorted("a background task" if "<locals>" in task.name else task.name for task in tasks)


def _inside(told: dict[str, Any]) -> dict[str, Any]:
    """What the kernel tells of an actor, its main task first and the others in a fixed order."""
    tasks = [
        {
            "main": task["main"],
            "state": as_text(task["state"]),
            "waits": as_text(task["waits"]),
            "line": as_text(task["line"]),
            **({"trace": as_text(task["trace"])} if task.get("trace") is not None else {}),
        }
        for task in told["tasks"] or []
    ]
    tasks.sort(key=lambda task: (not task["main"], task["line"], task["waits"], task["state"]))
    first = tasks[0] if tasks else {"state": "idle", "waits": "", "line": ""}
    return {
        "state": first["state"],
        "waits": first["waits"],
        "line": first["line"],
        "mailbox": told["depth"],
        "mailbox_limit": told["mailbox"],
        "unread": told["pending"],
        "steps": told["steps"],
        "cpu_s": told["cpu_s"],
        "task_count": told["task_count"],
        "command_count": told["commands"],
        "tasks": tasks,
        "listens": [as_text(topic) for topic in told["topics"] or []],
        "trap_links": told["trap_links"],
    }


# endings -------------------------------------------------------------------------------------------------------------
def _ending(runtime: Runtime, found: Exit) -> dict[str, Any]:
    now_s = runtime.environment.clock.monotonic_s()
    told = attrs.asdict(found)
    started_s, ended_s = told.pop("started_s"), told.pop("ended_s")
    return {**told, "lived_s": ended_s - started_s, "ago_s": now_s - ended_s}


def endings(runtime: Runtime, count: int, *, failed_only: bool = False) -> list[dict[str, Any]]:
    """The latest endings, newest first: pid, entry, parent, lived_s, ago_s, error, kind, retryable, stack."""
    return [_ending(runtime, found) for found in runtime.engine.exits.latest(count, failed_only=failed_only)]


def why(runtime: Runtime, text: str) -> dict[str, Any]:
    """Why a process stands where it does, or is gone, or a service is not running.

    Args:
        runtime: of the node.
        text: as for `find_pid`, or the id of a service.

    Returns:
        `summary` in words; of a live process its details with tracebacks, of an ended one its ending, of a service
        its state.
    """
    service = _service(runtime, text)
    if service is not None:
        return service
    pid = find_pid(runtime, text)
    if runtime.processes.find(pid) is not None:
        told = details(runtime, pid, trace=True)
        return {"alive": True, "summary": _summary(told), **told}
    found = runtime.engine.exits.find(pid)
    assert found is not None
    told = _ending(runtime, found)
    how = f"failed: {found.kind + ': ' if found.kind else ''}{found.error}" if found.error is not None else "returned"
    summary = f"{pid} ({found.entry}) {how}; that was {told['ago_s']:.1f} s ago, it had lived {told['lived_s']:.1f} s"
    return {"alive": False, "summary": summary, **told}


def _service(runtime: Runtime, text: str) -> dict[str, Any] | None:
    supervisor = runtime.extras.get("supervisor")
    try:
        service = supervisor.get(EntryId.parse(text)) if isinstance(supervisor, Supervisor) and ":" in text else None
    except LuaError:
        service = None
    if service is None:
        return None
    error = None if service.error is None else str(service.error)
    told = f"service {text} is {service.state}, and is meant to be {service.desired}"
    if service.failures:
        told += f"; it failed {service.failures} times in a row"
    if error is not None:
        told += f", the last time of: {error}"
    return {
        "service": text,
        "summary": told,
        "state": str(service.state),
        "desired": str(service.desired),
        "failures": service.failures,
        "restarts": service.restarts,
        "error": error,
        "stack": service.error.stack if isinstance(service.error, LuaError) else "",
    }


def _summary(told: dict[str, Any]) -> str:
    where = f" at {told['line']}" if told.get("line") else ""
    if told["state"] == "waiting":
        text = f"{told['pid']} ({told['entry']}) waits on {told['waits'] or 'something of the host'}{where}"
    else:
        text = f"{told['pid']} ({told['entry']}) is {told['state']}{where}"
    held, limit = told.get("mailbox", 0), told.get("mailbox_limit", 0)
    if limit and held >= limit:
        text += f"; its mailbox is full ({held}): whoever sends to it waits"
    elif told.get("unread"):
        text += f"; nobody listens to {told['unread']} of the messages it holds"
    elif held:
        text += f"; it holds {held} messages"
    others = told.get("task_count", 1) - 1
    if others > 0:
        text += f"; {others} more tasks run in it"
    return text
