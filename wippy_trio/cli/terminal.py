"""The real terminal: standard streams of this process, for a command's `io` module."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from typing import cast

from determinism.seams import Threads

__all__ = ["ProcessTerminal"]


def _stdin() -> io.BufferedReader:
    """Standard input; both kinds of reads go through its one buffer, or lines would lose what bytes took."""
    return cast(io.BufferedReader, sys.stdin.buffer)


class ProcessTerminal:
    """Standard input, output and error of this process. Implements `actors.terminal.Terminal`.

    Args:
        args: the command's arguments.
        threads: where reads wait (standard input may be a terminal, a pipe or a file).
    """

    def __init__(self, args: Sequence[str], threads: Threads) -> None:
        self.args = tuple(args)
        self._threads = threads
        self._raw_count = 0
        self._restore: Callable[[], None] | None = None

    def write_now(self, data: bytes) -> None:
        """Write to standard output; `flush_now` makes it visible."""
        sys.stdout.buffer.write(data)

    def write_error_now(self, data: bytes) -> None:
        """Write to standard error at once."""
        sys.stdout.buffer.flush()
        sys.stderr.buffer.write(data)
        sys.stderr.buffer.flush()

    def flush_now(self) -> None:
        """Make what was written visible."""
        sys.stdout.buffer.flush()

    async def read(self, max_bytes: int) -> bytes:
        """Up to `max_bytes` of standard input; empty at its end."""
        self.flush_now()
        return await self._threads.run(_stdin().read1, max_bytes, lane="stdin", abandon_on_cancel=True)

    async def readline(self) -> bytes:
        """One line of standard input with its line end; empty at its end."""
        self.flush_now()
        return await self._threads.run(_stdin().readline, lane="stdin", abandon_on_cancel=True)

    def raw_now(self, enable: bool) -> None:
        """Switch raw mode; calls nest, and `close` restores the terminal in any case."""
        if not sys.stdin.isatty():
            return
        import termios
        import tty

        self._raw_count = max(self._raw_count + (1 if enable else -1), 0)
        if enable and self._raw_count == 1:
            before = termios.tcgetattr(sys.stdin)
            self._restore = lambda: termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
            tty.setraw(sys.stdin)
        elif not self._raw_count:
            self.close()

    def close(self) -> None:
        """Put the terminal back as it was."""
        restore, self._restore = self._restore, None
        if restore is not None:
            restore()
        self.flush_now()
