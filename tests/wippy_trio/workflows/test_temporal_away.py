"""A Temporal server that is not there yet, that goes away and comes back, and one behind TLS."""

from __future__ import annotations

import pytest
import trio

from sandbox.errors import LuaError
from sandbox.values import pack_list
from tests.services import temporal as service
from tests.services.tls import TlsFront, certificates
from tests.wippy_trio.workflows.temporal_app import activity, function, temporal_app, workflow
from wippy_trio.actors.supervisor import ServiceState
from wippy_trio.core.ids import EntryId
from wippy_trio.workflows.host import HOSTS

pytestmark = [pytest.mark.service, pytest.mark.slow]

WORKER = EntryId("app", "worker")
FAST = "restart: {initial_delay: 100ms, max_delay: 200ms}"


async def until(condition) -> None:
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - what is waited for is outside
            await trio.sleep(0.02)


async def test_a_server_that_comes_later_goes_and_comes_back(temporal_server, tmp_path) -> None:
    program, port, file = temporal_server.program, service.free_port(), str(tmp_path / "temporal.db")
    address = service.TemporalServer(f"127.0.0.1:{port}", program)
    waiting = workflow("waiting", "return process.inbox():receive():payload():data()")
    start = function("start", "return process.with_options({}):with_name('w'):spawn('app:waiting', 'app:worker')")
    async with temporal_app(address, waiting, start, lifecycle=FAST, failing=True) as app:
        worker = app.app.supervisor.get(WORKER)
        assert worker is not None
        with pytest.raises(LuaError) as caught:
            await app.call("start")
        assert (caught.value.kind, caught.value.retryable) == ("Unavailable", True)
        assert "host app:worker is not running: app:worker: client app:client: failed to connect" in str(caught.value)
        _, first = service.start(program, "--db-filename", file, port=port)
        try:
            await until(lambda: worker.state is ServiceState.RUNNING)
            await app.call("start")
        finally:
            service.stop(first)
        with pytest.raises(LuaError) as caught, trio.fail_after(30):
            await app.host.signal("w", "go", pack_list([1]))
        assert caught.value.kind in {"Unavailable", "Timeout"}
        assert caught.value.retryable
        _, second = service.start(program, "--db-filename", file, port=port)
        try:
            with trio.fail_after(30):
                await app.host.signal("w", "go", pack_list([5]))
                assert await app.host.outcome("w") == 5
        finally:
            service.stop(second)


async def test_tls_and_a_certificate_of_the_client(temporal_server, tmp_path) -> None:
    files = certificates(tmp_path)
    echo, calling = activity("echo", "return ..."), workflow("calling", "return require('funcs').call('app:echo', ...)")
    front = TlsFront(temporal_server.address, files)
    try:
        address = service.TemporalServer(front.address, temporal_server.program)
        tls = f"tls: {{enabled: true, ca_file: {files.ca}, server_name: temporal.test}}"
        auth = f"auth: {{type: mtls, cert_file: {files.client_cert}, key_file: {files.client_key}}}"
        async with temporal_app(address, echo, calling, client=f"{tls}, {auth}") as app:
            assert await app.execute("calling", "hello") == "hello"
        async with temporal_app(address, client=tls, lifecycle=FAST, failing=True) as app:
            assert HOSTS not in app.app.runtime.extras or not app.app.runtime.extras[HOSTS], "no certificate, no entry"
    finally:
        front.close()
