"""The part of the model about who watches whom, who is called what, and what stores hold."""

from __future__ import annotations

from fuzz.actors.mail import ActorState, WrongError

__all__ = ["SMALL_COUNT", "Relations"]

#: Below this a mailbox can be full, and senders wait.
SMALL_COUNT = 1_000


class Relations:
    """Processes, names and keys, and what is noted of them.

    Args:
        limit: messages that a mailbox holds.
    """

    def __init__(self, limit: int) -> None:
        self.actors: dict[str, ActorState] = {}
        self.names: dict[str, str] = {}
        #: What was met: operations with their outcomes, and pairs of operations on one thing by two actors.
        self.features: set[tuple[str, ...]] = set()
        self._limit = limit
        self._terminating = 0
        self._last: dict[str, tuple[str, str]] = {}
        self._confirmed: dict[str, int] = {}
        self._written: set[tuple[str, int]] = set()
        self._floors: dict[tuple[str, str], int] = {}
        self._locks: dict[str, str] = {}

    def _met(self, actor: ActorState, op: str, outcome: str, thing: str = "") -> None:
        after = "upgraded" if actor.generation else ""
        size = "small" if self._limit < SMALL_COUNT else ""
        self.features.add((op, outcome, after, size))
        if thing:
            what = f"{op} {outcome}"
            before = self._last.get(thing)
            if before is not None and before[0] != actor.pid:
                place = "here" if self.actors[before[0]].host == actor.host else "elsewhere"
                self.features.add((before[1], what, place, size))
            self._last[thing] = actor.pid, what

    # relations ------------------------------------------------------------------------------------------------------
    def _target(self, words: list[str]) -> ActorState | None:
        pid = words[1] if words[1].startswith("{") else self.names.get(words[1], "")
        return self.actors.get(pid)

    def _relation(self, actor: ActorState, verb: str, words: list[str], expected: str) -> bool:
        """Whether it worked; raises unless that is what was expected."""
        target = self._target(words)
        self._met(actor, verb, words[2], target.pid if target else words[1])
        if words[2] != expected:
            raise WrongError(verb, f"{actor.pid}: {verb} {words[1]} gave {' '.join(words[2:])} instead of {expected}")
        return expected == "ok"

    def _on_monitor(self, actor: ActorState, words: list[str]) -> None:
        target = self._target(words)
        if target is None or target.left:
            self._relation(actor, "monitor", words, "NotFound")
        elif self._relation(actor, "monitor", words, "AlreadyExists" if actor.pid in target.monitors else "ok"):
            target.monitors[actor.pid] = None

    def _on_unmonitor(self, actor: ActorState, words: list[str]) -> None:
        target = self._target(words)
        known = words[1].startswith("{") or target is not None
        if self._relation(actor, "unmonitor", words, "ok" if known else "NotFound") and target is not None:
            target.monitors.pop(actor.pid, None)

    def _on_link(self, actor: ActorState, words: list[str]) -> None:
        target = self._target(words)
        if self._relation(actor, "link", words, "NotFound" if target is None or target.left else "ok"):
            assert target is not None
            target.links[actor.pid] = None
            actor.links[target.pid] = None

    def _on_unlink(self, actor: ActorState, words: list[str]) -> None:
        target = self._target(words)
        known = words[1].startswith("{") or target is not None
        if self._relation(actor, "unlink", words, "ok" if known else "NotFound") and target is not None:
            target.links.pop(actor.pid, None)
            actor.links.pop(target.pid, None)

    def _on_cancel(self, actor: ActorState, words: list[str]) -> None:
        target = self._target(words)
        self._relation(actor, "cancel", words, "NotFound" if target is None or target.left else "ok")

    def _on_terminate_begun(self, _actor: ActorState, _words: list[str]) -> None:
        self._terminating += 1  # whoever is terminated while it terminates never comes to the other note

    def _on_terminate(self, actor: ActorState, words: list[str]) -> None:
        target = self._target(words)
        self._met(actor, "terminate", words[2], words[1])
        if (target is not None and not target.left) or words[2] not in {"ok", "NotFound"}:
            raise WrongError("terminate", f"{actor.pid}: {' '.join(words)}, and it still lives")

    def _no_check(self, _actor: ActorState, _words: list[str]) -> None:
        """The other note says more."""

    _on_monitor_begun = _on_unmonitor_begun = _on_link_begun = _on_unlink_begun = _on_cancel_begun = _no_check
    _on_lock_begun = _no_check

    # names ------------------------------------------------------------------------------------------------------------
    def _on_register(self, actor: ActorState, words: list[str]) -> None:
        name, pid, outcome = words[:3]
        holder, target = self.names.get(name), self.actors.get(pid)
        wanted = "AlreadyExists" if holder not in {None, pid} else "ok"
        if target is None or target.left:
            wanted = "NotFound"
        self._met(actor, "register", outcome, name)
        if outcome != wanted:
            raise WrongError("names", f"register {name} for {pid} gave {' '.join(words[2:])} (held by {holder})")
        if outcome == "ok":
            self.names[name] = pid

    def _on_lookup(self, actor: ActorState, words: list[str]) -> None:
        name, outcome = words[:2]
        holder = self.names.get(name)
        self._met(actor, "lookup", outcome, name)
        if outcome != ("ok" if holder else "NotFound") or (holder and words[2] != holder):
            raise WrongError("names", f"lookup {name} gave {words[1:]}, it is held by {holder}")

    def _on_unregister(self, actor: ActorState, words: list[str]) -> None:
        self._met(actor, "unregister", words[1], words[0])
        if (self.names.pop(words[0], None) is not None) != (words[1] == "1"):
            raise WrongError("names", f"unregister {words}")

    # stores -----------------------------------------------------------------------------------------------------------
    def _on_bump_begun(self, actor: ActorState, words: list[str]) -> None:
        self._floors[actor.pid, words[0]] = self._confirmed.get(words[1], 0)

    def _on_read(self, actor: ActorState, words: list[str]) -> None:
        number, key, value, outcome = words[:4]
        self._met(actor, "read", outcome, key)
        if int(value) < self._floors[actor.pid, number] or outcome not in {"ok", "NotFound"}:
            raise WrongError("stores", f"{actor.pid} read {value} of {key}, after more was written: {words}")

    def _on_bump(self, actor: ActorState, words: list[str]) -> None:
        _, key, value, outcome = words[:4]
        self._met(actor, "put", outcome, key)
        if outcome == "ok":
            if (key, int(value)) in self._written:
                raise WrongError("stores", f"{key} was written as {value} by two of whom each knew what it replaces")
            self._written.add((key, int(value)))
            self._confirmed[key] = max(self._confirmed.get(key, 0), int(value))

    def _on_lock(self, actor: ActorState, words: list[str]) -> None:
        _, name, outcome = words[:3]
        self._met(actor, "lock", outcome, name)
        if outcome == "ok":
            if name in self._locks:
                raise WrongError("stores", f"{actor.pid} made the key {name}, which {self._locks[name]} has made")
            self._locks[name] = actor.pid

    def _on_unlock_begun(self, actor: ActorState, words: list[str]) -> None:
        if self._locks.pop(words[0], "") != actor.pid:
            raise WrongError("stores", f"{actor.pid} removes the key {words[0]}, which another has made")
