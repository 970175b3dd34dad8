"""Questions to a running node over a local socket: one JSON object a line, there and back. Source: ours.

`<project>/.wippy/run/` holds the socket and a token. The folder can be entered, and both be read, by the user alone;
every request carries the token. Switched off by the setting `admin.socket: false`. docs/guides/inspection.md.
"""

from __future__ import annotations

import errno
import hmac
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import attrs
import orjson
import trio

from wippy_trio.actors.forest import forest
from wippy_trio.actors.inspect import Row, details, endings, find_pid, survey, why
from wippy_trio.actors.recording import write_journal
from wippy_trio.core.errors import InvalidError, LuaError, NotFoundError, PermissionDeniedError, UnavailableError

if TYPE_CHECKING:
    from determinism.seams import Disk, Environment, Listener, Stream
    from wippy_trio.app.app import App
    from wippy_trio.runtime import Runtime

__all__ = ["Places", "answer", "ask", "serve_admin"]

_REQUEST_BYTES = 65_536
_ANSWER_BYTES = 256 * 1024 * 1024
_CONNECTIONS = 8
_IDLE_S = 30.0
_ROWS = 1_000
_TOKEN_BYTES = 24
_SORTS: dict[str, Callable[[Row], float]] = {
    "mailbox": lambda row: -row.mailbox,
    "steps": lambda row: -row.steps,
    "age": lambda row: -(row.age_s or 0.0),
    "restarts": lambda row: -row.restarts,
    "cpu": lambda row: -row.cpu_s,
}


@attrs.frozen(slots=True)
class Places:
    """Where the socket and the token of a project's node are."""

    folder: str

    @classmethod
    def of(cls, project_dir: str) -> Places:
        """Those of a project."""
        return cls(f"{project_dir.rstrip('/')}/.wippy/run")

    @property
    def socket(self) -> str:
        return f"{self.folder}/node.sock"

    @property
    def token(self) -> str:
        return f"{self.folder}/token"


# the node's side -----------------------------------------------------------------------------------------------------
async def serve_admin(app: App, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
    """Answer questions about the app until cancelled. A project's first node has the socket; others go without one.

    Never fails: where there can be no socket the log says so. `task_status` tells the socket's path, empty for none.
    """
    runtime = app.runtime
    seams = runtime.environment
    places = Places.of(app.config.project_dir)
    try:
        await seams.threads.run(_make_folder, seams.disk, places.folder)
        listener = await seams.network.listen_local(places.socket)
    except OSError as problem:
        busy = problem.errno == errno.EADDRINUSE
        (runtime.log.debug if busy else runtime.log.warn)("no admin socket", path=places.socket, error=str(problem))
        task_status.started("")
        return
    try:
        token = seams.entropy.random_bytes(_TOKEN_BYTES).hex()
        await seams.threads.run(_write_token, seams.disk, places.token, token)
        task_status.started(places.socket)
        await _accept(listener, runtime, token)
    except OSError as problem:
        runtime.log.warn("admin socket closed", path=places.socket, error=str(problem))
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await listener.aclose()
            await seams.threads.run(_remove, seams.disk, places.token)


def _make_folder(disk: Disk, folder: str) -> None:
    above = folder.rpartition("/")[0]
    if not disk.exists(above):
        disk.mkdir(above, parents=True)
    if not disk.exists(folder):
        disk.mkdir(folder, 0o700)
    disk.chmod(folder, 0o700)


def _write_token(disk: Disk, path: str, token: str) -> None:
    with disk.open(path, "wb") as file:
        disk.chmod(path, 0o600)  # before there is anything to read
        file.write(token.encode())


def _remove(disk: Disk, path: str) -> None:
    if disk.exists(path):
        disk.remove(path)


async def _accept(listener: Listener, runtime: Runtime, token: str) -> None:
    free = trio.Semaphore(_CONNECTIONS)

    async def serve(stream: Stream) -> None:
        try:
            await _converse(stream, runtime, token)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass  # whoever asked is gone
        finally:
            free.release()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await stream.aclose()

    async with trio.open_nursery() as nursery:
        while True:
            await free.acquire()
            nursery.start_soon(serve, await listener.accept())


async def _converse(stream: Stream, runtime: Runtime, token: str) -> None:
    reader = _Lines(stream, _REQUEST_BYTES)
    while True:
        with trio.move_on_after(_IDLE_S) as limit:
            line = await reader.next()
        if limit.cancelled_caught or line is None:
            return
        told: dict[str, Any]
        try:
            told = {"ok": True, "result": await _answered(runtime, line, token)}
        except LuaError as problem:
            told = {"ok": False, "kind": problem.kind, "error": str(problem)}
        except Exception as problem:  # noqa: BLE001 - a question must not take the node with it
            runtime.log.error("internal error in an admin request", error=f"{type(problem).__name__}: {problem}")
            told = {"ok": False, "kind": "Internal", "error": f"internal error: {type(problem).__name__}: {problem}"}
        await stream.send_all(orjson.dumps(told, default=str) + b"\n")


async def _answered(runtime: Runtime, line: bytes, token: str) -> Any:
    try:
        request = orjson.loads(line)
    except orjson.JSONDecodeError as problem:
        raise InvalidError(f"request is not JSON: {problem}") from problem
    if not isinstance(request, dict):
        raise InvalidError("request must be an object")
    if not hmac.compare_digest(str(request.pop("token", "")), token):
        raise PermissionDeniedError("wrong token")
    return await answer(runtime, request)


async def answer(runtime: Runtime, request: dict[str, Any]) -> Any:
    """Answer a question, as the socket does.

    Args:
        runtime: of the node.
        request: `op` (ps, tree, inspect, why, exits, record, workflow) and its arguments.

    Raises:
        LuaError: a question that cannot be answered.
    """
    operations: dict[str, Callable[[Runtime, dict[str, Any]], Awaitable[Any]]] = {
        "ps": _ps,
        "tree": _tree,
        "inspect": _inspect,
        "why": _why,
        "exits": _exits,
        "record": _record,
        "workflow": _workflow,
    }
    operation = operations.get(str(request.get("op")))
    if operation is None:
        raise InvalidError(f"unknown question '{request.get('op')}'; there are: {', '.join(operations)}")
    return await operation(runtime, request)


def _limit(request: dict[str, Any]) -> int:
    limit = request.get("limit", _ROWS)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InvalidError("limit must be a number from 1 up")
    return limit


async def _ps(runtime: Runtime, request: dict[str, Any]) -> Any:
    limit, sort, entry = _limit(request), str(request.get("sort") or "start"), str(request.get("entry") or "")
    if sort != "start" and sort not in _SORTS:
        raise InvalidError(f"sort must be one of start, {', '.join(_SORTS)}")
    pids = runtime.processes.pids()
    rows = await survey(runtime, None if entry or sort in _SORTS else pids[:limit])
    if entry:
        rows = [row for row in rows if row.entry == entry]
    total = len(rows) if entry else len(pids)
    if sort in _SORTS:
        rows.sort(key=_SORTS[sort])
    return {"node": runtime.node, "total": total, "processes": [attrs.asdict(row) for row in rows[:limit]]}


async def _tree(runtime: Runtime, request: dict[str, Any]) -> Any:
    pids = runtime.processes.pids()
    rows = await survey(runtime, pids[: _limit(request)])
    return {"node": runtime.node, "total": len(pids), "shown": len(rows), "trees": forest(runtime, rows)}


def _target(request: dict[str, Any]) -> str:
    target = request.get("pid")
    if not isinstance(target, str) or not target:
        raise InvalidError("pid is required")
    return target


async def _inspect(runtime: Runtime, request: dict[str, Any]) -> Any:
    await trio.lowlevel.checkpoint()
    return details(runtime, _target(request), trace=True)


async def _why(runtime: Runtime, request: dict[str, Any]) -> Any:
    await trio.lowlevel.checkpoint()
    return why(runtime, _target(request))


async def _exits(runtime: Runtime, request: dict[str, Any]) -> Any:
    await trio.lowlevel.checkpoint()
    return endings(runtime, _limit(request), failed_only=request.get("failed") is True)


async def _record(runtime: Runtime, request: dict[str, Any]) -> Any:
    pid = find_pid(runtime, _target(request))
    return {"pid": pid, "path": await write_journal(runtime, pid)}


async def _workflow(runtime: Runtime, request: dict[str, Any]) -> Any:
    from wippy_trio.workflows import console

    return await console.answer(runtime, request)


# the asker's side ----------------------------------------------------------------------------------------------------
async def ask(environment: Environment, project_dir: str, request: dict[str, Any], limit_s: float = 30.0) -> Any:
    """Ask the node that runs in a project's folder.

    Args:
        environment: the seams.
        project_dir: the project's folder, absolute.
        request: as for `answer`.
        limit_s: how long the answer may take.

    Raises:
        NotFoundError: no node runs there, or it has no admin socket.
        PermissionDeniedError: its token is not for this user to read.
        UnavailableError: it does not answer.
        LuaError: what the node says.
    """
    places = Places.of(project_dir)
    gone = f"no node with an admin socket runs in {project_dir}"
    try:
        token = await environment.threads.run(_read_token, environment.disk, places.token)
        stream = await environment.network.connect_local(places.socket)
    except PermissionError as problem:
        raise PermissionDeniedError(f"{places.folder} belongs to another user") from problem
    except OSError as problem:
        raise NotFoundError(f"{gone} (start it with `wippy-trio run`; setting admin.socket)") from problem
    with trio.move_on_after(limit_s):
        try:
            await stream.send_all(orjson.dumps({**request, "token": token}) + b"\n")
            line = await _Lines(stream, _ANSWER_BYTES).next()
        except trio.BrokenResourceError:
            line = None
        finally:
            await stream.aclose()
        if line is None:
            raise UnavailableError("the node closed the connection without an answer")
        told = orjson.loads(line)
        if told.get("ok") is not True:
            raise LuaError(str(told.get("error")), kind=str(told.get("kind") or ""))
        return told["result"]
    raise UnavailableError(f"the node did not answer within {limit_s:g} s: it is busy, or stuck")


def _read_token(disk: Disk, path: str) -> str:
    with disk.open(path, "rb") as file:
        return file.read(_TOKEN_BYTES * 2).decode()


class _Lines:
    """Lines of a stream, of a bounded length."""

    def __init__(self, stream: Stream, limit_bytes: int) -> None:
        self._stream = stream
        self._limit_bytes = limit_bytes
        self._held = bytearray()

    async def next(self) -> bytes | None:
        """The next line; None at the end of the stream, or when a line is too long."""
        looked = 0
        while True:
            at = self._held.find(b"\n", looked)
            if at >= 0:
                line = bytes(self._held[:at])
                del self._held[: at + 1]
                return line
            looked = len(self._held)
            if looked > self._limit_bytes:
                return None
            data = await self._stream.receive_some(65_536)
            if not data:
                return None
            self._held += data
