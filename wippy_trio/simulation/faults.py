"""Which faults a seed is given: a subset that differs from seed to seed, for faults mask one another (swarm testing).

Source: ours; after Groce et al., Swarm Testing (2012).
"""

from __future__ import annotations

from collections.abc import Callable

from determinism.faults import BUGGIFY, FAULTS, FaultPlan
from determinism.seams import Entropy, Strike

__all__ = ["faults_for"]

#: Of eight seeds so many have no faults at all: orders alone are searched there.
_QUIET_EIGHTHS = 2
_MOST_KINDS = 4


def faults_for(entropy: Entropy, kinds: frozenset[str], on_strike: Callable[[Strike], None]) -> FaultPlan:
    """The plan of one seed.

    Args:
        entropy: of the seed's faults.
        kinds: kinds that may strike.
        on_strike: told of each strike.

    A quarter of the seeds have no faults; the others up to four kinds, each between a third as likely as the catalogue
    says and thirty times as likely, so that short runs meet them too.
    """
    chooser = entropy.fork("swarm")
    pool = sorted(kinds - {BUGGIFY.name})
    chosen: list[str] = []
    if pool and chooser.below(8) >= _QUIET_EIGHTHS:
        for _ in range(1 + chooser.below(min(_MOST_KINDS, len(pool)))):
            chosen.append(pool.pop(chooser.below(len(pool))))
    if "lost_unsynced_write" in chosen and "host_kill" in pool:
        chosen.append("host_kill")  # without one nothing is lost
    probabilities = {kind: min(FAULTS[kind].probability * 0.3 * 100 ** chooser.random(), 0.9) for kind in chosen}
    if "buggify" in kinds and chooser.below(2):
        chosen.append(BUGGIFY.name)
        probabilities[BUGGIFY.name] = 0.05 + 0.4 * chooser.random()
    return FaultPlan(entropy, chosen, probabilities=probabilities, on_strike=on_strike)
