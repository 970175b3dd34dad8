"""A connection to a Temporal server: opened, checked, and called from any trio task.

The SDK speaks asyncio, so the connection lives on a loop of trio-asyncio in the task that opened it; `call` carries a
request over. This module and its neighbours are imported only when a temporal.client or temporal.worker entry opens:
importing trio-asyncio changes the process's event-loop policy. Source: docs temporal/overview.
"""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import trio
from temporalio.client import Client, KeepAliveConfig, TLSConfig
from temporalio.service import RPCError, RPCStatusCode

from sandbox.errors import KINDS, LuaError
from wippy_trio.core.errors import InvalidError, TimeoutExpiredError, UnavailableError, UnsupportedError
from wippy_trio.workflows.temporal_convert import CONVERTER
from wippy_trio.workflows.temporal_log import sdk_log
from wippy_trio.workflows.temporal_loop import Loop, open_loop

if TYPE_CHECKING:
    from wippy_trio.runtime import Runtime
    from wippy_trio.workflows.temporal_config import ClientConfig

__all__ = ["TemporalClient", "open_client", "rpc_error"]

_RPC_S = 10.0
_HEALTH_S = 5.0
_LANE = "temporal"


_KINDS = {
    RPCStatusCode.INVALID_ARGUMENT: KINDS["INVALID"],
    RPCStatusCode.FAILED_PRECONDITION: KINDS["INVALID"],
    RPCStatusCode.OUT_OF_RANGE: KINDS["INVALID"],
    RPCStatusCode.NOT_FOUND: KINDS["NOT_FOUND"],
    RPCStatusCode.ALREADY_EXISTS: KINDS["ALREADY_EXISTS"],
    RPCStatusCode.PERMISSION_DENIED: KINDS["PERMISSION_DENIED"],
    RPCStatusCode.UNAUTHENTICATED: KINDS["PERMISSION_DENIED"],
    RPCStatusCode.RESOURCE_EXHAUSTED: KINDS["RATE_LIMITED"],
    RPCStatusCode.ABORTED: KINDS["CONFLICT"],
    RPCStatusCode.CANCELLED: KINDS["CANCELED"],
    RPCStatusCode.DEADLINE_EXCEEDED: KINDS["TIMEOUT"],
    RPCStatusCode.UNAVAILABLE: KINDS["UNAVAILABLE"],
}
_RETRYABLE = frozenset({KINDS["RATE_LIMITED"], KINDS["TIMEOUT"], KINDS["UNAVAILABLE"], KINDS["CONFLICT"]})


def rpc_error(problem: RPCError) -> LuaError:
    """What the server said, as an error of this runtime."""
    kind = _KINDS.get(problem.status, KINDS["INTERNAL"])
    return LuaError(problem.message, kind=kind, retryable=kind in _RETRYABLE)


class TemporalClient:
    """An open connection; `open_client` makes it. Requests are those of the server's own API.

    Attributes:
        config: as the entry has it.
        sdk: the SDK's client, which workers need too.
        healthy: what the last health check found.
        new_id: gives ids of requests, by which the server knows a request that it gets twice.
    """

    def __init__(self, config: ClientConfig, sdk: Client, loop: Loop, new_id: Callable[[], str]) -> None:
        self.config = config
        self.new_id = new_id
        self.sdk = sdk
        self.healthy = True
        self._loop = loop

    @property
    def namespace(self) -> str:
        return self.config.namespace

    def queue(self, name: str) -> str:
        """A task queue as the server knows it."""
        return self.config.tq_prefix + name

    async def call(self, method: str, request: Any, *, limit_s: float | None = _RPC_S, retry: bool = True) -> Any:
        """Send a request of the workflow service (`start_workflow_execution`, ...) and wait for its answer.

        Args:
            method: its name.
            request: its message.
            limit_s: of one attempt; None for none.
            retry: try again when the server is busy or away, for about ten seconds.

        Raises:
            LuaError: what the server answered, or Unavailable when it did not.
        """
        function = getattr(self.sdk.workflow_service, method)
        timeout = None if limit_s is None else timedelta(seconds=limit_s)

        async def send() -> Any:
            return await function(request, retry=retry, timeout=timeout)

        try:
            return await self._loop.run(send)
        except RPCError as problem:
            raise rpc_error(problem) from problem

    async def check(self) -> bool:
        """Ask the server whether it serves."""

        async def ask() -> bool:
            return await self.sdk.service_client.check_health(timeout=timedelta(seconds=_HEALTH_S))

        try:
            return await self._loop.run(ask)
        except (RPCError, LuaError):
            return False

    async def watch(self, interval_s: float, tell: Callable[[bool], None]) -> None:
        """Check every `interval_s`, and tell of each change. The SDK itself connects again when the server is back."""
        while True:
            await trio.sleep(interval_s)
            healthy = await self.check()
            if healthy != self.healthy:
                self.healthy = healthy
                tell(healthy)


@asynccontextmanager
async def open_client(config: ClientConfig, runtime: Runtime) -> AsyncIterator[TemporalClient]:
    """Connect for the duration of the block.

    Raises:
        TimeoutExpiredError: no connection within its time limit.
        UnavailableError: the server refuses, or is not there.
        UnsupportedError: `tls.insecure_skip_verify`.
    """
    tls, key = await _tls(config, runtime), await _api_key(config, runtime)
    keep_alive = KeepAliveConfig(round(config.keep_alive_time_s * 1000), round(config.keep_alive_timeout_s * 1000))

    async def connect() -> Client:
        return await Client.connect(
            config.address,
            namespace=config.namespace,
            api_key=key,
            tls=tls,
            data_converter=CONVERTER,
            keep_alive_config=keep_alive,
            connect_timeout=timedelta(seconds=config.connection_timeout_s),
        )

    with sdk_log(runtime.log):
        async with open_loop() as loop:
            try:
                with trio.fail_after(config.connection_timeout_s):
                    sdk = await loop.run(connect)
            except trio.TooSlowError:
                raise TimeoutExpiredError(f"no connection to temporal at {config.address} in time") from None
            except (RuntimeError, RPCError) as problem:
                raise UnavailableError(f"failed to connect to temporal at {config.address}: {problem}") from problem
            yield TemporalClient(config, sdk, loop, runtime.environment.ids.uuid)


async def _read(config: ClientConfig, runtime: Runtime, path: str, field: str) -> bytes:
    full = posixpath.join(runtime.config.project_dir, path)
    disk = runtime.environment.disk

    def read() -> bytes:
        with disk.open(full, "rb") as file:
            return file.read()

    try:
        return await runtime.environment.threads.run(read, lane=_LANE)
    except OSError as problem:
        raise InvalidError(f"{config.id}: failed to read {field} {path}: {problem.strerror or problem}") from problem


async def _api_key(config: ClientConfig, runtime: Runtime) -> str | None:
    auth = config.auth
    if auth.type != "api_key":
        return None
    if auth.api_key:
        return auth.api_key
    return (await _read(config, runtime, auth.api_key_file, "api_key_file")).decode("utf-8", "replace").strip()


async def _tls(config: ClientConfig, runtime: Runtime) -> TLSConfig | bool | None:
    """None lets the SDK choose: encrypted with an API key, else plain."""
    auth, tls = config.auth, config.tls
    if tls.enabled and tls.insecure_skip_verify:
        message = f"{config.id}: tls.insecure_skip_verify: Temporal's SDK for Python always verifies; give tls.ca_file"
        raise UnsupportedError(message)
    if not tls.enabled and auth.type != "mtls":
        return tls.enabled
    cert = key = ca = None
    if auth.type == "mtls":
        cert = auth.cert_pem.encode() or await _read(config, runtime, auth.cert_file, "cert_file")
        key = auth.key_pem.encode() or await _read(config, runtime, auth.key_file, "key_file")
    if tls.ca_file:
        ca = await _read(config, runtime, tls.ca_file, "ca_file")
    return TLSConfig(ca, tls.server_name or None, cert, key)
