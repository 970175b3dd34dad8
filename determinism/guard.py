"""Real input and output in a simulation is an error that names its caller.

Our own code reaches the world through the seams alone, which tests of the house hold; this is for third-party code, and
for what those tests do not see. It rests on CPython's audit events. Source: ours (design note on determinism).
"""

from __future__ import annotations

import sys
import sysconfig
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, Final, Self

__all__ = ["RealIoError", "no_real_io"]

_FORBIDDEN: Final = frozenset(
    {
        "_thread.start_joinable_thread",
        "_thread.start_new_thread",
        "os.exec",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.spawn",
        "os.system",
        "pty.spawn",
        "socket.bind",
        "socket.connect",
        "socket.getaddrinfo",
        "socket.gethostbyaddr",
        "socket.gethostbyname",
        "socket.sendmsg",
        "socket.sendto",
        "sqlite3.connect",
        "subprocess.Popen",
        "time.sleep",
    }
)
_CHANGES_PATH: Final = frozenset(
    {
        "os.chmod",
        "os.chown",
        "os.link",
        "os.mkdir",
        "os.remove",
        "os.rename",
        "os.rmdir",
        "os.symlink",
        "os.truncate",
    }
)
_WATCHED: Final = _FORBIDDEN | _CHANGES_PATH | {"open"}
_O_ACCMODE: Final = 0o3
#: What Python itself writes when it imports something for the first time.
_COMPILED: Final = "__pycache__"
_LIBRARIES: Final = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib")})


class RealIoError(RuntimeError):
    """Something reached for the real world from inside a simulation."""


class _Guard(AbstractContextManager["_Guard", None]):
    """The guarded region. Regions nest, and each allows what one around it does."""

    def __init__(self, allow: Sequence[str]) -> None:
        self._allow = tuple(allow)
        self._thread = 0
        self._outer: _Guard | None = None

    def __enter__(self) -> Self:
        if not _switch.installed:
            sys.addaudithook(_hook)
            if sys.version_info < (3, 12):
                _tell_of_threads()
            _switch.installed = True
        self._thread = threading.get_ident()
        self._outer, _switch.active = _switch.active, self
        return self

    def __exit__(self, *exc: object) -> None:
        _switch.active = self._outer

    def check(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Raise where the event is real I/O of this guard's thread."""
        if threading.get_ident() != self._thread:
            return
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, int):
                return  # a descriptor that is open already: what opened it was asked about
            writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool(flags & _O_ACCMODE)
            if not writes or self._is_allowed(path):
                return
            what = f"opening {path!r} for writing"
        elif event in _CHANGES_PATH:
            if self._is_allowed(arguments[0]):
                return
            what = f"{event} of {arguments[0]!r}"
        elif event.startswith("socket.") and len(arguments) > 1:
            what = f"{event} to {arguments[1] if event != 'socket.getaddrinfo' else arguments[0]!r}"
        else:
            what = event
        raise RealIoError(f"real input or output in a simulation: {what}, by {_caller()}")

    def _is_allowed(self, path: object) -> bool:
        if isinstance(path, bytes):
            path = path.decode("utf-8", "replace")
        text = str(path)
        if _COMPILED in text or text == "/dev/null" or text.startswith(self._allow):
            return True
        return self._outer is not None and self._outer._is_allowed(path)


class _Switch:
    """An audit hook belongs to the process and cannot be taken away; so it is added once, and has a switch."""

    active: _Guard | None = None
    installed = False


_switch = _Switch()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    guard = _switch.active
    if guard is not None and event in _WATCHED:
        guard.check(event, arguments)


def _tell_of_threads() -> None:
    """Have new threads raise the audit event that Python has of itself from 3.12 on."""
    library: Any = threading
    start = library._start_new_thread

    def telling(*arguments: Any) -> Any:
        sys.audit("_thread.start_new_thread", *arguments)
        return start(*arguments)

    library._start_new_thread = telling


def _caller() -> str:
    """File, line and function of the innermost frame outside Python's own library."""
    frame: FrameType | None = sys._getframe(1)
    last = "an unknown caller"
    while frame is not None:
        code = frame.f_code
        if code.co_filename != __file__:
            last = f"{code.co_filename}:{frame.f_lineno} in {code.co_name}"
            foreign = code.co_filename.startswith("<frozen") or (
                code.co_filename.startswith(_LIBRARIES) and "site-packages" not in code.co_filename
            )
            if not foreign:
                break
        frame = frame.f_back
    return last


def no_real_io(allow: Sequence[str] = ()) -> AbstractContextManager[object]:
    """A region in which this thread may not connect, bind, start threads or processes, sleep, or write real files.

    Args:
        allow: beginnings of paths that may be written all the same (a report asked for by the user).

    Raises:
        RealIoError: inside the region, out of the call that tried; it names the caller.

    Reading files is allowed: Python does so when it imports. `time.sleep` is seen from Python 3.13 on. Outside the
    region the hook costs one comparison an event.
    """
    return _Guard(allow)
