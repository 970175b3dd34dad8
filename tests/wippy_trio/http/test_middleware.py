import gzip
from typing import Any

import pytest
import trio

from wippy_trio.core.errors import InvalidError, UnavailableError
from wippy_trio.core.frame import Decision, SecurityActor
from wippy_trio.core.ids import EntryId
from wippy_trio.http.exchange import Exchange, Handler, Route
from wippy_trio.http.middleware import MiddlewareContext, build_chain
from wippy_trio.http.middleware_compress import accepts_gzip


async def hello(exchange: Exchange) -> None:
    await exchange.response.write(b"hello")


def wrapped(
    environment, name: str, options: dict[str, str] | None = None, handler: Handler = hello, **context: Any
) -> Handler:
    [middleware] = build_chain([name], options or {}, MiddlewareContext(environment.clock, **context))
    return middleware(handler)


def test_unknown_names_are_refused(environment) -> None:
    context = MiddlewareContext(environment.clock)
    with pytest.raises(InvalidError, match="failed to create middleware: middleware not found: nope"):
        build_chain(["nope"], {}, context)
    with pytest.raises(InvalidError, match="failed to create post-match middleware"):
        build_chain(["nope"], {}, context, post_match=True)


def test_extra_builders_win(environment) -> None:
    context = MiddlewareContext(environment.clock, extra={"cors": lambda options, context: lambda handler: handler})
    [middleware] = build_chain(["cors"], {}, context)
    assert middleware(hello) is hello


# ---- cors


@pytest.mark.parametrize(
    ("rule", "origin", "allowed"),
    [
        ("*", "http://any", True),
        ("https://a.example.com", "https://a.example.com", True),
        ("https://a.example.com", "http://a.example.com", False),
        ("*.example.com", "https://a.example.com", True),
        ("*.example.com", "https://example.com", False),
        ("*.example.com", ".example.com", False),
        ("localhost", "http://localhost:5173", True),
        ("localhost", "https://localhost", True),
        ("localhost", "http://localhost.evil.com", False),
        ("a, localhost", "http://localhost", True),
    ],
)
async def test_cors_origins(ask, environment, rule: str, origin: str, allowed: bool) -> None:
    handler = wrapped(environment, "cors", {"cors.allow.origins": rule})
    sink = await ask(handler, headers={"Origin": origin})
    assert sink.body == b"hello"
    assert sink.headers.get("Access-Control-Allow-Origin") == (origin if allowed else "")
    assert sink.headers.get("Vary") == ("Origin" if allowed else "")


async def test_cors_preflight(ask, environment) -> None:
    options = {"allow_credentials": "true", "cors.allow.private.network": "true", "cors.max.age": "5"}
    headers = {"Origin": "http://x", "Access-Control-Request-Method": "PUT"}
    sink = await ask(wrapped(environment, "cors", options), "OPTIONS", "/", headers)
    assert (sink.status, sink.body) == (204, b"")
    assert sink.headers.get("Access-Control-Allow-Methods") == "GET,POST,PUT,DELETE,OPTIONS,PATCH"
    assert sink.headers.get("Access-Control-Allow-Credentials") == "true"
    assert sink.headers.get("Access-Control-Allow-Private-Network") == "true"
    assert sink.headers.get("Access-Control-Max-Age") == "5"
    sink = await ask(
        wrapped(environment, "cors", {"cors.allow.origins": "http://y", "cors.expose.headers": "X"}),
        "OPTIONS",
        "/",
        headers,
    )
    assert (sink.body, "Access-Control-Allow-Origin" in sink.headers) == (b"hello", False)


# ---- ratelimit


async def test_ratelimit(ask, environment, autojump_clock) -> None:
    handler = wrapped(environment, "ratelimit", {"ratelimit.requests": "60", "ratelimit.burst": "2"})
    assert [(await ask(handler)).status for _ in range(3)] == [200, 200, 429]
    await trio.sleep(1.1)
    sink = await ask(handler)
    assert sink.status == 200
    sink = await ask(handler)
    assert (sink.status, sink.body) == (429, b"Rate limit exceeded\n")
    assert (sink.headers.get("X-RateLimit-Limit"), sink.headers.get("X-RateLimit-Window")) == ("60", "1m")


async def test_ratelimit_keys_and_bounds(ask, environment, autojump_clock) -> None:
    options = {"ratelimit.key": "header:X-Key", "ratelimit.burst": "1", "ratelimit.max_entries": "2"}
    handler = wrapped(environment, "ratelimit", options)
    assert (await ask(handler)).status == 400
    statuses = [(await ask(handler, headers={"X-Key": key})).status for key in ("a", "b", "a", "c", "b", "a")]
    assert statuses == [200, 200, 429, 200, 200, 200]  # each newcomer pushes the oldest out
    by_query = wrapped(environment, "ratelimit", {"ratelimit.key": "query:k", "ratelimit.burst": "1"})
    assert [(await ask(by_query, target="/?k=1")).status for _ in "12"] == [200, 429]


# ---- compress


async def test_compress(ask, environment) -> None:
    async def long(exchange: Exchange) -> None:
        exchange.response.headers.set("Content-Type", "text/plain")
        for _ in range(100):
            await exchange.response.write(b"hello " * 20)

    handler = wrapped(environment, "compress", handler=long)
    sink = await ask(handler, headers={"Accept-Encoding": "br, gzip"})
    assert gzip.decompress(sink.body) == b"hello " * 2000
    assert (sink.headers.get("Content-Encoding"), sink.headers.get("Vary")) == ("gzip", "Accept-Encoding")
    plain = await ask(handler)
    assert plain.body == b"hello " * 2000
    short = await ask(wrapped(environment, "compress"), headers={"Accept-Encoding": "gzip"})
    assert (short.body, "Content-Encoding" in short.headers) == (b"hello", False)


async def test_compress_leaves_packed_and_partial_answers_alone(ask, environment) -> None:
    for name, value in (("Content-Type", "image/png"), ("Content-Encoding", "br"), ("Content-Range", "bytes 0-1/2")):

        async def packed(exchange: Exchange, name: str = name, value: str = value) -> None:
            exchange.response.headers.set(name, value)
            await exchange.response.write(b"x" * 5000)

        sink = await ask(wrapped(environment, "compress", handler=packed), headers={"Accept-Encoding": "gzip"})
        assert sink.body == b"x" * 5000


@pytest.mark.parametrize(("text", "accepted"), [("gzip", True), ("gzip;q=0", False), ("br", False), ("", False)])
def test_accepts_gzip(text: str, accepted: bool) -> None:
    assert accepts_gzip(text) is accepted


# ---- real_ip


@pytest.mark.parametrize(
    ("peer", "headers", "options", "seen"),
    [
        ("10.0.0.1:9", {"X-Real-IP": "1.2.3.4"}, {}, "1.2.3.4"),
        ("10.0.0.1:9", {"X-Real-IP": "1.2.3.4", "True-Client-IP": "5.6.7.8"}, {}, "5.6.7.8"),
        ("10.0.0.1:9", {"X-Forwarded-For": "9.9.9.9, 10.0.0.2"}, {}, "9.9.9.9"),
        ("10.0.0.1:9", {"X-Real-IP": "junk"}, {}, "10.0.0.1:9"),
        ("8.8.8.8:9", {"X-Real-IP": "1.2.3.4"}, {}, "8.8.8.8:9"),
        ("8.8.8.8:9", {"X-Real-IP": "1.2.3.4"}, {"real_ip.trust_all": "true"}, "1.2.3.4"),
        ("8.8.8.8:9", {"X-Real-IP": "1.2.3.4"}, {"trusted_subnets": "8.8.0.0/16"}, "1.2.3.4"),
        ("[::1]:9", {"X-Real-IP": "::2"}, {}, "::2"),
        ("[::ffff:10.0.0.1]:9", {"X-Real-IP": "1.1.1.1"}, {}, "1.1.1.1"),
    ],
)
async def test_real_ip(
    ask, environment, peer: str, headers: dict[str, str], options: dict[str, str], seen: str
) -> None:
    async def show(exchange: Exchange) -> None:
        await exchange.response.write(exchange.request.remote_address.encode())

    def from_peer(exchange: Exchange) -> None:
        exchange.request.remote_address = peer

    sink = await ask(wrapped(environment, "real_ip", options, show), headers=headers, prepare=from_peer)
    assert sink.body.decode() == seen


async def test_real_ip_without_a_readable_subnet_trusts_all_and_says_so(ask, environment) -> None:
    log: list[str] = []
    handler = wrapped(
        environment,
        "real_ip",
        {"real_ip.trusted.subnets": "junk"},
        log=lambda level, message, fields: log.append(level),
    )
    await ask(handler)
    assert log == ["warn"]


# ---- token_auth and firewalls


class Scope:
    def __init__(self, allowed: str) -> None:
        self.allowed = allowed

    def evaluate(self, actor: SecurityActor, action: str, resource: str, attributes: Any) -> Decision:
        return Decision.ALLOW if f"{action} {resource}" == self.allowed else Decision.UNDEFINED


class Tokens:
    async def validate(self, token: str) -> tuple[SecurityActor, Scope]:
        if token != "good":
            raise UnavailableError("bad token")
        return SecurityActor("ann"), Scope("access app:e")


@pytest.mark.parametrize(
    ("target", "headers", "who"),
    [
        ("/", {"Authorization": "Bearer good"}, "ann"),
        ("/", {"Authorization": "good"}, "-"),
        ("/?x-auth-token=good", {"Authorization": "Basic x"}, "ann"),
        ("/", {"Cookie": "x-auth-token=good"}, "ann"),
        ("/", {"Authorization": "Bearer bad", "Cookie": "x-auth-token=good"}, "-"),
        ("/", {}, "-"),
    ],
)
async def test_token_auth(ask, environment, target: str, headers: dict[str, str], who: str) -> None:
    async def show(exchange: Exchange) -> None:
        await exchange.response.write((exchange.frame.actor.id if exchange.frame.actor else "-").encode())

    handler = wrapped(
        environment, "token_auth", {"token_store": "app:t"}, show, find_token_store={"app:t": Tokens()}.get
    )
    assert (await ask(handler, target=target, headers=headers)).body.decode() == who


async def test_token_auth_without_store_lets_pass(ask, environment) -> None:
    handler = wrapped(environment, "token_auth", {"token_auth.store": "app:none"})
    assert (await ask(handler, headers={"Authorization": "Bearer x"})).body == b"hello"


def as_actor(allowed: str | None, route: bool = True) -> Any:
    def prepare(exchange: Exchange) -> None:
        scope = None if allowed is None else Scope(allowed)
        exchange.frame = exchange.frame.with_identity(SecurityActor("ann"), scope)
        if route:
            exchange.route = Route(EntryId("app", "e"), EntryId("app", "f"))

    return prepare


async def test_endpoint_firewall(ask, environment) -> None:
    handler = wrapped(environment, "endpoint_firewall")
    sink = await ask(handler)
    assert sink.status == 401
    assert b'"error":"Authentication required","success":false' in sink.body
    assert (await ask(handler, prepare=as_actor(None))).status == 403
    assert (await ask(handler, prepare=as_actor("other app:e"))).status == 403
    assert (await ask(handler, prepare=as_actor("access app:e", route=False))).status == 500
    assert (await ask(handler, prepare=as_actor("access app:e"))).body == b"hello"
    admin = wrapped(environment, "endpoint_firewall", {"endpoint_firewall.action": "admin"})
    assert (await ask(admin, prepare=as_actor("admin app:e"))).body == b"hello"


async def test_resource_firewall(ask, environment) -> None:
    handler = wrapped(environment, "resource_firewall", {"resource_firewall.target": "app:panel"})
    assert (await ask(handler)).status == 401
    assert (await ask(handler, prepare=as_actor("access app:panel", route=False))).body == b"hello"
    assert (await ask(handler, prepare=as_actor("access app:e"))).status == 403


# ---- metrics, sendfile, relays


async def test_metrics(ask, environment) -> None:
    from wippy_trio.observability.metrics import Metrics

    metrics = Metrics()
    handler = wrapped(environment, "metrics", metrics=metrics)
    await ask(handler, prepare=as_actor(None))
    labels = {"method": "GET", "route": "app:f"}
    assert metrics.value("wippy_http_requests_total", {**labels, "status": "200"}) == 1
    assert metrics.value("wippy_http_requests_in_flight", labels) == 0


async def test_sendfile(ask, environment, files) -> None:
    def naming(**headers: str) -> Handler:
        async def handler(exchange: Exchange) -> None:
            for name, value in headers.items():
                exchange.response.headers.set(name.replace("_", "-"), value)
            exchange.response.set_status(200)

        return handler

    store = files({"d/a.txt": b"0123456789"})
    context: dict[str, Any] = {"find_files": {"app:fs": store}.get}
    options = {"sendfile.fs": "app:fs"}
    handler = wrapped(environment, "sendfile", options, naming(X_Sendfile="/d/a.txt", X_File_Name='n"1.txt'), **context)
    sink = await ask(handler, headers={"Range": "bytes=2-4"})
    assert (sink.status, sink.body) == (206, b"234")
    assert sink.headers.get("Content-Disposition") == 'attachment; filename="n\\"1.txt"'
    assert "X-Sendfile" not in sink.headers
    assert store.opened[-1].closed
    for path, status in (("none", 404), ("..", 400), ("../d/a.txt", 404)):
        handler = wrapped(environment, "sendfile", options, naming(X_File_Path=path), **context)
        assert (await ask(handler)).status == status
    assert (await ask(wrapped(environment, "sendfile", {}, naming(X_Sendfile="a"), **context))).status == 500
    assert (
        await ask(wrapped(environment, "sendfile", {"fs": "app:x"}, naming(X_Sendfile="a"), **context))
    ).status == 500
    assert (await ask(wrapped(environment, "sendfile", options, **context))).body == b"hello"


async def test_a_relay_that_is_not_there_says_so_when_asked_for(ask, environment) -> None:
    async def relaying(exchange: Exchange) -> None:
        exchange.response.headers.set("X-WS-Relay", "{}")

    assert (await ask(wrapped(environment, "websocket_relay"))).body == b"hello"
    sink = await ask(wrapped(environment, "websocket_relay", handler=relaying))
    assert sink.status == 501
    assert b"websocket_relay" in sink.body
