"""The last endings of a node, for whoever asks why a process is gone. Source: ours; docs/guides/inspection.md."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import attrs

from wippy_trio.core.errors import LuaError
from wippy_trio.core.ids import EntryId

__all__ = ["Exit", "ExitLog"]

_MESSAGE_CHARS = 2_000
_STACK_CHARS = 8_000


class _Done(NamedTuple):
    pid: str
    entry: EntryId | str
    parent: str
    started_s: float
    ended_s: float
    error: tuple[str, str, bool | None, str] | None


@attrs.frozen(slots=True)
class Exit:
    """How a process ended.

    Attributes:
        pid, entry, parent: of the process.
        started_s, ended_s: monotonic time.
        error: text of what it failed of, cut at 2,000 characters; None when it returned.
        kind, retryable: of the error.
        stack: its Lua traceback, cut at 8,000 characters.
    """

    pid: str
    entry: str
    parent: str
    started_s: float
    ended_s: float
    error: str | None = None
    kind: str = ""
    retryable: bool | None = None
    stack: str = ""


class ExitLog:
    """Bounded memory of endings. Failures have a list of their own: a flood of good ends does not wash them out.

    Args:
        failed_count: failures kept.
        done_count: other endings kept.
    """

    def __init__(self, failed_count: int = 1_000, done_count: int = 1_000) -> None:
        self._failed: deque[_Done] = deque(maxlen=failed_count)
        self._done: deque[_Done] = deque(maxlen=done_count)

    @property
    def capacity(self) -> tuple[int, int]:
        """How many failures and how many other endings are kept."""
        return self._failed.maxlen or 0, self._done.maxlen or 0

    def record(self, who: tuple[str, EntryId | str, str], lived_s: tuple[float, float], error: LuaError | None) -> None:
        """A process ended.

        Args:
            who: PID, entry and parent.
            lived_s: monotonic time of its start and its end.
            error: what it failed of.
        """
        if error is None:
            self._done.append(_Done(*who, *lived_s, None))
        else:
            told = str(error)[:_MESSAGE_CHARS], error.kind, error.retryable, error.stack[:_STACK_CHARS]
            self._failed.append(_Done(*who, *lived_s, told))

    def find(self, pid: str) -> Exit | None:
        """The ending of that process, while it is remembered."""
        for done in (*reversed(self._failed), *reversed(self._done)):
            if done.pid == pid:
                return _exit(done)
        return None

    def latest(self, count: int, *, failed_only: bool = False) -> list[Exit]:
        """The latest endings, newest first."""
        found = [*self._failed] if failed_only else [*self._failed, *self._done]
        found.sort(key=lambda done: done.ended_s, reverse=True)
        return [_exit(done) for done in found[:count]]

    def pids(self) -> list[str]:
        """Everyone remembered."""
        return [done.pid for done in (*self._failed, *self._done)]


def _exit(done: _Done) -> Exit:
    head = done.pid, str(done.entry), done.parent, done.started_s, done.ended_s
    return Exit(*head) if done.error is None else Exit(*head, *done.error)
