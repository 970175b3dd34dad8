"""Data of the http.* entries, decoded and checked. Source: http/server, http/router, http/endpoint, http/static."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.core.units import duration_s
from wippy_trio.http.limits import ServerLimits
from wippy_trio.http.routing import METHODS
from wippy_trio.http.server import split_address
from wippy_trio.http.tls import CLIENT_AUTH, ServerTls

__all__ = ["EndpointConfig", "RouterConfig", "ServerConfig", "StaticConfig"]

ENGINES: Final = ("", "h11", "hypercorn")


def _map(entry: Entry, name: str) -> Mapping[str, Any]:
    value = entry.data.get(name) or {}
    if not isinstance(value, Mapping):
        raise InvalidError(f"{entry.id}: {name} must be a map")
    return value


def _text(entry: Entry, data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidError(f"{entry.id}: {name} must be a string")
    return value


def _names(entry: Entry, name: str) -> tuple[str, ...]:
    value = entry.data.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidError(f"{entry.id}: {name} must be a list of names")
    return tuple(value)


def _options(entry: Entry, name: str) -> dict[str, str]:
    options = _map(entry, name)
    for key, value in options.items():
        if not isinstance(value, str):
            raise InvalidError(f"{entry.id}: {name}.{key} must be a string")
    return dict(options)


def _seconds(entry: Entry, data: Mapping[str, Any], name: str) -> float | None:
    """A duration; None for absent or 0."""
    value = data.get(name)
    if value in (None, ""):
        return None
    try:
        seconds = duration_s(value)
    except LuaError as problem:
        raise InvalidError(f"{entry.id}: timeouts.{name}: {problem}") from problem
    if seconds < 0:
        raise InvalidError(f"{name} timeout must be non-negative")
    return seconds or None


@attrs.frozen(slots=True)
class ServerConfig:
    """An http.service. `engine` is our own field: `h11` (default) or `hypercorn` (HTTP/2)."""

    address: str
    limits: ServerLimits
    tls: ServerTls | None = None
    engine: str = ""
    network: str = ""

    @classmethod
    def parse(cls, entry: Entry) -> ServerConfig:
        """Read the entry.

        Raises:
            InvalidError: a missing or malformed field.
        """
        address = _text(entry, entry.data, "addr")
        if not address:
            raise InvalidError("address is required")
        split_address(address)
        for name in ("buffer_size", "worker_count"):
            value = _map(entry, "host").get(name, 0)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InvalidError(f"host {name} must be non-negative")
        engine = _text(entry, entry.data, "engine")
        if engine not in ENGINES:
            raise InvalidError(f"invalid engine: {engine}: h11 or hypercorn")
        timeouts = _map(entry, "timeouts")
        limits = ServerLimits(
            read_s=_seconds(entry, timeouts, "read"),
            write_s=_seconds(entry, timeouts, "write"),
            idle_s=_seconds(entry, timeouts, "idle") or ServerLimits().idle_s,
        )
        return cls(address, limits, _tls(entry), engine, _text(entry, entry.data, "network"))


def _tls(entry: Entry) -> ServerTls | None:
    data = _map(entry, "tls")
    mode = _text(entry, data, "mode")
    # `<field>_env` keys have become `<field>` by now, where the variable has a value.
    given = {name: _text(entry, data, name) for name in ("cert", "key", "client_ca", "client_auth")}
    if mode not in ("", "auto", "manual"):
        raise InvalidError(f"invalid tls.mode: {mode}")
    if mode == "":
        if any(given.values()):
            raise InvalidError("tls.mode=off must not set cert/key or mTLS fields")
        return None
    if mode == "auto":
        if given["cert"] or given["key"]:
            raise InvalidError("tls.mode=auto must not set cert/key (driver-managed)")
        if given["client_ca"] or given["client_auth"]:
            raise InvalidError("mTLS (client_auth) requires tls.mode=manual")
        raise InvalidError("tls.mode=auto requires an overlay network driver")
    if not (given["cert"] and given["key"]):
        raise InvalidError("tls.mode=manual requires cert+key or cert_env+key_env")
    if given["client_auth"] not in CLIENT_AUTH:
        raise InvalidError(f"invalid tls.client_auth: {given['client_auth']}")
    if given["client_ca"] and not given["client_auth"]:
        raise InvalidError("client_ca set but client_auth is empty")
    if given["client_auth"] in ("verify_if_given", "require_and_verify") and not given["client_ca"]:
        raise InvalidError("client_auth verification modes require client_ca or client_ca_env")
    return ServerTls(given["cert"], given["key"], given["client_ca"], given["client_auth"])


@attrs.frozen(slots=True)
class RouterConfig:
    """An http.router; `server` as written."""

    server: str
    prefix: str
    middleware: tuple[str, ...]
    options: Mapping[str, str]
    post_middleware: tuple[str, ...]
    post_options: Mapping[str, str]

    @classmethod
    def parse(cls, entry: Entry) -> RouterConfig:
        """Read the entry.

        Raises:
            InvalidError: a missing or malformed field.
        """
        if not entry.meta:
            raise InvalidError("metadata is required")
        server = entry.meta.get("server")
        if not server:
            raise InvalidError("server metadata is required")
        return cls(
            str(server), _text(entry, entry.data, "prefix"),
            _names(entry, "middleware"), _options(entry, "options"),
            _names(entry, "post_middleware"), _options(entry, "post_options"),
        )  # fmt: skip


@attrs.frozen(slots=True)
class EndpointConfig:
    """An http.endpoint; `router` and `function` as written."""

    router: str
    method: str
    path: str
    function: str

    @classmethod
    def parse(cls, entry: Entry) -> EndpointConfig:
        """Read the entry.

        Raises:
            InvalidError: a missing or malformed field.
        """
        function, path = _text(entry, entry.data, "func"), _text(entry, entry.data, "path")
        method = _text(entry, entry.data, "method")
        if not function:
            raise InvalidError("function name is required")
        if not path:
            raise InvalidError("path is required")
        if not path.startswith("/"):
            raise InvalidError("path must start with /")
        if not method:
            raise InvalidError("method is required")
        if method not in METHODS:
            raise InvalidError(f"invalid HTTP method: {method}")
        router = entry.meta.get("router")
        if not router:
            raise InvalidError("router metadata is required")
        return cls(str(router), method, path, function)


@attrs.frozen(slots=True)
class StaticConfig:
    """An http.static; `server` and `files` as written."""

    server: str
    path: str
    files: str
    spa: bool
    index: str
    cache: str
    middleware: tuple[str, ...]
    options: Mapping[str, str]

    @classmethod
    def parse(cls, entry: Entry) -> StaticConfig:
        """Read the entry; `spa`, `index` and `cache` among the options are the older places of these fields.

        Raises:
            InvalidError: a missing or malformed field.
        """
        path = _text(entry, entry.data, "path")
        if not path:
            raise InvalidError("path is required")
        if not path.startswith("/"):
            raise InvalidError(f"mount path must start with /: {path}")
        server = entry.meta.get("server")
        if not server:
            raise InvalidError("server metadata is required")
        files = _text(entry, entry.data, "fs")
        if not files:
            raise InvalidError("filesystem is required")
        chosen = dict(_map(entry, "static_options"))
        older = dict(_map(entry, "options"))
        for name in ("spa", "index", "cache"):
            if name in older:
                chosen.setdefault(name, older[name])
                del older[name]
        for key, value in older.items():
            if not isinstance(value, str):
                raise InvalidError(f"{entry.id}: options.{key} must be a string")
        spa, index = chosen.get("spa") in (True, "true"), _text(entry, chosen, "index")
        if spa and not index:
            raise InvalidError("index file is required when spa is enabled")
        return cls(
            str(server), path, files, spa, index, _text(entry, chosen, "cache"), _names(entry, "middleware"), older
        )
