"""Configuration of temporal.client and temporal.worker entries, decoded and checked. Knows nothing of the SDK.

Source: docs temporal/overview.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast

import attrs

from wippy_trio.core.entry import Entry
from wippy_trio.core.errors import InvalidError, LuaError
from wippy_trio.core.ids import EntryId
from wippy_trio.core.units import duration_s
from wippy_trio.kind import relative

__all__ = ["Auth", "ClientConfig", "Tls", "WorkerConfig", "WorkerOptions"]

T = TypeVar("T")
AuthType = Literal["none", "api_key", "mtls"]
Versioning = Literal["", "pinned", "auto_upgrade"]


def _map(entry: Entry, data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key) or {}
    if not isinstance(value, Mapping):
        raise InvalidError(f"{entry.id}: {key} must be a map")
    return value


def _read(entry: Entry, data: Mapping[str, Any], key: str, kind: type[T], default: T) -> T:
    value = data.get(key)
    if value is None or value == "":
        return default
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        what = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise InvalidError(f"{entry.id}: {key} must be {what}")
    return value


def _seconds(entry: Entry, data: Mapping[str, Any], key: str, default: float, what: str = "") -> float:
    value = data.get(key)
    try:
        seconds = default if value in (None, "") else duration_s(value)
    except LuaError as problem:
        raise InvalidError(f"{entry.id}: invalid {key}: {problem}") from problem
    if seconds < 0:
        raise InvalidError(f"{what or key.replace('_', ' ')} must be >= 0")
    return seconds or default


@attrs.frozen(slots=True)
class Auth:
    """Who the client is: nobody in particular, the owner of an API key, or of a certificate and its key (PEM)."""

    type: AuthType = "none"
    api_key: str = attrs.field(default="", repr=False)
    api_key_file: str = ""
    cert_pem: str = attrs.field(default="", repr=False)
    cert_file: str = ""
    key_pem: str = attrs.field(default="", repr=False)
    key_file: str = ""

    @classmethod
    def parse(cls, entry: Entry) -> Auth:
        """Read the `auth` block; `_env` fields are resolved before, a variable without value leaves them there.

        Raises:
            InvalidError: a source is missing, or there are two.
        """
        data = _map(entry, entry.data, "auth")
        text = {key: _read(entry, data, key, str, "") for key in data if key != "type"}
        type_ = _read(entry, data, "type", str, "none")
        if type_ == "api_key":
            given = [key for key in ("api_key", "api_key_env", "api_key_file") if text.get(key)]
            if not given:
                raise InvalidError("API key source is required")
            if len(given) > 1:
                raise InvalidError("multiple API key sources specified")
        elif type_ == "mtls":
            _one_of(text, ("cert_file", "cert_pem"), "mTLS certificate", "multiple mTLS certificate sources specified")
            _one_of(text, ("key_file", "key_pem", "key_pem_env"), "mTLS key", "multiple mTLS key sources specified")
        elif type_ != "none":
            raise InvalidError(f"invalid auth type: {type_}")
        for key in ("api_key_env", "key_pem_env"):
            if text.get(key):
                raise InvalidError(f"{entry.id}: auth.{key}: variable {text[key]} is not set")
        known = {field.name for field in attrs.fields(cls)}
        return cls(cast(AuthType, type_), **{key: value for key, value in text.items() if key in known})


def _one_of(text: Mapping[str, str], keys: tuple[str, ...], what: str, conflict: str) -> None:
    given = [key for key in keys if text.get(key)]
    if not given:
        raise InvalidError(f"{what} is required")
    if len(given) > 1:
        raise InvalidError(conflict)


@attrs.frozen(slots=True)
class Tls:
    """The `tls` block; `enabled` None: nothing was said, and an API key brings encryption with it."""

    enabled: bool | None = None
    ca_file: str = ""
    server_name: str = ""
    insecure_skip_verify: bool = False

    @classmethod
    def parse(cls, entry: Entry) -> Tls:
        """Read the block.

        Raises:
            InvalidError: both no verification and a name to verify.
        """
        data = _map(entry, entry.data, "tls")
        tls = cls(
            _read(entry, data, "enabled", bool, False) if data else None,
            _read(entry, data, "ca_file", str, ""),
            _read(entry, data, "server_name", str, ""),
            _read(entry, data, "insecure_skip_verify", bool, False),
        )
        if tls.enabled and tls.insecure_skip_verify and tls.server_name:
            raise InvalidError("cannot use insecure skip verify with server name")
        return tls


@attrs.frozen(slots=True)
class ClientConfig:
    """A connection to a Temporal server. Times in seconds; `health_check_s` None means no checks."""

    id: EntryId
    address: str
    namespace: str = "default"
    tq_prefix: str = ""
    connection_timeout_s: float = 10.0
    keep_alive_time_s: float = 30.0
    keep_alive_timeout_s: float = 10.0
    health_check_s: float | None = None
    auth: Auth = Auth()
    tls: Tls = Tls()

    @classmethod
    def parse(cls, entry: Entry) -> ClientConfig:
        """Read a temporal.client entry.

        Raises:
            InvalidError: a field is missing, malformed or contradicts another.
        """
        data = entry.data
        address = _read(entry, data, "address", str, "")
        if not address:
            raise InvalidError("address is required")
        health = _map(entry, data, "health_check")
        checked = _read(entry, health, "enabled", bool, False)
        interval_s = _seconds(entry, health, "interval", 30.0, "health check interval")
        return cls(
            entry.id,
            address,
            _read(entry, data, "namespace", str, "default"),
            _read(entry, data, "tq_prefix", str, ""),
            _seconds(entry, data, "connection_timeout", 10.0),
            _seconds(entry, data, "keep_alive_time", 30.0),
            _seconds(entry, data, "keep_alive_timeout", 10.0),
            interval_s if checked else None,
            Auth.parse(entry),
            Tls.parse(entry),
        )


@attrs.frozen(slots=True)
class WorkerOptions:
    """The `worker_options` block: names as documented, times in seconds (`_s`), 0 = the SDK's own value."""

    identity: str = ""
    activities_count: int = 1000
    workflow_tasks_count: int = 1000
    local_activities_count: int = 1000
    sessions_count: int = 1000
    eager_activities_count: int = 0
    activity_pollers_count: int = 20
    workflow_pollers_count: int = 20
    worker_activities_per_second: float = 0.0
    worker_local_activities_per_second: float = 0.0
    task_queue_activities_per_second: float = 0.0
    sticky_schedule_to_start_s: float = 5.0
    worker_stop_s: float = 0.0
    deadlock_detection_s: float = 0.0
    max_heartbeat_throttle_s: float = 0.0
    default_heartbeat_throttle_s: float = 0.0
    enable_logging_in_replay: bool = False
    enable_session_worker: bool = False
    disable_workflow_worker: bool = False
    local_activity_worker_only: bool = False
    disable_eager_activities: bool = False
    disable_registration_aliasing: bool = False
    deployment_name: str = ""
    build_id: str = ""
    use_versioning: bool = False
    default_versioning: Versioning = ""


_COUNTS = {
    "activities_count": "max_concurrent_activity_execution_size",
    "workflow_tasks_count": "max_concurrent_workflow_task_execution_size",
    "local_activities_count": "max_concurrent_local_activity_execution_size",
    "sessions_count": "max_concurrent_session_execution_size",
    "eager_activities_count": "max_concurrent_eager_activity_execution_size",
    "activity_pollers_count": "max_concurrent_activity_task_pollers",
    "workflow_pollers_count": "max_concurrent_workflow_task_pollers",
}
_RATES = ("worker_activities_per_second", "worker_local_activities_per_second", "task_queue_activities_per_second")
_TIMES = {
    "sticky_schedule_to_start_s": "sticky_schedule_to_start_timeout",
    "worker_stop_s": "worker_stop_timeout",
    "deadlock_detection_s": "deadlock_detection_timeout",
    "max_heartbeat_throttle_s": "max_heartbeat_throttle_interval",
    "default_heartbeat_throttle_s": "default_heartbeat_throttle_interval",
}
_FLAGS = (
    "enable_logging_in_replay",
    "enable_session_worker",
    "disable_workflow_worker",
    "local_activity_worker_only",
    "disable_eager_activities",
    "disable_registration_aliasing",
    "use_versioning",
)


def _options(entry: Entry) -> WorkerOptions:
    data = _map(entry, entry.data, "worker_options")
    base = WorkerOptions()
    fields: dict[str, Any] = {}
    for name, key in _COUNTS.items():
        default = getattr(base, name)
        given = _read(entry, data, key, int, default)
        fields[name] = given if given > 0 else default
    for key in _RATES:
        fields[key] = _read(entry, data, key, float, 0.0)
        if fields[key] < 0:
            raise InvalidError(f"{key.replace('_', ' ')} cannot be negative")
    for name, key in _TIMES.items():
        fields[name] = _seconds(entry, data, key, getattr(base, name))
    for key in _FLAGS:
        fields[key] = _read(entry, data, key, bool, False)
    for key in ("identity", "deployment_name", "build_id"):
        fields[key] = _read(entry, data, key, str, "")
    versioning = _read(entry, data, "default_versioning_behavior", str, "")
    if versioning not in {"", "pinned", "auto_upgrade"}:
        raise InvalidError(f"{entry.id}: default_versioning_behavior must be pinned or auto_upgrade")
    return WorkerOptions(**fields, default_versioning=cast(Versioning, versioning))


@attrs.frozen(slots=True)
class WorkerConfig:
    """A worker: whose connection it uses, which queue it polls."""

    id: EntryId
    client: EntryId
    task_queue: str
    options: WorkerOptions = WorkerOptions()

    @classmethod
    def parse(cls, entry: Entry) -> WorkerConfig:
        """Read a temporal.worker entry.

        Raises:
            InvalidError: a field is missing, malformed or contradicts another.
        """
        if not entry.data.get("client"):
            raise InvalidError("client reference is required")
        task_queue = _read(entry, entry.data, "task_queue", str, "")
        if not task_queue:
            raise InvalidError("task queue is required")
        options = _options(entry)
        if options.workflow_pollers_count == 1:
            raise InvalidError("max concurrent workflow task pollers cannot be 1")
        if options.disable_workflow_worker and options.local_activity_worker_only:
            raise InvalidError("cannot disable workflow worker and use local activity worker only simultaneously")
        return cls(entry.id, relative(entry, entry.data["client"]), task_queue, options)
