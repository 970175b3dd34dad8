"""The model: what must be true of processes, as docs/guides/actors.md and process-endings.md tell it.

It is told each birth and end of a process, each request to cancel, and each note of an actor (actor.lua), at the step
where it happens. The first thing that cannot be is raised as `WrongError`. It shares no code with the runtime.
"""

from __future__ import annotations

import attrs

from fuzz.actors.mail import ActorState, Event, Mail, WrongError
from fuzz.actors.relations import SMALL_COUNT, Relations

__all__ = ["Model"]

EXIT, LINK_DOWN = "pid.exit", "pid.link.down"
_SHUTDOWN = "scheduler shutdown"
_LINK_FAILED, _TERMINATED = "linked process failed", "process terminated"
#: What a host says that is about to close, or has closed.
_CLOSING = ("is shutting down", "is not running", "host not found")
#: What may end a process at any time, beside what the program does.
_OUTSIDE = ("host stopped", "process canceled")


@attrs.define(slots=True)
class _Intent:
    """A message that somebody is about to send."""

    sender: str
    to: str
    topic: str
    received_by: str = ""


class Model(Relations):
    """The state of all processes of a life.

    Args:
        limit: messages that a mailbox holds.
        faults: whether faults are injected, which may end processes.
    """

    def __init__(self, limit: int, *, faults: bool) -> None:
        super().__init__(limit)
        self.now_ns = self.step = 0
        self._faults = faults
        self._intents: dict[str, _Intent] = {}
        self._received: set[str] = set()
        self._executing = 0
        self._closing = False
        self._newest = ""

    # what the world tells -------------------------------------------------------------------------------------------
    def born(self, pid: str) -> None:
        """A process is there."""
        if pid in self.actors:
            raise WrongError("PIDs", f"{pid} was given out twice")
        self.actors[pid] = ActorState(pid, self._limit)
        self._newest = pid

    def canceled(self, target: str, source: str, reason: str) -> None:
        """Somebody asked a process to stop."""
        actor = self.actors.get(target)
        if reason == _SHUTDOWN and not self._faults and not self._closing:
            self._closing = True  # what the first request sets going is on its way at the next
            self._check_room()
        if actor is not None and not actor.left:
            actor.tell(Event("CANCEL", source, reason), self.now_ns)

    def _check_room(self) -> None:
        """Nothing happens any more: who still waits for room must have good cause."""
        for id, intent in self._intents.items():
            target = self.actors.get(intent.to)
            if not intent.sender or not self.actors[intent.sender].lives or target is None or not target.lives:
                continue
            if sum(1 for _ in target.held()) < self._limit and not any(mail.loose for mail in target.held()):
                raise WrongError("room", f"{id} waits for room in the mailbox of {intent.to}, which has room")

    def left(self, pid: str, outcome: str) -> None:
        """A process ended with `value ...` or `error kind message`."""
        actor = self.actors.get(pid)
        if actor is None or actor.left:
            raise WrongError("endings", f"{pid} ended twice, or never lived")
        actor.left = outcome
        self._check_reason(actor)
        self.names = {name: holder for name, holder in self.names.items() if holder != pid}
        failed = outcome.startswith("error")
        for other in self.actors.values():
            other.monitors.pop(pid, None)
            if failed and pid in other.links and not other.left and not other.trap and other.doomed_at < 0:
                other.doomed_at = self.step
        for watcher in actor.monitors:
            self.actors[watcher].tell(Event(EXIT, pid, outcome), self.now_ns)
        for linked in list(actor.links):
            other = self.actors[linked]
            other.links.pop(pid, None)
            if failed and not other.left and other.trap:
                other.tell(Event(LINK_DOWN, pid, outcome), self.now_ns)

    def _check_reason(self, actor: ActorState) -> None:
        said, got = actor.last_words, actor.left
        if not actor.begun and got.startswith("value"):
            return  # a function
        if said and (said in got if said != "value" else got == f"value {actor.pid}"):
            return
        if said and actor.doomed_at < 0:
            raise WrongError("endings", f"{actor.pid} was about to end with {said}, and ended with {got}")
        allowed = any(text in got for text in _OUTSIDE)
        allowed = allowed or (_LINK_FAILED in got and actor.doomed_at >= 0)
        allowed = allowed or (_TERMINATED in got and self._terminating > 0)
        allowed = allowed or ("canceled with its caller" in got and self._executing > 0)
        allowed = allowed or (self._faults and "injected fault" in got)
        if not allowed:
            raise WrongError("endings", f"{actor.pid} ended with {got}, for no reason")

    def over(self) -> None:
        """The life is over."""
        for actor in self.actors.values():
            if not actor.left:
                raise WrongError("endings", f"{actor.pid} never ended")

    # what actors note -----------------------------------------------------------------------------------------------
    def note(self, pid: str, text: str) -> None:
        """An actor notes what it does or sees."""
        actor = self.actors.get(pid)
        if actor is None:
            raise WrongError("endings", f"{pid} acts, but never began")
        if actor.left or (actor.doomed_at >= 0 and actor.doomed_at != self.step):
            raise WrongError("endings", f"{pid} acts ({text}) after it ended: {actor.left or 'a link failed'}")
        name, _, rest = text.partition(" ")
        base = name.rstrip("<>!")
        words = rest.split(" ")
        mark = name[len(base) :]
        method = getattr(self, f"_on_{base}{'_begun' if mark == '>' else '_failed' if mark == '!' else ''}")
        method(actor, words)

    def _on_begin(self, actor: ActorState, words: list[str]) -> None:
        actor.begun = True
        if int(words[1]) != actor.generation or (words[2] == "1") != actor.trap:
            raise WrongError("upgrade", f"{actor.pid} begins as {words}, after {actor.generation} upgrades")

    def _on_upgrade(self, actor: ActorState, _words: list[str]) -> None:
        actor.upgrade()
        self._met(actor, "upgrade", "ok", actor.pid)

    def _on_upgrade_failed(self, actor: ActorState, words: list[str]) -> None:
        raise WrongError("upgrade", f"{actor.pid}: {' '.join(words)}")

    def _on_inbox(self, actor: ActorState, _words: list[str]) -> None:
        actor.listen("inbox")

    def _on_listen(self, actor: ActorState, words: list[str]) -> None:
        actor.listen(words[0])
        self._met(actor, "listen", "ok", actor.pid)

    def _on_unlisten(self, actor: ActorState, words: list[str]) -> None:
        actor.listened.discard(words[0])

    def _on_unlistened(self, actor: ActorState, words: list[str]) -> None:
        left = [mail.id for mail in actor.queues.pop(words[0], []) if not mail.loose]
        if left:
            raise WrongError("lost", f"{actor.pid} stopped to listen to {words[0]} and lost {', '.join(left)}")

    def _on_left(self, actor: ActorState, words: list[str]) -> None:
        self._take_out(actor, words[0], words[1])

    def _on_trap(self, actor: ActorState, words: list[str]) -> None:
        actor.trap = words[0] == "1"

    def _on_fails(self, actor: ActorState, words: list[str]) -> None:
        actor.last_words = " ".join(words)

    def _on_returns(self, actor: ActorState, _words: list[str]) -> None:
        actor.finish()
        actor.last_words = "value"

    def _on_sleep_begun(self, actor: ActorState, words: list[str]) -> None:
        actor.asleep[words[0]] = self.now_ns, int(words[1])

    def _on_sleep(self, actor: ActorState, words: list[str]) -> None:
        began_ns, ms = actor.asleep.pop(words[0])
        if self.now_ns - began_ns < ms * 1_000_000:
            raise WrongError("timers", f"{actor.pid} slept {self.now_ns - began_ns} ns instead of {ms} ms")

    # messages -------------------------------------------------------------------------------------------------------
    def _on_send_begun(self, actor: ActorState, words: list[str]) -> None:
        self._intents[f"{actor.pid}#{words[0]}"] = _Intent(actor.pid, words[1], words[2])

    def _on_send(self, actor: ActorState, words: list[str]) -> None:
        id = f"{actor.pid}#{words[0]}"
        intent = self._intents.pop(id)
        named = not intent.to.startswith("{")
        pid = self.names.get(intent.to, "") if named else intent.to
        target = self.actors.get(pid)
        loose = self._limit < SMALL_COUNT and (named or target is None or target.host != actor.host)
        outcome = words[1]
        self._met(actor, "send", f"{outcome} {'name' if named else 'self' if pid == actor.pid else 'pid'}", pid)
        lives = target is not None and target.lives
        if outcome == "ok":
            if intent.received_by:
                return
            if target is None or not lives:
                if not loose:
                    raise WrongError("the dead", f"{actor.pid} sent {id} to {intent.to}, which was not there")
                return
            target.forked = target.forked or actor.forked
            target.take(Mail(id, intent.topic, actor.pid, loose), self.now_ns)
        elif outcome == "NotFound":
            if lives and not loose:
                raise WrongError("send", f"{actor.pid} did not find {intent.to}, which lives")
        elif outcome != "Unavailable" or self._limit >= SMALL_COUNT or not (pid == actor.pid or named):
            raise WrongError("send", f"{actor.pid} to {intent.to}: {' '.join(words[1:])}")

    def _on_wait_begun(self, actor: ActorState, words: list[str]) -> None:
        actor.begin_wait(int(words[0]), [via for via in words[1:] if via], self.now_ns)

    def _on_wait(self, actor: ActorState, words: list[str]) -> None:
        via = words[0]
        self._met(actor, "wait", via, actor.pid)
        # Of messages whose senders may wait for room it is not known when they are taken.
        certain = self._limit >= SMALL_COUNT or not any(self._may_reach(one, actor) for one in self._intents.values())
        certain = certain and not any(mail.loose for mail in actor.held())
        if via in {"timer", "default"}:
            actor.end_wait(via, self.now_ns, certain=certain)
            return
        if via == "events":
            actor.end_wait(via, self.now_ns, certain=certain)
            self._met(actor, "event", " ".join(words[1:4:2]))
            about = " ".join(words[3:])
            actor.see(Event(words[1], words[2], about))
            return
        mail = self._take_out(actor, via, words[1])
        actor.end_wait(via, self.now_ns, certain=certain and not mail.loose)
        if mail.topic != words[2] or (words[3] and words[3] != mail.sender):
            raise WrongError("messages", f"{mail} arrived as {words[1:]}")

    def _may_reach(self, intent: _Intent, actor: ActorState) -> bool:
        if not intent.to.startswith("{"):
            return True
        return intent.to == actor.pid and self.actors[intent.sender].host != actor.host

    def _take_out(self, actor: ActorState, via: str, id: str) -> Mail:
        if id in self._received:
            raise WrongError("once", f"{actor.pid} received {id}, which was received before")
        mail = actor.receive(via, id)
        if mail is None:
            intent = self._intents.get(id)
            if intent is None or (intent.to.startswith("{") and intent.to != actor.pid):
                raise WrongError("messages", f"{actor.pid} received {id} through {via}, which nobody sent there")
            intent.received_by = actor.pid
            mail = Mail(id, intent.topic, intent.sender, loose=True)
        self._received.add(id)
        return mail

    # processes --------------------------------------------------------------------------------------------------------
    def _on_spawn_begun(self, actor: ActorState, words: list[str]) -> None:
        if words[2]:
            self._intents[words[1]] = _Intent("", "", words[2])

    def _on_spawn_failed(self, actor: ActorState, words: list[str]) -> None:
        doomed = any(self.actors[pid].doomed_at >= 0 for pid in self.names.values())
        if words[1] == "NotFound" and "process not found" in " ".join(words) and doomed:
            return  # the name was still that of one whom a link's failure had ended
        if words[1] == "Unavailable" and "mailbox is full" in " ".join(words) and self._limit < SMALL_COUNT:
            return
        if not any(text in " ".join(words) for text in _CLOSING):
            raise WrongError("spawn", f"{actor.pid}: {' '.join(words)}")

    def _on_spawn(self, actor: ActorState, words: list[str]) -> None:
        _, how, pid, name, id, topic = words
        target = self.actors.get(pid)
        is_new = pid == self._newest and target is not None and not target.begun
        self._newest = ""
        self._met(actor, how, f"{'new' if is_new else 'holder'} {'named' if name != '-' else ''}", pid)
        if target is None:
            raise WrongError("spawn", f"{actor.pid} spawned {pid}, which never began")
        if name != "-":
            if self.names.get(name, pid if is_new else "") != pid:
                raise WrongError("names", f"spawned {pid} as {name}, which is held by {self.names.get(name)}")
            self.names[name] = pid
        elif not is_new:
            raise WrongError("spawn", f"{actor.pid} spawned {pid}, which is not new")
        if "monitored" in how:
            target.monitors.setdefault(actor.pid)
        if "linked" in how:
            target.links[actor.pid] = None
            actor.links[pid] = None
        if id != "-":
            del self._intents[id]
            target.take(Mail(id, topic, "", loose=self._limit < SMALL_COUNT), self.now_ns)

    def _on_exec_begun(self, _actor: ActorState, _words: list[str]) -> None:
        self._executing += 1  # whoever is ended while it waits never comes to the other note

    def _on_exec(self, actor: ActorState, words: list[str]) -> None:
        outcome = " ".join(words[1:])
        self._met(actor, "exec", words[1])
        for other in self.actors.values():
            if other.left == outcome and (words[1] == "error" or words[2] == other.pid):
                return
        if not any(text in outcome for text in _CLOSING):
            raise WrongError("exec", f"{actor.pid} was given {outcome}, with which no process ended")
