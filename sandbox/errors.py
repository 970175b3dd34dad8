"""The error as Lua sees it. Every error a Lua program can catch derives from `LuaError`."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["KINDS", "ArgumentError", "LuaError", "Raised"]

#: Kind strings of the reference (docs page lua/core/errors); UNKNOWN is the empty string there.
KINDS: Mapping[str, str] = {
    "UNKNOWN": "",
    "NOT_FOUND": "NotFound",
    "ALREADY_EXISTS": "AlreadyExists",
    "INVALID": "Invalid",
    "PERMISSION_DENIED": "PermissionDenied",
    "UNAVAILABLE": "Unavailable",
    "INTERNAL": "Internal",
    "CANCELED": "Canceled",
    "CONFLICT": "Conflict",
    "TIMEOUT": "Timeout",
    "RATE_LIMITED": "RateLimited",
}


class LuaError(Exception):
    """A failure that reaches Lua as `nil, err`.

    Args:
        message: what went wrong, for a person.
        kind: one of `KINDS` values.
        retryable: whether trying again may help; None where unknown.
        details: further facts, JSON-like.
        stack: Lua traceback, where the error began in Lua.
        context: texts added by `errors.wrap`, outermost first.
    """

    kind: str = ""
    retryable: bool | None = None

    def __init__(
        self,
        message: str,
        *,
        kind: str | None = None,
        retryable: bool | None = None,
        details: Mapping[str, object] | None = None,
        stack: str = "",
        context: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        if kind is not None:
            self.kind = kind
        if retryable is not None:
            self.retryable = retryable
        self.details = details
        self.stack = stack
        self.context = context

    def __str__(self) -> str:
        return ": ".join((*self.context, self.message))


class Raised(LuaError):
    """Like `LuaError`, but raised inside Lua (`error(...)`) instead of returned as `nil, err`."""


class ArgumentError(Raised):
    """A wrong argument: raised in Lua as `bad argument #n to 'name' (...)`. The reference raises these too."""

    kind = KINDS["INVALID"]

    def __init__(self, index: int, problem: str, function: str = "?") -> None:
        super().__init__(f"bad argument #{index} to {function} ({problem})")
        self.index = index
        self.problem = problem
