"""Kind workflow.lua: a durable workflow. Source: docs temporal/workflows, concepts/workflows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError
from wippy_trio.kind import Kind
from wippy_trio.runtime import Runtime
from wippy_trio.workflows.definitions import Definition, definitions_of
from wippy_trio.workflows.engine import workflows_of
from wippy_trio.workflows.gate import check_modules

__all__ = ["KINDS"]


def check_workflow(entry: Entry) -> None:
    """Refuse a workflow without source, or with a malformed `meta.temporal.workflow`."""
    if not isinstance(entry.data.get("source"), str):
        raise InvalidError(f"{entry.id}: source is required")
    Definition.of(entry)


@asynccontextmanager
async def open_workflow(entry: Entry, runtime: Runtime) -> AsyncIterator[None]:
    """A workflow that can be started; refused when its code, or a library of it, lists a module that is not fit."""
    runtime.engine.add_entry(entry)
    try:
        check_modules(runtime.engine, runtime.engine.unit(entry.id))
        with definitions_of(runtime.extras).holding(entry) as definition:
            await workflows_of(runtime).prepare_for(definition)
            yield
    finally:
        runtime.engine.remove_entry(entry)


KINDS = (Kind("workflow.lua", open_workflow, references=("imports.*",), check=check_workflow, swap=True),)
