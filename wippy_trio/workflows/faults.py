"""Faults of workflows in a simulated world: asked of the plan, carried out by the engine. Nothing in a live node.

Source: ours (docs/guides/simulation.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from determinism.faults import exempt

if TYPE_CHECKING:
    from determinism.seams import Environment, Strike
    from wippy_trio.workflows.draft import Draft
    from wippy_trio.workflows.embedded import Embedded
    from wippy_trio.workflows.live import LiveRun

__all__ = ["WorkflowFaults", "lose_worker"]

_BEGUN = 0.5


class WorkflowFaults:
    """What strikes runs.

    Args:
        environment: whose plan is asked; the place is the workflow's or the activity's name.
    """

    def __init__(self, environment: Environment) -> None:
        self._faults = environment.faults
        self._world = environment.world

    def evicts(self, run: LiveRun) -> bool:
        """Whether the run leaves the cache after an event, to be replayed when it is told something."""
        return self._ask("cache_eviction", run.info.name) is not None

    def kills(self, run: LiveRun) -> Strike | None:
        """Whether the worker dies after an event was recorded.

        With a draw below a half before what the run asks for is begun; else when its activities have run, and nobody
        has heard of that yet.
        """
        return self._ask("worker_kill", run.info.name)

    def times_out(self, activity: str) -> Strike | None:
        """Whether an attempt of an activity does not answer in time; with a draw below a half it never even ran."""
        return self._ask("activity_timeout", activity)

    def _ask(self, kind: str, where: str) -> Strike | None:
        if self._world is None:
            return None
        before = exempt.set(False)  # a workflow is the app's, also where a scenario's task takes its first step
        try:
            return self._faults.strike(kind, where)
        finally:
            exempt.reset(before)


def lose_worker(engine: Embedded, run: LiveRun, draft: Draft, strike: Strike) -> None:
    """The worker dies and comes back: what was in its memory is gone, what was under way is taken up again.

    Args:
        engine: whose worker.
        run: the run after whose event it dies.
        draft: what was recorded, and not begun yet.
        strike: the fault.
    """
    added = {one.seq: one for one in draft.added if one.seq in run.pending and one.kind != "message"}
    for other in list(engine.runs.values()):
        if other is run or not other.working:
            engine.driver.evict(other)
        for seq, attempt in other.scopes.items():
            if other is not run or seq not in added:
                attempt.lose()
    if strike.draw >= _BEGUN:
        engine.activities.doomed |= {(run.run_id, seq) for seq, one in added.items() if one.kind == "activity"}
        engine.begin(run, draft)
    else:
        engine.arm(run, added.values(), resumed=True)
