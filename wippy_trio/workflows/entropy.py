"""Randomness of a workflow run: everything drawn follows from the run's seed, and is fit for keys and nonces.

BLAKE2b in counter mode, keyed with the recorded seed: without the seed nobody can tell what comes next. Source: ours
(docs/decisions, durable workflows).
"""

from __future__ import annotations

import hashlib

__all__ = ["RunEntropy"]

_BLOCK_BYTES = 64


class RunEntropy:
    """A reproducible `Entropy` of cryptographic quality.

    Args:
        seed: 16 to 64 secret bytes.
    """

    __slots__ = ("_block", "_buffer", "_key")

    def __init__(self, seed: bytes) -> None:
        self._key = hashlib.blake2b(seed, digest_size=_BLOCK_BYTES, person=b"wippy run").digest()
        self._block = 0
        self._buffer = b""

    def fork(self, label: str) -> RunEntropy:
        """A stream of its own for `label`, whatever was drawn before."""
        return RunEntropy(hashlib.blake2b(label.encode(), key=self._key, digest_size=_BLOCK_BYTES).digest())

    def random_bytes(self, count: int) -> bytes:
        """`count` bytes.

        Raises:
            ValueError: `count` is negative.
        """
        if count < 0:
            message = f"cannot draw {count} bytes"
            raise ValueError(message)
        parts = [self._buffer]
        held = len(self._buffer)
        while held < count:
            self._block += 1
            part = hashlib.blake2b(self._block.to_bytes(8, "little"), key=self._key, digest_size=_BLOCK_BYTES).digest()
            parts.append(part)
            held += len(part)
        data = b"".join(parts)
        self._buffer = data[count:]
        return data[:count]

    def random(self) -> float:
        """A float in [0, 1) with 53 random bits."""
        return (int.from_bytes(self.random_bytes(8), "little") >> 11) * (1.0 / (1 << 53))

    def below(self, bound: int) -> int:
        """An integer in [0, bound), every one equally likely.

        Raises:
            ValueError: `bound` is below 1.
        """
        if bound < 1:
            message = f"cannot draw below {bound}"
            raise ValueError(message)
        size = max(1, -(-(bound - 1).bit_length() // 8))
        limit = (1 << size * 8) // bound * bound
        while True:
            drawn = int.from_bytes(self.random_bytes(size), "little")
            if drawn < limit:
                return drawn % bound
