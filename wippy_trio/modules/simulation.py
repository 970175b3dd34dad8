"""simulation: `buggify` and `active`, by which app code takes part in its own simulation.

Source: ours (docs/guides/simulation.md).
"""

from __future__ import annotations

from wippy_trio.module import Call, Module, ModuleClass, WorkflowRule

__all__ = ["MODULE"]

MODULE = Module("simulation", classes={ModuleClass.NONDETERMINISTIC}, prelude="simulation.lua")


@MODULE.raw("simulation.active")
def active(call: Call) -> bool:
    """Whether this node is simulated."""
    return call.environment.world is not None


@MODULE.raw("simulation.strike", workflow=WorkflowRule.FORBIDDEN)
def strike(call: Call, label: bytes) -> bool:
    """Whether the branch at `label` is to be taken: by the seed in a simulation, never in a live node."""
    world = call.environment.world
    if world is None or world.is_exempt(str(call.frame.entry)):
        return False
    return call.environment.faults.strike("buggify", label.decode("utf-8", "replace")) is not None
