from __future__ import annotations

import pytest
from temporalio.api.workflowservice.v1 import StartWorkflowExecutionRequest

from sandbox.errors import LuaError
from sandbox.values import pack_list
from wippy_trio.core.errors import InvalidError
from wippy_trio.core.ids import EntryId
from wippy_trio.workflows.host import StartRequest
from wippy_trio.workflows.options import parse_workflow_options
from wippy_trio.workflows.temporal_calls import start
from wippy_trio.workflows.temporal_config import WorkerOptions
from wippy_trio.workflows.temporal_options import priority, search_attributes, versioning_override
from wippy_trio.workflows.temporal_worker import worker_settings
from wippy_trio.workflows.wire import Context

USE, FAIL, TERMINATE = 2, 1, 3


class FakeClient:
    """Keeps what it is asked; answers as told."""

    namespace = "ns"

    class sdk:  # noqa: N801
        identity = "me"

    def __init__(self, *answers: object) -> None:
        self.asked: list[tuple[str, object]] = []
        self.answers = list(answers)

    def new_id(self) -> str:
        return "id"

    async def call(self, method: str, request: object, **_options: object) -> object:
        self.asked.append((method, request))
        answer = self.answers.pop(0) if self.answers else StartWorkflowExecutionRequest
        if isinstance(answer, Exception):
            raise answer

        class Answer:
            run_id = "run"

        return Answer


def request(options: dict[str, object] | None = None, *, named: bool = True, messages: int = 0) -> StartRequest:
    parsed = parse_workflow_options({f"temporal.workflow.{key}": value for key, value in (options or {}).items()})
    told = tuple((f"t{n}", pack_list([n])) for n in range(messages))
    return StartRequest(
        EntryId("app", "w"), "id-1", named, pack_list([{"a": 1}]), parsed, Context({"k": "v"}), "{n@h|1}", told
    )


@pytest.mark.parametrize(
    ("options", "named", "policy"),
    [
        ({}, True, USE),
        ({}, False, FAIL),
        ({"id_conflict_policy": "fail"}, True, FAIL),
        ({"id_conflict_policy": "terminate_existing"}, False, TERMINATE),
        ({"execution_error_when_already_started": True}, True, FAIL),
        ({"execution_error_when_already_started": False}, False, USE),
        ({"execution_error_when_already_started": True, "id_conflict_policy": "use_existing"}, True, USE),
        ({"id_reuse_policy": "terminate_if_running"}, True, TERMINATE),
    ],
)
async def test_what_becomes_of_a_running_one(options, named, policy) -> None:
    client = FakeClient()
    assert await start(client, request(options, named=named), "app:w", "q") == "run"  # type: ignore[arg-type]
    ((method, sent),) = client.asked
    assert (method, sent.workflow_id_conflict_policy) == ("start_workflow_execution", policy)  # type: ignore[attr-defined]


async def test_every_option_reaches_the_server() -> None:
    options = {
        "task_queue": "other",
        "namespace": "ns",
        "execution_timeout": "24h",
        "run_timeout": 1500,
        "task_timeout": "30s",
        "start_delay": "5m",
        "id_reuse_policy": "reject_duplicate",
        "retry_policy": {"initial_interval": 100, "maximum_attempts": 3, "non_retryable_error_types": ["Invalid"]},
        "cron_schedule": "0 */6 * * *",
        "memo": {"source": "api"},
        "search_attributes": {"customer": "c"},
        "summary": "short",
        "details": "long",
        "priority": {"priority_key": 2, "fairness_key": "f"},
        "versioning_override": "auto_upgrade",
    }
    client = FakeClient()
    await start(client, request(options), "app:w", "q")  # type: ignore[arg-type]
    sent = client.asked[0][1]
    assert isinstance(sent, StartWorkflowExecutionRequest)
    assert (sent.namespace, sent.task_queue.name, sent.workflow_type.name) == ("ns", "other", "app:w")
    assert sent.workflow_execution_timeout.seconds == 86400
    assert sent.workflow_run_timeout.ToMilliseconds() == 1500
    assert (sent.workflow_task_timeout.seconds, sent.workflow_start_delay.seconds) == (30, 300)
    assert (sent.workflow_id_reuse_policy, sent.cron_schedule) == (3, "0 */6 * * *")
    assert sent.retry_policy.initial_interval.ToMilliseconds() == 100
    assert (sent.retry_policy.maximum_attempts, list(sent.retry_policy.non_retryable_error_types)) == (3, ["Invalid"])
    assert sent.memo.fields["source"].data == b'"api"'
    assert sent.search_attributes.indexed_fields["customer"].metadata["type"] == b"Keyword"
    assert (sent.user_metadata.summary.data, sent.user_metadata.details.data) == (b'"short"', b'"long"')
    assert (sent.priority.priority_key, sent.versioning_override.auto_upgrade) == (2, True)
    assert sent.input.payloads[0].data == b'{"a":1}'
    assert sent.header.fields["wippy-context"].data == b'{"k":"v"}'


async def test_another_namespace_is_another_client() -> None:
    with pytest.raises(InvalidError, match="this client's namespace is ns"):
        await start(FakeClient(), request({"namespace": "elsewhere"}), "app:w", "q")  # type: ignore[arg-type]


async def test_messages_of_a_start() -> None:
    client = FakeClient()
    await start(client, request(messages=2), "app:w", "q")  # type: ignore[arg-type]
    methods = [method for method, _ in client.asked]
    assert methods == ["signal_with_start_workflow_execution", "signal_workflow_execution"]
    first = client.asked[0][1]
    assert b"{n@h|1}" in first.header.fields["wippy-context"].data  # type: ignore[attr-defined]
    client = FakeClient()
    await start(client, request({"id_conflict_policy": "fail"}, messages=1), "app:w", "q")  # type: ignore[arg-type]
    assert [method for method, _ in client.asked] == ["start_workflow_execution", "signal_workflow_execution"]


async def test_an_id_that_was_used() -> None:
    taken = LuaError("taken", kind="AlreadyExists")
    client = FakeClient(taken)
    assert await start(client, request(), "app:w", "q") == ""  # type: ignore[arg-type]
    client = FakeClient(taken)
    with pytest.raises(LuaError) as caught:
        await start(client, request({"id_conflict_policy": "fail"}), "app:w", "q")  # type: ignore[arg-type]
    assert (caught.value.kind, caught.value.details) == ("AlreadyExists", {"workflow_id": "id-1"})


def test_types_of_search_attributes() -> None:
    values = {"t": "x", "b": True, "i": 5, "w": 5.0, "d": 1.5, "l": ["a", "b"]}
    found = {name: item.metadata["type"] for name, item in search_attributes(values).items()}
    assert found == {"t": b"Keyword", "b": b"Bool", "i": b"Int", "w": b"Int", "d": b"Double", "l": b"KeywordList"}
    assert search_attributes({"gone": None})["gone"].metadata["encoding"] == b"binary/null"
    with pytest.raises(InvalidError, match='search attribute "x": unsupported value type dict'):
        search_attributes({"x": {"a": 1}})


@pytest.mark.parametrize(
    ("read", "given", "problem"),
    [
        (priority, {"priority": 5}, "priority must be a table"),
        (priority, {"priority": {"priority_key": "x"}}, "temporal.workflow.priority:"),
        (versioning_override, {"versioning_override": "pinned"}, "mode must be|are required"),
        (versioning_override, {"versioning_override": {"mode": "pinned"}}, "deployment_name and build_id are required"),
        (versioning_override, {"versioning_override": {"mode": "other"}}, 'mode must be "pinned" or "auto_upgrade"'),
    ],
)
def test_malformed_extras(read, given, problem) -> None:
    options = request(given).options
    with pytest.raises(InvalidError, match=problem):
        read(options)


def test_a_pinned_version() -> None:
    options = request({"versioning_override": {"mode": "pinned", "version": {"deployment_name": "d", "build_id": "b"}}})
    found = versioning_override(options.options)
    assert found is not None
    assert (found.pinned.version.deployment_name, found.pinned.version.build_id) == ("d", "b")


def test_settings_of_the_worker() -> None:
    found = worker_settings(WorkerOptions())
    assert (found["max_concurrent_activities"], found["max_concurrent_workflow_tasks"]) == (1000, 1000)
    assert (found["build_id"], "deployment_config" in found) == ("wippy-trio", False)
    assert worker_settings(WorkerOptions(workflow_tasks_count=1))["max_concurrent_workflow_tasks"] == 2
    limited = worker_settings(
        WorkerOptions(eager_activities_count=2, worker_activities_per_second=5.0, worker_stop_s=3.0)
    )
    assert limited["max_eager_activity_reservations_per_workflow_task"] == 2
    assert (limited["max_activities_per_second"], limited["graceful_shutdown_timeout"].total_seconds()) == (5.0, 3.0)
    with pytest.raises(InvalidError, match="use_versioning needs deployment_name and build_id"):
        worker_settings(WorkerOptions(use_versioning=True))
    versioned = worker_settings(WorkerOptions(use_versioning=True, deployment_name="d", build_id="1"))[
        "deployment_config"
    ]
    assert (versioned.version.build_id, versioned.default_versioning_behavior.name) == ("1", "PINNED")
