from __future__ import annotations

from urllib.parse import quote

import pytest

from determinism.environment import seeded_environment
from determinism.system import system_environment
from wippy_trio.core.errors import InvalidError, UnsupportedError
from wippy_trio.workflows.history_choice import DEFAULT, open_history
from wippy_trio.workflows.history_postgres import PostgresHistory
from wippy_trio.workflows.history_sqlite import SqliteHistory


@pytest.mark.parametrize(("given", "file"), [("", DEFAULT), ("data/w.db", "data/w.db"), (":memory:", None)])
async def test_a_file_of_the_project(tmp_path, autojump_clock, given, file) -> None:
    history = await open_history(given, str(tmp_path), seeded_environment())
    assert isinstance(history, SqliteHistory)
    await history.aclose()
    assert file is None or (tmp_path / file).exists()


@pytest.mark.service
async def test_an_address(postgres) -> None:
    login = f"{postgres.user}:{quote(postgres.password, safe='')}"
    url = f"postgresql://{login}@{postgres.host}:{postgres.port}/{postgres.database}?search_path={postgres.options['search_path']}"
    history = await open_history(url, "", system_environment(), node="left")
    assert isinstance(history, PostgresHistory)
    await history.aclose()


async def test_bad_addresses(autojump_clock) -> None:
    with pytest.raises(InvalidError, match="expected postgresql://"):
        await open_history("postgresql://nowhere", "", system_environment())
    with pytest.raises(UnsupportedError, match="not part of a simulation"):
        await open_history("postgresql://h/d", "", seeded_environment())
