"""Failures of storage that a Lua program sees with kind `Internal`: the world broke, not this runtime."""

from __future__ import annotations

from sandbox.errors import KINDS
from wippy_trio.core.errors import LuaError

__all__ = ["StorageError"]


class StorageError(LuaError):
    """Reading, writing or a statement failed in the world (disk, database file, broker).

    Kept apart from `InternalError`, which is a bug of ours and crashes the actor: this one reaches Lua as `nil, err`.
    """

    kind = KINDS["INTERNAL"]
    retryable = False
