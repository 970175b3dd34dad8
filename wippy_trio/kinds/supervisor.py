"""Kind process.supervisor: a tree of processes with restart strategies. Source: ours; docs/guides/supervision.md."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from wippy_trio.actors.identity import service_frame
from wippy_trio.actors.restart import Lifecycle
from wippy_trio.actors.tree import Tree
from wippy_trio.actors.tree_spec import PATTERNS, TreeSpec, parse_tree
from wippy_trio.core.entry import Entry
from wippy_trio.kind import Kind
from wippy_trio.runtime import Runtime

__all__ = ["KINDS"]


def _spec(entry: Entry) -> TreeSpec:
    return parse_tree(entry.data, entry.id.namespace, str(entry.id))


def check_supervisor(entry: Entry) -> None:
    """Refuse a tree with unknown, missing or malformed fields."""
    _spec(entry)
    Lifecycle.parse(entry)


@asynccontextmanager
async def open_supervisor(entry: Entry, runtime: Runtime) -> AsyncIterator[Tree]:
    """A running tree; it lasts until it gives up or is stopped."""
    limit_s = Lifecycle.parse(entry).stop_timeout_s
    tree = Tree(_spec(entry), runtime, str(entry.id), service_frame(entry, runtime), limit_s=limit_s)
    tree.parent = str(entry.id)
    async with trio.open_nursery() as nursery:
        await nursery.start(tree.run)
        with runtime.resources.offer(entry.id, tree):
            yield tree
        nursery.cancel_scope.cancel()


KINDS = (Kind("process.supervisor", open_supervisor, references=PATTERNS, check=check_supervisor, service=True),)
