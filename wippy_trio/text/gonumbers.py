"""Numbers as the reference writes and keeps them: 64-bit wrapping integers and shortest floats."""

from __future__ import annotations

import math

__all__ = ["decimal_text", "float_text", "wrap_int64"]

_HALF = 1 << 63
_MASK = (1 << 64) - 1


def wrap_int64(number: int) -> int:
    """`number` reduced to a signed 64-bit integer, as an overflow would leave it."""
    if -_HALF <= number < _HALF:
        return number
    return ((number + _HALF) & _MASK) - _HALF


def float_text(number: float) -> str:
    """Shortest text: `3`, `0.1`, `1e+06`, `1e-07`; an exponent below 1e-4 and from 1e6 on. `NaN`, `+Inf`, `-Inf`."""
    if not math.isfinite(number):
        return "NaN" if number != number else "+Inf" if number > 0 else "-Inf"  # noqa: PLR0124
    digits, exponent = _digits(number)
    sign = "-" if math.copysign(1.0, number) < 0 else ""
    if not -4 <= exponent < 6:
        mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    return sign + _plain(digits, exponent)


def decimal_text(number: float) -> str:
    """Shortest text without an exponent, whatever the size: `0.0000001`, `100000000000000000000000`. Finite only."""
    digits, exponent = _digits(number)
    return ("-" if math.copysign(1.0, number) < 0 else "") + _plain(digits, exponent)


def _digits(number: float) -> tuple[str, int]:
    """Shortest digits that read back as `number`, and the power of ten of the first."""
    mantissa, _, power = f"{abs(number)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "0", 0
    if whole.strip("0"):
        exponent = len(whole.lstrip("0")) - 1
    else:
        exponent = -(len(fraction) - len(fraction.lstrip("0")) + 1)
    return digits.rstrip("0") or "0", exponent + int(power or 0)


def _plain(digits: str, exponent: int) -> str:
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    if len(digits) <= exponent + 1:
        return digits + "0" * (exponent + 1 - len(digits))
    return f"{digits[: exponent + 1]}.{digits[exponent + 1 :]}"
