"""Routes: routers with a prefix, endpoints below them, mounts on the server, and the table that finds the best match.

The most specific pattern wins, as in Go 1.22's ServeMux, whose rules the reference's users know. A table is immutable:
a change builds a new one and swaps it in. Source: http/router, http/endpoint, spec system/http (routing).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from wippy_trio.core.errors import ConflictError, InvalidError
from wippy_trio.core.ids import EntryId
from wippy_trio.http.exchange import Exchange, Handler, Middleware, Route, respond_text
from wippy_trio.http.headers import query_unescape
from wippy_trio.http.patterns import Pattern, Segment, conflict, parse_path, pattern_of

__all__ = ["METHODS", "EndpointSpec", "MountSpec", "RouteTable", "RouterSpec", "build_table", "raise_conflicts"]

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})


@attrs.frozen(slots=True)
class EndpointSpec:
    """An endpoint of a router: `path` starts with `/`; `{x}`, `:x` match a segment, `{x...}` the rest."""

    id: EntryId
    method: str
    path: str
    function: EntryId
    handler: Handler = attrs.field(eq=False)

    def __attrs_post_init__(self) -> None:
        if self.method not in METHODS:
            raise InvalidError(f"invalid HTTP method: {self.method}")
        parse_path(self.path)

    def pattern(self, prefix: str) -> Pattern:
        """The pattern below a router's prefix."""
        return pattern_of(self.method, prefix.removesuffix("/") + self.path)


@attrs.frozen(slots=True)
class RouterSpec:
    """A router: its endpoints live under `prefix`, inside `middleware` (first is outermost) and `post_middleware`."""

    id: EntryId
    prefix: str = ""
    middleware: tuple[Middleware, ...] = ()
    post_middleware: tuple[Middleware, ...] = ()
    endpoints: tuple[EndpointSpec, ...] = ()


@attrs.frozen(slots=True)
class MountSpec:
    """A handler for a whole subtree of the server, any method."""

    id: EntryId
    path: str
    handler: Handler = attrs.field(eq=False)

    def __attrs_post_init__(self) -> None:
        if not self.path:
            raise InvalidError("mount path cannot be empty")
        if not self.path.startswith("/"):
            raise InvalidError(f"mount path must start with /: {self.path}")

    def pattern(self) -> Pattern:
        """The pattern of the whole subtree, for any method."""
        return pattern_of("", self.path if self.path.endswith("/") else f"{self.path}/")


@attrs.frozen(slots=True, eq=False)
class _Leaf:
    """A registered pattern and what serves it."""

    pattern: Pattern
    handler: Handler
    endpoint: EndpointSpec | None


class _Node:
    __slots__ = ("end", "exact", "literals", "one", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.one: _Node | None = None
        self.exact: _Leaf | None = None
        self.rest: _Leaf | None = None
        self.end: _Leaf | None = None

    def insert(self, leaf: _Leaf) -> None:
        node = self
        for kind, text in leaf.pattern.segments:
            if kind == "rest":
                node.rest = leaf
                return
            if kind == "end":
                node.end = leaf
                return
            if kind == "literal":
                node = node.literals.setdefault(text, _Node())
            else:
                if node.one is None:
                    node.one = _Node()
                node = node.one
        node.exact = leaf

    def find(self, pieces: tuple[str, ...], index: int) -> _Leaf | None:
        """The best leaf for `pieces[index:]`: literals before wildcards before catch-alls, with backtracking."""
        if index == len(pieces):
            return self.exact
        piece = pieces[index]
        if not piece and index == len(pieces) - 1:
            if self.end is not None:
                return self.end
        else:
            child = self.literals.get(piece)
            if child is not None and (found := child.find(pieces, index + 1)) is not None:
                return found
            if piece and self.one is not None and (found := self.one.find(pieces, index + 1)) is not None:
                return found
        return self.rest


class RouteTable:
    """Finds the handler of a request. Made by `build_table`; calling `serve` is the server's handler."""

    def __init__(self, leaves: Iterable[_Leaf]) -> None:
        self._trees: dict[str, _Node] = {}
        self.patterns = []
        for leaf in leaves:
            self.patterns.append(leaf.pattern.text)
            self._trees.setdefault(leaf.pattern.method, _Node()).insert(leaf)

    def _lookup(self, method: str, pieces: tuple[str, ...]) -> _Leaf | None:
        for key in (method, "GET", "") if method == "HEAD" else (method, ""):
            tree = self._trees.get(key)
            if tree is not None and (found := tree.find(pieces, 0)) is not None:
                return found
        return None

    async def serve(self, exchange: Exchange) -> None:
        """Route one exchange: redirect unclean paths, answer 404 and 405, otherwise call the handler."""
        request = exchange.request
        if request.raw_path == "*":
            await respond_text(exchange, 400, "Bad Request")
            return
        clean = clean_path(request.raw_path)
        pieces = _split(clean)
        if pieces is None:
            await respond_text(exchange, 400, "Bad Request")
            return
        if clean != request.raw_path:
            await _redirect(exchange, clean)
            return
        leaf = self._lookup(request.method, pieces)
        if leaf is None:
            await self._refuse(exchange, pieces)
            return
        if leaf.endpoint is not None:
            exchange.route = Route(
                leaf.endpoint.id, leaf.endpoint.function, _params(leaf.pattern.segments, pieces), leaf.pattern.text
            )
        await leaf.handler(exchange)

    async def _refuse(self, exchange: Exchange, pieces: tuple[str, ...]) -> None:
        request = exchange.request
        if pieces[-1]:
            below = self._lookup(request.method, (*pieces, ""))
            if below is not None and below.pattern.segments[-1] == Segment("rest", ""):
                await _redirect(exchange, f"{request.raw_path}/")
                return
        allowed = {method for method, tree in self._trees.items() if method and tree.find(pieces, 0) is not None}
        if not allowed:
            await respond_text(exchange, 404, "404 page not found")
            return
        if "GET" in allowed:
            allowed.add("HEAD")
        exchange.response.headers.set("Allow", ", ".join(sorted(allowed)))
        await respond_text(exchange, 405, "Method Not Allowed")


def clean_path(raw_path: str) -> str:
    """The path without empty, `.` and `..` segments; a trailing slash stays."""
    if raw_path and "//" not in raw_path and "/." not in raw_path and raw_path.startswith("/"):
        return raw_path
    out: list[str] = []
    for piece in raw_path.split("/"):
        if piece == "..":
            if out:
                out.pop()
        elif piece not in ("", "."):
            out.append(piece)
    path = "/" + "/".join(out)
    return f"{path}/" if raw_path.endswith("/") and path != "/" else path


def _split(path: str) -> tuple[str, ...] | None:
    """Unescaped segments: `%2F` stays inside its segment. None where an escape is broken."""
    try:
        return tuple(query_unescape(piece, plus=False) for piece in path[1:].split("/"))
    except InvalidError:
        return None


def _params(segments: tuple[Segment, ...], pieces: tuple[str, ...]) -> Mapping[str, str]:
    return {segment.text: piece for segment, piece in zip(segments, pieces, strict=False) if segment.kind == "one"}


async def _redirect(exchange: Exchange, path: str) -> None:
    request = exchange.request
    target = f"{path}?{request.query}" if request.query else path
    exchange.response.headers.set("Location", target)
    if request.method in ("GET", "HEAD"):
        exchange.response.headers.set("Content-Type", "text/html; charset=utf-8")
        exchange.response.set_status(301)
        await exchange.response.write(f'<a href="{_escape(target)}">Moved Permanently</a>.\n\n'.encode())
    else:
        exchange.response.set_status(301)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;")


def build_table(
    routers: Iterable[RouterSpec], mounts: Iterable[MountSpec] = (), *, checked: bool = False
) -> RouteTable:
    """A table of everything a server serves.

    Every endpoint that is not OPTIONS itself also gets an OPTIONS route answering 204 inside the router's middleware,
    so that CORS can answer preflights.

    Args:
        routers, mounts: what there is.
        checked: the caller knows that there are no conflicts.

    Raises:
        ConflictError: two routers with one prefix, two mounts with one path, or patterns neither of which is more
            specific; all conflicting pairs are listed.
    """
    routers, mounts = tuple(routers), tuple(mounts)
    leaves = [_Leaf(mount.pattern(), mount.handler, None) for mount in mounts]
    automatic: list[_Leaf] = []
    for router in routers:
        for endpoint in router.endpoints:
            pattern = endpoint.pattern(router.prefix)
            handler = _chain(router.middleware, _chain(router.post_middleware, endpoint.handler))
            leaves.append(_Leaf(pattern, handler, endpoint))
            if endpoint.method != "OPTIONS":
                options = pattern._replace(method="OPTIONS", text=f"OPTIONS {pattern.text.partition(' ')[2]}")
                automatic.append(_Leaf(options, _chain(router.middleware, _no_content), None))
    if not checked:
        _refuse_conflicts(routers, mounts, [leaf.pattern for leaf in leaves])
    # An OPTIONS endpoint of the application, or an earlier automatic one of the same shape, comes first.
    shapes = {_shape(leaf) for leaf in leaves if leaf.pattern.method == "OPTIONS"}
    for leaf in automatic:
        if _shape(leaf) not in shapes:
            shapes.add(_shape(leaf))
            leaves.append(leaf)
    return RouteTable(leaves)


def _refuse_conflicts(routers: Iterable[RouterSpec], mounts: Iterable[MountSpec], patterns: list[Pattern]) -> None:
    paths: set[str] = set()
    for mount in mounts:
        if mount.path in paths:
            raise ConflictError(f"mount path exists: {mount.path}")
        paths.add(mount.path)
    prefixes: set[str] = set()
    for router in routers:
        if router.prefix in prefixes:
            raise ConflictError(f"router with prefix {router.prefix!r} already exists")
        prefixes.add(router.prefix)
    raise_conflicts(
        f"{one.text} conflicts with {two.text}"
        for index, one in enumerate(patterns)
        for two in patterns[index + 1 :]
        if conflict(one, two)
    )


def raise_conflicts(found: Iterable[str]) -> None:
    """Raises ConflictError listing all of `found`, if any."""
    conflicts = list(found)
    if conflicts:
        raise ConflictError("route conflicts: " + "; ".join(conflicts), details={"conflicts": conflicts})


def _chain(middleware: tuple[Middleware, ...], handler: Handler) -> Handler:
    for wrap in reversed(middleware):
        handler = wrap(handler)
    return handler


async def _no_content(exchange: Exchange) -> None:
    exchange.response.set_status(204)


def _shape(leaf: _Leaf) -> tuple[tuple[str, str], ...]:
    return tuple((kind, text if kind == "literal" else "") for kind, text in leaf.pattern.segments)
