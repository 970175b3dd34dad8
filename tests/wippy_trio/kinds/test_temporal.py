from __future__ import annotations

import subprocess
import sys

import pytest

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError
from wippy_trio.core.ids import EntryId
from wippy_trio.kinds.temporal import check_client, check_worker
from wippy_trio.workflows.temporal_config import ClientConfig, WorkerConfig


def client(**data: object) -> Entry:
    return Entry(EntryId("app", "client"), "temporal.client", {}, {"address": "localhost:7233", **data})


def worker(**data: object) -> Entry:
    return Entry(EntryId("app", "worker"), "temporal.worker", {}, {"client": "client", "task_queue": "q", **data})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"address": ""}, "address is required"),
        ({"auth": {"type": "api_key"}}, "API key source is required"),
        ({"auth": {"type": "api_key", "api_key": "a", "api_key_file": "b"}}, "multiple API key sources specified"),
        ({"auth": {"type": "api_key", "api_key_env": "KEY"}}, "variable KEY is not set"),
        ({"auth": {"type": "mtls", "key_pem": "k"}}, "mTLS certificate is required"),
        ({"auth": {"type": "mtls", "cert_pem": "c"}}, "mTLS key is required"),
        (
            {"auth": {"type": "mtls", "cert_pem": "c", "cert_file": "c", "key_pem": "k"}},
            "multiple mTLS certificate sources specified",
        ),
        (
            {"auth": {"type": "mtls", "cert_pem": "c", "key_pem": "k", "key_file": "k"}},
            "multiple mTLS key sources specified",
        ),
        ({"auth": {"type": "magic"}}, "invalid auth type: magic"),
        (
            {"tls": {"enabled": True, "insecure_skip_verify": True, "server_name": "x"}},
            "cannot use insecure skip verify with server name",
        ),
        ({"connection_timeout": "-1s"}, "connection timeout must be >= 0"),
        ({"keep_alive_time": "soon"}, "invalid keep_alive_time"),
        ({"namespace": 5}, "namespace must be a text"),
        ({"tls": []}, None),
    ],
)
def test_a_client_is_checked(data, problem) -> None:
    if problem is None:
        check_client(client(**data))
        return
    with pytest.raises(InvalidError, match=problem):
        check_client(client(**data))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"client": ""}, "client reference is required"),
        ({"task_queue": ""}, "task queue is required"),
        (
            {"worker_options": {"max_concurrent_workflow_task_pollers": 1}},
            "max concurrent workflow task pollers cannot be 1",
        ),
        ({"worker_options": {"worker_activities_per_second": -1}}, "worker activities per second cannot be negative"),
        (
            {"worker_options": {"disable_workflow_worker": True, "local_activity_worker_only": True}},
            "cannot disable workflow worker and use local activity worker only simultaneously",
        ),
        ({"worker_options": {"default_versioning_behavior": "x"}}, "default_versioning_behavior must be"),
        ({"worker_options": {"enable_session_worker": "yes"}}, "enable_session_worker must be true or false"),
    ],
)
def test_a_worker_is_checked(data, problem) -> None:
    with pytest.raises(InvalidError, match=problem):
        check_worker(worker(**data))


def test_defaults_are_the_documented_ones() -> None:
    config = ClientConfig.parse(client(health_check={"enabled": True}))
    assert (config.namespace, config.tq_prefix, config.auth.type, config.tls.enabled) == ("default", "", "none", None)
    assert (config.connection_timeout_s, config.keep_alive_time_s, config.keep_alive_timeout_s) == (10, 30, 10)
    assert config.health_check_s == 30
    options = WorkerConfig.parse(worker()).options
    assert (options.activities_count, options.activity_pollers_count, options.workflow_pollers_count) == (1000, 20, 20)
    assert options.sticky_schedule_to_start_s == 5


def test_fields_are_read() -> None:
    auth = {"type": "mtls", "cert_pem": "C", "key_file": "key.pem"}
    config = ClientConfig.parse(
        client(namespace="n", tq_prefix="p-", auth=auth, tls={"enabled": True, "ca_file": "ca"})
    )
    assert (config.namespace, config.tq_prefix, config.auth.cert_pem, config.tls.ca_file) == ("n", "p-", "C", "ca")
    assert "C" not in repr(config.auth), "secrets are not shown"
    found = WorkerConfig.parse(worker(worker_options={"build_id": "7", "worker_stop_timeout": "3s", "identity": "me"}))
    assert found.client == EntryId("app", "client")
    assert (found.options.build_id, found.options.worker_stop_s, found.options.identity) == ("7", 3, "me")


def test_nothing_of_temporal_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, wippy_trio.kinds.temporal, wippy_trio.app.app, wippy_trio.modules.process\n"
        "sys.exit(any(name in sys.modules for name in ('temporalio', 'trio_asyncio')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_the_embedded_engine_needs_no_server(app) -> None:
    entries = """
    - name: client
      kind: temporal.client
      address: "127.0.0.1:1"
      lifecycle: {auto_start: true}
    """
    async with app(entries, settings={"workflows": {"engine": "embedded"}}) as running:
        assert running.failed == []


async def test_a_missing_extra_is_named(app, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "wippy_trio.workflows.temporal_client", None)
    entries = '- {name: client, kind: temporal.client, address: "127.0.0.1:1", lifecycle: {auto_start: true}}'
    async with app(entries) as running:
        ((id_, problem),) = running.failed
        assert (str(id_), problem.kind) == ("app:client", "Unavailable")
        assert "app:client needs the extra wippy-trio[temporal]" in str(problem)
