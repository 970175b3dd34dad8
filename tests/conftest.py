"""Fixtures for tests of modules and kinds: a script or a tiny app under the virtual clock."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from determinism.environment import seeded_environment
from determinism.seams import Environment
from wippy_trio.app.app import App, open_entries
from wippy_trio.app.config import Config
from wippy_trio.core.entry import Entry
from wippy_trio.core.frame import EMPTY_FRAME, Frame
from wippy_trio.core.ids import EntryId
from wippy_trio.loader.yaml import parse

pytest_plugins = ("tests.services.temporal", "tests.services.postgres")

OpenApp = Callable[..., AbstractAsyncContextManager[App]]
RunLua = Callable[..., Awaitable[Any]]


def _run_virtual(main: Callable[[], Awaitable[Any]], *, clock: Any = None, instruments: Sequence[Any] = ()) -> Any:
    if clock is None:
        clock = trio.testing.MockClock(autojump_threshold=0)
        clock.jump(1.0)  # no moment is zero: that means "never" in places
    return trio.run(main, clock=clock, instruments=list(instruments))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Virtual time for tests whose fixtures ask for it: pytest-trio looks only at the test's own arguments."""
    for item in items:
        wanted = "autojump_clock" in getattr(item, "fixturenames", ())
        if wanted and inspect.iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.trio(run=_run_virtual))


def entries_of(text: str, namespace: str = "app") -> list[Entry]:
    """Entries from YAML text: a list, or a whole file with `namespace` and `entries`."""
    value = parse(textwrap.dedent(text).encode(), "test.yaml").value if text.strip() else []
    if isinstance(value, dict):
        namespace, value = value.get("namespace", namespace), value["entries"]
    made = []
    for raw in value or []:
        data = {key: item for key, item in raw.items() if key not in {"name", "kind", "meta"}}
        made.append(Entry(EntryId(namespace, raw["name"]), raw["kind"], raw.get("meta") or {}, data))
    return made


@pytest.fixture
def environment(autojump_clock: trio.testing.MockClock) -> Environment:
    """A seeded environment under the virtual clock."""
    return seeded_environment(7)


@pytest.fixture
def app(environment: Environment) -> OpenApp:
    """`async with app(yaml_text) as running:` opens an app from entries (namespace `app`)."""

    @asynccontextmanager
    async def open_(
        text: str = "", *, settings: dict[str, dict[str, Any]] | None = None, extra: Sequence[Entry] = ()
    ) -> AsyncIterator[App]:
        config = Config(sections=settings or {})
        async with open_entries([*entries_of(text), *extra], config=config, environment=environment) as running:
            yield running

    return open_


@pytest.fixture
def lua(app: OpenApp) -> RunLua:
    """`await lua(source, modules=[...], entries=yaml, args=[...])` runs the source as the body of a function."""

    async def run(
        source: str,
        *,
        modules: Sequence[str] = (),
        entries: str = "",
        args: Sequence[Any] = (),
        frame: Frame = EMPTY_FRAME,
        imports: dict[str, str] | None = None,
        settings: dict[str, dict[str, Any]] | None = None,
    ) -> Any:
        body = f"return function(...) {source}\nend"
        data = {"source": body, "method": "main", "modules": list(modules), "imports": imports or {}}
        script = Entry(EntryId("test", "script"), "function.lua", {}, data)
        async with app(entries, extra=[script], settings=settings) as running:
            return await running.call("test:script", *args, frame=frame)

    return run
