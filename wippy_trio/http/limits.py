"""What one peer may cost a server: deadlines, sizes and counts. Source: http/server (timeouts); the rest is ours."""

from __future__ import annotations

import attrs

__all__ = ["ServerLimits"]


@attrs.frozen(slots=True)
class ServerLimits:
    """Bounds of a listener.

    The reference has no deadline where `timeouts` names none; a listener without any can be starved by clients that
    send one byte a minute, so ours always has them, wide enough not to be noticed.

    Attributes:
        header_s: from a request's first byte to the end of its head.
        read_s: from a request's first byte to the end of its body (`timeouts.read`), None for no such limit.
        body_stall_s: longest silence inside a body.
        write_s: from the end of the head to the end of the response (`timeouts.write`), None for no such limit.
        write_stall_s: longest time one piece (64 kB) of a response may take to leave.
        idle_s: silence between requests of a kept connection (`timeouts.idle`).
        header_bytes: size of a head. header_count: fields in it.
        body_bytes: size of a body.
        connection_count: open connections; further ones wait in the kernel's backlog.
    """

    header_s: float = 30.0
    read_s: float | None = None
    body_stall_s: float = 60.0
    write_s: float | None = None
    write_stall_s: float = 60.0
    idle_s: float = 120.0
    header_bytes: int = 64 * 1024
    header_count: int = 256
    body_bytes: int = 8 * 1024**3
    connection_count: int = 4096
