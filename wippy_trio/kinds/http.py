"""Kinds http.service, http.router, http.endpoint, http.static. Source: docs http/*; spec system/http."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import trio

from wippy_trio.actors.restart import Lifecycle
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import LuaError, NotFoundError, UnsupportedError
from wippy_trio.core.frame import Frame, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.http.config import EndpointConfig, RouterConfig, ServerConfig, StaticConfig
from wippy_trio.http.exchange import Handler
from wippy_trio.http.link import Engine
from wippy_trio.http.middleware import MiddlewareContext, build_chain
from wippy_trio.http.routing import EndpointSpec, MountSpec, RouterSpec
from wippy_trio.http.server import HttpServer, ServerOptions
from wippy_trio.http.site import endpoint_handler, sites_of
from wippy_trio.http.static import spa_handler, static_handler
from wippy_trio.http.stored_files import StoredFiles
from wippy_trio.http.tls import server_context
from wippy_trio.kind import Kind, relative
from wippy_trio.runtime import Runtime
from wippy_trio.security.scope import policies_of
from wippy_trio.security.tokens import TokenStore
from wippy_trio.storage.files import Filesystem

__all__ = ["KINDS"]


def _context(runtime: Runtime) -> MiddlewareContext:
    def find_token_store(id_: str) -> TokenStore | None:
        found = _id(id_)
        return None if found is None else runtime.resources.find(found, TokenStore)

    def find_files(id_: str) -> StoredFiles | None:
        found = _id(id_)
        if found is None or runtime.resources.find(found, Filesystem) is None:
            return None
        return StoredFiles(lambda: runtime.resources.get(found, Filesystem, "filesystem"))

    return MiddlewareContext(
        runtime.environment.clock,
        find_token_store,
        find_files,
        runtime.metrics,
        _log_line(runtime),
        runtime.extras.get("http_middleware", {}),
    )


class _LogLine:
    def __init__(self, runtime: Runtime) -> None:
        self._log = runtime.log

    def __call__(self, level: str, message: str, fields: Mapping[str, object]) -> None:
        write = {"debug": self._log.debug, "info": self._log.info, "warn": self._log.warn}.get(level, self._log.error)
        write(message, **fields)


def _log_line(runtime: Runtime) -> _LogLine:
    return _LogLine(runtime)


def _id(text: str) -> EntryId | None:
    try:
        return EntryId.parse(text)
    except LuaError:
        return None


def _identity(entry: Entry, lifecycle: Lifecycle, runtime: Runtime) -> Frame:
    """The security context that requests start with."""
    actor = lifecycle.security.get("actor")
    if not isinstance(actor, Mapping) or not actor.get("id"):
        return Frame(entry.id)
    space = entry.id.namespace
    policies = [EntryId.parse(str(item), space) for item in lifecycle.security.get("policies") or ()]
    groups = [EntryId.parse(str(item), space) for item in lifecycle.security.get("groups") or ()]
    scope, _ = policies_of(runtime.extras).resolve(policies, groups)
    return Frame(entry.id, actor=SecurityActor(str(actor["id"]), actor.get("meta") or {}), scope=scope)


def check_service(entry: Entry) -> None:
    """Refuse malformed data before the supervisor hears of the server."""
    ServerConfig.parse(entry)
    Lifecycle.parse(entry)


def _engine(config: ServerConfig) -> Engine | None:
    if config.engine != "hypercorn":
        return None
    from wippy_trio.http.hypercorn_engine import HypercornEngine

    return HypercornEngine()


@asynccontextmanager
async def open_service(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A listening server; requests still running at its end have the stop time limit to finish."""
    config, lifecycle = ServerConfig.parse(entry), Lifecycle.parse(entry)
    if config.network:
        raise UnsupportedError(f"{entry.id}: network overlays are not available (docs/reference/status.md)")
    protocols = ("h2", "http/1.1") if config.engine == "hypercorn" else ("http/1.1",)
    context = None if config.tls is None else await server_context(config.tls, runtime.environment, protocols)
    options = ServerOptions(
        config.limits, _engine(config), context, str(entry.id), _identity(entry, lifecycle, runtime), _log_line(runtime)
    )
    server = HttpServer(config.address, sites_of(runtime.extras).handler(entry.id), runtime.environment, options)
    async with trio.open_nursery() as nursery:
        address = await nursery.start(partial(server.serve, shield=True))
        runtime.log.info("http server listening", server=str(entry.id), address=address)
        with runtime.resources.offer(entry.id, server):
            try:
                yield
            finally:
                with trio.CancelScope(shield=True):
                    if not await server.stop(lifecycle.stop_timeout_s):
                        runtime.log.warn("http server stopped with requests running", server=str(entry.id))


def _require_server(runtime: Runtime, server: EntryId) -> None:
    """The supervisor knows every server, running or not."""
    supervisor = runtime.extras.get("supervisor")
    if supervisor is None or supervisor.get(server) is None:
        raise NotFoundError(f"server not found: {server}", details={"id": str(server)})


def check_router(entry: Entry) -> None:
    """Refuse malformed data."""
    RouterConfig.parse(entry)


@asynccontextmanager
async def open_router(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A prefix with middleware on a server."""
    config = RouterConfig.parse(entry)
    server = relative(entry, config.server)
    _require_server(runtime, server)
    context = _context(runtime)
    spec = RouterSpec(
        entry.id,
        config.prefix,
        build_chain(config.middleware, config.options, context),
        build_chain(config.post_middleware, config.post_options, context, post_match=True),
    )
    with sites_of(runtime.extras).router(server, spec):
        yield


def check_endpoint(entry: Entry) -> None:
    """Refuse malformed data."""
    EndpointConfig.parse(entry)


@asynccontextmanager
async def open_endpoint(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A route to a function, which is looked up at each request."""
    config = EndpointConfig.parse(entry)
    function = relative(entry, config.function)
    handler = endpoint_handler(runtime.functions, function)
    spec = EndpointSpec(entry.id, config.method, config.path, function, handler)
    with sites_of(runtime.extras).endpoint(relative(entry, config.router), spec):
        yield


def check_static(entry: Entry) -> None:
    """Refuse malformed data."""
    StaticConfig.parse(entry)


@asynccontextmanager
async def open_static(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A tree of files on a server."""
    config = StaticConfig.parse(entry)
    server, files_id = relative(entry, config.server), relative(entry, config.files)
    _require_server(runtime, server)
    runtime.resources.get(files_id, Filesystem, "filesystem")  # refuses the entry where there is none
    files = StoredFiles(lambda: runtime.resources.get(files_id, Filesystem, "filesystem"))
    handler: Handler
    if config.spa:
        handler = spa_handler(files, config.index, config.cache)
    else:
        handler = static_handler(files, config.path, config.cache)
    for wrap in reversed(build_chain(config.middleware, config.options, _context(runtime))):
        handler = wrap(handler)
    with sites_of(runtime.extras).mount(server, MountSpec(entry.id, config.path, handler)):
        yield


KINDS = (
    Kind("http.service", open_service, references=("network",), check=check_service, service=True),
    Kind("http.router", open_router, references=("meta.server",), check=check_router),
    Kind("http.endpoint", open_endpoint, references=("meta.router", "func"), check=check_endpoint),
    Kind("http.static", open_static, references=("meta.server", "fs"), check=check_static),
)
