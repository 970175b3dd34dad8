"""`init`: every template is an app that works, and nothing is overwritten."""

from pathlib import Path

import pytest

from wippy_trio.app.app import open_app
from wippy_trio.cli.init import TEMPLATES


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_minimal_app_greets_and_tests_itself(program) -> None:
    ended = program("init")
    assert ended.code == 0
    assert "wrote wippy.lock\n" in ended.out
    assert ended.out.endswith("try it: wippy-trio run hello\n")
    assert program("run", "hello", "Ann").out == "Hello, Ann!\n"
    assert program("run", "hello", "").err == "Error: whom shall I greet?\n"
    assert "1 tests, 1 ok" in program("test").out


@pytest.mark.parametrize("name", sorted(TEMPLATES))
async def test_every_template_opens(program, here: Path, name: str) -> None:
    assert program("init", "shop", "--template", name).out.endswith(f"try it: cd shop && {TEMPLATES[name]}\n")
    assert (here / "shop" / ".gitignore").read_text(encoding="utf-8") == ".wippy/\ndata/\n"
    async with open_app(
        str(here / "shop"), overrides=["app:gateway:addr=127.0.0.1:0"] if name == "http" else []
    ) as app:
        assert (app.failed, app.problems) == ([], ())


def test_nothing_is_overwritten(program, here: Path) -> None:
    assert program("init").code == 0
    again = program("init", "-t", "http")
    assert again.code == 1
    assert again.err.startswith(
        "Error: .gitignore, .wippy.yaml, src/_index.yaml, src/greet.lua, wippy.lock: there already"
    )
    assert not (here / "src" / "greet_http.lua").exists()


def test_sources_that_are_there_get_a_lock_file_only(program, here: Path) -> None:
    (here / "code").mkdir()
    (here / "code" / "_index.yaml").write_text("namespace: app\n", encoding="utf-8")
    ended = program("init", "-d", "./code", "--modules-dir", "my modules", "-l", "other.lock")
    assert ended.out == "wrote other.lock\n"
    lock = (here / "other.lock").read_text(encoding="utf-8")
    assert lock == 'directories:\n  modules: "my modules"\n  src: ./code\n'
    assert program("registry", "list", "-l", "other.lock").out == "No entries found\n"


def test_sources_may_have_another_folder(program, here: Path) -> None:
    assert program("init", "-d", "lua").code == 0
    assert (here / "lua" / "_index.yaml").exists()
    assert program("run", "hello").out == "Hello, world!\n"


def test_an_unknown_template(program) -> None:
    ended = program("init", "-t", "big")
    assert ended.err == "error: no template 'big'\n  hint: templates are minimal, http, worker, none\n"
