"""Which faults a seed is given: a subset that differs from seed to seed, for faults mask one another (swarm testing).

Source: ours; after Groce et al., Swarm Testing (2012).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from determinism.faults import BUGGIFY, FAULTS, FaultPlan
from determinism.seams import Entropy, Faults, Strike

__all__ = ["Sparing", "faults_for"]

#: Of eight seeds so many have no faults at all: orders alone are searched there.
_QUIET_EIGHTHS = 2
_MOST_KINDS = 4
_WRITES = frozenset({"disk_full", "disk_io_error"})


def faults_for(
    entropy: Entropy,
    kinds: frozenset[str],
    on_strike: Callable[[Strike], None],
    asked: Mapping[tuple[str, str], int] | None = None,
) -> FaultPlan:
    """The plan of one seed.

    Args:
        entropy: of the seed's faults.
        kinds: kinds that may strike.
        on_strike: told of each strike.
        asked: how often each kind is asked for at each place in the life that nothing disturbs, where that is known.

    A quarter of the seeds have no faults; the others up to four kinds. Where it is known what is asked for, seven of
    eight such seeds choose among that, each kind so likely that between a half and eight strikes are to be expected
    (up to its budget), so that short lives meet faults and long ones are not full of them at their beginning. Half of
    them strike at one place only, for those who do much would else draw all faults upon themselves.
    Elsewhere each is between a third as likely as the catalogue says and thirty times as likely.
    """
    chooser = entropy.fork("swarm")
    pool = sorted(kinds - {BUGGIFY.name})
    counts = _likely(asked or {}, pool) if chooser.below(8) else {}
    if counts:
        pool = [kind for kind in pool if kind in counts]
    chosen: list[str] = []
    if pool and chooser.below(8) >= _QUIET_EIGHTHS:
        for _ in range(1 + chooser.below(min(_MOST_KINDS, len(pool)))):
            chosen.append(pool.pop(chooser.below(len(pool))))
    if "lost_unsynced_write" in chosen and "host_kill" in pool:
        chosen.append("host_kill")  # without one nothing is lost
    probabilities, places = {}, {}
    for kind in chosen:
        known = sorted(where for named, where in asked or () if named == kind and kind in counts)
        if known and chooser.below(2):
            places[kind] = known[chooser.below(len(known))]
            counts[kind] = (asked or {})[kind, places[kind]]
        drawn = chooser.random()
        usual = FAULTS[kind].probability * 0.3 * 100**drawn
        probabilities[kind] = min(0.5 * 16**drawn / counts[kind] if kind in counts else usual, 0.9)
    if "buggify" in kinds and chooser.below(2):
        chosen.append(BUGGIFY.name)
        probabilities[BUGGIFY.name] = 0.05 + 0.4 * chooser.random()
    return FaultPlan(entropy, chosen, probabilities=probabilities, places=places, on_strike=on_strike)


def _likely(asked: Mapping[tuple[str, str], int], pool: Collection[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for (kind, _), count in asked.items():
        if kind in pool:
            counts[kind] = counts.get(kind, 0) + count
    if "lost_unsynced_write" in pool and "host_kill" in counts and not _WRITES.isdisjoint(counts):
        counts["lost_unsynced_write"] = 1  # asked for only when a host is killed
    return counts


class Sparing:
    """A plan that spares some places.

    Args:
        faults: the plan.
        prefix: of the places that it is not asked about.
    """

    def __init__(self, faults: Faults, prefix: str) -> None:
        self._faults = faults
        self._prefix = prefix

    def strike(self, kind: str, where: str) -> Strike | None:
        """See `determinism.seams.Faults`."""
        return None if where.startswith(self._prefix) else self._faults.strike(kind, where)
