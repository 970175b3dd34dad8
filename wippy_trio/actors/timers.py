"""The timers of an actor, read off the tasks that wait for them when somebody asks. Source: ours.

Nothing is kept for this while they wait: each is a task of the actor's nursery whose coroutine has its time in the
local `due_s` of the module's handler (`modules/time.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from wippy_trio.actors.actor import LuaActor

__all__ = ["DUE", "OPERATIONS", "timers_of"]

#: The local variable that holds the trio time at which a handler goes on.
DUE = "due_s"
#: Operations that are timers, as their tasks are called.
OPERATIONS = frozenset({"time.sleep", "time.after", "time.fire", "time.tick"})
_MAX_FRAMES = 12


def timers_of(actor: LuaActor) -> list[tuple[str, float]]:
    """What waits for its time: (operation, seconds until it is due), the next one first.

    One that has not come to wait yet has no time and is left out; one that is due already has 0.
    """
    nursery = actor.nursery
    if nursery is None:
        return []
    now_s = trio.current_time()
    found = []
    for task in nursery.child_tasks:
        if task.name in OPERATIONS:
            due_s = _due_s(task)
            if due_s is not None:
                found.append((task.name, max(due_s - now_s, 0.0)))
    return sorted(found, key=lambda item: item[1])


def _due_s(task: trio.lowlevel.Task) -> float | None:
    for count, (frame, _line) in enumerate(task.iter_await_frames()):
        if DUE in frame.f_code.co_varnames:  # asked for its locals, a frame makes a dict of all of them
            due_s = frame.f_locals.get(DUE)
            if isinstance(due_s, float):
                return due_s
        if count >= _MAX_FRAMES:
            break
    return None
