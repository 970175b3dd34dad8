"""Which history an app's workflows have: setting `workflows.database`. Source: ours (docs/guides/workflows.md)."""

from __future__ import annotations

import posixpath

from determinism.seams import Environment
from wippy_trio.workflows.history import History
from wippy_trio.workflows.history_sqlite import SqliteHistory

__all__ = ["DEFAULT", "open_history"]

#: Of the setting: a file in the project's folder.
DEFAULT = ".wippy/workflows.db"


async def open_history(database: str, folder: str, environment: Environment, *, node: str = "node") -> History:
    """Open the history that the setting names.

    Args:
        database: a file (relative to the project's folder), `:memory:`, or `postgresql://user:password@host:port/name`.
        folder: of the project.
        environment: the seams.
        node: name of this node, for people.

    Raises:
        InvalidError: a malformed address.
        UnavailableError: it cannot be opened, or another node has the file.
        UnsupportedError: PostgreSQL in a simulation, or without psycopg.
    """
    if database.startswith(("postgres://", "postgresql://")):
        from wippy_trio.storage.postgres_settings import PostgresSettings
        from wippy_trio.workflows.history_postgres import PostgresHistory

        return await PostgresHistory.open(PostgresSettings.from_url(database), environment, name=node)
    path = database if database == ":memory:" else posixpath.join(folder, database or DEFAULT)
    return await SqliteHistory.open(path, environment)
