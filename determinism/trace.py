"""What happened in a simulated run, in order: a chain of hashes always, the events themselves when asked for.

Two runs are the same run when their hashes are equal. Source: ours (architecture, section 4, level 3).
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Trace", "TraceEvent", "fingerprints", "first_difference"]

#: Events a kept log holds; later ones still count in the hash.
LOG_COUNT = 200_000
#: Events of which a record keeps fingerprints.
FINGERPRINT_COUNT = 50_000
_SHOWN_BYTES = 1024
_OPERATIONS = frozenset({"issue", "call", "sent"})


@dataclass(frozen=True, slots=True)
class TraceEvent:
    """One event.

    Attributes:
        number: from 0.
        at_ns: virtual time since the beginning, nanoseconds.
        actor: who.
        what: step, issue, answer, sent, message, event, exit, fault, choice, ...
        about: whom or what it is about.
        data: the first bytes of what was involved.
        check: a checksum of all of them.
    """

    number: int
    at_ns: int
    actor: str
    what: str
    about: str
    data: bytes
    check: int = 0

    def line(self) -> str:
        """For people: number, seconds, who, what."""
        return f"{self.number:>6}  {self.at_ns / 1e9:>12.6f}  {self.actor:<32}  {self.what:<8}  {self.about}"


def fingerprint(event: TraceEvent) -> int:
    """16 bits of an event: two lives are compared by a short row of these."""
    text = f"{event.at_ns}\x1f{event.actor}\x1f{event.what}\x1f{event.about}\x1f{event.check}"
    return zlib.crc32(text.encode("utf-8", "surrogateescape")) & 0xFFFF


def fingerprints(log: Sequence[TraceEvent]) -> bytes:
    """Two bytes for each event, of the first `FINGERPRINT_COUNT`."""
    return b"".join(fingerprint(event).to_bytes(2, "big") for event in log[:FINGERPRINT_COUNT])


def first_difference(recorded: bytes, log: Sequence[TraceEvent]) -> int | None:
    """Position of the first event that is another one than in `recorded` (see `fingerprints`), or is only in one.

    Returns:
        None where all that was recorded is the same, and either nothing more happened or no more was kept.
    """
    count = len(recorded) // 2
    for at in range(min(count, len(log))):
        if fingerprint(log[at]) != int.from_bytes(recorded[2 * at : 2 * at + 2], "big"):
            return at
    if len(log) == count or (len(log) > count and count == FINGERPRINT_COUNT):
        return None
    return min(count, len(log))


class Trace:
    """A running hash over events, and optionally their log.

    Args:
        keep: keep the events (up to `LOG_COUNT`).
    """

    def __init__(self, *, keep: bool = False) -> None:
        self.count = 0
        self.log: list[TraceEvent] = []
        #: The distinct (entry, operation) pairs met.
        self.pairs: set[tuple[str, str]] = set()
        self._keep = keep
        self._hash = hashlib.blake2b(digest_size=16)
        self._pending: list[bytes] = []

    def record(self, at_ns: int, actor: str, what: str, about: str, data: bytes) -> None:
        """Add an event."""
        pending = self._pending
        pending.append(f"{at_ns}\x1f{actor}\x1f{what}\x1f{about}\x1f{len(data)}\x1f".encode("utf-8", "surrogateescape"))
        if data:
            pending.append(data)
        if len(pending) > 256:
            self._settle()
        if self._keep and self.count < LOG_COUNT:
            self.log.append(TraceEvent(self.count, at_ns, actor, what, about, data[:_SHOWN_BYTES], zlib.crc32(data)))
        self.count += 1
        if what in _OPERATIONS:
            self.pairs.add((actor.partition("|")[0], about.partition(" ")[0]))

    def _settle(self) -> None:
        self._hash.update(b"".join(self._pending))
        self._pending.clear()

    def hexdigest(self) -> str:
        """The hash of all events so far."""
        self._settle()
        return self._hash.hexdigest()
