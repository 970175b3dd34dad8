"""Messages of workflows to processes of this node, in order. Source: ours."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from wippy_trio.core.errors import LuaError
from wippy_trio.workflows.host import HOSTS, find_host

if TYPE_CHECKING:
    from wippy_trio.runtime import Runtime
    from wippy_trio.workflows.host import WorkflowHost

__all__ = ["Outbox"]

_QUEUE_COUNT = 10_000


class Outbox:
    """Hands messages over at once; one that has to wait (a full mailbox, a workflow elsewhere) holds back only those
    that go to the same destination, up to 10,000 of them.

    Args:
        runtime: the node's.
        host: in whose background it waits.
    """

    def __init__(self, runtime: Runtime, host: WorkflowHost) -> None:
        self._runtime = runtime
        self._host = host
        self._queues: dict[str, deque[tuple[str, str, bytes]]] = {}

    def send(self, source: str, destination: str, topic: str, payloads: bytes) -> None:
        """Hand a message over, or see to it; nobody is told what goes wrong but the log."""
        queue = self._queues.get(destination)
        if queue is None:
            try:
                if self._now(source, destination, topic, payloads):
                    return
            except LuaError as problem:
                self._warn(destination, topic, str(problem))
                return
            queue = self._queues[destination] = deque()
            self._host.in_background(self._drain, destination)
        if len(queue) >= _QUEUE_COUNT:
            self._warn(destination, topic, f"{_QUEUE_COUNT} messages are waiting")
        else:
            queue.append((source, topic, payloads))

    def _now(self, source: str, destination: str, topic: str, payloads: bytes) -> bool:
        pid = self._runtime.processes.resolve(destination)
        if find_host(self._runtime.extras.get(HOSTS, {}), pid) is not None:
            return False
        return bool(self._runtime.processes.offer(pid, topic, source, payloads))

    async def _drain(self, destination: str) -> None:
        queue = self._queues[destination]
        try:
            while queue:
                source, topic, payloads = queue[0]
                try:
                    await self._wait(source, destination, topic, payloads)
                except LuaError as problem:
                    self._warn(destination, topic, str(problem))
                queue.popleft()
        finally:
            del self._queues[destination]

    async def _wait(self, source: str, destination: str, topic: str, payloads: bytes) -> None:
        pid = self._runtime.processes.resolve(destination)
        found = find_host(self._runtime.extras.get(HOSTS, {}), pid)
        if found is not None:
            await found[0].signal(found[1], topic, payloads, source)
        else:
            await self._runtime.processes.send_waiting(pid, topic, source, payloads)

    def _warn(self, destination: str, topic: str, problem: str) -> None:
        log = self._runtime.log
        log.warn("a message of a workflow was not delivered", to=destination, topic=topic, error=problem)
