from typing import Any

import pytest

from wippy_trio.core.errors import ConflictError, InvalidError
from wippy_trio.core.ids import EntryId
from wippy_trio.http.exchange import Exchange, Handler
from wippy_trio.http.patterns import parse_path
from wippy_trio.http.routing import EndpointSpec, MountSpec, RouterSpec, RouteTable, build_table, clean_path


def endpoint(text: str, mark: str = "") -> EndpointSpec:
    method, path = text.split(" ")

    async def handler(exchange: Exchange) -> None:
        assert exchange.route is not None
        exchange.response.headers.set("X-Params", str(dict(exchange.route.params)))
        await exchange.response.write((mark or text).encode())

    return EndpointSpec(EntryId("app", text), method, path, EntryId("app", "f"), handler)


def table_of(*texts: str, prefix: str = "", mounts: tuple[MountSpec, ...] = (), **more: Any) -> RouteTable:
    return build_table(
        [RouterSpec(EntryId("app", "r"), prefix, endpoints=tuple(endpoint(text) for text in texts), **more)], mounts
    )


def mark(name: str, text: str) -> Any:
    def wrap(handler: Handler) -> Handler:
        async def marked(exchange: Exchange) -> None:
            exchange.response.headers.add(name, text)
            await handler(exchange)

        return marked

    return wrap


@pytest.mark.parametrize(
    ("path", "pattern", "params"),
    [
        ("/api/users", "GET /users", {}),
        ("/api/users/7", "GET /users/{id}", {"id": "7"}),
        ("/api/users/me", "GET /users/me", {}),
        ("/api/users/me/x", "GET /users/{id}/{what}", {"id": "me", "what": "x"}),
        ("/api/users/a%2Fb", "GET /users/{id}", {"id": "a/b"}),
        ("/api/files/a/b/c", "GET /files/{p...}", {}),
        ("/api/files/", "GET /files/{p...}", {}),
        ("/api/colon/9", "GET /colon/:id", {"id": "9"}),
    ],
)
async def test_most_specific_wins(ask, path: str, pattern: str, params: dict[str, str]) -> None:
    table = table_of(
        "GET /users", "GET /users/{id}", "GET /users/me", "GET /users/{id}/{what}", "GET /files/{p...}",
        "GET /colon/:id", prefix="/api/",
    )  # fmt: skip
    sink = await ask(table.serve, target=path)
    assert (sink.status, sink.body.decode(), sink.headers.get("X-Params")) == (200, pattern, str(params))


async def test_not_found_and_wrong_method(ask) -> None:
    table = table_of("GET /a", "POST /a", "DELETE /a/{id}")
    sink = await ask(table.serve, target="/b")
    assert (sink.status, sink.body) == (404, b"404 page not found\n")
    sink = await ask(table.serve, "PUT", "/a")
    assert (sink.status, sink.body) == (405, b"Method Not Allowed\n")
    assert sink.headers.get("Allow") == "GET, HEAD, OPTIONS, POST"
    assert (await ask(table.serve, target="/a/")).status == 404


async def test_get_serves_head_unless_head_has_its_own(ask) -> None:
    sink = await ask(table_of("GET /a").serve, "HEAD", "/a")
    assert (sink.status, sink.body) == (200, b"")
    table = table_of("GET /a", "GET /{x}", "HEAD /a")
    sink = await ask(table.serve, "HEAD", "/a")
    assert sink.headers.get("Content-Length") == str(len("HEAD /a"))


async def test_options_is_automatic_inside_the_middleware(ask) -> None:
    table = table_of("GET /a", "POST /a", middleware=(mark("X-M", "1"),), post_middleware=(mark("X-P", "1"),))
    sink = await ask(table.serve, "OPTIONS", "/a")
    assert (sink.status, sink.headers.get("X-M"), "X-P" in sink.headers) == (204, "1", False)
    sink = await ask(table_of("GET /a", "OPTIONS /a").serve, "OPTIONS", "/a")
    assert sink.body == b"OPTIONS /a"


async def test_middleware_order(ask) -> None:
    order = tuple(mark("X-Order", text) for text in "12")
    table = table_of("GET /a", middleware=order, post_middleware=(mark("X-Order", "3"),))
    assert (await ask(table.serve, target="/a")).headers.get_all("X-Order") == ["1", "2", "3"]
    assert "X-Order" not in (await ask(table.serve, target="/none")).headers


async def test_mounts_take_every_method_below_them(ask) -> None:
    async def handler(exchange: Exchange) -> None:
        await exchange.response.write(b"mount")

    table = table_of("POST /api/x", mounts=(MountSpec(EntryId("app", "s"), "/", handler),))
    assert (await ask(table.serve, "POST", "/api/x")).body == b"POST /api/x"
    assert (await ask(table.serve, "GET", "/api/x")).body == b"mount"
    assert (await ask(table.serve, "GET", "/deep/er")).body == b"mount"


async def test_redirects_to_clean_paths_and_subtrees(ask) -> None:
    table = table_of("GET /a/", "GET /b")
    sink = await ask(table.serve, target="/a?x=1")
    assert (sink.status, sink.headers.get("Location")) == (301, "/a/?x=1")
    sink = await ask(table.serve, target="/x/..//b")
    assert (sink.status, sink.headers.get("Location")) == (301, "/b")


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("/", "/"),
        ("", "/"),
        ("//", "/"),
        ("/a/./b", "/a/b"),
        ("/a/../../b/", "/b/"),
        ("/a..b", "/a..b"),
        ("/.x", "/.x"),
    ],
)
def test_clean_path(raw: str, clean: str) -> None:
    assert clean_path(raw) == clean


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("GET /{a}", "GET /{b}"),
        ("GET /a/{x}", "GET /{y}/b"),
        ("GET /a/{x...}", "GET /a/{y...}"),
        ("GET /{x}/b/{y...}", "GET /a/{x...}"),
        ("GET /a", "HEAD /{x}"),
    ],
)
def test_conflicts(one: str, two: str) -> None:
    with pytest.raises(ConflictError, match="conflicts with") as caught:
        table_of(one, two)
    assert caught.value.details == {"conflicts": [f"{one} conflicts with {two}"]}


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("GET /a", "GET /{b}"),
        ("GET /a", "POST /a"),
        ("GET /{x}", "POST /{y}"),
        ("GET /a/{x...}", "GET /a/{y}"),
        ("GET /a/{$}", "GET /a/{x...}"),
        ("GET /a/b", "GET /a/b/c"),
        ("GET /a/{x}", "GET /b/{x}"),
    ],
)
def test_no_conflicts(one: str, two: str) -> None:
    table_of(one, two)


def test_a_mount_conflicts_where_neither_is_more_specific() -> None:
    async def handler(exchange: Exchange) -> None: ...

    with pytest.raises(ConflictError):
        table_of("GET /{x...}", mounts=(MountSpec(EntryId("app", "s"), "/files/", handler),))


def test_prefixes_and_mounts_are_unique() -> None:
    with pytest.raises(ConflictError, match="prefix"):
        build_table([RouterSpec(EntryId("a", "1"), "/x"), RouterSpec(EntryId("a", "2"), "/x")])

    async def handler(exchange: Exchange) -> None: ...

    twice = [MountSpec(EntryId("a", name), "/x", handler) for name in "12"]
    with pytest.raises(ConflictError, match="mount path exists"):
        build_table([], twice)


@pytest.mark.parametrize("path", ["", "a", "/{x...}/b", "/{}", "/a{x}", "/{x}/{x}", "/{$}/a", "/{1a}"])
def test_bad_paths(path: str) -> None:
    with pytest.raises(InvalidError):
        parse_path(path)


def test_bad_method() -> None:
    with pytest.raises(InvalidError, match="invalid HTTP method: get"):
        endpoint("get /a")
