"""A child of a supervisor: what it is to be, and the process or the supervisor that runs as it now. Source: ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import trio

from wippy_trio.actors.host import Process
from wippy_trio.actors.tree_spec import ChildSpec
from wippy_trio.core.errors import CanceledError, LuaError

if TYPE_CHECKING:
    from wippy_trio.actors.tree import Tree

__all__ = ["Branch", "Child", "Worker"]


class Worker:
    """A process; `cancel(pid)` asks it to stop."""

    def __init__(self, process: Process, cancel: Callable[[str], None]) -> None:
        self._process = process
        self._cancel = cancel
        self.pid = process.pid

    async def stop(self, limit_s: float) -> None:
        """Ask it to stop, and end it when it has not obeyed within the limit."""
        ended = self._process.ended
        if limit_s > 0 and not ended.is_set():
            with trio.move_on_after(limit_s):
                self._cancel(self.pid)
                await ended.wait()
        self.kill_now()

    def kill_now(self) -> None:
        """End it without asking."""
        self._process.terminate_now(CanceledError("ended by its supervisor"))

    async def gone(self) -> None:
        """Wait for its end."""
        await self._process.ended.wait()


class Branch:
    """A supervisor below another one."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.pid = tree.pid

    async def stop(self, limit_s: float) -> None:
        """Let it stop its own children, for so long at most; then end them."""
        if limit_s > 0:
            self.tree.limit_s = limit_s
            self.tree.stop_soon()
            with trio.move_on_after(limit_s):
                await self.gone()
        self.kill_now()
        await self.gone()

    def kill_now(self) -> None:
        """End all below without asking."""
        self.tree.terminate_now(CanceledError("ended by its supervisor"))

    async def gone(self) -> None:
        """Wait for its end."""
        await self.tree.ended.wait()


@attrs.define(slots=True, eq=False)
class Child:
    """A child; `run` is None while it does not run, `error` what it failed of last."""

    spec: ChildSpec
    run: Worker | Branch | None = None
    restarts: int = 0
    error: LuaError | None = None

    def row(self) -> dict[str, Any]:
        """What there is to tell of it."""
        spec = self.spec
        told: dict[str, Any] = {
            "id": spec.id,
            "type": "worker" if spec.tree is None else "supervisor",
            "restart": spec.restart.value,
            "state": "stopped" if self.run is None else "running",
            "restarts": self.restarts,
        }
        if self.run is not None:
            told["pid"] = self.run.pid
        if spec.process is not None:
            told["process"], told["host"] = str(spec.process), str(spec.host)
        if self.error is not None:
            told["error"] = str(self.error)
        return told
