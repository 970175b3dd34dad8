"""`run`: commands, exit codes, and what a user is told when something is wrong."""

import re
import socket
from pathlib import Path

import pytest

COMMANDS = """
- name: hello
  kind: process.lua
  meta: {command: {name: hello, short: Greets}}
  modules: [io]
  source: |
    local io = require("io")
    return function(...) io.print("hello", ...) return 0 end
- name: other
  kind: process.lua
  meta: {command: {name: other}}
  source: "return function() end"
"""


def process_app(body: str) -> str:
    source = f"return function(...) {body} end"
    return f"- {{name: main, kind: process.lua, meta: {{command: {{name: main}}}}, source: '{source}'}}\n"


def test_commands_are_listed(make_app, program) -> None:
    make_app(COMMANDS, terminal=True)
    lines = program("run", "list").out.splitlines()
    assert lines == ["Available commands:", "  hello  Greets  app:hello", "  other          app:other"]


def test_a_command_gets_its_arguments(make_app, program) -> None:
    make_app(COMMANDS, terminal=True)
    ended = program("run", "hello", "Ann", "--loud", "--", "-c")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "hello\tAnn\t--loud\t-c\n"


def test_exec_runs_any_process(make_app, program) -> None:
    make_app(COMMANDS, terminal=True)
    assert program("run", "--exec", "app:hello", "a", "b").out == "hello\ta\tb\n"
    assert "expected namespace:entry" in program("run", "-x", "hello").err
    assert "entry app:gone not found" in program("run", "-x", "app:gone").err
    assert "is of kind terminal.host" in program("run", "-x", "app:terminal").err


@pytest.mark.parametrize(
    ("body", "code", "out", "err"),
    [
        ("return 0", 0, "", ""),
        ("return", 0, "", ""),
        ("return true", 0, "", ""),
        ("return false", 1, "", ""),
        ("return 7", 7, "", ""),
        ("return 3.9", 3, "", ""),
        ("return 0/0", 1, "", ""),
        ("return 9999", 1, "", ""),
        ('return "done"', 0, "done\n", ""),
        ('return nil, "no luck"', 1, "", "Error: no luck\n"),
        ('error("boom")', 1, "", "Error: app:main:1: boom\n"),
        ("local a, b = ... return #a + b", 12, "", ""),
    ],
)
def test_the_result_is_the_exit_code(make_app, program, body: str, code: int, out: str, err: str) -> None:
    make_app(process_app(body), terminal=True)
    ended = program("run", "main", "ab", "10")
    assert (ended.code, ended.out, ended.err) == (code, out, err)


def test_system_exit_ends_the_run(make_app, program) -> None:
    entries = """
    - name: main
      kind: process.lua
      meta: {command: {name: main}}
      modules: [system]
      source: |
        local system = require("system")
        return function() system.exit(5) process.events():receive() end
    """
    make_app(entries, terminal=True)
    assert program("run", "main").code == 5


def test_a_command_may_have_an_identity(make_app, program) -> None:
    entries = """
    - name: main
      kind: process.lua
      meta: {command: {name: main, security: {actor: {id: "cli:admin"}, policies: [app:all]}}}
      modules: [security]
      source: |
        local security = require("security")
        return function() return security.actor():id() .. " " .. tostring(security.can("a", "b")) end
    - name: all
      kind: security.policy
      policy: {actions: "*", resources: "*", effect: allow}
    """
    make_app(entries, terminal=True, config="security: {strict_mode: true}\n")
    assert program("run", "main").out == "cli:admin true\n"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["helo"], "error: command \"helo\" not found\n  hint: did you mean 'hello'?\n"),
        (["zzz"], 'error: command "zzz" not found\n  hint: `run list` shows the commands of this app\n'),
        (["--bogus"], "error: no such option --bogus\n  hint: `run --help` shows the options\n"),
        (["org/module"], "Error: cannot run org/module: packs and modules of the hub are not built yet"),
        (["app.wapp"], "Error: cannot run app.wapp: packs"),
        (["hello", "--host", "app:no"], "Error: terminal host not found: app:no; there are: app:terminal\n"),
        (["-o", "app:hello=1", "hello"], 'error: invalid override "app:hello=1"'),
        (["--set", "nothing", "hello"], 'error: invalid --set "nothing"'),
        (["--config", "no.yaml", "hello"], "error: config file no.yaml not found\n"),
        (["--project", "nowhere"], "error: folder nowhere not found\n"),
        (["--set", "logger.level=loud", "hello"], "error: logger.level: unknown level 'loud'\n  hint: levels are"),
    ],
)
def test_mistakes_are_answered(make_app, program, args: list[str], text: str) -> None:
    make_app(COMMANDS, terminal=True)
    ended = program("run", *args)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(text)


def test_two_commands_of_one_name_are_ambiguous(make_app, program) -> None:
    second = COMMANDS.replace("name: other\n", "name: hello2\n", 1).replace("name: other}", "name: hello}")
    make_app(second, terminal=True)
    assert program("run", "hello").err.startswith('error: command "hello" is declared by app:hello, app:hello2\n')


def test_a_terminal_host_is_needed_and_chosen(make_app, program) -> None:
    path = make_app(COMMANDS)
    assert program("run", "hello").err.startswith(
        "error: no terminal.host found in registry\n  hint: commands need one"
    )
    two = "".join(f"- {{name: {name}, kind: terminal.host}}\n" for name in "ab")
    (path / "src" / "_index.yaml").write_text(f"namespace: app\nentries:\n{COMMANDS}{two}", encoding="utf-8")
    assert "multiple terminal hosts found (app:a, app:b), use --host" in program("run", "hello").err
    assert program("run", "--host", "app:b", "hello").out == "hello\n"


def test_a_folder_without_an_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program) -> None:
    monkeypatch.chdir(tmp_path)
    ended = program("run")
    assert ended.code == 1
    assert ended.err.startswith("error: no wippy.lock in this folder")
    assert "`wippy-trio init`" in ended.err


def test_an_app_in_another_folder(make_app, program, tmp_path_factory, monkeypatch) -> None:
    path = make_app(COMMANDS, terminal=True)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert program("run", "--project", str(path), "hello").out == "hello\n"


def test_an_unknown_kind_is_answered_with_the_one_that_was_meant(make_app, program) -> None:
    make_app("- {name: f, kind: functoin.lua}\n")
    assert program("run").err.endswith("\n    ^\n  hint: did you mean 'function.lua'?\n")


@pytest.mark.parametrize(
    ("entries", "err"),
    [
        (
            "- {name: f, kind: no.such}\n",
            "src/_index.yaml:4:3: error: app:f: unknown entry kind 'no.such'\n  - {name: f, kind: no.such}\n    ^\n",
        ),
        (
            "- {name: f, kind: functoin.lua}\n",
            "src/_index.yaml:4:3: error: app:f: unknown entry kind 'functoin.lua'\n",
        ),
        (
            "- {name: c, kind: queue.consumer, queue: q}\n",
            "src/_index.yaml:4:3: error: app:c: ",
        ),
        (
            "- name: f\n  kind: function.lua\n  source: 'return }'\n",
            "app:f:1:8: error: ",
        ),
    ],
)
def test_a_refused_entry_is_shown_where_it_stands(make_app, program, entries: str, err: str) -> None:
    make_app(entries)
    ended = program("run")
    assert ended.code == 1
    assert ended.err.startswith(err)


def test_a_file_that_is_no_yaml_is_named(make_app, program) -> None:
    path = make_app(COMMANDS, terminal=True)
    (path / "src" / "broken.yaml").write_text("namespace: [\n", encoding="utf-8")
    ended = program("run", "hello")
    assert (ended.code, ended.out) == (0, "hello\n")
    assert ended.err.startswith("warning: src/broken.yaml:2:1: error: invalid YAML")
    assert program("run", "-s", "hello").err == ""


SERVED = """
- {name: gateway, kind: http.service, addr: "127.0.0.1:0", lifecycle: {auto_start: true}}
- {name: host, kind: process.host, lifecycle: {auto_start: true}}
- {name: stop.service, kind: process.service, process: app:stop, host: app:host, lifecycle: {auto_start: true}}
- name: stop
  kind: process.lua
  modules: [system, time]
  source: |
    local system, time = require("system"), require("time")
    return function() time.sleep("20ms") system.exit(3) end
"""


def test_serving_tells_where(make_app, program) -> None:
    make_app(SERVED)
    ended = program("run")
    assert (ended.code, ended.out) == (3, "")
    assert re.search(r'serving  \{"url": "http://127\.0\.0\.1:\d+/", "service": "app:gateway"\}', ended.err)
    assert "shutting down" in ended.err
    assert program("run", "-s").err == ""
    assert program("-s", "run").err == ""
    assert '"msg": "shutting down"' in program("run", "--set", "logger.encoding=json").err


def test_a_port_in_use_is_explained(make_app, program) -> None:
    make_app(SERVED)
    with socket.create_server(("127.0.0.1", 0)) as taken:  # noqa: TID251 - stands for another program
        ended = program("run", "-o", f"app:gateway:addr=127.0.0.1:{taken.getsockname()[1]}")
    assert "Address already in use" in ended.err
    assert "or choose a port: -o app:gateway:addr=127.0.0.1:0" in ended.err
