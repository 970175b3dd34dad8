"""A Wippy-compatible actor runtime: Lua actors, functions and services described in YAML, on trio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wippy_trio.app.app import App, open_app, open_entries

__all__ = ["App", "__version__", "open_app", "open_entries"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """The public names, imported at first use, so that `wippy-trio version` need not load the runtime."""
    if name in {"App", "open_app", "open_entries"}:
        from wippy_trio.app import app

        return getattr(app, name)
    message = f"module 'wippy_trio' has no attribute {name!r}"
    raise AttributeError(message)
