from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from determinism.system import SystemDisk
from wippy_trio.app.config import Config, ConfigFlags, load_config, load_project, process_environment
from wippy_trio.core.errors import ConfigError

DISK = SystemDisk()
HEAD = 'version: "1.0"\n'


def config_of(
    folder: Path, text: str, flags: ConfigFlags | None = None, env: Mapping[str, str] | None = None
) -> Config:
    (folder / ".wippy.yaml").write_text(HEAD + text)
    return load_config(str(folder), flags or ConfigFlags(), disk=DISK, env=env or {})


def fault(folder: Path, text: str, flags: ConfigFlags | None = None, env: Mapping[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        config_of(folder, text, flags, env)
    error = caught.value
    return f"{error.position}: {error}" if error.position is not None else str(error)


def test_typed_getters(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        "a:\n  int: 5\n  float: 1.5\n  bool: true\n  text: x\n  wait: 1m30s\n  list: [x, 5, y]\n"
        "  one: z\n  none: null\n  n: '7'\n  deep: {x: {y: 1}, z: 2}\nempty:\n",
    )
    assert config.get("a.int") == 5
    assert config.get("a.deep.x.y") == 1
    assert config.get("a.nothing", "d") == "d"
    assert config.section("a.deep") == {"x.y": 1, "z": 2}
    assert config.section("empty") == config.section("missing") == {}
    assert (config.get_int("a.int"), config.get_int("a.n"), config.get_int("a.bool", 3)) == (5, 7, 3)
    assert (config.get_float("a.int"), config.get_float("a.float"), config.get_float("a.text", 2.0)) == (5.0, 1.5, 2.0)
    assert (config.get_bool("a.bool"), config.get_bool("a.text", True)) == (True, True)
    assert (config.get_str("a.text"), config.get_str("a.int", "d")) == ("x", "d")
    assert (config.get_duration_s("a.wait"), config.get_duration_s("a.text", 4.0)) == (90.0, 4.0)
    assert config.get_duration_s("a.int", 4.0) == 4.0
    assert config.get_list("a.list") == ("x", "y")
    assert config.get_list("a.one") == ("z",)
    assert config.get_list("a.none", ["d"]) == ("d",)


def test_paths_and_the_boot_section(tmp_path: Path) -> None:
    root = str(tmp_path.resolve())
    config = config_of(tmp_path, "")
    assert config.path("x/../y") == f"{root}/y"
    assert config.section("boot") == {"config_path": f"{root}/.wippy.yaml", "config_dir": root}
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/a.yaml").write_text(HEAD)
    config = load_config(root, ConfigFlags(("conf/a.yaml",)), disk=DISK, env={})
    assert (config.project_dir, config.config_dir) == (root, f"{root}/conf")


def test_without_files_there_are_defaults_only(tmp_path: Path) -> None:
    config = load_config(str(tmp_path), disk=DISK, env={})
    assert set(config.sections) == {"boot"}
    with pytest.raises(ConfigError, match=r"config file gone\.yaml not found"):
        load_config(str(tmp_path), ConfigFlags(("gone.yaml",)), disk=DISK, env={})


def test_files_compose_leaf_by_leaf(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(HEAD + "a: {x: 2, list: [2]}\nc: {d: {e: 1}}\n")
    flags = ConfigFlags((".wippy.yaml", "b.yaml"))
    config = config_of(tmp_path, "a: {x: 1, y: 1, list: [1]}\nc: {d: 5}\n", flags)
    assert config.section("a") == {"x": 2, "y": 1, "list": [2]}
    assert config.section("c") == {"d.e": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\n", ".wippy.yaml:1:1: missing version field"),
        ("version: 2\n", ".wippy.yaml:1:1: unsupported version 2"),
        ("version: '1.0'\na: 1\n", ".wippy.yaml:2:1: section a must be a mapping"),
        ("- 1\n", ".wippy.yaml:1:1: a config file must be a mapping"),
        ("version: '1.0'\nprofiles: {p: {a: 1}}\n", ".wippy.yaml:2:16: section a must be a mapping"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / ".wippy.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(str(tmp_path), disk=DISK, env={})
    assert f"{caught.value.position}: {caught.value}" == message


def test_the_version_may_be_a_number(tmp_path: Path) -> None:
    (tmp_path / ".wippy.yaml").write_text("version: 1.0\nlogger: {level: debug}\n")
    assert load_config(str(tmp_path), disk=DISK, env={}).get_str("logger.level") == "debug"


# ------------------------------------------------------------------------------------------------------- variables


def test_variables(tmp_path: Path) -> None:
    text = (
        "vars: {port: 8085, host: localhost, url: 'http://${host}:${port}', home: '${env:HOME}'}\n"
        "a: {port: '${port}', url: '${url}/x', home: '${home}', raw: '$${port}', list: ['${host}'],"
        " def: '${env:NONE|d}', entry: '${PORT|1}'}\n"
    )
    config = config_of(tmp_path, text, env={"HOME": "/srv"})
    assert config.section("a") == {
        "port": 8085,
        "url": "http://localhost:8085/x",
        "home": "/srv",
        "raw": "${port}",
        "list": ["localhost"],
        "def": "d",
        "entry": "${PORT|1}",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {x: '${gone}'}\n", ".wippy.yaml:2:5: unknown variable gone"),
        ("a: {x: '${env:GONE}'}\n", ".wippy.yaml:2:5: environment variable GONE is not set"),
        ("vars: {x: '${y}', y: '${x}'}\n", ".wippy.yaml:2:19: variable y refers to itself: y -> x -> y"),
        ("a: {x: '${gone'}\n", ".wippy.yaml:2:5: placeholder '${gone' does not end with }"),
    ],
)
def test_wrong_variables(tmp_path: Path, text: str, message: str) -> None:
    assert fault(tmp_path, text) == message


# -------------------------------------------------------------------------------------------------------- profiles

PROFILES = """
vars: {port: 8085}
override: {app:db:kind: db.sql.sqlite, app:gw:addr: ":${port}"}
disable: {namespaces: ["legacy.**", "old"]}
profiles:
  pg:
    vars: {port: 18085}
    override: {app:db:kind: db.sql.postgres}
    disable: {namespaces.add: ["experimental.**", "old"], namespaces.remove: ["legacy.**"]}
  dev:
    override: {app:db:kind: db.sql.mysql}
    logger: {encoding: "${env:ENCODING}"}
"""


def test_profiles(tmp_path: Path) -> None:
    base = config_of(tmp_path, PROFILES)
    assert base.section("override") == {"app:db:kind": "db.sql.sqlite", "app:gw:addr": ":8085"}
    assert "profiles" not in base.sections
    chosen = config_of(tmp_path, PROFILES, ConfigFlags(profiles=("pg",)))
    assert chosen.section("override") == {"app:db:kind": "db.sql.postgres", "app:gw:addr": ":18085"}
    assert chosen.get_list("disable.namespaces") == ("old", "experimental.**")
    both = config_of(tmp_path, PROFILES, ConfigFlags(profiles=("pg", "dev")), env={"ENCODING": "json"})
    assert both.get("override.app:db:kind") == "db.sql.mysql"
    assert both.get("logger.encoding") == "json"
    assert both.profiles == ("pg", "dev")


def test_wrong_profiles(tmp_path: Path) -> None:
    assert fault(tmp_path, PROFILES, ConfigFlags(profiles=("prod",))) == "unknown profile prod"
    text = "profiles: {p: {vars: {x: '${env:HOME}'}}}\n"
    assert fault(tmp_path, text, ConfigFlags(profiles=("p",)), {"HOME": "/"}) == (
        ".wippy.yaml:2:23: profile p: environment references are not allowed in profile variables"
    )


# ----------------------------------------------------------------------------------------------------------- flags


def test_sets(tmp_path: Path) -> None:
    sets = ("cluster.enabled=true", "lua.cache.mode=off", "a.n=5", "a.f=1.5", "a.wait=5s", "a.eq=x=y", "a.e=")
    config = config_of(tmp_path, "cluster: {enabled: false, name: n}\n", ConfigFlags(sets=sets))
    assert config.section("cluster") == {"enabled": True, "name": "n"}
    assert config.get("lua.cache.mode") == "off"
    assert config.section("a") == {"n": 5, "f": 1.5, "wait": "5s", "eq": "x=y", "e": ""}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", 'invalid --set "x": expected section.path=value'),
        ("x=1", 'invalid --set "x=1": key must be section.path (e.g. cluster.enabled)'),
        (".x=1", 'invalid --set ".x=1": key must be section.path (e.g. cluster.enabled)'),
        ("x.=1", 'invalid --set "x.=1": key must be section.path (e.g. cluster.enabled)'),
    ],
)
def test_wrong_sets(tmp_path: Path, text: str, message: str) -> None:
    assert fault(tmp_path, "", ConfigFlags(sets=(text,))) == message


@pytest.mark.parametrize(
    ("flag", "found"),
    [
        ("app:gw:addr=:9090", {"app:gw:addr": ":9090"}),
        ("app:db:meta.x=TRUE", {"app:db:meta.x": True}),
        ("a:b:n=-5", {"a:b:n": -5}),
        ("a:b:n=007", {"a:b:n": "007"}),
        ("a:b:n=1e3", {"a:b:n": 1000.0}),
        ("a:b:n=1.2.3", {"a:b:n": "1.2.3"}),
        ("a:b:t= x ", {"a:b:t": " x "}),
        ("a:b:t=", {"a:b:t": ""}),
        ("a:b:q=x=y", {"a:b:q": "x=y"}),
        ("a:b:c=1,d:e:f=x", {"a:b:c": 1, "d:e:f": "x"}),
        ("a:b:c=x,y", {"a:b:c": "x,y"}),
    ],
)
def test_overrides(tmp_path: Path, flag: str, found: dict[str, object]) -> None:
    config = config_of(tmp_path, "override: {app:gw:addr: ':80'}\n", ConfigFlags(overrides=(flag,)))
    assert config.section("override") == {"app:gw:addr": ":80", **found}


@pytest.mark.parametrize(
    ("flag", "problem"),
    [
        ("x", "missing '=' separator (expected namespace:entry:field=value)"),
        ("x=1", "missing ':' separator (expected namespace:entry:field=value)"),
        ("a:b=1", "missing ':' separator (expected namespace:entry:field=value)"),
        (":b:c=1", "empty namespace"),
        ("a::c=1", "empty entry name"),
        ("a:b:=1", "empty field"),
    ],
)
def test_wrong_overrides(tmp_path: Path, flag: str, problem: str) -> None:
    assert fault(tmp_path, "", ConfigFlags(overrides=(flag,))) == f'invalid override "{flag}": {problem}'


# -------------------------------------------------------------------------------------------------------- projects


def test_a_project_under_its_configuration(tmp_path: Path) -> None:
    for name, text in {
        "wippy.lock": "directories: {modules: .wippy, src: ./src}\n",
        "src/_index.yaml": "namespace: app\nentries: [{name: gw, kind: k, addr: ':80'}, {name: demo, kind: k,"
        " meta: {type: demo}}]\n",
        "src/old/_index.yaml": "namespace: old\nentries: [{name: x, kind: k}]\n",
        "src/temporal/_index.yaml": "namespace: app.temporal\nentries: [{name: x, kind: k}]\n",
        "ui/_index.yaml": "namespace: ui\nentries: [{name: page, kind: k}]\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    config = config_of(
        tmp_path,
        "override: {app:gw:addr: ':81'}\ndisable: {namespaces: [old], meta: {type: [demo]}}\n"
        "workspace: {replacements: {acme/ui: ./ui, acme/none: null}}\n",
        ConfigFlags(overrides=("app:gw:tls.mode=auto",)),
        {"SKIP_TEMPORAL_TESTS": "1"},
    )
    project = load_project(config, DISK)
    assert [str(entry.id) for entry in project.entries] == ["app:gw", "ui:page"]
    assert project.entries[0].data == {"addr": ":81", "tls": {"mode": "auto"}}
    assert project.entries[1].meta == {"module": "acme/ui"}


def test_the_environment_of_the_process() -> None:
    assert "PATH" in process_environment()
