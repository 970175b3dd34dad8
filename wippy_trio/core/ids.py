"""Names of things: entry ids `namespace:name` and process ids `{node@host|unique}`."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from wippy_trio.core.errors import InvalidError

__all__ = ["EntryId", "Pid"]


class EntryId(NamedTuple):
    """An entry's id. `str(id)` is `namespace:name`; split at the first colon. Source: spec layout id.format."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}:{self.name}"

    @classmethod
    def parse(cls, text: str, namespace: str = "") -> EntryId:
        """Read `ns:name`, or a bare `name` relative to `namespace`.

        Raises:
            InvalidError: empty text, or an empty name.
        """
        return _parse_entry_id(text, namespace)


@lru_cache(maxsize=65_536)
def _parse_entry_id(text: str, namespace: str) -> EntryId:
    space, colon, name = text.partition(":")
    if not colon:
        space, name = namespace, text
    if not name:
        message = f"invalid entry id {text!r}: expected namespace:name"
        raise InvalidError(message)
    return EntryId(space, name)


class Pid(NamedTuple):
    """A process id. `str(pid)` is `{node@host|unique}`, or `{host|unique}` without a node."""

    node: str
    host: str
    unique: str

    def __str__(self) -> str:
        where = f"{self.node}@{self.host}" if self.node else self.host
        return f"{{{where}|{self.unique}}}"

    @classmethod
    def parse(cls, text: str) -> Pid:
        """Read a PID's text form.

        Raises:
            InvalidError: not of the form `{node@host|unique}`.
        """
        if not (text.startswith("{") and text.endswith("}") and "|" in text):
            message = f"invalid process id {text!r}: expected {{node@host|unique}}"
            raise InvalidError(message)
        where, _, unique = text[1:-1].rpartition("|")
        node, at, host = where.partition("@")
        if not at:
            node, host = "", where
        elif not node:
            message = f"invalid process id {text!r}: empty node before @"
            raise InvalidError(message)
        return cls(node, host, unique)
