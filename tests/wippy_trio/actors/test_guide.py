"""The snippets of docs/guides/supervision.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import trio

from wippy_trio.actors.tree import find_tree
from wippy_trio.core.ids import EntryId

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "supervision.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
ENTRIES = "".join(text for language, text in BLOCKS if language == "yaml")


async def test_the_lua_of_the_guide(lua: Any) -> None:
    sources = [text for language, text in BLOCKS if language == "lua"]
    assert len(sources) == 1
    await lua(sources[0], modules=["supervisor"], entries=ENTRIES)


async def test_the_pipeline_of_the_guide(app: Any) -> None:
    async with app(ENTRIES) as running:
        assert not running.failed
        assert running.supervisor.get(EntryId("app", "clock_service")).state == "running"
        await trio.sleep(1)
        tree = find_tree(running.runtime, "app:pipeline")
        running.send("reader", "fail")
        await trio.sleep(1)
        assert [(row["id"], row["restarts"]) for row in tree.which_children()] == [
            ("reader", 1),
            ("parser", 1),
            ("jobs", 1),
        ]
