"""Keeping the open runs of a node: taking them at the start, holding the lease, hearing what others left for them.

Source: ours (issue 6).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from sandbox.errors import LuaError
from wippy_trio.core.errors import ConflictError
from wippy_trio.workflows import wire
from wippy_trio.workflows.live import Inbound, LiveRun

if TYPE_CHECKING:
    from wippy_trio.workflows.embedded import Embedded

__all__ = ["Keeper"]

_NS = 1_000_000_000
_CLAIM_COUNT = 1_000
_POSTED_COUNT = 10_000
_PURGE_COUNT = 1_000
_TEND_S = 0.5


class Keeper:
    """Holds an engine's runs."""

    def __init__(self, engine: Embedded) -> None:
        self._engine = engine

    async def resume(self) -> int:
        """Take the open runs of the history; returns how many. None of them is replayed before something happens."""
        count = 0
        while True:
            now_ns = self._engine.runtime.environment.clock.wall_ns()
            claimed = await self._engine.history.claim(now_ns, _CLAIM_COUNT)
            for one in claimed:
                self._engine.adopt(LiveRun(one.info, one.pending), resumed=True)
            count += len(claimed)
            if len(claimed) < _CLAIM_COUNT:
                break
        await self.collect()
        self._engine.soon(self.purge)
        if self._engine.history.lease_s:
            self._engine.soon(self._tend, self._engine.history.lease_s)
        return count

    async def collect(self) -> None:
        """Tell runs what was left for them in the history."""
        behind = [(run, run.caught_up) for run in self._engine.runs.values() if not run.caught_up.is_set()]
        found = await self._engine.history.posted(_POSTED_COUNT)
        for posted in found:
            run = self._engine.runs.get(posted.run_id)
            if run is None or posted.number in run.heard or run.waits_to_start:
                continue
            run.heard.add(posted.number)
            self._engine.put(run, Inbound(wire.decode(posted.data), None, posted.number))
        if len(found) < _POSTED_COUNT:
            left = {posted.number for posted in found}
            for run in self._engine.runs.values():
                if run.heard:
                    run.heard &= left
            for _, caught_up in behind:
                caught_up.set()

    async def heed(self, run: LiveRun) -> bool:
        """Line up what was left for a run before all else that waits for it; whether there was anything."""
        try:
            found = await self._engine.history.posted(_POSTED_COUNT)
        except LuaError as problem:
            self._engine.runtime.log.error("the history of workflows does not answer", error=str(problem))
            return False
        mine = [one for one in found if one.run_id == run.run_id and one.number not in run.heard]
        run.heard.update(one.number for one in mine)
        left = [inbound for inbound in run.inbox if inbound.posted is not None]
        left += [Inbound(wire.decode(one.data), None, one.number) for one in mine]
        others = [inbound for inbound in run.inbox if inbound.posted is None]
        run.inbox = deque([*sorted(left, key=lambda inbound: inbound.posted or 0), *others])
        return bool(left)

    async def purge(self) -> None:
        """Delete runs that closed longer ago than they are kept."""
        if self._engine.settings.keep_s > 0 and self._engine.history.failed is None:
            before_ns = self._engine.runtime.environment.clock.wall_ns() - round(self._engine.settings.keep_s * _NS)
            try:
                while await self._engine.history.purge(before_ns, _PURGE_COUNT) == _PURGE_COUNT:
                    pass
            except LuaError as problem:
                self._engine.runtime.log.error("closed workflows were not deleted", error=str(problem))

    async def _tend(self, lease_s: float) -> None:
        """Hold the lease, take over runs whose owner is gone, and hear what other nodes left."""
        while True:
            try:
                now_ns = self._engine.runtime.environment.clock.wall_ns()
                await self._engine.history.renew(now_ns, now_ns + round(lease_s * _NS))
                claimed = await self._engine.history.claim(now_ns, _CLAIM_COUNT)
                for one in claimed:
                    self._engine.adopt(LiveRun(one.info, one.pending), resumed=True)
                await self.collect()
                if len(claimed) == _CLAIM_COUNT:  # there may be more
                    continue
            except ConflictError as problem:
                self._engine.runtime.log.error("the lease on workflows was lost; they are given up", error=str(problem))
                for run in list(self._engine.runs.values()):
                    self._engine.taken_away(run)
            except LuaError as problem:
                self._engine.runtime.log.error("the history of workflows does not answer", error=str(problem))
            with trio.move_on_after(min(lease_s / 4, _TEND_S)):
                await self._listen()

    async def _listen(self) -> None:
        """Hear at once what other nodes leave."""
        try:
            while True:
                await self._engine.history.wait_posted()
                await self.collect()
        except LuaError:  # the next renewal tells
            await trio.sleep_forever()
