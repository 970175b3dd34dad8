import pytest
import trio
from trio.testing import MockClock, check_half_closeable_stream

from determinism.memory import PIPE_BYTES, InlineThreads, MemoryNetwork, MemoryStream, memory_stream_pair


async def test_stream_keeps_trios_contract(autojump_clock: MockClock) -> None:
    async def make() -> tuple[MemoryStream, MemoryStream]:
        return memory_stream_pair()

    async def make_clogged() -> tuple[MemoryStream, MemoryStream]:
        ours, theirs = memory_stream_pair()
        await ours.send_all(b"x" * PIPE_BYTES)
        await theirs.send_all(b"x" * PIPE_BYTES)
        return ours, theirs

    await check_half_closeable_stream(make, make_clogged)


async def test_sender_waits_while_the_pipe_is_full(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    with trio.move_on_after(1) as scope:
        await ours.send_all(bytes(PIPE_BYTES + 1))
    assert scope.cancelled_caught
    assert len(await theirs.receive_some()) == PIPE_BYTES


async def test_bytes_sent_before_closing_arrive() -> None:
    ours, theirs = memory_stream_pair()
    await ours.send_all(b"last words")
    await ours.aclose()
    assert await theirs.receive_some() == b"last words"
    assert await theirs.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await theirs.send_all(b"too late")


async def test_connect_reaches_the_listener() -> None:
    network = MemoryNetwork()
    listener = await network.listen("127.0.0.1", 8080)
    assert listener.address == "127.0.0.1:8080"
    client = await network.connect("localhost", 8080)
    server = await listener.accept()
    await client.send_all(b"ping")
    assert await server.receive_some() == b"ping"
    await server.send_all(b"pong")
    assert await client.receive_some() == b"pong"


async def test_port_zero_gives_free_ports_in_order() -> None:
    network = MemoryNetwork()
    await network.listen("", 49_153)
    addresses = [(await network.listen("", 0)).address for _ in range(2)]
    assert addresses == ["0.0.0.0:49152", "0.0.0.0:49154"]


async def test_ipv6_address_is_bracketed() -> None:
    listener = await MemoryNetwork().listen("::1", 80)
    assert listener.address == "[::1]:80"


async def test_a_port_has_one_listener_a_host() -> None:
    network = MemoryNetwork()
    first = await network.listen("localhost", 80)
    await network.listen("elsewhere", 80)
    with pytest.raises(OSError, match="address already in use"):
        await network.listen("127.0.0.1", 80)
    await first.aclose()
    await network.listen("127.0.0.1", 80)


async def test_nobody_there_is_a_refusal() -> None:
    network = MemoryNetwork()
    listener = await network.listen("localhost", 80)
    with pytest.raises(ConnectionRefusedError):
        await network.connect("elsewhere", 80)
    await listener.aclose()
    with pytest.raises(ConnectionRefusedError):
        await network.connect("localhost", 80)


async def test_callers_beyond_the_backlog_wait(autojump_clock: MockClock) -> None:
    network = MemoryNetwork()
    listener = await network.listen("localhost", 80, backlog=1)
    await network.connect("localhost", 80)
    with trio.move_on_after(1) as scope:
        await network.connect("localhost", 80)
    assert scope.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.connect, "localhost", 80)
        await listener.accept()
        await listener.accept()


async def test_waiting_callers_are_refused_when_the_listener_closes(autojump_clock: MockClock) -> None:
    network = MemoryNetwork()
    listener = await network.listen("localhost", 80, backlog=0)
    refused: list[OSError] = []

    async def call() -> None:
        try:
            await network.connect("localhost", 80)
        except ConnectionRefusedError as error:
            refused.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await trio.testing.wait_all_tasks_blocked()
        await listener.aclose()
    assert len(refused) == 1


async def test_inline_work_takes_its_latency_and_gives_its_result(autojump_clock: MockClock) -> None:
    threads = InlineThreads(latency_s=0.5)
    begin = trio.current_time()
    assert await threads.run(divmod, 7, 3) == (2, 1)
    assert trio.current_time() - begin == 0.5


async def test_inline_work_raises_as_a_thread_would() -> None:
    with pytest.raises(ZeroDivisionError):
        await InlineThreads().run(divmod, 1, 0)


async def test_inline_work_is_not_begun_by_a_cancelled_caller() -> None:
    begun: list[int] = []
    with trio.CancelScope() as scope:
        scope.cancel()
        await InlineThreads().run(begun.append, 1)
    assert begun == []


async def test_local_sockets_have_a_path() -> None:
    network = MemoryNetwork()
    with pytest.raises(ConnectionRefusedError):
        await network.connect_local("/run/x")
    listener = await network.listen_local("/run/x")
    assert listener.address == "/run/x"
    with pytest.raises(OSError, match="address already in use"):
        await network.listen_local("/run/x")
    ours = await network.connect_local("/run/x")
    theirs = await listener.accept()
    await ours.send_all(b"hello")
    assert await theirs.receive_some() == b"hello"
    await listener.aclose()
    await (await network.listen_local("/run/x")).aclose()


async def test_connections_that_nobody_accepted_end_with_the_listener() -> None:
    network = MemoryNetwork()
    listener = await network.listen("localhost", 80)
    clients = [await network.connect("localhost", 80) for _ in range(3)]
    await listener.aclose()
    for client in clients:
        assert await client.receive_some() == b""
