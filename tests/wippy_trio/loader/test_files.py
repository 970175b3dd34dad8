from __future__ import annotations

from pathlib import Path

import pytest

from determinism.system import SystemDisk
from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import ConfigError
from wippy_trio.core.ids import EntryId
from wippy_trio.loader.files import load_directory, load_file, matches_glob, scan, skipped_folders
from wippy_trio.loader.yaml import ValuePosition

DISK = SystemDisk()


def write(folder: Path, files: dict[str, str | bytes]) -> str:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(folder)


def one(folder: Path, text: str, **files: str) -> list[Entry]:
    root = write(folder, {"x.yaml": text, **files})
    return load_file(DISK, root, "x.yaml", "")


def fault(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        one(folder, text)
    return f"{caught.value.position}: {caught.value}"


def test_entries(tmp_path: Path) -> None:
    found = one(
        tmp_path,
        "version: '1.0'\nnamespace: app\nmeta: {team: core, kind: file}\nentries:\n"
        "  - name: a\n    kind: k\n    meta: {kind: own}\n    size: 1\n    version: 2\n"
        "  - name: b.c\n    kind: k2\n    data: {x: [1]}\n    ignored: true\n"
        "  - {name: d, kind: k, data: null, meta: 5}\n",
    )
    assert found == [
        Entry(EntryId("app", "a"), "k", {"team": "core", "kind": "own"}, {"size": 1, "version": 2}),
        Entry(EntryId("app", "b.c"), "k2", {"team": "core", "kind": "file"}, {"x": [1]}),
        Entry(EntryId("app", "d"), "k", {"team": "core", "kind": "file"}, {}),
    ]
    assert [str(entry.position) for entry in found] == ["x.yaml:5:5", "x.yaml:10:5", "x.yaml:14:5"]
    position = found[0].position
    assert isinstance(position, ValuePosition)
    assert position.of("size").line == 8


def test_the_single_entry_form(tmp_path: Path) -> None:
    text = "version: '1.0'\nnamespace: app\nname: a\nkind: k\nmeta: {x: 1}\nrequirements: no\nsize: 2\n"
    assert one(tmp_path, text) == [Entry(EntryId("app", "a"), "k", {"x": 1}, {"size": 2})]
    assert [str(entry.id) for entry in one(tmp_path, f"{text}entries: [{{name: b, kind: k}}]\n")] == ["app:b"]
    assert [str(entry.id) for entry in one(tmp_path, f"{text}entries: []\n")] == ["app:a"]
    assert one(tmp_path, "namespace: app\nname: a\n") == []
    assert one(tmp_path, "namespace: app\nentries: []\n") == []


@pytest.mark.parametrize("text", ["", "a: 1", "- 1", "namespace: ''", "namespace:\n", "namespace: ' '\nentries: 5"])
def test_other_files_give_nothing(tmp_path: Path, text: str) -> None:
    assert one(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("namespace: app\n", "x.yaml:1:1: entries: either entries array or single entry (name/kind) must be provided"),
        ("namespace: 5\n", "x.yaml:1:1: namespace must be a text"),
        ("namespace: app\nentries: 5\n", "x.yaml:2:1: entries must be a list"),
        ("namespace: app\nmeta: 5\nentries: []\n", "x.yaml:2:1: meta must be a mapping"),
        (
            "namespace: app\nentries:\n  - kind: k\n",
            "x.yaml:3:5: entry[0].name: name is required and must be a non-empty string",
        ),
        (
            "namespace: app\nentries:\n  - name: a\n    kind: 5\n",
            "x.yaml:4:5: entry[0].kind: kind is required and must be a non-empty string",
        ),
        ("namespace: app\nentries:\n  - 5\n", "x.yaml:3:5: entry[0].entry: an entry must be a mapping"),
        (
            "namespace: app\nentries:\n- {name: a, kind: k, source: 'file://'}\n",
            "x.yaml:3:22: empty file path in file:// URL",
        ),
        (
            "namespace: app\nentries:\n- {name: a, kind: k, source: file://../x}\n",
            "x.yaml:3:22: path traversal detected in file path: ../x",
        ),
        ("namespace: app\nentries:\n- {name: a, kind: k, source: file:///}\n", "x.yaml:3:22: invalid file path: /"),
        ("namespace: app\nentries:\n- {name: a, kind: k, a: [b, file://.]}\n", "x.yaml:3:29: invalid file path: ."),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    assert fault(tmp_path, text) == message


def test_file_urls(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "api/x.yaml": "namespace: app\nentries:\n"
            "- name: a\n  kind: k\n  source: file://lua/a.lua\n  top: file:///top.txt\n  up: file://../top.txt\n"
            "  escape: file:///../../top.txt\n  inside: see file://lua/a.lua\n  list: [file://raw]\n"
            "  meta: {readme: file:///top.txt}\n",
            "api/lua/a.lua": "return 1\n",
            "api/raw": b"\xff\x00",
            "top.txt": "top",
        },
    )
    (entry,) = load_file(DISK, root, "api/x.yaml")
    assert entry.data == {
        "source": "return 1\n",
        "top": "top",
        "up": "top",
        "escape": "top",
        "inside": "see file://lua/a.lua",
        "list": [b"\xff\x00"],
    }
    assert entry.meta == {"readme": "top"}


def test_a_missing_source_names_its_place(tmp_path: Path) -> None:
    message = fault(tmp_path, "namespace: app\nentries:\n- {name: a, kind: k, source: file://gone.lua}\n")
    assert message.startswith("x.yaml:3:22: failed to read file ")
    assert message.endswith("gone.lua: No such file or directory")


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "a.yaml": "namespace: app\nentries: [{name: a, kind: k}]\n",
            "b.yml": "namespace: app\nentries: [{name: b}]\n",
            "c.yaml": "{ broken",
            "d.json": '{"namespace": "app", "entries": [{"name": "d", "kind": "k"}]}',
            "e.txt": "namespace: app\nentries: [{name: e, kind: k}]\n",
        },
    )
    loaded = load_directory(DISK, root, shown="src")
    assert [str(entry.id) for entry in loaded.entries] == ["app:a", "app:d"]
    assert [str(problem.position).partition(":")[0] for problem in loaded.problems] == ["src/b.yml", "src/c.yaml"]
    kept = load_directory(DISK, root, excluded=lambda path: path.startswith("a"))
    assert [str(entry.id) for entry in kept.entries] == ["app:d"]


def test_scan_order_and_skips(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "b/x.yaml": "",
            "a.yaml": "",
            "b.yaml": "",
            "node_modules/x.json": "",
            "sqs/x.yaml": "",
            "deep/nosqs/x.yaml": "",
            "deep/x.yml": "",
            "x.lua": "",
        },
    )
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "gone")
    everything = ["a.yaml", "b/x.yaml", "b.yaml", "deep/nosqs/x.yaml", "deep/x.yml", "sqs/x.yaml"]
    assert scan(DISK, root, skipped_folders({})) == everything
    # As in the reference, a path that merely contains the folder's name before a slash is left out too.
    assert scan(DISK, root, skipped_folders({"SKIP_SQS_TESTS": "1"})) == ["a.yaml", "b/x.yaml", "b.yaml", "deep/x.yml"]


def test_skip_variables() -> None:
    assert skipped_folders({}) == {"node_modules"}
    env = {"SKIP_TEMPORAL_TESTS": "1", "SKIP_CLOUDSTORAGE_TESTS": "", "SKIP_TEST_DIRS": "a, b,,"}
    assert skipped_folders(env) == {"node_modules", "temporal", "_temporal", "a", "b"}


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("test/**", "test/a/b.yaml", True),
        ("test", "test/a.yaml", True),
        ("test/", "tests/a.yaml", False),
        ("*.test.yaml", "a.test.yaml", True),
        ("*.test.yaml", "a/b.test.yaml", False),
        ("**/*.test.yaml", "a/b.test.yaml", True),
        ("**/*.test.yaml", "b.test.yaml", True),
        ("./a?.yaml", "ab.yaml", True),
        ("a.yaml", "axyaml", False),
    ],
)
def test_file_patterns(pattern: str, path: str, fits: bool) -> None:
    assert matches_glob(pattern, path) is fits
