"""Seeded randomness and identifiers: the same seed gives the same draws on every machine and Python version.

SplitMix64 (Steele, Lea and Flood, 2014) is the generator: sixty-four bits of state, a handful of integer operations,
and no dependence on the standard library's `random`, whose methods have changed between versions. It is not for
secrets: a live node draws from `determinism.system`. Source: ours (architecture, section 2).
"""

from __future__ import annotations

import hashlib
import uuid

from determinism.seams import Entropy

__all__ = ["SeededEntropy", "SeededIds"]

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_WORD_BYTES = 8


def _state_of(path: str) -> int:
    """Sixty-four well mixed bits for a seed and the labels below it, so that seeds 1 and 2 share nothing."""
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=_WORD_BYTES).digest(), "little")


class SeededEntropy:
    """A reproducible `Entropy`.

    Args:
        seed: any integer; equal seeds give equal streams.

    A fork depends on the seed and its labels alone, never on how much was drawn before: forking the same label twice
    gives the same stream twice, and a new draw in one place shifts nothing elsewhere.
    """

    __slots__ = ("_path", "_state")

    def __init__(self, seed: int) -> None:
        self._path = str(seed)
        self._state = _state_of(self._path)

    def fork(self, label: str) -> SeededEntropy:
        """A stream of its own for `label`."""
        child = SeededEntropy.__new__(SeededEntropy)
        # The length stands before the label, so that no two paths of labels spell alike.
        child._path = f"{self._path}/{len(label)}:{label}"
        child._state = _state_of(child._path)
        return child

    def random_bytes(self, count: int) -> bytes:
        """`count` bytes; whole words are drawn, so 1 and 8 bytes advance the stream alike.

        Raises:
            ValueError: `count` is negative.
        """
        if count < 0:
            message = f"cannot draw {count} bytes"
            raise ValueError(message)
        words = -(-count // _WORD_BYTES)
        return b"".join(self._next().to_bytes(_WORD_BYTES, "little") for _ in range(words))[:count]

    def random(self) -> float:
        """A float in [0, 1) with 53 random bits."""
        return (self._next() >> 11) * (1.0 / (1 << 53))

    def below(self, bound: int) -> int:
        """An integer in [0, bound), every one equally likely.

        Raises:
            ValueError: `bound` is below 1.
        """
        if bound < 1:
            message = f"cannot draw below {bound}"
            raise ValueError(message)
        bits = (bound - 1).bit_length()
        words = max(1, -(-bits // 64))
        while True:  # rejection: fewer than two rounds on average, for more than half of the values fit
            drawn = 0
            for _ in range(words):
                drawn = drawn << 64 | self._next()
            drawn >>= words * 64 - bits
            if drawn < bound:
                return drawn

    def _next(self) -> int:
        self._state = mixed = (self._state + _GAMMA) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return mixed ^ (mixed >> 31)


class SeededIds:
    """Reproducible `Ids`: a counter for PIDs, and version-4 UUIDs drawn from `entropy`."""

    __slots__ = ("_entropy", "_last")

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._last = 0

    def unique(self) -> str:
        """The next number, in the form live nodes use (`0x00001`)."""
        self._last += 1
        return f"0x{self._last:05x}"

    def uuid(self) -> str:
        """A well-formed version-4 UUID."""
        return str(uuid.UUID(bytes=self._entropy.random_bytes(16), version=4))
