import errno
import os
import threading
import time
import uuid
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from determinism.seams import Clock, Entropy, Ids
from determinism.system import (
    SystemClock,
    SystemDisk,
    SystemEntropy,
    SystemIds,
    SystemNetwork,
    SystemThreads,
    system_environment,
)


def test_environment_has_the_live_seams() -> None:
    environment = system_environment()
    assert isinstance(environment.clock, Clock)
    assert isinstance(environment.entropy, Entropy)
    assert isinstance(environment.ids, Ids)


def test_wall_time_is_the_machines() -> None:
    before = time.time_ns()
    assert before <= SystemClock().wall_ns() <= time.time_ns()


async def test_monotonic_time_is_trios_inside_a_run(autojump_clock: MockClock) -> None:
    clock = SystemClock()
    begin = clock.monotonic_s()
    await trio.sleep(100)
    assert clock.monotonic_s() - begin == pytest.approx(100)


def test_monotonic_time_outside_a_run_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.monotonic_s() <= clock.monotonic_s()


def test_processor_time_never_goes_back() -> None:
    clock = SystemClock()
    assert clock.cpu_s() <= clock.cpu_s()


def test_zone_follows_tz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Europe/Rome")
    assert SystemClock().zone() == "Europe/Rome"


@pytest.mark.parametrize(
    ("link", "zone"),
    [("/usr/share/zoneinfo/Asia/Tokyo", "Asia/Tokyo"), ("/somewhere/else", "UTC"), (None, "UTC")],
)
def test_zone_is_read_from_the_link(monkeypatch: pytest.MonkeyPatch, link: str | None, zone: str) -> None:
    def readlink(_path: str) -> str:
        if link is None:
            raise FileNotFoundError
        return link

    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(os, "readlink", readlink)
    assert SystemClock().zone() == zone


def test_entropy_draws_in_range() -> None:
    entropy = SystemEntropy()
    assert len(entropy.random_bytes(16)) == 16
    assert entropy.random_bytes(16) != entropy.random_bytes(16)
    assert entropy.random_bytes(0) == b""
    assert 0 <= entropy.random() < 1
    assert entropy.below(1) == 0
    assert entropy.below(10) in range(10)
    assert isinstance(entropy.fork("x"), Entropy)


def test_ids_are_unique() -> None:
    ids = SystemIds()
    assert ids.unique() == "0x00001"
    assert ids.unique() == "0x00002"
    assert uuid.UUID(ids.uuid()).version == 4
    assert ids.uuid() != ids.uuid()


async def test_threads_run_elsewhere_and_give_the_result() -> None:
    here = threading.get_ident()
    assert await SystemThreads().run(threading.get_ident) != here
    with pytest.raises(ZeroDivisionError):
        await SystemThreads().run(divmod, 1, 0)


async def test_a_full_lane_starves_only_itself() -> None:
    threads = SystemThreads()
    release = threading.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(9):  # one more than a lane holds
            nursery.start_soon(lambda: threads.run(release.wait, lane="slow"))
        assert await threads.run(abs, -1, lane="other") == 1
        release.set()


async def test_abandoned_work_lets_its_caller_go() -> None:
    threads = SystemThreads()
    release = threading.Event()
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: threads.run(release.wait, abandon_on_cancel=True))
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    release.set()


def test_disk_writes_reads_and_tells(tmp_path: Path) -> None:
    disk = SystemDisk()
    folder, file = str(tmp_path / "a" / "b"), str(tmp_path / "a" / "b" / "file")
    disk.mkdir(folder, parents=True)
    disk.mkdir(folder, parents=True)  # with parents an existing folder is fine
    with disk.open(file, "wb") as opened:
        opened.write(b"hello")
    with disk.open(file, "rb") as opened:
        assert opened.read() == b"hello"
    disk.chmod(file, 0o600)
    found = disk.stat(file)
    assert (found.size_bytes, found.mode, found.is_dir) == (5, 0o600, False)
    assert found.modified_ns == Path(file).stat().st_mtime_ns
    assert disk.stat(folder).is_dir


def test_disk_lists_in_order_and_removes(tmp_path: Path) -> None:
    disk = SystemDisk()
    for name in "cab":
        disk.open(str(tmp_path / name), "wb").close()
    assert disk.list(str(tmp_path)) == ["a", "b", "c"]
    disk.rename(str(tmp_path / "a"), str(tmp_path / "z"))
    disk.remove(str(tmp_path / "b"))
    assert disk.list(str(tmp_path)) == ["c", "z"]
    assert disk.exists(str(tmp_path / "z"))
    assert not disk.exists(str(tmp_path / "b"))
    disk.mkdir(str(tmp_path / "empty"))
    disk.rmdir(str(tmp_path / "empty"))
    assert not disk.exists(str(tmp_path / "empty"))


def test_disk_resolves_links(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert SystemDisk().realpath(str(tmp_path / "link" / "x")) == str((tmp_path / "real" / "x").resolve())


def test_disk_errors_are_os_errors(tmp_path: Path) -> None:
    disk = SystemDisk()
    missing = str(tmp_path / "missing" / "x")
    for failing in (
        lambda: disk.open(missing, "rb"),
        lambda: disk.stat(missing),
        lambda: disk.list(missing),
        lambda: disk.mkdir(missing),
        lambda: disk.remove(missing),
        lambda: disk.rmdir(missing),
        lambda: disk.rename(missing, missing),
        lambda: disk.chmod(missing, 0o600),
    ):
        with pytest.raises(FileNotFoundError):
            failing()


def test_disk_files_are_binary(tmp_path: Path) -> None:
    with SystemDisk().open(str(tmp_path / "x"), "wb") as opened, pytest.raises(TypeError):
        opened.write("text")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="binary"):
        SystemDisk().open(str(tmp_path / "x"), "r")


async def test_network_carries_bytes_over_loopback() -> None:
    network = SystemNetwork()
    listener = await network.listen("127.0.0.1", 0)
    host, _, port = listener.address.rpartition(":")
    client = await network.connect(host, int(port))
    server = await listener.accept()
    await client.send_all(b"ping")
    assert await server.receive_some() == b"ping"
    for end in (client, server, listener):
        await end.aclose()


async def test_network_refuses_where_nobody_listens() -> None:
    network = SystemNetwork()
    listener = await network.listen("localhost", 0)
    port = int(listener.address.rpartition(":")[2])
    await listener.aclose()
    with pytest.raises(OSError, match=r".+"):
        await network.connect("127.0.0.1", port)


async def test_network_without_a_host_listens_on_all_addresses() -> None:
    network = SystemNetwork()
    listener = await network.listen("", 0)
    assert listener.address.startswith("0.0.0.0:")
    client = await network.connect("127.0.0.1", int(listener.address.rpartition(":")[2]))
    await client.aclose()
    await listener.aclose()


async def test_a_local_socket_is_for_this_user_and_replaces_what_a_dead_one_left(tmp_path: Path) -> None:
    network, path = SystemNetwork(), str(tmp_path / "node.sock")
    listener = await network.listen_local(path)
    assert listener.address == path
    assert SystemDisk().stat(path).mode == 0o600
    with pytest.raises(OSError, match="address already in use") as taken:
        await network.listen_local(path)
    assert taken.value.errno == errno.EADDRINUSE
    client = await network.connect_local(path)
    probe = await listener.accept()  # of the listener that was refused
    assert await probe.receive_some() == b""
    server = await listener.accept()
    await client.send_all(b"ping")
    assert await server.receive_some() == b"ping"
    for end in (client, server, probe):
        await end.aclose()
    await listener._listener.aclose()  # type: ignore[attr-defined]  # ends without tidying up
    with pytest.raises(ConnectionRefusedError):
        await network.connect_local(path)
    again = await network.listen_local(path)
    await again.aclose()
    assert not SystemDisk().exists(path)


async def test_a_long_path_is_named_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.chdir(deep)
    listener = await SystemNetwork().listen_local(str(deep / "s"))
    assert listener.address == str(deep / "s")
    await (await SystemNetwork().connect_local(str(deep / "s"))).aclose()
    await listener.aclose()


def test_a_file_can_be_synced(tmp_path: Path) -> None:
    disk = SystemDisk()
    with disk.open(str(tmp_path / "f"), "wb") as file:
        file.write(b"1")
        disk.sync(file)
        assert (tmp_path / "f").read_bytes() == b"1"
