"""The `supervisor` module: dynamic children of process.supervisor entries. Source: ours; docs/guides/supervision.md."""

from __future__ import annotations

from typing import Any

from sandbox.values import as_text
from wippy_trio.actors.tree import Tree, find_tree
from wippy_trio.actors.tree_spec import ChildSpec, parse_child
from wippy_trio.core.errors import InvalidError
from wippy_trio.module import Call, Module, ModuleClass

__all__ = ["MODULE"]

MODULE = Module("supervisor", classes={ModuleClass.PROCESS, ModuleClass.NONDETERMINISTIC}, prelude="supervisor.lua")


def _tree(call: Call, action: str, target: object) -> Tree:
    name = as_text(target)
    call.require(f"supervisor.{action}", name, {"pid": call.pid})
    return find_tree(call.runtime, name)


def _require_spawns(call: Call, spec: ChildSpec) -> None:
    """Whoever adds a child must be allowed to spawn what it consists of."""
    if spec.tree is not None:
        for child in spec.tree.children:
            _require_spawns(call, child)
        return
    call.require("process.spawn", str(spec.process), {"pid": call.pid})
    call.require("process.host", str(spec.host), {"pid": call.pid})


@MODULE.waiting("supervisor.start_child")
async def start_child(call: Call, target: object, raw: Any) -> str:
    """Add a child and start it; its PID."""
    tree = _tree(call, "start_child", target)
    namespace = call.frame.entry.namespace if call.frame.entry is not None else ""
    depth = tree.path.count("/") + 1
    spec = parse_child(raw, namespace, tree.path, host=tree.spec.host, depth=depth)
    _require_spawns(call, spec)
    return await tree.start_child(spec)


@MODULE.waiting("supervisor.restart_child")
async def restart_child(call: Call, target: object, child: object) -> str:
    """Start a child that was stopped; its PID."""
    return await _tree(call, "restart_child", target).restart_child(_child(child))


@MODULE.waiting("supervisor.terminate_child")
async def terminate_child(call: Call, target: object, child: object) -> bool:
    """Stop a child."""
    await _tree(call, "terminate_child", target).terminate_child(_child(child))
    return True


@MODULE.waiting("supervisor.delete_child")
async def delete_child(call: Call, target: object, child: object) -> bool:
    """Forget a child that does not run."""
    await _tree(call, "delete_child", target).delete_child(_child(child))
    return True


@MODULE.immediate("supervisor.which_children")
def which_children(call: Call, target: object) -> list[dict[str, Any]]:
    """Every child in the order of their start."""
    return _tree(call, "which_children", target).which_children()


@MODULE.immediate("supervisor.count_children")
def count_children(call: Call, target: object) -> dict[str, int]:
    """How many children there are, run, and are of each type."""
    return _tree(call, "count_children", target).count_children()


def _child(value: object) -> str:
    name = as_text(value)
    if not name:
        raise InvalidError("child id is required")
    return name
