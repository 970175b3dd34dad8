"""What each server of a node serves: routers, endpoints and mounts as their entries come and go.

An endpoint belongs to a router and a router to a server, and each lives as long as its entry; a server's table is put
together from what is there when the next request asks for it. Source: http/router, http/endpoint, http/static.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import attrs

from sandbox.values import Packed, pack_list, unpack
from wippy_trio.core.errors import ConflictError, LuaError, NotFoundError
from wippy_trio.core.frame import Frame
from wippy_trio.core.ids import EntryId
from wippy_trio.http.exchange import Exchange, Handler, respond_text
from wippy_trio.http.patterns import Pattern, conflict
from wippy_trio.http.routing import EndpointSpec, MountSpec, RouterSpec, RouteTable, build_table, raise_conflicts

__all__ = ["EXCHANGE", "FunctionCaller", "Sites", "endpoint_handler", "sites_of"]

#: Key of the exchange among a frame's `extras`.
EXCHANGE = "http.exchange"


@attrs.frozen(slots=True)
class _Endpoint:
    router: EntryId
    spec: EndpointSpec


@attrs.frozen(slots=True)
class _Router:
    server: EntryId
    spec: RouterSpec


@attrs.frozen(slots=True)
class _Mount:
    server: EntryId
    spec: MountSpec


class Sites:
    """The routes of every server of a node."""

    def __init__(self) -> None:
        self._routers: dict[EntryId, _Router] = {}
        self._endpoints: dict[EntryId, _Endpoint] = {}
        self._mounts: dict[EntryId, _Mount] = {}
        self._tables: dict[EntryId, RouteTable] = {}

    @contextmanager
    def router(self, server: EntryId, spec: RouterSpec) -> Iterator[None]:
        """A router lives; endpoints that name it are served while it does.

        Raises:
            ConflictError: another router of the server has the prefix, or endpoints of a changed router collide.
        """
        for id_, other in self._routers.items():
            if id_ != spec.id and other.server == server and other.spec.prefix == spec.prefix:
                raise ConflictError(f"router with prefix {spec.prefix!r} already exists")
        self._routers[spec.id] = _Router(server, spec)
        try:
            if any(item.router == spec.id for item in self._endpoints.values()):
                build_table(*self._parts(server))
            self._tables.pop(server, None)
            yield
        finally:
            del self._routers[spec.id]
            self._tables.pop(server, None)

    @contextmanager
    def endpoint(self, router: EntryId, spec: EndpointSpec) -> Iterator[None]:
        """An endpoint lives.

        Raises:
            NotFoundError: no such router.
            ConflictError: the server has a pattern that is neither more nor less specific.
        """
        found = self._routers.get(router)
        if found is None:
            raise NotFoundError(f"router not found: {router}", details={"router_id": str(router)})
        self._refuse_conflict(found.server, spec.pattern(found.spec.prefix))
        self._endpoints[spec.id] = _Endpoint(router, spec)
        self._tables.pop(found.server, None)
        try:
            yield
        finally:
            del self._endpoints[spec.id]
            self._tables.clear()  # the router may have moved to another server meanwhile

    @contextmanager
    def mount(self, server: EntryId, spec: MountSpec) -> Iterator[None]:
        """A mount lives.

        Raises:
            ConflictError: the path is taken, or a pattern collides.
        """
        for other in self._mounts.values():
            if other.server == server and other.spec.path == spec.path:
                raise ConflictError(f"mount path exists: {spec.path}")
        self._refuse_conflict(server, spec.pattern())
        self._mounts[spec.id] = _Mount(server, spec)
        self._tables.pop(server, None)
        try:
            yield
        finally:
            del self._mounts[spec.id]
            self._tables.pop(server, None)

    def handler(self, server: EntryId) -> Handler:
        """What the server calls for every exchange."""

        async def serve(exchange: Exchange) -> None:
            table = self._tables.get(server)
            if table is None:
                table = self._tables[server] = build_table(*self._parts(server), checked=True)
            await table.serve(exchange)

        return serve

    def _parts(self, server: EntryId) -> tuple[list[RouterSpec], list[MountSpec]]:
        specs = {
            id_: attrs.evolve(item.spec, endpoints=()) for id_, item in self._routers.items() if item.server == server
        }
        endpoints: dict[EntryId, list[EndpointSpec]] = {}
        for item in self._endpoints.values():
            endpoints.setdefault(item.router, []).append(item.spec)
        routers = [
            attrs.evolve(spec, endpoints=tuple(sorted(endpoints.get(id_, ()), key=_by_id)))
            for id_, spec in sorted(specs.items())
        ]
        return routers, [item.spec for _, item in sorted(self._mounts.items()) if item.server == server]

    def _refuse_conflict(self, server: EntryId, pattern: Pattern) -> None:
        others = [item.spec.pattern() for item in self._mounts.values() if item.server == server]
        for item in self._endpoints.values():
            router = self._routers.get(item.router)
            if router is not None and router.server == server:
                others.append(item.spec.pattern(router.spec.prefix))
        raise_conflicts(f"{pattern.text} conflicts with {other.text}" for other in others if conflict(pattern, other))


def _by_id(spec: EndpointSpec) -> EntryId:
    return spec.id


def sites_of(extras: dict[str, Any]) -> Sites:
    """The node's sites, kept among the runtime's `extras`; made at first use."""
    sites = extras.setdefault("http_sites", Sites())
    assert isinstance(sites, Sites)
    return sites


class FunctionCaller(Protocol):
    """What an endpoint needs of the function registry."""

    def call_packed(
        self, id: EntryId, data: bytes, frame: Frame, options: None = None, extras: dict[str, Any] | None = None
    ) -> Awaitable[Packed]: ...


def endpoint_handler(functions: FunctionCaller, function: EntryId) -> Handler:
    """A handler that calls a Lua function, which finds the exchange through the `http` module.

    What the function wrote is the answer, whatever it returns. Where it wrote nothing: its error is a 500 with the
    error's text, a value is an answer of type JSON without a body (the reference passes only byte payloads on, which
    Lua cannot make), and no value is a 500. Source: spec system/http (endpoint_result).
    """
    arguments = pack_list([])

    async def serve(exchange: Exchange) -> None:
        try:
            result = await functions.call_packed(function, arguments, exchange.frame, None, {EXCHANGE: exchange})
        except LuaError as problem:
            if not exchange.response.handled:
                await respond_text(exchange, 500, str(problem))
            return
        if exchange.response.handled:
            return
        values = unpack(result.data)
        if values and values[0] is not None:
            exchange.response.headers.set("Content-Type", "application/json")
            exchange.response.set_status(200)
        else:
            await respond_text(exchange, 500, "no response sent")

    return serve
