"""How a long concatenation is split into calls of the helper that joins its arguments."""

from __future__ import annotations

from typing import Final

__all__ = ["group"]

#: Operands of one call: each takes a register, of which a Lua function has 255.
_CAT_OPERANDS: Final = 50


def group(first: int, end: int, opens: list[int], closes: list[int]) -> None:
    """Count the calls that begin and end at the operands `first` to `end` (exclusive), in `opens` and `closes`.

    Up to 50 operands share a call; of more, groups are joined first and then their texts. That keeps the order of
    evaluation; only a metamethod could tell that joining is not strictly from the right.
    """
    opens[first] += 1
    closes[end - 1] += 1
    count = end - first
    if count > _CAT_OPERANDS:
        size = max(-(-count // _CAT_OPERANDS), 2)
        starts = list(range(first, end - 1, size))  # never a group of one
        for i, start in enumerate(starts):
            stop = starts[i + 1] if i + 1 < len(starts) else end
            if stop - start < count:
                group(start, stop, opens, closes)
