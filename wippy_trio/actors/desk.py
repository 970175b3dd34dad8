"""Work that one task does for others, one piece after the other. Source: ours."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import trio

from wippy_trio.core.errors import LuaError, UnavailableError

__all__ = ["Desk"]


@attrs.define(slots=True, eq=False)
class _Request:
    work: Callable[[], Awaitable[Any]]
    done: trio.Event = attrs.field(factory=trio.Event)
    result: Any = None
    error: LuaError | None = None


class Desk:
    """A bounded line of requests to one task.

    Args:
        owner: how errors name the one who serves.
        wake: called when there is something to do.
        max_count: requests that may wait.
    """

    def __init__(self, owner: str, wake: Callable[[], None], max_count: int = 1_024) -> None:
        self._owner = owner
        self._wake = wake
        self._max_count = max_count
        self._line: deque[_Request] = deque()
        self._open = False

    def __bool__(self) -> bool:
        return bool(self._line)

    def open(self) -> None:
        """From now on requests are taken."""
        self._open = True

    async def ask(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Have `work` done and return its result; it is done also when the asker does not wait for it.

        Raises:
            UnavailableError: the desk is closed or too many wait.
            LuaError: what `work` raised.
        """
        if not self._open:
            raise UnavailableError(f"{self._owner} is not running")
        if len(self._line) >= self._max_count:
            raise UnavailableError(f"{self._owner} has {self._max_count} requests to do already")
        request = _Request(work)
        self._line.append(request)
        self._wake()
        await request.done.wait()
        if request.error is not None:
            raise request.error
        return request.result

    async def serve(self) -> None:
        """Do the first piece of work; whoever asked gets its result or its LuaError."""
        request = self._line[0]
        try:
            request.result = await request.work()
        except LuaError as problem:
            request.error = problem
        self._line.popleft()
        request.done.set()

    def close(self) -> None:
        """Take no more, and refuse those who wait."""
        self._open = False
        while self._line:
            request = self._line.popleft()
            request.error = UnavailableError(f"{self._owner} stopped")
            request.done.set()
