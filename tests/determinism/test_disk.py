"""The simulated disk against the system's own, its base, its faults and its crashes."""

from __future__ import annotations

import errno
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from determinism.clock import DEFAULT_EPOCH_NS, VirtualClock
from determinism.disk import BaseView, SimulatedDisk
from determinism.entropy import SeededEntropy
from determinism.faults import FaultPlan, ListedFaults
from determinism.seams import Disk, Strike
from determinism.system import SystemDisk


def make(**options: Any) -> SimulatedDisk:
    options.setdefault("roots", ("/app",))
    return SimulatedDisk(VirtualClock(), **options)


def write(disk: Disk, path: str, data: bytes, mode: str = "wb", *, sync: bool = False) -> None:
    with disk.open(path, mode) as file:
        file.write(data)
        if sync:
            disk.sync(file)


def read(disk: Disk, path: str) -> bytes:
    with disk.open(path, "rb") as file:
        return file.read()


def outcome(work: Callable[[], object]) -> object:
    """The result, or the number of the error."""
    try:
        return work()
    except io.UnsupportedOperation as error:
        return str(error)
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def story(disk: Disk, root: str) -> list[object]:
    """A bit of everything, with what each step gave."""
    at = lambda path: f"{root}/{path}"
    told: list[object] = []
    for step in (
        lambda: disk.mkdir(at("a")),
        lambda: disk.mkdir(at("a")),
        lambda: disk.mkdir(at("x/y")),
        lambda: disk.mkdir(at("x/y"), parents=True),
        lambda: disk.mkdir(at("x/y"), parents=True),
        lambda: write(disk, at("a/one"), b"hello"),
        lambda: write(disk, at("a/one"), b" world", "ab"),
        lambda: read(disk, at("a/one")),
        lambda: write(disk, at("a/one"), b"J", "r+b"),
        lambda: read(disk, at("a/one")),
        lambda: write(disk, at("a/one"), b"no", "xb"),
        lambda: write(disk, at("none/one"), b""),
        lambda: write(disk, at("a"), b""),
        lambda: write(disk, at("a/one/two"), b""),
        lambda: read(disk, at("none")),
        lambda: disk.list(root),
        lambda: disk.list(at("a/one")),
        lambda: disk.list(at("none")),
        lambda: (disk.stat(at("a/one")).size_bytes, disk.stat(at("a/one")).is_dir, disk.stat(at("a")).is_dir),
        lambda: disk.stat(at("none")),
        lambda: (disk.exists(at("a")), disk.exists(at("none")), disk.exists(at("a/one/two"))),
        lambda: disk.rename(at("a/one"), at("x/two")),
        lambda: disk.rename(at("a/one"), at("x/two")),
        lambda: disk.rename(at("a"), at("a/b")),
        lambda: disk.rename(at("a"), at("x")),
        lambda: disk.rename(at("x/two"), at("a")),
        lambda: disk.rename(at("x"), at("z")),
        lambda: read(disk, at("z/two")),
        lambda: (disk.list(root), disk.list(at("z"))),
        lambda: disk.rmdir(at("z")),
        lambda: disk.rmdir(at("z/two")),
        lambda: disk.rmdir(at("none")),
        lambda: disk.remove(at("none")),
        lambda: disk.remove(at("z/two")),
        lambda: disk.rmdir(at("z/y")),
        lambda: disk.rmdir(at("z")),
        lambda: (disk.realpath(at("a/../a/./q")) == at("a/q"), disk.list(root)),
        lambda: disk.chmod(at("a"), 0o700),
        lambda: disk.stat(at("a")).mode,
    ):
        told.append(outcome(step))
    return told


def test_it_does_what_the_systems_disk_does(tmp_path: Path) -> None:
    assert story(make(), "/app") == story(SystemDisk(), str(tmp_path))


def test_an_open_file_does_what_the_systems_does(tmp_path: Path) -> None:
    def handle(disk: Disk, path: str) -> list[object]:
        told: list[object] = []
        with disk.open(path, "w+b") as file:
            told += [file.write(b"abcdef"), file.tell(), file.seek(2), file.read(2), file.seek(-1, 2), file.read()]
            told += [file.seek(9), file.write(b"z"), file.seek(0), file.read(), file.truncate(3), file.seek(0)]
            told += [file.read(), outcome(lambda: file.seek(-5)), file.readable(), file.writable(), file.seekable()]
            told += [bytes(file.read(0)), file.seek(0), file.readline(), file.closed]
            disk.remove(path)
            told += [file.seek(0), file.read(), disk.exists(path)]
        with disk.open(path, "wb") as file:
            told += [outcome(file.read)]
        with disk.open(path, "rb") as file:
            told += [outcome(lambda: file.write(b"x"))]
        with pytest.raises(ValueError, match="closed file"):
            file.read()
        with pytest.raises(ValueError, match="lacks b"):
            disk.open(path, "r")
        return told

    assert handle(make(), "/app/f") == handle(SystemDisk(), str(tmp_path / "f"))


def test_times_are_the_clocks_and_bits_hold() -> None:
    clock = VirtualClock()
    disk = SimulatedDisk(clock, roots=("/app",))
    clock.jump(5)
    write(disk, "/app/f", b"x")
    assert disk.stat("/app/f").modified_ns == DEFAULT_EPOCH_NS + 5
    assert disk.stat("/app").modified_ns == DEFAULT_EPOCH_NS + 5
    disk.chmod("/app/f", 0o400)
    assert outcome(lambda: write(disk, "/app/f", b"y")) == "EACCES"
    disk.chmod("/app/f", 0o200)
    assert outcome(lambda: read(disk, "/app/f")) == "EACCES"
    disk.chmod("/app", 0o500)
    assert outcome(lambda: write(disk, "/app/g", b"y")) == "EACCES"
    assert outcome(lambda: disk.remove("/app/f")) == "EACCES"


def test_there_is_room_for_temporary_files_and_an_end_to_it() -> None:
    disk = make(capacity_bytes=10)
    write(disk, "/tmp/f", b"12345")
    assert outcome(lambda: write(disk, "/tmp/f", b"123456")) == "ENOSPC"
    write(disk, "/tmp/f", b"12345")


# ---- the base


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "app"
    (root / "src").mkdir(parents=True)
    (root / "src" / "main.lua").write_bytes(b"return 1")
    (root / "src" / "run").write_bytes(b"#!")
    (root / "src" / "run").chmod(0o775)
    (root / "inner").symlink_to(root / "src")
    (root / "outer").symlink_to(tmp_path / "secret")
    (tmp_path / "secret").write_bytes(b"no")
    return root


def over(folder: Path) -> SimulatedDisk:
    return SimulatedDisk(VirtualClock(), base=SystemDisk(), roots=(str(folder),))


def test_the_base_is_read_and_never_written(folder: Path) -> None:
    disk, source = over(folder), str(folder / "src" / "main.lua")
    assert read(disk, source) == b"return 1"
    assert disk.list(str(folder)) == ["inner", "outer", "src"]
    assert (disk.stat(source).mode, disk.stat(str(folder / "src" / "run")).mode) == (0o644, 0o755)
    assert disk.stat(source).modified_ns == DEFAULT_EPOCH_NS
    write(disk, source, b"changed")
    write(disk, str(folder / "new"), b"new")
    disk.rename(str(folder / "src"), str(folder / "moved"))
    assert read(disk, str(folder / "moved" / "main.lua")) == b"changed"
    assert read(disk, str(folder / "moved" / "run")) == b"#!"
    disk.remove(str(folder / "moved" / "run"))
    assert disk.list(str(folder / "moved")) == ["main.lua"]
    assert disk.list(str(folder)) == ["inner", "moved", "new", "outer"]
    assert not disk.exists(source)
    assert sorted(path.name for path in folder.iterdir()) == ["inner", "outer", "src"]
    assert (folder / "src" / "main.lua").read_bytes() == b"return 1"


def test_links_of_the_base_are_followed_but_not_out_of_it(folder: Path) -> None:
    disk = over(folder)
    assert read(disk, str(folder / "inner" / "main.lua")) == b"return 1"
    assert disk.realpath(str(folder / "inner" / "none")) == str(folder / "src" / "none")
    write(disk, str(folder / "inner" / "main.lua"), b"2")
    assert read(disk, str(folder / "src" / "main.lua")) == b"2"
    assert disk.realpath(str(folder / "outer")) == str(folder.parent / "secret")
    with pytest.raises(FileNotFoundError, match="simulated world, which reads only the folders"):
        read(disk, str(folder / "outer"))
    disk.remove(str(folder / "outer"))
    assert disk.realpath(str(folder / "outer")) == str(folder / "outer")


def test_a_view_is_read_once(folder: Path) -> None:
    view = BaseView(SystemDisk(), [str(folder)])
    source = str(folder / "src" / "main.lua")
    assert read(SimulatedDisk(VirtualClock(), base=view), source) == b"return 1"
    (folder / "src" / "main.lua").write_bytes(b"other")
    assert read(SimulatedDisk(VirtualClock(), base=view), source) == b"return 1"


def test_what_is_outside_does_not_exist_but_can_be_made(folder: Path) -> None:
    disk, outside = over(folder), str(folder.parent / "data")
    assert not disk.exists("/etc/passwd")
    assert disk.list(str(folder.parent)) == ["app"]
    assert outcome(lambda: disk.list("/etc")) == "ENOENT"
    disk.mkdir(outside)
    write(disk, f"{outside}/x", b"1")
    assert read(disk, f"{outside}/x") == b"1"
    assert not (folder.parent / "data").exists()


def test_places_are_named_alike_on_every_machine(folder: Path) -> None:
    disk = over(folder)
    assert disk.shown(str(folder / "src" / ".." / "data.db")) == "data.db"
    assert disk.shown(str(folder)) == "."
    assert disk.shown("/var/x") == "/var/x"


def test_making_one_is_cheap(folder: Path) -> None:
    view = BaseView(SystemDisk(), [str(folder)])
    began_s = time.perf_counter()
    for _ in range(20):
        SimulatedDisk(VirtualClock(), base=view)
    assert time.perf_counter() - began_s < 0.02


# ---- faults


def struck(kind: str, where: str, number: int = 0) -> ListedFaults:
    return ListedFaults([Strike(kind, where, number, 0.5)])


def test_an_error_of_the_device() -> None:
    disk = make(faults=struck("disk_io_error", "f", 1))
    write(disk, "/app/f", b"safe")
    assert outcome(lambda: read(disk, "/app/f")) == "EIO"
    assert read(disk, "/app/f") == b"safe"
    disk = make(faults=struck("disk_io_error", "f", 1))
    assert outcome(lambda: write(disk, "/app/f", b"1", sync=True)) == "EIO"
    assert disk.unsynced_paths == ["f"]


def test_a_full_disk() -> None:
    disk = make(faults=struck("disk_full", "f", 1))
    assert outcome(lambda: write(disk, "/app/f", b"1")) == "ENOSPC"
    assert read(disk, "/app/f") == b""
    disk = make(faults=struck("disk_full", "d"))
    assert outcome(lambda: disk.mkdir("/app/d")) == "ENOSPC"
    assert not disk.exists("/app/d")


def test_changes_are_told() -> None:
    told: list[tuple[str, str, bytes]] = []
    disk = make(observe=lambda *event: told.append(event))
    write(disk, "/app/f", b"1", sync=True)
    disk.rename("/app/f", "/app/g")
    disk.remove("/app/g")
    assert told == [
        ("create", "f", b""),
        ("write", "f", b"1"),
        ("sync", "f", b""),
        ("rename", "f -> g", b""),
        ("remove", "g", b""),
    ]


# ---- crashes


def crashed(seed: int, work: Callable[[SimulatedDisk], object]) -> SimulatedDisk:
    disk = make()
    work(disk)
    disk.crash(SeededEntropy(seed))
    return disk


def test_what_was_synced_survives() -> None:
    for seed in range(30):
        disk = crashed(seed, lambda disk: write(disk, "/app/f", b"x" * 2000, sync=True))
        assert read(disk, "/app/f") == b"x" * 2000


def test_unsynced_writes_are_lost_or_torn_or_kept() -> None:
    def work(disk: SimulatedDisk) -> None:
        write(disk, "/app/f", b"o" * 2048, sync=True)
        write(disk, "/app/f", b"n" * 2048, "r+b")

    seen = {read(crashed(seed, work), "/app/f") for seed in range(60)}
    assert seen == {b"n" * 512 * kept + b"o" * 512 * (4 - kept) for kept in range(5)}


def test_a_later_write_may_survive_an_earlier_one() -> None:
    def work(disk: SimulatedDisk) -> None:
        write(disk, "/app/f", b"a" * 512, sync=True)
        write(disk, "/app/f", b"b" * 512, "ab")
        write(disk, "/app/f", b"c" * 512, "ab")

    seen = {read(crashed(seed, work), "/app/f") for seed in range(60)}
    assert b"a" * 512 + bytes(512) + b"c" * 512 in seen
    assert {b"a" * 512, b"a" * 512 + b"b" * 512} <= seen


def test_truncations_are_taken_back() -> None:
    def work(disk: SimulatedDisk) -> None:
        write(disk, "/app/f", b"abc", sync=True)
        with disk.open("/app/f", "r+b") as file:
            file.truncate(1)
            file.truncate(5)

    seen = {read(crashed(seed, work), "/app/f") for seed in range(40)}
    assert {b"abc", b"a", b"abc\0\0"} <= seen <= {b"abc", b"a", b"abc\0\0", b"a\0\0\0\0"}


def test_names_are_lost_from_the_end_and_kept_by_a_sync() -> None:
    def work(disk: SimulatedDisk) -> None:
        write(disk, "/app/1", b"", sync=True)
        disk.mkdir("/app/2")
        disk.rename("/app/1", "/app/2/3")
        disk.remove("/app/2/3")

    seen = {(disk.exists("/app/1"), *disk.list("/app")) for disk in (crashed(seed, work) for seed in range(40))}
    assert seen == {(True, "1"), (True, "1", "2"), (False, "2")}
    disk = make()
    work(disk)
    write(disk, "/app/other", b"", sync=True)
    disk.crash(SeededEntropy(1))
    assert disk.list("/app") == ["2", "other"]
    work(disk_two := make())
    disk_two.sync_names()
    disk_two.crash(SeededEntropy(1))
    assert disk_two.list("/app") == ["2"]


def test_replacing_a_file_without_syncing_it_first_can_leave_nothing() -> None:
    def work(disk: SimulatedDisk, *, sync: bool) -> None:
        write(disk, "/app/f", b"old", sync=True)
        write(disk, "/app/f.tmp", b"new", sync=sync)
        disk.rename("/app/f.tmp", "/app/f")

    careless = {read(crashed(seed, lambda disk: work(disk, sync=False)), "/app/f") for seed in range(40)}
    careful = {read(crashed(seed, lambda disk: work(disk, sync=True)), "/app/f") for seed in range(40)}
    assert careless == {b"old", b"new", b""}
    assert careful == {b"old", b"new"}


def test_handles_of_files_that_lost_something_are_dead() -> None:
    disk = make()
    write(disk, "/app/kept", b"k", sync=True)
    kept, lost = disk.open("/app/kept", "rb"), disk.open("/app/lost", "w+b")
    lost.write(b"x" * 5000)
    assert disk.unsynced_paths == ["lost"]
    assert disk.crash(Strike("lost_unsynced_write", "host", 0, 0.5)) == ["lost"]
    assert kept.read() == b"k"
    assert outcome(lost.read) == "EIO"
    lost.close()
    assert disk.crash_count == 1


def test_without_harm_nothing_is_lost() -> None:
    disk = make()
    write(disk, "/app/f", b"x")
    assert disk.crash(None) == []
    assert read(disk, "/app/f") == b"x"
    disk.crash(SeededEntropy(3))
    assert read(disk, "/app/f") == b"x"


def test_one_seed_one_crash() -> None:
    def work(disk: SimulatedDisk) -> None:
        for number in range(20):
            write(disk, f"/app/{number % 3}", bytes([number]) * 700, "ab")
        disk.sync_names()

    pictures = [
        [read(disk, f"/app/{name}") for name in disk.list("/app")]
        for disk in (crashed(seed, work) for seed in (4, 4, 9))
    ]
    assert pictures[0] == pictures[1] != pictures[2]


def test_remembered_changes_are_bounded() -> None:
    disk = make()
    with disk.open("/app/f", "wb") as file:
        for number in range(4_200):
            file.write(bytes([number % 256]))
    disk.sync_names()
    disk.crash(SeededEntropy(0))  # which loses everything it can
    assert disk.stat("/app/f").size_bytes >= 104


def test_drawn_faults_strike_files_as_told() -> None:
    plan = FaultPlan(SeededEntropy(3), ["disk_io_error", "disk_full"], probabilities={"disk_io_error": 1})
    disk = make(faults=plan)
    assert outcome(lambda: write(disk, "/app/f", b"1")) == "EIO"
    assert [strike.key for strike in plan.struck] == [("disk_io_error", "f", 0)]
