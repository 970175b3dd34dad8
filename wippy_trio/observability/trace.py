"""Trace contexts as W3C `traceparent` carries them. Source: docs guides/observability, Context Propagation."""

from __future__ import annotations

import re

import attrs

from determinism.seams import Entropy

__all__ = ["TraceContext"]

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


@attrs.frozen(slots=True)
class TraceContext:
    """Where in a distributed trace something happens: 32 and 16 lower-case hexadecimal digits, and if it is kept."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @classmethod
    def start(cls, entropy: Entropy, *, sampled: bool = True) -> TraceContext:
        """The root of a new trace."""
        return cls(entropy.random_bytes(16).hex(), entropy.random_bytes(8).hex(), sampled)

    @classmethod
    def parse(cls, header: str) -> TraceContext | None:
        """Read a `traceparent` header; None for one that is malformed or all zero, as W3C asks."""
        found = _TRACEPARENT.fullmatch(header.strip())
        if found is None:
            return None
        version, trace_id, span_id, flags, rest = found.groups()
        if version == "ff" or (version == "00" and rest) or not int(trace_id, 16) or not int(span_id, 16):
            return None
        return cls(trace_id, span_id, bool(int(flags, 16) & 1))

    def child(self, entropy: Entropy) -> TraceContext:
        """A span of the same trace below this one."""
        return attrs.evolve(self, span_id=entropy.random_bytes(8).hex())

    def header(self) -> str:
        """The `traceparent` text."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"
