"""What the model knows of one actor: its mailbox, its events, and what it is about to do.

A second description of docs/guides/actors.md and process-endings.md, made to be read, not to be fast. It shares no code
with the runtime.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

__all__ = ["ActorState", "Event", "Mail", "Wait", "WrongError"]

#: A message that comes while a select gives up its places in other queues is not counted (one for each case).
SLACK_COUNT = 4


class WrongError(Exception):
    """What an actor saw is not what the guides say."""

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(f"{rule}: {message}")
        self.rule = rule


@attrs.frozen(slots=True)
class Mail:
    """A message that a mailbox took. `loose`: when it was taken is not known exactly, for its sender had to wait."""

    id: str
    topic: str
    sender: str
    loose: bool = False


@attrs.frozen(slots=True)
class Event:
    """EXIT, LINK_DOWN or CANCEL, and what is told with it."""

    kind: str
    source: str
    about: str


@attrs.define(slots=True)
class Wait:
    """A select that was begun: its cases in order, what was ready then, and what came first since."""

    vias: Sequence[str]
    ms: int
    began_ns: int
    ready: str = ""
    first: str = ""
    first_ns: int = 0


@attrs.define(slots=True, eq=False)
class ActorState:
    """One process."""

    pid: str
    limit: int
    begun: bool = False
    trap: bool = False
    forked: bool = False
    generation: int = 0
    #: How it ended: `value ...` or `error kind message`; empty while it lives.
    left: str = ""
    #: The step at which a link's failure ended it; -1 where none did.
    doomed_at: int = -1
    #: What it said that it would end with.
    last_words: str = ""
    listened: set[str] = attrs.field(factory=set)
    queues: dict[str, list[Mail]] = attrs.field(factory=dict)
    pending: list[Mail] = attrs.field(factory=list)
    events: list[Event] = attrs.field(factory=list)
    monitors: dict[str, None] = attrs.field(factory=dict)
    links: dict[str, None] = attrs.field(factory=dict)
    asleep: dict[str, tuple[int, int]] = attrs.field(factory=dict)
    wait: Wait | None = None

    @property
    def host(self) -> str:
        """Where it runs."""
        return self.pid.strip("{}").partition("@")[2].partition("|")[0] or self.pid.strip("{}").partition("|")[0]

    @property
    def lives(self) -> bool:
        """Whether it can still take anything."""
        return not self.left and self.doomed_at < 0

    def held(self) -> Iterator[Mail]:
        """All that its mailbox holds."""
        for queue in self.queues.values():
            yield from queue
        yield from self.pending

    # what reaches it ------------------------------------------------------------------------------------------------
    def take(self, mail: Mail, now_ns: int) -> None:
        """Its mailbox took a message: to whoever listens to the topic, else to the inbox, else it waits."""
        if mail.topic in self.listened:
            via = mail.topic
        elif "inbox" in self.listened:
            via = "inbox"
        else:
            via = ""
        (self.queues.setdefault(via, []) if via else self.pending).append(mail)
        count = sum(1 for _ in self.held())
        if count > self.limit + SLACK_COUNT:
            raise WrongError("mailbox bound", f"{self.pid} holds {count} messages, its bound is {self.limit}")
        if not mail.loose:
            self._arrived(via, now_ns)

    def tell(self, event: Event, now_ns: int) -> None:
        """An event for it."""
        self.events.append(event)
        self._arrived("events", now_ns)

    def _arrived(self, via: str, now_ns: int) -> None:
        wait = self.wait
        if wait is not None and not wait.ready and not wait.first and via in wait.vias:
            wait.first, wait.first_ns = via, now_ns

    def listen(self, via: str) -> None:
        """A listener, or the inbox, is there from now on: what waited for it comes first."""
        self.listened.add(via)
        mine = [mail for mail in self.pending if via in {"inbox", mail.topic}]
        self.pending = [mail for mail in self.pending if mail not in mine]
        self.queues.setdefault(via, []).extend(mine)

    def upgrade(self) -> None:
        """New code: all that the old one did not receive waits again."""
        self.pending = list(self.held())
        self.queues.clear()
        self.listened.clear()
        self.asleep.clear()
        self.wait = None
        self.generation += 1

    # what it does -----------------------------------------------------------------------------------------------------
    def begin_wait(self, ms: int, vias: Sequence[str], now_ns: int) -> None:
        """It begins a select."""
        self.wait = Wait(vias, ms, now_ns)
        for via in vias:
            if self.events if via == "events" else self.queues.get(via):
                self.wait.ready = via
                return

    def end_wait(self, chosen: str, now_ns: int, *, certain: bool) -> None:
        """It went on with `chosen`: a channel, `timer` or `default`."""
        wait, self.wait = self.wait, None
        if wait is None:
            raise WrongError("select", f"{self.pid} went on with {chosen} without having waited")
        if chosen == "timer" and now_ns - wait.began_ns < wait.ms * 1_000_000:
            raise WrongError("timers", f"{self.pid}: {wait.ms} ms were over after {now_ns - wait.began_ns} ns")
        if not certain:
            return
        if wait.ready and chosen != wait.ready:
            raise WrongError("select order", f"{self.pid} took {chosen} though {wait.ready} of {wait.vias} was ready")
        if wait.ready or chosen == "default":
            return
        in_time = wait.first_ns - wait.began_ns < wait.ms * 1_000_000 or wait.ms < 0
        if (chosen == "timer" and wait.first and in_time) or chosen not in {"timer", wait.first}:
            raise WrongError("select order", f"{self.pid} took {chosen} though {wait.first or 'nothing'} came first")

    def receive(self, via: str, id: str) -> Mail | None:
        """It received a message; None where its mailbox holds none such."""
        queue = self.queues.get(via, [])
        at = next((at for at, one in enumerate(queue) if one.id == id), -1)
        if at < 0:
            return None
        mail = queue[at]
        for earlier in queue[:at]:
            if self.generation and earlier.topic != mail.topic:
                continue
            loose = earlier.loose or mail.loose
            if not loose or (earlier.sender == mail.sender and mail.sender and not self.forked):
                raise WrongError("order", f"{self.pid} received {id} before {earlier.id}")
        del queue[at]
        return mail

    def see(self, event: Event) -> None:
        """It received an event."""
        if event not in self.events:
            raise WrongError("events", f"{self.pid} was told {_shown(event)}, which nothing gave cause to (or twice)")
        if self.events[0] != event:
            raise WrongError("events order", f"{self.pid} was told {_shown(event)} before {_shown(self.events[0])}")
        del self.events[0]

    def finish(self) -> None:
        """It says that it has received everything."""
        lost: list[Any] = [mail.id for mail in self.held() if not mail.loose] or [_shown(one) for one in self.events]
        if lost:
            raise WrongError("lost", f"{self.pid} never received {', '.join(lost)}")


def _shown(event: Event) -> str:
    return f"{event.kind} from {event.source} ({event.about})"
