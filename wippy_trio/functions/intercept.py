"""Interceptors of function calls. Source: docs concepts/functions (retry)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import trio

from sandbox.errors import KINDS
from sandbox.values import Packed
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.core.frame import Frame
from wippy_trio.core.units import parse_duration_s

if TYPE_CHECKING:
    from determinism.seams import Environment

__all__ = ["Interceptor", "Next", "RetryPolicy", "option_s", "retry"]

Next = Callable[[Frame], Awaitable[Packed]]
Interceptor = Callable[[Next, Frame], Awaitable[Packed]]
_NOT_RETRIED = frozenset({KINDS["INVALID"], KINDS["PERMISSION_DENIED"], KINDS["INTERNAL"], KINDS["CANCELED"]})
_MAX_ATTEMPTS = 1000


@attrs.frozen(slots=True)
class RetryPolicy:
    """How often and how slowly a failed call is tried again."""

    max_attempts: int
    initial_delay_s: float = 0.1
    max_delay_s: float = 10.0
    backoff_factor: float = 2.0
    jitter: float = 0.1
    retry_kinds: frozenset[str] = frozenset()
    skip_kinds: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, options: Mapping[str, Any]) -> RetryPolicy | None:
        """Read call options: nested `retry: {max_attempts: ...}` or flat `retry.max_attempts`; None when off."""
        nested = options.get("retry")
        fields = dict(nested) if isinstance(nested, Mapping) else {}
        fields |= {key[6:]: value for key, value in options.items() if key.startswith("retry.")}
        attempts = fields.get("max_attempts", 0)
        if not isinstance(attempts, (int, float)) or attempts <= 1:
            return None
        return cls(
            min(int(attempts), _MAX_ATTEMPTS),
            _delay_s(fields, "initial_delay", 0.1),
            _delay_s(fields, "max_delay", 10.0),
            _number(fields, "backoff_factor") or 2.0,
            _number(fields, "jitter", 0.1),
            _kinds(fields, "retry_kinds"),
            _kinds(fields, "skip_kinds"),
        )

    def applies(self, error: LuaError) -> bool:
        """Whether such an error is worth another try."""
        if error.retryable is False or error.kind in self.skip_kinds:
            return False
        if self.retry_kinds:
            return error.kind in self.retry_kinds
        return error.kind not in _NOT_RETRIED

    def delay_s(self, attempt: int, draw: float) -> float:
        """Wait before attempt number `attempt` + 1; `draw` in [0, 1) gives the jitter."""
        delay = min(self.initial_delay_s * self.backoff_factor ** min(attempt, 64), self.max_delay_s)
        return max(delay * (1 + self.jitter * (2 * draw - 1)), 0.0)


def option_s(value: object, name: str) -> float:
    """A duration among call options, in seconds: a number means milliseconds, a text like `10s` says its unit.

    Raises:
        InvalidError: it is neither.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value / 1000
    try:
        return parse_duration_s(value if isinstance(value, str) else "")
    except (LuaError, ValueError) as problem:
        message = f"invalid call option {name}: {problem}"
        raise InvalidError(message, retryable=False) from problem


def _delay_s(fields: Mapping[str, Any], key: str, default: float) -> float:
    value = fields.get(key)
    return (default if value is None else option_s(value, f"retry.{key}")) or default


def _number(fields: Mapping[str, Any], key: str, default: float = 0.0) -> float:
    value = fields.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        message = f"invalid call option retry.{key}: not a number of at least 0"
        raise InvalidError(message, retryable=False)
    return float(value)


def _kinds(fields: Mapping[str, Any], key: str) -> frozenset[str]:
    value = fields.get(key) or ()
    if not isinstance(value, (list, tuple)):
        message = f"invalid call option retry.{key}: not a list of error kinds"
        raise InvalidError(message, retryable=False)
    return frozenset(str(item) for item in value)


def retry(environment: Environment) -> Interceptor:
    """The retry interceptor; its jitter is drawn from the environment."""
    entropy = environment.entropy.fork("functions/retry")

    async def intercept(step: Next, frame: Frame) -> Packed:
        policy = RetryPolicy.parse(frame.options)
        if policy is None:
            return await step(frame)
        attempt = 1
        while True:
            try:
                return await step(frame)
            except LuaError as error:
                if attempt >= policy.max_attempts or not policy.applies(error):
                    raise
            await trio.sleep(policy.delay_s(attempt, entropy.random()))
            attempt += 1

    return intercept
