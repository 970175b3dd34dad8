"""The runtime's errors: one tree below `sandbox.errors.LuaError`, split by whose fault it is.

The caller's and the world's faults reach Lua as `nil, err` with kind and retryable flag. `InternalError` is our own
bug: it is logged whole and crashes the actor, and is never handed to Lua as a value.
"""

from __future__ import annotations

from sandbox.errors import KINDS, ArgumentError, LuaError, Raised

__all__ = [
    "AlreadyExistsError",
    "ArgumentError",
    "CanceledError",
    "ConfigError",
    "ConflictError",
    "InternalError",
    "InvalidError",
    "LuaError",
    "NotFoundError",
    "PermissionDeniedError",
    "Raised",
    "RateLimitedError",
    "SourcePosition",
    "TimeoutExpiredError",
    "UnavailableError",
    "UnsupportedError",
]


class NotFoundError(LuaError):
    """What was named does not exist."""

    kind = KINDS["NOT_FOUND"]
    retryable = False


class AlreadyExistsError(LuaError):
    """What was to be created exists already."""

    kind = KINDS["ALREADY_EXISTS"]
    retryable = False


class InvalidError(LuaError):
    """The request itself is wrong."""

    kind = KINDS["INVALID"]
    retryable = False


class PermissionDeniedError(LuaError):
    """A policy, or the lack of one, forbids it."""

    kind = KINDS["PERMISSION_DENIED"]
    retryable = False


class UnavailableError(LuaError):
    """The world cannot serve it now."""

    kind = KINDS["UNAVAILABLE"]
    retryable = True


class InternalError(LuaError):
    """Something failed that should not have."""

    kind = KINDS["INTERNAL"]


class CanceledError(LuaError):
    """The work was cancelled."""

    kind = KINDS["CANCELED"]
    retryable = False


class ConflictError(LuaError):
    """Another change came first."""

    kind = KINDS["CONFLICT"]


class TimeoutExpiredError(LuaError):
    """It took longer than allowed."""

    kind = KINDS["TIMEOUT"]
    retryable = True


class RateLimitedError(LuaError):
    """Too many requests."""

    kind = KINDS["RATE_LIMITED"]
    retryable = True


class UnsupportedError(UnavailableError):
    """Not built in this runtime yet; the message names what is missing and docs/reference/status.md."""

    retryable = False


class SourcePosition:
    """A place in a file, 1-based, with the text of its line for the caret."""

    __slots__ = ("column", "file", "line", "text")

    def __init__(self, file: str, line: int, column: int, text: str = "") -> None:
        self.file = file
        self.line = line
        self.column = column
        self.text = text

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class ConfigError(InvalidError):
    """Bad input from a file or the command line: where, the line with a caret, and what to do.

    `render()` gives the text the CLI prints.
    """

    def __init__(self, message: str, position: SourcePosition | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.position = position
        self.hint = hint

    def render(self) -> str:
        lines = [f"error: {self.message}" if self.position is None else f"{self.position}: error: {self.message}"]
        if self.position is not None and self.position.text:
            lines += [f"  {self.position.text}", f"  {' ' * (self.position.column - 1)}^"]
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)
