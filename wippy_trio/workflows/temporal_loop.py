"""An asyncio loop inside trio, which Temporal's SDK needs. The one place that imports trio-asyncio.

Importing it changes the process's event-loop policy, so it is imported only when an entry needs it. Source: ours
(decision 0008).
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import trio

from wippy_trio.core.errors import UnavailableError

with warnings.catch_warnings():  # it subclasses what Python 3.12 calls deprecated, and does not use it there
    warnings.simplefilter("ignore", DeprecationWarning)
    import trio_asyncio

__all__ = ["HereExecutor", "Loop", "on_trio", "open_loop"]

T = TypeVar("T")


class Loop:
    """An asyncio loop on trio that may be entered from any task while it is open."""

    def __init__(self, loop: trio_asyncio.TrioEventLoop) -> None:
        self._loop = loop

    async def run(self, function: Callable[..., Awaitable[T]], *args: object) -> T:
        """Run an asyncio function; cancelling the caller cancels it.

        Raises:
            UnavailableError: the loop was closed.
        """
        # The loop is found by a context variable, which tasks of actors do not have.
        token = trio_asyncio.current_loop.set(self._loop)
        try:
            result: T = await trio_asyncio.aio_as_trio(function, loop=self._loop)(*args)
        except RuntimeError as problem:
            if self._loop.is_closed():
                raise UnavailableError("the connection to the Temporal server is closed") from problem
            raise
        finally:
            trio_asyncio.current_loop.reset(token)
        return result


@asynccontextmanager
async def open_loop() -> AsyncIterator[Loop]:
    """A loop for the duration of the block."""
    async with trio_asyncio.open_loop() as loop:
        yield Loop(loop)


async def on_trio(function: Callable[..., Awaitable[T]], *args: object) -> T:
    """Run a trio function from an asyncio one, which awaits this; cancelling goes through."""
    result: T = await trio_asyncio.trio_as_aio(function)(*args)
    return result


class HereExecutor(trio_asyncio.TrioExecutor):  # type: ignore[misc]  # it ships no types
    """Runs workflow code where the node's other Lua code runs: in trio's thread, a bounded slice at a time.

    The engine's state is not for several threads, and a thread is not needed: the budget of the code's own clock stops
    a loop that does not end.
    """

    async def submit(self, func: Callable[..., Any], *args: Any) -> Any:
        """Run it now."""
        await trio.lowlevel.checkpoint()
        return func(*args)
