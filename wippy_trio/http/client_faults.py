"""What befalls an outgoing request in a simulation: an answer that comes late, stalls, or is not the peer's.

Asked once for each exchange (each hop of a redirect), at the place `METHOD host/path`. A scenario's own requests are
exempt (`determinism.network.exempt`). Source: ours (architecture, section 2).
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

import attrs

from determinism.network import exempt
from determinism.seams import Faults, NoFaults
from wippy_trio.http.headers import Headers

__all__ = ["GivenBody", "Trouble", "trouble_of"]

_STATUSES = (500, 502, 503, 504)
#: The peer did its work, and only the answer says that it failed: whoever tries again does it twice.
_AFTER = frozenset({500, 504})


@attrs.frozen(slots=True)
class Trouble:
    """What one exchange is to suffer.

    Attributes:
        status: answered in the place of the peer, 0 for its own answer.
        reaches_peer: whether the peer gets the request all the same.
        late_s: virtual seconds by which the head of the answer comes late.
        stalled_s: virtual seconds for which the connection is half open: the head came, the body does not.
    """

    status: int = 0
    reaches_peer: bool = True
    late_s: float = 0.0
    stalled_s: float = 0.0

    def answer(self) -> tuple[Headers, GivenBody]:
        """Header fields and body of the answer with `status`."""
        text = f"{self.status} {HTTPStatus(self.status).phrase}\n".encode()
        fields = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(text)))]
        return Headers(fields), GivenBody(text)


_NONE = Trouble()


def trouble_of(faults: Faults, method: str, url: str) -> Trouble:
    """Ask what befalls a request."""
    if isinstance(faults, NoFaults) or exempt.get():
        return _NONE
    parts = urlsplit(url)
    where = f"{method} {parts.netloc.rpartition('@')[2]}{parts.path or '/'}"
    late_s = stalled_s = 0.0
    slow = faults.strike("http_slow", where)
    if slow is not None:
        # The lower digits of the draw choose the way, for the upper ones say how long.
        late_s, stalled_s = (slow.lasts_s, 0.0) if int(slow.draw * 1024) % 2 else (0.0, slow.lasts_s)
    wrong = faults.strike("http_5xx", where)
    if wrong is None:
        return _NONE if slow is None else Trouble(late_s=late_s, stalled_s=stalled_s)
    status = _STATUSES[int(wrong.draw * len(_STATUSES))]
    return Trouble(status, status in _AFTER, late_s, stalled_s)


class GivenBody:
    """The body of an answer that came from nobody."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, max_bytes: int) -> bytes:
        """The next bytes, `b""` at the end."""
        data, self._data = self._data[:max_bytes], self._data[max_bytes:]
        return data

    async def aclose(self) -> None:
        """Nothing is held."""
