"""Which engine runs an app's workflows: setting `workflows.engine`. Source: ours (docs/guides/workflows.md).

`embedded`: everything, also the workers of `temporal.worker` entries, runs in the engine of this node.
`temporal`: workflows need a `temporal.worker`; workflows without one are refused.
`auto` (the default): workers of `temporal.worker` entries are run by the Temporal server that their client names, and
only by it: one that cannot be reached is an error, never a reason to run elsewhere. All other workflows are embedded.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from wippy_trio.core.errors import InvalidError

__all__ = ["Engine", "engine_of", "uses_server"]


class Engine(StrEnum):
    """Values of the setting."""

    EMBEDDED = "embedded"
    TEMPORAL = "temporal"
    AUTO = "auto"


class _Settings(Protocol):
    def get_str(self, key: str, default: str = "") -> str: ...


def engine_of(config: _Settings) -> Engine:
    """The engine that was asked for.

    Raises:
        InvalidError: an unknown one.
    """
    asked = config.get_str("workflows.engine", Engine.AUTO)
    try:
        return Engine(asked)
    except ValueError:
        known = ", ".join(Engine)
        raise InvalidError(f"workflows.engine: unknown engine {asked!r}; known are {known}") from None


def uses_server(config: _Settings) -> bool:
    """Whether `temporal.client` and `temporal.worker` entries talk to a Temporal server.

    When not, `workflows.engine.open_worker` opens such a worker on the embedded engine.

    Raises:
        InvalidError: an unknown engine was asked for.
    """
    return engine_of(config) is not Engine.EMBEDDED
