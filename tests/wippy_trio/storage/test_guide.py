"""The Lua snippets of docs/guides/storage.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "storage.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
LUA = [text for language, text in BLOCKS if language == "lua"]
#: Without the PostgreSQL entry, which has the name of the SQLite one and no place in a simulation.
ENTRIES = "".join(text for language, text in BLOCKS if language == "yaml" and "db.sql.postgres" not in text)
PREPARE = """
require("sql").get("app:db"):execute("CREATE TABLE IF NOT EXISTS users (name TEXT, score INTEGER)")
"""
HANDLER = """
- name: handler
  kind: function.lua
  method: main
  modules: [queue]
  source: return function(body) return true end
"""


@pytest.mark.parametrize("at", range(len(LUA)), ids=["sql", "store", "queue", "fs"])
async def test_snippet(lua, tmp_path, at, autojump_clock) -> None:
    entries = ENTRIES.replace("data/app.db", '":memory:"').replace("data/files", str(tmp_path / "files")) + HANDLER
    source = LUA[at].split("-- the handler")[0]
    await lua(PREPARE + source, modules=["sql", "store", "queue", "fs"], entries=entries)
