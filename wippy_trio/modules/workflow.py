"""The `workflow` module: facts, children, versions and attributes of the running workflow. Source: docs
temporal/workflows.

In a workflow its operations are answered by the step machine (`workflows/machine_ops.py`); what is here answers outside
of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wippy_trio.core.errors import InvalidError
from wippy_trio.module import Call, Module, ModuleClass, Permission, WorkflowRule

__all__ = ["MODULE"]

MODULE = Module("workflow", classes={ModuleClass.WORKFLOW, ModuleClass.NONDETERMINISTIC}, prelude="workflow.lua")


@MODULE.waiting(
    "workflow.exec",
    permission=Permission("workflow.exec", message="not allowed: {resource}"),
    workflow=WorkflowRule.RECORDED,
)
async def execute(call: Call, id: str, *args: Any) -> None:
    """Run a child workflow and wait for its result."""
    raise InvalidError("workflow.exec is only available in a workflow; elsewhere use process.exec")


@MODULE.immediate("workflow.info", workflow=WorkflowRule.RECORDED)
def info(call: Call) -> dict[str, Any] | None:
    """Facts of the run; nil outside of a workflow."""
    return None


@MODULE.immediate("workflow.history", workflow=WorkflowRule.RECORDED)
def history(call: Call) -> list[int]:
    """Records and bytes of the history; none outside of a workflow."""
    return [0, 0]


@MODULE.immediate("workflow.version", workflow=WorkflowRule.RECORDED)
def version(call: Call, change_id: str, lowest: int, highest: int) -> int:
    """The version of a change that this run keeps to; the highest outside of a workflow."""
    return highest


@MODULE.immediate("workflow.attrs", workflow=WorkflowRule.RECORDED)
def attributes(call: Call, search: Mapping[str, Any] | None, memo: Mapping[str, Any] | None) -> bool:
    """Set search attributes and memo of the workflow."""
    raise InvalidError("workflow.attrs is only available in a workflow")


@MODULE.immediate("workflow.expose", workflow=WorkflowRule.RECORDED)
def expose(call: Call, key: str, value: Any) -> bool:
    """Put a value up for queries."""
    raise InvalidError("workflow.expose is only available in a workflow")
