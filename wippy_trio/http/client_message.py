"""Outgoing requests: what a caller asks for, and the message it becomes on its way through redirects.

Source: lua/http/client.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from urllib.parse import SplitResult, urljoin, urlsplit, urlunsplit

import attrs

from determinism.network import exempt
from determinism.seams import Environment
from wippy_trio.core.errors import InternalError
from wippy_trio.http.client_pool import ConnectionLostError, Target
from wippy_trio.http.headers import Headers, decode_query, query_escape
from wippy_trio.http.multipart import encode_form
from wippy_trio.http.tls import ClientTls

__all__ = ["ClientRequest", "Message", "RequestFailedError", "target_of", "verb"]

USER_AGENT = "wippy-trio/1"
_SENSITIVE = ("Authorization", "Cookie", "Cookie2", "Proxy-Authorization", "Www-Authenticate")


class RequestFailedError(InternalError):
    """A request got no (whole) answer: network, timeout, too large. Trying again may help."""

    retryable = True


@attrs.frozen(slots=True)
class ClientRequest:
    """One outgoing request.

    Attributes:
        query: added to the URL's own query, replacing equal keys.
        form: fields; sent as a URL-encoded body, or as parts beside `files`.
        files: field name, file name, content.
        auth: user and password for basic authentication.
        timeout_s: for the whole exchange, the body included; None means 30 s.
        max_response_bytes: cap on a buffered body after decoding; 0 means 120 MB.
        stream: hand the body out unread.
        unix_socket: path to connect to instead of the URL's host.
    """

    method: str
    url: str
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = attrs.field(default=b"", repr=False)
    query: Mapping[str, str] = attrs.field(factory=dict)
    form: Mapping[str, str] = attrs.field(factory=dict)
    files: tuple[tuple[str, str, bytes], ...] = attrs.field(default=(), repr=False)
    cookies: Mapping[str, str] = attrs.field(factory=dict)
    auth: tuple[str, str] | None = attrs.field(default=None, repr=False)
    timeout_s: float | None = None
    max_response_bytes: int = 0
    stream: bool = False
    tls: ClientTls | None = None
    unix_socket: str = ""


def verb(method: str) -> str:
    """The method as errors name it: `Get`."""
    return method[:1].upper() + method[1:].lower()


def target_of(url: str, tls: ClientTls | None) -> Target:
    """Where a URL leads.

    Raises:
        ConnectionLostError: another scheme, no host, a bad port.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ConnectionLostError(f'unsupported protocol scheme "{parts.scheme}"')
    if not parts.hostname:
        raise ConnectionLostError("http: no Host in request URL")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as problem:
        raise ConnectionLostError(f"invalid port: {problem}") from problem
    host = parts.hostname
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError as problem:
            raise ConnectionLostError(f"invalid host name: {problem}") from problem
    return Target(parts.scheme == "https", host, port, tls, exempt.get())


@attrs.define(slots=True)
class Message:
    """A request on its way through redirects, as it goes out next."""

    method: str
    url: str
    headers: Headers
    body: bytes = attrs.field(repr=False)
    asked_gzip: bool = False

    @classmethod
    def of(cls, request: ClientRequest, environment: Environment) -> Message:
        """Encode body, query, cookies and authentication."""
        url = _with_query(request.url, request.query)
        headers = Headers()
        body = request.body
        if request.files:
            if any(not name for name, _, _ in request.files):
                raise RequestFailedError("file field name required")
            boundary = environment.entropy.random_bytes(20).hex()
            body, kind = encode_form(boundary, request.form, request.files)
            headers.set("Content-Type", kind)
        elif request.form:
            pairs = sorted(request.form.items())
            body = "&".join(f"{query_escape(key)}={query_escape(value)}" for key, value in pairs).encode()
            headers.set("Content-Type", "application/x-www-form-urlencoded")
        for name, value in request.headers.items():
            headers.set(name, value) if name.lower() == "content-type" else headers.add(name, value)
        for name, value in request.cookies.items():
            known = headers.get("Cookie")
            headers.set("Cookie", f"{known}; {name}={value}" if known else f"{name}={value}")
        parts = _split_url(request.method, url)
        auth = request.auth
        if auth is None and parts.username and "Authorization" not in headers:
            auth = (parts.username, parts.password or "")
        if auth is not None and auth[0]:
            token = base64.b64encode(f"{auth[0]}:{auth[1]}".encode("utf-8", "surrogateescape")).decode()
            headers.set("Authorization", f"Basic {token}")
        return cls(request.method, url, headers, body)

    def ask_gzip(self) -> bool:
        """Ask for gzip unless the caller speaks of encodings or ranges itself; whether we did."""
        if "Accept-Encoding" in self.headers or "Range" in self.headers or self.method == "HEAD":
            return self.asked_gzip
        self.headers.set("Accept-Encoding", "gzip")
        self.asked_gzip = True
        return True

    def path(self) -> str:
        """The request target."""
        parts = urlsplit(self.url)
        path = _escape_path(parts.path) or "/"
        return f"{path}?{_escape_path(parts.query)}" if parts.query else path

    def wire_fields(self, target: Target) -> list[tuple[bytes, bytes]]:
        """The header fields with Host, length and agent."""
        headers = self.headers.copy()
        host = headers.get("Host") or target.authority
        for name in ("Host", "Content-Length", "Transfer-Encoding", "Connection"):
            headers.remove(name)
        if "User-Agent" not in headers:
            headers.set("User-Agent", USER_AGENT)
        if self.body or self.method in ("POST", "PUT", "PATCH"):
            headers.set("Content-Length", str(len(self.body)))
        return [(b"Host", host.encode("utf-8", "surrogateescape")), *headers.wire_fields()]

    def redirected(self, status: int, location: str) -> Message:
        """The message to send after a redirect, without secrets where the host changes."""
        url = urljoin(self.url, location)
        before, after = urlsplit(self.url), _split_url(self.method, url)
        headers = self.headers.copy()
        headers.remove("Host")
        method, body = self.method, self.body
        if status in (301, 302, 303) and method not in ("GET", "HEAD"):
            method, body = "GET", b""
            headers.remove("Content-Type")
        if not _same_site(before.hostname or "", after.hostname or ""):
            for name in _SENSITIVE:
                headers.remove(name)
        if before.scheme == "https" and after.scheme == "http":
            headers.remove("Referer")
        else:
            headers.set("Referer", urlunsplit(before._replace(netloc=before.netloc.rpartition("@")[2], fragment="")))
        return Message(method, url, headers, body, self.asked_gzip)


def _same_site(before: str, after: str) -> bool:
    """Whether `after` is the same host or below it: only then do credentials travel on."""
    return after == before or after.endswith(f".{before}")


def _split_url(method: str, url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as problem:
        raise RequestFailedError(f'{verb(method)} "{url}": {problem}') from problem


def _escape_path(text: str) -> str:
    return "".join(
        char if "!" <= char <= "~" else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogateescape"))
        for char in text
    )


def _with_query(url: str, query: Mapping[str, str]) -> str:
    if not query:
        return url
    try:
        parts = urlsplit(url)
    except ValueError as problem:
        raise RequestFailedError(str(problem)) from problem
    merged = {**decode_query(parts.query), **{key: [value] for key, value in query.items()}}
    text = "&".join(f"{query_escape(key)}={query_escape(value)}" for key in sorted(merged) for value in merged[key])
    return urlunsplit(parts._replace(query=text))
