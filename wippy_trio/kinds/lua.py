"""Kinds function.lua, process.lua, library.lua, and the data-only kinds. Source: docs lua/entries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError
from wippy_trio.core.ids import EntryId
from wippy_trio.functions.pools import PoolSettings
from wippy_trio.kind import Kind, stored_only
from wippy_trio.runtime import Runtime

__all__ = ["KINDS"]


def check_function(entry: Entry) -> None:
    """Refuse a function without source or method."""
    for key in ("source", "method"):
        if not entry.data.get(key):
            if key == "method" and isinstance(entry.data.get("source"), str):
                continue  # the brief: a source that returns the function itself needs no method
            raise InvalidError(f"{entry.id}: {key} is required")
    PoolSettings.parse(entry)


def check_source(entry: Entry) -> None:
    """Refuse an entry without source."""
    if not isinstance(entry.data.get("source"), str):
        raise InvalidError(f"{entry.id}: source is required")


@asynccontextmanager
async def open_function(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A callable function."""
    runtime.engine.add_entry(entry)
    runtime.functions.add(entry)
    try:
        yield
    finally:
        runtime.functions.remove(entry)
        runtime.engine.remove_entry(entry)


@asynccontextmanager
async def open_process(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A process definition; with `meta.default_host` it can be called like a function."""
    options = entry.meta.get("options")
    host = (options.get("default_host") if isinstance(options, dict) else None) or entry.meta.get("default_host")
    host_id = EntryId.parse(str(host), entry.id.namespace) if host else None
    runtime.engine.add_entry(entry)
    if host_id is not None:
        runtime.functions.add_process(entry, host_id)
    try:
        yield
    finally:
        runtime.functions.remove(entry)
        runtime.engine.remove_entry(entry)


@asynccontextmanager
async def open_library(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """Code shared through imports."""
    runtime.engine.add_entry(entry)
    try:
        yield
    finally:
        runtime.engine.remove_entry(entry)


KINDS = (
    Kind("function.lua", open_function, references=("imports.*",), check=check_function, swap=True),
    Kind("process.lua", open_process, references=("imports.*",), check=check_source, swap=True),
    Kind("library.lua", open_library, references=("imports.*",), check=check_source, swap=True),
    Kind("registry.entry", stored_only),
    Kind("ns.definition", stored_only),
    Kind("ns.requirement", stored_only),
    Kind("ns.dependency", stored_only),
)
