"""Apps on disk, and the program called in this process."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from wippy_trio.cli.main import main

TERMINAL = "- {name: terminal, kind: terminal.host, lifecycle: {auto_start: true}}\n"


@attrs.frozen
class Ended:
    code: int
    out: str
    err: str


MakeApp = Callable[..., Path]
Program = Callable[..., Ended]


@pytest.fixture
def make_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeApp:
    """`make_app(yaml_of_entries, config=...)` writes an app (namespace `app`) and goes into its folder."""

    def make(entries: str = "", *, config: str = "", terminal: bool = False) -> Path:
        (tmp_path / "src").mkdir()
        (tmp_path / "wippy.lock").write_text("directories: {src: ./src}\n", encoding="utf-8")
        listed = (TERMINAL if terminal else "") + textwrap.dedent(entries)
        text = f'version: "1.0"\nnamespace: app\nentries:\n{listed}' if listed.strip() else ""
        (tmp_path / "src" / "_index.yaml").write_text(text, encoding="utf-8")
        if config:
            (tmp_path / ".wippy.yaml").write_text(f'version: "1.0"\n{config}', encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return make


@pytest.fixture
def program(capfd: pytest.CaptureFixture[str]) -> Program:
    """`program("run", "list")` runs the command line and returns exit code and what it wrote."""

    def run(*args: str) -> Ended:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main(args)
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        code = left.value.code
        return Ended(code if isinstance(code, int) else 0 if code is None else 1, out, err)

    return run
