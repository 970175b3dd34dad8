"""What can go wrong in a simulated world: the catalogue of faults, and the plan that decides when one strikes.

Whoever does something that may fail asks the plan at that point: `strike("disk_io_error", path)`. The answer is None,
or a `Strike`, which the one who asked carries out within the bound that the catalogue states. A strike is known by its
kind, its place, and how many times that place was asked before, so that the same fault can be named again in another
run, with or without the others: this is what replaying and shrinking build on.
Source: ours (architecture, section 2).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType

from determinism.seams import Entropy, Strike

__all__ = ["BUGGIFY", "FAULTS", "Fault", "FaultPlan", "ListedFaults", "exempt", "observer", "parse_faults"]

#: Set in tasks that no fault may strike: a scenario's, an invariant's, and the peers' that a scenario plays.
exempt: ContextVar[bool] = ContextVar("determinism_exempt", default=False)

#: Set in tasks that only look at the world: they go first, take no virtual time, and change nothing.
observer: ContextVar[bool] = ContextVar("determinism_observer", default=False)


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    Attributes:
        name: as in `--faults`.
        area: what it strikes: actor, message, network, http, clock, disk or workflow.
        probability: of striking at a point that asks, unless a plan says otherwise.
        budget: how often it may strike in one run, unless a plan says otherwise.
        bound_s: the longest virtual time its effect may last; 0 where it is over at once.
        does: what it does, for the documentation.
    """

    name: str
    area: str
    probability: float
    budget: int
    bound_s: float
    does: str


def _catalogue(*faults: Fault) -> Mapping[str, Fault]:
    return MappingProxyType({fault.name: fault for fault in faults})


#: Every kind of fault by name.
FAULTS: Mapping[str, Fault] = _catalogue(
    Fault("actor_crash", "actor", 0.01, 2, 0, "a process or a call ends with an error instead of its next step"),
    Fault("actor_hang", "actor", 0.01, 2, 30, "a process or a call takes no step for a while; its messages wait"),
    Fault("host_kill", "actor", 0.002, 1, 0, "every process of a host ends at once; unsynced writes may be lost"),
    Fault("host_restart", "actor", 0.002, 1, 30, "a host's processes are asked to stop, and its services start again"),
    Fault("supervisor_storm", "actor", 0.002, 1, 10, "a process crashes again right after each of its next restarts"),
    Fault("message_drop", "message", 0.02, 2, 0, "a delivery that may be repeated is lost, and made again later"),
    Fault("message_delay", "message", 0.03, 4, 60, "a delivery arrives late"),
    Fault("message_duplicate", "message", 0.03, 4, 0, "a delivery arrives twice"),
    Fault("message_reorder", "message", 0.03, 4, 0, "a delivery overtakes the one before it"),
    Fault("partition", "network", 0.02, 1, 30, "two addresses cannot reach one another"),
    Fault("partition_one_way", "network", 0.02, 1, 30, "what one address sends does not reach the other"),
    Fault("clogged_link", "network", 0.02, 2, 30, "bytes between two addresses trickle"),
    Fault("connection_reset", "network", 0.02, 2, 0, "a connection breaks between two reads or writes"),
    Fault("http_slow", "http", 0.02, 2, 60, "an answer comes late, or its connection stays half open"),
    Fault("http_5xx", "http", 0.03, 2, 0, "an outgoing request is answered by a 500, 502, 503 or 504"),
    Fault("clock_skew", "clock", 0.01, 1, 0, "the wall clock runs up to 5 minutes off"),
    Fault("clock_forward", "clock", 0.01, 1, 0, "the wall clock jumps forward by up to a day"),
    Fault("clock_back", "clock", 0.01, 1, 0, "the wall clock jumps back by up to an hour"),
    Fault("timer_jitter", "clock", 0.05, 8, 1, "a timer fires late"),
    Fault("sql_busy", "disk", 0.02, 2, 0, "a statement finds the database locked"),
    Fault("disk_io_error", "disk", 0.01, 2, 0, "a read or write of a file or database fails with EIO"),
    Fault("disk_full", "disk", 0.01, 2, 0, "a write of a file or database fails with ENOSPC"),
    Fault("disk_slow", "disk", 0.02, 4, 30, "a file or database operation takes long"),
    Fault("lost_unsynced_write", "disk", 0.5, 2, 0, "when a host is killed, what was not synced is lost or torn"),
    Fault("activity_timeout", "workflow", 0.02, 2, 600, "an activity does not answer within its time"),
    Fault("worker_kill", "workflow", 0.02, 2, 0, "the workflow's worker ends after a history event"),
    Fault("cache_eviction", "workflow", 0.05, 4, 0, "a workflow leaves the cache and is replayed"),
)

#: What `simulation.buggify` of app code asks for: a kind of its own beside the catalogue.
BUGGIFY = Fault("buggify", "app", 0.1, 20, 0, "app code takes a branch that it seldom takes")
_KNOWN: Mapping[str, Fault] = MappingProxyType({**FAULTS, BUGGIFY.name: BUGGIFY})


class _Counting:
    """Counts how often a place was asked, and remembers what struck."""

    def __init__(self, on_strike: Callable[[Strike], None] | None) -> None:
        self.struck: list[Strike] = []
        #: Set while nothing may be struck: before the app is open, and when it closes.
        self.exempt = False
        self._asked: dict[tuple[str, str], int] = {}
        #: How often each kind was asked for at each place, where it might have struck.
        self.asked: dict[tuple[str, str], int] = {}
        self.on_strike = on_strike

    def _number(self, kind: str, where: str) -> int:
        key = kind, where
        number = self._asked.get(key, 0)
        self._asked[key] = number + 1
        return number

    def _hit(self, strike: Strike) -> Strike:
        self.struck.append(strike)
        if self.on_strike is not None:
            self.on_strike(strike)
        return strike


class FaultPlan(_Counting):
    """Faults drawn from a seed.

    Args:
        entropy: forked for each kind, so that one kind's draws do not shift another's.
        kinds: those that may strike.
        probabilities: kind -> probability, in the place of the catalogue's.
        budgets: kind -> how often at most, in the place of the catalogue's.
        places: kind -> the only place where it may strike.
        on_strike: told of each.
    """

    def __init__(
        self,
        entropy: Entropy,
        kinds: Iterable[str],
        *,
        probabilities: Mapping[str, float] | None = None,
        budgets: Mapping[str, int] | None = None,
        places: Mapping[str, str] | None = None,
        on_strike: Callable[[Strike], None] | None = None,
    ) -> None:
        super().__init__(on_strike)
        self._places = places or {}
        self._draws: dict[str, Entropy] = {}
        self._left: dict[str, int] = {}
        self._gap: dict[str, int] = {}
        self._probability: dict[str, float] = {}
        for kind in sorted(set(kinds)):
            probability = (probabilities or {}).get(kind, _KNOWN[kind].probability)
            budget = (budgets or {}).get(kind, _KNOWN[kind].budget)
            if probability <= 0 or budget <= 0:
                continue
            self._draws[kind] = entropy.fork(f"fault/{kind}")
            self._left[kind] = budget
            self._probability[kind] = min(probability, 1.0)
            self._gap[kind] = self._next_gap(kind)

    def _next_gap(self, kind: str) -> int:
        """How many questions to answer with no before the next strike: one draw a strike, not one a question."""
        probability = self._probability[kind]
        if probability >= 1:
            return 0
        return int(math.log(1.0 - self._draws[kind].random()) / math.log(1.0 - probability))

    def strike(self, kind: str, where: str) -> Strike | None:
        """See `Faults.strike`."""
        if self.exempt or exempt.get():
            return None
        key = kind, where
        self.asked[key] = self.asked.get(key, 0) + 1
        left = self._left.get(kind, 0)
        if not left or self._places.get(kind, where) != where:
            return None
        number = self._number(kind, where)
        gap = self._gap[kind]
        if gap > 0:
            self._gap[kind] = gap - 1
            return None
        self._left[kind] = left - 1
        self._gap[kind] = self._next_gap(kind)
        return self._hit(Strike(kind, where, number, self._draws[kind].random(), _KNOWN[kind].bound_s))


class ListedFaults(_Counting):
    """Exactly the faults of a list, where the run comes past their places again: for replaying and shrinking."""

    def __init__(self, strikes: Collection[Strike], on_strike: Callable[[Strike], None] | None = None) -> None:
        super().__init__(on_strike)
        self._listed = {strike.key: strike for strike in strikes}
        self._kinds = {strike.kind for strike in strikes}

    def strike(self, kind: str, where: str) -> Strike | None:
        """See `Faults.strike`."""
        if kind not in self._kinds or self.exempt or exempt.get():
            return None
        found = self._listed.get((kind, where, self._number(kind, where)))
        return None if found is None else self._hit(found)


def parse_faults(text: str) -> frozenset[str]:
    """Kinds of faults from `all`, `none`, or names and areas (`actor_crash,disk`), each with `-` to leave it out.

    Raises:
        ValueError: an unknown name; the message lists what there is.
    """
    chosen: set[str] = set()
    words = [word.strip() for word in text.split(",") if word.strip()]
    if words and words[0].startswith("-"):
        chosen.update(_KNOWN)
    for word in words:
        name = word.removeprefix("-")
        kinds = {fault.name for fault in _KNOWN.values() if name in {"all", fault.name, fault.area}}
        if not kinds and name != "none":
            areas = sorted({fault.area for fault in _KNOWN.values()})
            message = f"unknown fault {name!r}; there are: all, none, {', '.join(areas)}, {', '.join(_KNOWN)}"
            raise ValueError(message)
        if word.startswith("-"):
            chosen -= kinds
        else:
            chosen |= kinds
    return frozenset(chosen)
