"""A supervisor of processes, as a task: it starts its children in order, restarts them, and outlives none of them.

The supervisor is a nursery: leaving `Tree.run`, however that comes about, ends everything below. One task does one
thing at a time, so that restarts, stops and requests never overlap. Source: ours, after Erlang/OTP's supervisor;
docs/guides/supervision.md.
"""

from __future__ import annotations

import math
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any

import trio

from wippy_trio.actors.desk import Desk
from wippy_trio.actors.host import ProcessHost, SpawnOptions
from wippy_trio.actors.strategy import Ending, Plan, Roster, ending_of
from wippy_trio.actors.supervisor import only_error
from wippy_trio.actors.topology import CANCEL
from wippy_trio.actors.tree_child import Branch, Child, Worker
from wippy_trio.actors.tree_spec import ChildSpec, TreeSpec
from wippy_trio.core.errors import (
    AlreadyExistsError,
    CanceledError,
    ConflictError,
    InternalError,
    LuaError,
    NotFoundError,
    RateLimitedError,
    UnavailableError,
)
from wippy_trio.core.frame import Frame
from wippy_trio.core.ids import EntryId, Pid

if TYPE_CHECKING:
    from wippy_trio.runtime import Runtime

__all__ = ["Tree", "find_tree"]


class Tree:
    """A running supervisor. It has a PID: it can be monitored, cancelled (stops in order) and terminated.

    Args:
        spec: what it consists of.
        runtime: the organs.
        path: the entry's id, and below it the ids of children: `app:pool/inner`.
        frame: identity of its processes.
        limit_s: how long its orderly stop may take in all.
    """

    def __init__(self, spec: TreeSpec, runtime: Runtime, path: str, frame: Frame, *, limit_s: float = math.inf) -> None:
        self.spec = spec
        self.runtime = runtime
        self.path = path
        self.limit_s = limit_s
        self.pid = str(Pid(runtime.node, path, runtime.environment.ids.unique()))
        self.parent = ""
        self.started_s = runtime.environment.clock.monotonic_s()
        self.ended = trio.Event()
        self.error: LuaError | None = None
        self._frame = frame
        self._roster = Roster(spec.strategy, spec.max_restarts, spec.window_s)
        self._children: dict[str, Child] = {}
        self._nursery: trio.Nursery | None = None
        self._scope = trio.CancelScope()
        self._grace = trio.CancelScope(shield=True)
        self._killed: LuaError | None = None
        self._started = False
        self._wake = trio.Event()
        self._endings: deque[tuple[str, object, LuaError | None]] = deque()  # one per run of a child at most
        self._desk = Desk(f"supervisor {path}", self._rouse)
        for child in spec.children:
            self._add(child)

    # Participant -----------------------------------------------------------------------------------------------
    def deliver_now(self, topic: str, source: str, data: bytes) -> int:
        """A supervisor takes no messages: the sender is told that nobody reads them."""
        del topic, source, data
        return 1

    def event_now(self, event: dict[str, Any]) -> None:
        """See `topology.Participant`; a cancel stops it in order, other events mean nothing to it."""
        if event.get("kind") == CANCEL:
            self.stop_soon()

    def terminate_now(self, error: LuaError) -> None:
        """See `topology.Participant`; its children are ended without being asked."""
        if not self.ended.is_set() and self._killed is None:
            self._killed = error
            self._scope.cancel()
            self._grace.cancel()

    def stop_soon(self) -> None:
        """Begin an orderly stop; `ended` tells when it is over."""
        self._scope.cancel()

    # the task --------------------------------------------------------------------------------------------------
    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the children in order, then keep them; on the way out all are stopped, last started first.

        Raises:
            LuaError: a child did not start; those before it were stopped. Later failures are told by `wait`.
        """
        processes = self.runtime.processes
        processes.enter(self.pid, self)
        try:
            with self._scope:
                await self._live(task_status)
            self.error = self._killed
        except Exception as problem:  # noqa: BLE001 - becomes the supervisor's failure
            self.error = self._failure(problem)
        finally:
            self.ended.set()
            who = self.pid, self.path, self.parent
            self.runtime.engine.exits.record(who, (self.started_s, self._now_s()), self.error)
            processes.leave(self.pid, None, self.error)
        if not self._started:
            raise self.error or CanceledError(f"supervisor {self.path} was stopped while it started")

    def _failure(self, problem: Exception) -> LuaError:
        found = only_error(problem)
        if isinstance(found, LuaError):
            return found
        trace = "".join(traceback.format_exception(problem))
        self.runtime.log.error("internal error in a supervisor", supervisor=self.path, trace=trace)
        return InternalError(f"internal error in supervisor {self.path}: {found}")

    async def _live(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                for name in self._roster.order():
                    await self._begin(name)
                self._desk.open()
                self._started = True
                task_status.started()
                await self._serve()
            finally:
                self._desk.close()
                await self._end_all()
                nursery.cancel_scope.cancel()

    async def _serve(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._endings or self._desk:
                await (self._handle(*self._endings.popleft()) if self._endings else self._desk.serve())

    async def wait(self) -> None:
        """Wait for its end.

        Raises:
            LuaError: it gave up, or was terminated.
        """
        await self.ended.wait()
        if self.error is not None:
            raise self.error

    # children --------------------------------------------------------------------------------------------------
    def _add(self, spec: ChildSpec) -> None:
        self._children[spec.id] = Child(spec)
        self._roster.add(spec.id, spec.restart)

    def _forget(self, name: str) -> None:
        self._roster.remove(name)
        self._children.pop(name, None)

    async def _begin(self, name: str) -> str:
        """Start a child; returns its PID."""
        child = self._children[name]
        spec = child.spec
        run = await self._branch(spec) if spec.tree is not None else self._worker(spec)
        child.run = run
        self._roster.started(name)
        self.runtime.processes.watch(run.pid, lambda _pid, _value, error: self._tell(name, run, error))
        await trio.lowlevel.checkpoint()
        return run.pid

    def _worker(self, spec: ChildSpec) -> Worker:
        processes = self.runtime.processes
        assert spec.process is not None
        assert spec.host is not None
        holder = processes.lookup(spec.name) if spec.name else None
        if holder is not None:  # spawn would hand out the holder, a stranger
            raise AlreadyExistsError(f"name already registered: {spec.name}", details={"existing_pid": holder})
        host = self.runtime.resources.get(spec.host, ProcessHost, "host")
        pid = host.spawn(spec.process, spec.args, self._frame, SpawnOptions(parent=self.pid, name=spec.name))
        process = host.processes.get(pid)
        if process is None:
            raise UnavailableError(f"process ended while it started: {spec.process}")
        return Worker(process, lambda pid: processes.cancel(pid, self.pid, "shutdown"))

    async def _branch(self, spec: ChildSpec) -> Branch:
        assert spec.tree is not None
        assert self._nursery is not None
        tree = Tree(spec.tree, self.runtime, f"{self.path}/{spec.id}", self._frame)
        tree.parent = self.pid

        async def grow(task_status: trio.TaskStatus[None]) -> None:
            # A cancelled parent stops its children one by one, last started first; the cancellation itself would
            # reach all branches at once.
            with trio.CancelScope(shield=True):
                await tree.run(task_status)

        await self._nursery.start(grow)
        return Branch(tree)

    def _tell(self, name: str, run: object, error: LuaError | None) -> None:
        self._endings.append((name, run, error))
        self._rouse()

    def _rouse(self) -> None:
        self._wake.set()

    async def _stop(self, name: str) -> None:
        child = self._children.get(name)
        if child is not None and child.run is not None:
            await child.run.stop(child.spec.shutdown_s)
            child.run = None  # and so its ending, which is on its way, means nothing any more

    async def _end_all(self) -> None:
        """Stop every child, last started first; when time is up the rest is ended without being asked."""
        order = [name for name in reversed(self._roster.order()) if name in self._children]
        if self._killed is None:
            with self._grace:
                with trio.move_on_after(self.limit_s):
                    for name in order:
                        await self._stop(name)
        with trio.CancelScope(shield=True):
            for name in order:
                run = self._children[name].run
                if run is not None:
                    run.kill_now()
                    await run.gone()

    # endings ---------------------------------------------------------------------------------------------------
    async def _handle(self, name: str, run: object, error: LuaError | None) -> None:
        child = self._children.get(name)
        if child is None or child.run is not run:
            return
        child.run, child.error = None, error
        plan: Plan | None = self._roster.ended(name, ending_of(error), self._now_s())
        while plan is not None:
            plan, child = await self._carry_out(plan, child)

    async def _carry_out(self, plan: Plan, culprit: Child) -> tuple[Plan | None, Child]:
        """Do what was decided; a failed start is a failure of that child, which leads to a further plan."""
        if plan.gives_up:
            window = f"{self.spec.window_s:g} s"
            message = f"supervisor {self.path} gave up: more than {self.spec.max_restarts} restarts within {window}"
            problem = UnavailableError(f"{message}; the last was {culprit.spec.id}: {culprit.error or 'ended'}")
            self.runtime.log.error("supervisor gave up", supervisor=self.path, error=str(problem))
            raise problem
        for name in plan.stop:
            await self._stop(name)
        for name in plan.forget:
            self._forget(name)
        for name in plan.start:
            child = self._children[name]
            child.run = None  # one that ended while others were being stopped
            child.restarts += 1
            try:
                pid = await self._begin(name)
            except LuaError as problem:
                child.error = problem
                self.runtime.log.warn("child did not restart", child=f"{self.path}/{name}", error=str(problem))
                await trio.lowlevel.checkpoint()
                return self._roster.ended(name, Ending.FAILED, self._now_s()), child
            reason = str(culprit.error) if culprit.error is not None else "ended"
            self.runtime.log.warn("child restarted", child=f"{self.path}/{name}", pid=pid, reason=reason)
        return None, culprit

    def _now_s(self) -> float:
        return self.runtime.environment.clock.monotonic_s()

    # requests --------------------------------------------------------------------------------------------------
    def _find(self, name: str) -> Child:
        for child in self._children.values() if name.startswith("{") else ():
            if child.run is not None and child.run.pid == name:
                return child
        found = self._children.get(name)
        if found is None:
            raise NotFoundError(f"no child {name} of supervisor {self.path}")
        return found

    async def start_child(self, spec: ChildSpec) -> str:
        """Add a child at the end of the order and start it; returns its PID. One that does not start is not kept.

        Raises:
            AlreadyExistsError: a sibling has that id (details.pid, when it runs).
            RateLimitedError: the supervisor is full.
            LuaError: it did not start.
        """

        async def work() -> str:
            known = self._children.get(spec.id)
            if known is not None:
                details = {"pid": known.run.pid} if known.run is not None else None
                raise AlreadyExistsError(f"child exists already: {self.path}/{spec.id}", details=details)
            if len(self._children) >= self.spec.max_children:
                raise RateLimitedError(f"supervisor {self.path} holds {self.spec.max_children} children already")
            self._add(spec)
            try:
                return await self._begin(spec.id)
            except LuaError:
                self._forget(spec.id)
                raise

        return str(await self._desk.ask(work))

    async def restart_child(self, name: str) -> str:
        """Start a child that does not run; returns its PID.

        Raises:
            NotFoundError: no such child.
            ConflictError: it runs.
        """

        async def work() -> str:
            child = self._find(name)
            if child.run is not None:
                raise ConflictError(f"child runs already: {self.path}/{name}", details={"pid": child.run.pid})
            return await self._begin(child.spec.id)

        return str(await self._desk.ask(work))

    async def terminate_child(self, name: str) -> None:
        """Stop a child, by id or PID, within its `shutdown`. It is kept, stopped, unless it is temporary.

        Raises:
            NotFoundError: no such child.
        """

        async def work() -> None:
            child = self._find(name)
            await self._stop(child.spec.id)
            if self._roster.stopped(child.spec.id):
                self._forget(child.spec.id)

        await self._desk.ask(work)

    async def delete_child(self, name: str) -> None:
        """Forget a child that does not run.

        Raises:
            NotFoundError: no such child.
            ConflictError: it runs.
        """

        async def work() -> None:
            child = self._find(name)
            if child.run is not None:
                raise ConflictError(f"child runs: {self.path}/{name}")
            self._forget(child.spec.id)

        await self._desk.ask(work)

    def which_children(self) -> list[dict[str, Any]]:
        """Every child in the order of their start: id, type, restart, state, restarts, pid, process, host, error."""
        return [self._children[name].row() for name in self._roster.order()]

    def count_children(self) -> dict[str, int]:
        """How many children it has (`specs`), how many run (`active`), and how many are of each type."""
        rows = self.which_children()
        supervisors = sum(row["type"] == "supervisor" for row in rows)
        active = sum(row["state"] == "running" for row in rows)
        workers = len(rows) - supervisors
        return {"specs": len(rows), "active": active, "supervisors": supervisors, "workers": workers}

    def branch(self, name: str) -> Tree | None:
        """The running supervisor that is the child of that id."""
        child = self._children.get(name)
        return child.run.tree if child is not None and isinstance(child.run, Branch) else None


def find_tree(runtime: Runtime, target: str) -> Tree:
    """The running supervisor that is meant: `app:pool`, `app:pool/inner`, its PID, or a name registered for it.

    Raises:
        NotFoundError: none runs there.
    """
    processes = runtime.processes
    pid = target if target.startswith("{") else processes.lookup(target)
    participant = processes.find(pid) if pid else None
    if isinstance(participant, Tree):
        return participant
    found: Tree | None = None
    if pid is None and ":" in target:
        first, *rest = target.split("/")
        found = runtime.resources.find(EntryId.parse(first), Tree)
        for name in rest:
            found = found.branch(name) if found is not None else None
    if found is None:
        raise NotFoundError(f"supervisor not found: {target}")
    return found
