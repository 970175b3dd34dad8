"""The live implementations of the seams: operating-system clock, entropy, threads, disk and network."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import secrets
import stat as statlib
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar

import trio

from determinism.seams import Environment, FileStat, Listener, Stream

T = TypeVar("T")
_LANE_THREADS = 8

__all__ = [
    "SystemClock",
    "SystemDescriptors",
    "SystemDisk",
    "SystemEntropy",
    "SystemIds",
    "SystemNetwork",
    "SystemThreads",
    "system_environment",
]


class SystemClock:
    """The machine's clock; monotonic time is trio's, so that a test's autojump clock moves it."""

    def wall_ns(self) -> int:
        return time.time_ns()

    def monotonic_s(self) -> float:
        try:
            return trio.current_time()
        except RuntimeError:  # outside trio: before the run starts and in worker threads
            return time.monotonic()

    def cpu_s(self) -> float:
        return time.perf_counter()

    def zone(self) -> str:
        named = os.environ.get("TZ", "").lstrip(":")
        if named:
            return named
        try:
            target = os.readlink("/etc/localtime")
        except OSError:
            return "UTC"
        return target.partition("zoneinfo/")[2] or "UTC"


class SystemEntropy:
    """The operating system's random source; `fork` gives the same source, for it has no state to keep apart."""

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def random_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)

    def random(self) -> float:
        return self._random.random()

    def below(self, bound: int) -> int:
        return secrets.randbelow(bound)

    def fork(self, label: str) -> SystemEntropy:
        del label
        return self


class SystemIds:
    """A counter for PIDs (unique in this node's life) and random UUIDs."""

    def __init__(self) -> None:
        self._last = 0

    def unique(self) -> str:
        self._last += 1
        return f"0x{self._last:05x}"

    def uuid(self) -> str:
        return str(uuid.uuid4())


class SystemThreads:
    """Worker threads of trio, one bounded lane per resource."""

    def __init__(self) -> None:
        self._lanes: dict[str, trio.CapacityLimiter] = {}

    async def run(
        self,
        function: Callable[..., T],
        *args: object,
        lane: str = "default",
        abandon_on_cancel: bool = False,
    ) -> T:
        limiter = self._lanes.get(lane)
        if limiter is None:
            limiter = self._lanes[lane] = trio.CapacityLimiter(_LANE_THREADS)
        return await trio.to_thread.run_sync(function, *args, limiter=limiter, abandon_on_cancel=abandon_on_cancel)


class SystemDisk:
    """The machine's file system."""

    def open(self, path: str, mode: str) -> BinaryIO:
        if "b" not in mode:
            message = f"files are binary: mode {mode!r} lacks b"
            raise ValueError(message)
        return Path(path).open(mode)  # type: ignore[return-value]  # binary: checked above

    def stat(self, path: str) -> FileStat:
        found = os.stat(path)
        mode = found.st_mode
        return FileStat(found.st_size, found.st_mtime_ns, statlib.S_IMODE(mode), statlib.S_ISDIR(mode))

    def list(self, path: str) -> list[str]:
        return sorted(os.listdir(path))

    def mkdir(self, path: str, mode: int = 0o755, *, parents: bool = False) -> None:
        Path(path).mkdir(mode, parents=parents, exist_ok=parents)

    def remove(self, path: str) -> None:
        Path(path).unlink()

    def rmdir(self, path: str) -> None:
        Path(path).rmdir()

    def rename(self, source: str, target: str) -> None:
        Path(source).rename(target)

    def realpath(self, path: str) -> str:
        return os.path.realpath(path)

    def chmod(self, path: str, mode: int) -> None:
        Path(path).chmod(mode)

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def sync(self, file: BinaryIO) -> None:
        file.flush()
        os.fsync(file.fileno())


class _SystemListener:
    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        name = listener.socket.getsockname()
        self.address = f"{name[0]}:{name[1]}" if ":" not in name[0] else f"[{name[0]}]:{name[1]}"

    async def accept(self) -> Stream:
        return await self._listener.accept()

    async def aclose(self) -> None:
        await self._listener.aclose()


class _LocalListener:
    def __init__(self, listener: trio.SocketListener, path: str) -> None:
        self._listener = listener
        self.address = os.path.abspath(path)

    async def accept(self) -> Stream:
        return await self._listener.accept()

    async def aclose(self) -> None:
        await self._listener.aclose()
        with contextlib.suppress(OSError):
            os.unlink(self.address)


def _local_name(path: str) -> str:
    """A path short enough for a socket's name, which holds some hundred bytes: relative, where that is shorter."""
    return min(path, os.path.relpath(path), key=len)


class SystemNetwork:
    """TCP and local sockets through trio."""

    async def listen(self, host: str, port: int, *, backlog: int = 1024) -> Listener:
        listeners = await trio.open_tcp_listeners(port, host=host or None, backlog=backlog)
        # A name may stand for an address of each family, and port 0 would give each a port of its own, so that
        # `address` could name only one of them: one listener it is, the IPv4 one where there is a choice.
        chosen, *others = sorted(listeners, key=lambda item: item.socket.family)
        for other in others:
            await other.aclose()
        return _SystemListener(chosen)

    async def connect(self, host: str, port: int) -> Stream:
        return await trio.open_tcp_stream(host, port)

    async def listen_local(self, path: str, *, backlog: int = 16) -> Listener:
        name = _local_name(path)
        try:
            await (await trio.open_unix_socket(name)).aclose()
        except FileNotFoundError:
            pass
        except ConnectionRefusedError:
            os.unlink(name)  # left by a process that did not end in order
        else:
            raise OSError(errno.EADDRINUSE, f"address already in use: {path}")
        bound = trio.socket.socket(trio.socket.AF_UNIX)
        try:
            await bound.bind(name)
            os.chmod(name, 0o600)
            bound.listen(backlog)
        except BaseException:
            bound.close()
            raise
        return _LocalListener(trio.SocketListener(bound), path)

    async def connect_local(self, path: str) -> Stream:
        return await trio.open_unix_socket(_local_name(path))


class SystemDescriptors:
    """Waits for descriptors with trio, and resolves names with the machine's resolver, in a thread."""

    async def wait(self, descriptor: int, *, read: bool, write: bool) -> tuple[bool, bool]:
        if not write:
            await trio.lowlevel.wait_readable(descriptor)
            return True, False
        if not read:
            await trio.lowlevel.wait_writable(descriptor)
            return False, True
        ready = [False, False]

        async def watch(index: int) -> None:
            await (trio.lowlevel.wait_writable if index else trio.lowlevel.wait_readable)(descriptor)
            ready[index] = True
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, 0)
            nursery.start_soon(watch, 1)
        return ready[0], ready[1]

    async def addresses(self, host: str) -> list[str]:
        found = await trio.socket.getaddrinfo(host, None, type=trio.socket.SOCK_STREAM)
        return list(dict.fromkeys(str(item[4][0]) for item in found))

    def closing(self, descriptor: int) -> None:
        trio.lowlevel.notify_closing(descriptor)


def system_environment() -> Environment:
    """The environment of a live node."""
    return Environment(
        SystemClock(),
        SystemEntropy(),
        SystemIds(),
        SystemThreads(),
        SystemDisk(),
        SystemNetwork(),
        descriptors=SystemDescriptors(),
    )
