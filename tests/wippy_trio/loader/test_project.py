from __future__ import annotations

from pathlib import Path

import pytest

from determinism.system import SystemDisk
from wippy_trio.core.errors import ConfigError
from wippy_trio.loader.project import LoadOptions, Project, load
from wippy_trio.loader.stages import DisableRules

DISK = SystemDisk()


def write(folder: Path, files: dict[str, str]) -> str:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return str(folder)


def app(folder: Path, more: dict[str, str] | None = None) -> str:
    base = {
        "wippy.lock": "directories: {modules: .wippy, src: ./src}\n"
        "modules:\n  - {name: acme/jobs, version: v1.2.0}\n"
        "replacements:\n  - {from: acme/ui, to: ./ui}\n",
        "src/_index.yaml": "namespace: app\nentries:\n"
        "  - {name: db, kind: db.sql.sqlite, file: ':memory:'}\n"
        "  - {name: jobs, kind: ns.dependency, component: acme/jobs, version: '*',"
        " parameters: [{name: db, value: app:db}]}\n",
        ".wippy/vendor/acme/jobs/src/_index.yaml": "namespace: acme.jobs\nentries:\n"
        "  - {name: db, kind: ns.requirement, targets: [{entry: store, path: .database}]}\n"
        "  - {name: store, kind: store.sql}\n",
        "ui/src/_index.yaml": "namespace: acme.ui\nentries: [{name: page, kind: k}, {name: fixture, kind: k}]\n",
        "ui/src/test/_index.yaml": "namespace: app\nentries: [{name: db, kind: wrong}]\n",
        "ui/wippy.yaml": "exclude: ['src/test/**', 'acme.ui:fix*', 'acme.ui:fixture']\n",
    }
    return write(folder, {**base, **(more or {})})


def test_a_project_with_modules(tmp_path: Path) -> None:
    project = load(DISK, app(tmp_path), LoadOptions())
    assert project.problems == ()
    assert {str(entry.id): entry.meta for entry in project.entries} == {
        "app:db": {},
        "app:jobs": {},
        "acme.ui:page": {"module": "acme/ui"},
        "acme.jobs:db": {"module": "acme/jobs", "module_version": "v1.2.0"},
        "acme.jobs:store": {"module": "acme/jobs", "module_version": "v1.2.0"},
    }
    assert project.entries[-1].data == {"database": "app:db"}
    assert project.module_roots == {
        "acme/ui": f"{tmp_path}/ui",
        "acme/jobs": f"{tmp_path}/.wippy/vendor/acme/jobs",
    }
    assert str(project.entries[0].position) == "src/_index.yaml:3:5"


def test_without_a_lock_there_is_nothing(tmp_path: Path) -> None:
    assert load(DISK, str(tmp_path), LoadOptions()) == Project()


def test_options(tmp_path: Path) -> None:
    options = LoadOptions(
        {"app:db:file": "x.db"}, DisableRules(("acme.ui",)), {"acme/jobs": str(tmp_path / "ui")}, frozenset({"test"})
    )
    project = load(DISK, app(tmp_path), options)
    assert [str(entry.id) for entry in project.entries] == ["app:db", "app:jobs"]
    assert project.entries[0].data == {"file": "x.db"}


def test_problems_do_not_stop_the_rest(tmp_path: Path) -> None:
    root = app(
        tmp_path,
        {
            "src/bad.yaml": "namespace: app\nentries: [",
            "src/twice.yaml": "namespace: app\nentries: [{name: db, kind: other}]\n",
            "wippy.lock": "directories: {src: ./src}\nreplacements: [{from: acme/ui, to: ./ui}]\n",
        },
    )
    project = load(DISK, root, LoadOptions())
    assert [str(problem).partition(";")[0] for problem in project.problems] == [
        "invalid YAML: did not find expected node content",
        "entry app:db is defined twice",
    ]
    assert [entry.kind for entry in project.entries if str(entry.id) == "app:db"] == ["other"]


def test_a_missing_source_directory_is_a_problem(tmp_path: Path) -> None:
    root = write(tmp_path, {"wippy.lock": "directories: {src: ./code}\n"})
    assert [str(problem) for problem in load(DISK, root, LoadOptions()).problems] == [
        "directory code not found, nothing is loaded from it"
    ]


def test_strict_loading(tmp_path: Path) -> None:
    files = {"src/_index.yaml": "namespace: app\nentries: [{name: r, kind: ns.requirement}]\n", "wippy.lock": ""}
    root = write(tmp_path, files)
    assert len(load(DISK, root, LoadOptions()).problems) == 1
    with pytest.raises(ConfigError, match="unresolved requirements"):
        load(DISK, root, LoadOptions(strict=True))
