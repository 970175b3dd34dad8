"""The explicit lists of what this runtime has: entry kinds and Lua modules, by name, and what is not built yet.

A kind or module is imported at its first use, so that a small app starts quickly. No scanning, no entry points.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import UnsupportedError
from wippy_trio.kind import Kind, stored_only
from wippy_trio.module import Module

__all__ = ["ALWAYS", "KINDS", "MODULES", "UNBUILT_KINDS", "UNBUILT_MODULES", "find_kind", "find_module"]

#: Entry kind -> shelf file.
KINDS: Mapping[str, str] = {
    "contract.binding": "wippy_trio.kinds.contract",
    "contract.definition": "wippy_trio.kinds.contract",
    "db.sql.postgres": "wippy_trio.kinds.sql",
    "db.sql.sqlite": "wippy_trio.kinds.sql",
    "env.storage.file": "wippy_trio.kinds.env",
    "env.storage.memory": "wippy_trio.kinds.env",
    "env.storage.os": "wippy_trio.kinds.env",
    "env.storage.router": "wippy_trio.kinds.env",
    "env.storage.static": "wippy_trio.kinds.env",
    "env.variable": "wippy_trio.kinds.env",
    "fs.directory": "wippy_trio.kinds.fs",
    "function.lua": "wippy_trio.kinds.lua",
    "http.endpoint": "wippy_trio.kinds.http",
    "http.router": "wippy_trio.kinds.http",
    "http.service": "wippy_trio.kinds.http",
    "http.static": "wippy_trio.kinds.http",
    "library.lua": "wippy_trio.kinds.lua",
    "ns.definition": "wippy_trio.kinds.lua",
    "ns.dependency": "wippy_trio.kinds.lua",
    "ns.requirement": "wippy_trio.kinds.lua",
    "pg.scope": "wippy_trio.kinds.pg",
    "process.host": "wippy_trio.kinds.process",
    "process.lua": "wippy_trio.kinds.lua",
    "process.service": "wippy_trio.kinds.process",
    "process.supervisor": "wippy_trio.kinds.supervisor",
    "queue.consumer": "wippy_trio.kinds.queue",
    "queue.driver.memory": "wippy_trio.kinds.queue",
    "queue.queue": "wippy_trio.kinds.queue",
    "registry.entry": "wippy_trio.kinds.lua",
    "security.policy": "wippy_trio.kinds.security",
    "security.policy.expr": "wippy_trio.kinds.security",
    "security.token_store": "wippy_trio.kinds.security",
    "store.memory": "wippy_trio.kinds.store",
    "store.sql": "wippy_trio.kinds.store",
    "temporal.client": "wippy_trio.kinds.temporal",
    "temporal.worker": "wippy_trio.kinds.temporal",
    "terminal.host": "wippy_trio.kinds.process",
    "workflow.lua": "wippy_trio.kinds.workflow",
}

#: Kinds of the reference that are not built yet: their entries are kept and found, and fail when they are used.
UNBUILT_KINDS: frozenset[str] = frozenset(
    {
        "cloudstorage.s3",
        "config.aws",
        "db.sql.mysql",
        "db.cdc.postgres",
        "exec.docker",
        "exec.native",
        "fs.embed",
        "function.lua.bc",
        "function.wasm",
        "function.wat",
        "library.lua.bc",
        "module.lua",
        "network",
        "network.i2p",
        "network.socks5",
        "network.tailscale",
        "process.lua.bc",
        "process.wasm",
        "queue.driver.amqp",
        "queue.driver.sqs",
        "store.kv.crdt",
        "store.kv.raft",
        "template.jet",
        "template.set",
        "workflow.lua.bc",
    }
)

#: Lua module -> shelf file.
MODULES: Mapping[str, str] = {
    "base64": "wippy_trio.modules.base64",
    "contract": "wippy_trio.modules.contract",
    "crypto": "wippy_trio.modules.crypto",
    "ctx": "wippy_trio.modules.ctx",
    "env": "wippy_trio.modules.env",
    "events": "wippy_trio.modules.events",
    "expr": "wippy_trio.modules.expr",
    "fs": "wippy_trio.modules.fs",
    "funcs": "wippy_trio.modules.funcs",
    "hash": "wippy_trio.modules.hash",
    "http": "wippy_trio.modules.http",
    "http_client": "wippy_trio.modules.http_client",
    "io": "wippy_trio.modules.io",
    "json": "wippy_trio.modules.json",
    "logger": "wippy_trio.modules.logger",
    "metrics": "wippy_trio.modules.metrics",
    "os": "wippy_trio.modules.os",
    "payload": "wippy_trio.modules.payload",
    "pg": "wippy_trio.modules.pg",
    "print": "wippy_trio.modules.print",
    "process": "wippy_trio.modules.process",
    "queue": "wippy_trio.modules.queue",
    "registry": "wippy_trio.modules.registry",
    "security": "wippy_trio.modules.security",
    "simulation": "wippy_trio.modules.simulation",
    "sql": "wippy_trio.modules.sql",
    "store": "wippy_trio.modules.store",
    "stream": "wippy_trio.modules.stream",
    "supervisor": "wippy_trio.modules.supervisor",
    "system": "wippy_trio.modules.system",
    "time": "wippy_trio.modules.time",
    "uuid": "wippy_trio.modules.uuid",
    "workflow": "wippy_trio.modules.workflow",
    "yaml": "wippy_trio.modules.yaml",
}

#: Modules that are globals of every unit without being listed.
ALWAYS: tuple[str, ...] = ("print", "payload", "os", "process")

#: Modules of the reference that are not built yet: they can be listed and required, and fail when they are used.
UNBUILT_MODULES: frozenset[str] = frozenset(
    {
        "archive",
        "cdc",
        "cloudstorage",
        "compress",
        "eval_runner",
        "eval",
        "excel",
        "exec",
        "html",
        "hub",
        "loader",
        "templates",
        "text",
        "treesitter",
        "tty",
        "types",
        "websocket",
    }
)


@cache
def find_kind(name: str) -> Kind | None:
    """The kind of that name; None for one nobody has heard of."""
    path = KINDS.get(name)
    if path is not None:
        kinds: tuple[Kind, ...] = import_module(path).KINDS
        return next(kind for kind in kinds if kind.name == name)
    return Kind(name, stored_only) if name in UNBUILT_KINDS else None


@cache
def find_module(name: str) -> Module | None:
    """The Lua module of that name; None for one nobody has heard of."""
    path = MODULES.get(name)
    if path is not None:
        module: Module = import_module(path).MODULE
        return module
    return Module(name, classes=(), prelude="") if name in UNBUILT_MODULES else None


def refuse_unbuilt(entry: Entry) -> None:
    """Raises UnsupportedError when the entry's kind is not built yet; for those who are about to use it."""
    if entry.kind in UNBUILT_KINDS:
        raise UnsupportedError(f"{entry.id}: kind {entry.kind} is not built yet (docs/reference/status.md)")
