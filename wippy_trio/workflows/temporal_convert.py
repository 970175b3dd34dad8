"""Lua values, errors and contexts as Temporal keeps them: payloads, failures and headers, and back.

What goes out is readable in Temporal's own UI: JSON (`json/plain`), `binary/null` for nil, `binary/plain` for strings
that are no text. Source: docs temporal/{activities,workflows}; the shapes of headers and error details are those of
the original, so that its workers and this runtime's may share a task queue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

from temporalio.api.common.v1 import Payload as WirePayload
from temporalio.api.enums.v1 import RetryState, TimeoutType
from temporalio.api.failure.v1 import Failure as WireFailure
from temporalio.converter import DataConverter, DefaultFailureConverter, PayloadConverter

from sandbox.errors import KINDS, LuaError
from sandbox.values import Payload, pack_list, unpack
from wippy_trio.core.errors import InternalError
from wippy_trio.text import jsoncodec
from wippy_trio.workflows.wire import Context, Failure

__all__ = [
    "CONTEXT_HEADER",
    "CONVERTER",
    "SECURITY_HEADER",
    "SOURCE",
    "context_of",
    "error_of",
    "failure_of",
    "pack_payloads",
    "source_of",
    "to_headers",
    "to_payload",
    "to_payloads",
    "value_of",
    "write_failure",
]

CONTEXT_HEADER, SECURITY_HEADER = "wippy-context", "wippy-security"
#: Context value that holds the PID of who sent a signal.
SOURCE = "temporal.signal.from"
_ENCODING = "encoding"
_NULL, _BINARY, _JSON = b"binary/null", b"binary/plain", b"json/plain"
_BYTES_FORMAT = "application/octet-stream"
_SOURCE_NAME = "WippySDK"


# values ------------------------------------------------------------------------------------------------------------
def to_payload(value: Any) -> WirePayload:
    """One value.

    Raises:
        LuaError: JSON cannot hold it (a table with gaps or mixed keys, a cycle).
    """
    raw: object = None
    if isinstance(value, Payload):
        form, raw, value = value.format, value.raw, value.value
        if raw is not None and form == "json/plain":
            return _payload(_JSON, _bytes(raw))
        if form == _BYTES_FORMAT:
            return _payload(_BINARY, _bytes(value if raw is None else raw))
    if value is None:
        return _payload(_NULL, b"")
    if isinstance(value, bytes):
        return _payload(_BINARY, value)
    return _payload(_JSON, jsoncodec.encode(value, empty_is_array=True))


def _payload(encoding: bytes, data: bytes) -> WirePayload:
    return WirePayload(metadata={_ENCODING: encoding}, data=data)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


def value_of(payload: WirePayload) -> Any:
    """The value again.

    Raises:
        LuaError: an encoding that is none of those above, or broken JSON.
    """
    encoding = payload.metadata.get(_ENCODING, b"")
    if encoding == _NULL:
        return None
    if encoding == _JSON:
        return jsoncodec.decode(payload.data)
    if encoding == _BINARY:
        return payload.data
    raise InternalError(f"unsupported temporal payload encoding: {encoding.decode('utf-8', 'replace') or 'none'}")


def to_payloads(data: bytes) -> list[WirePayload]:
    """An encoded list of values (`sandbox.values`)."""
    values = unpack(data)
    return [to_payload(value) for value in values] if isinstance(values, list) else []


def pack_payloads(payloads: Iterable[WirePayload]) -> bytes:
    """The encoded list again."""
    return pack_list([value_of(payload) for payload in payloads])


# errors ------------------------------------------------------------------------------------------------------------
def write_failure(failure: Failure, into: WireFailure) -> None:
    """An error as an application failure: its type is the error's kind, its details hold the rest."""
    kind = failure.kind or KINDS["INTERNAL"]
    entry: dict[str, Any] = {"msg": failure.message}
    if failure.kind:
        entry["kind"] = failure.kind
    if failure.retryable is not None:
        entry["retry"] = failure.retryable
    if failure.details:
        entry["details"] = dict(failure.details)
    if failure.stack:
        entry["stack"] = failure.stack.splitlines()
    if failure.context:
        entry["context"] = list(failure.context)
    into.source = _SOURCE_NAME
    into.message = ": ".join((*failure.context, failure.message))
    into.stack_trace = failure.stack
    info = into.application_failure_info
    info.type = kind
    info.non_retryable = failure.retryable is False
    info.details.payloads.append(to_payload({"errors": [entry]}))


def failure_of(wire: WireFailure) -> Failure:
    """The error that a failure stands for; wrappers of activities and children become details (`_wrapper`, ...)."""
    which = wire.WhichOneof("failure_info")
    if which == "activity_failure_info":
        activity = wire.activity_failure_info
        wrapper = {
            "_wrapper": "activity",
            "_activity_id": activity.activity_id,
            "_retry_state": _name(RetryState.Name(activity.retry_state), "RETRY_STATE_"),
        }
        return _wrapped(wire, wrapper)
    if which == "child_workflow_execution_failure_info":
        child = wire.child_workflow_execution_failure_info
        wrapper = {
            "_wrapper": "child_workflow",
            "_workflow_id": child.workflow_execution.workflow_id,
            "_workflow_type": child.workflow_type.name,
            "_run_id": child.workflow_execution.run_id,
            "_retry_state": _name(RetryState.Name(child.retry_state), "RETRY_STATE_"),
        }
        return _wrapped(wire, wrapper)
    return _inner(wire)


def _name(text: str, prefix: str) -> str:
    return "".join(part.capitalize() for part in text.removeprefix(prefix).split("_"))


def _wrapped(wire: WireFailure, wrapper: Mapping[str, Any]) -> Failure:
    found = failure_of(wire.cause) if wire.HasField("cause") else Failure(wire.message, KINDS["INTERNAL"])
    details = {**(found.details or {}), **wrapper}
    return Failure(found.message, found.kind, found.retryable, details, found.stack, found.context)


_KIND_OF_TYPE = {
    "ActivityNotRegisteredError": KINDS["NOT_FOUND"],
    "ActivityNotRegistered": KINDS["NOT_FOUND"],
    "WorkflowNotRegisteredError": KINDS["NOT_FOUND"],
    "NamespaceNotFoundError": KINDS["NOT_FOUND"],
    "NotFoundError": KINDS["NOT_FOUND"],  # what other Python workers say
    **{kind: kind for kind in KINDS.values()},
}


def _inner(wire: WireFailure) -> Failure:
    which = wire.WhichOneof("failure_info")
    if which == "application_failure_info":
        return _application(wire)
    if which == "canceled_failure_info":
        return Failure("operation canceled", KINDS["CANCELED"], retryable=False)
    if which == "timeout_failure_info":
        type_ = TimeoutType.Name(wire.timeout_failure_info.timeout_type).removeprefix("TIMEOUT_TYPE_").lower()
        return Failure(wire.message, KINDS["TIMEOUT"], retryable=False, details={"timeout_type": type_})
    if which == "terminated_failure_info":
        return Failure("workflow terminated", KINDS["CANCELED"], retryable=False)
    if which != "server_failure_info" and wire.HasField("cause"):
        return failure_of(wire.cause)
    return Failure(wire.message, KINDS["INTERNAL"])


def _application(wire: WireFailure) -> Failure:
    info = wire.application_failure_info
    for payload in info.details.payloads[:1]:
        found = _chained(payload)
        if found is not None:
            return found
    kind = _KIND_OF_TYPE.get(info.type, KINDS["UNKNOWN"])
    return Failure(wire.message, kind, retryable=not info.non_retryable, stack=wire.stack_trace)


def _chained(payload: WirePayload) -> Failure | None:
    """The first of a chain of errors; None where the details are something else."""
    try:
        value = value_of(payload)
    except LuaError:
        return None
    chain = value.get("errors") if isinstance(value, Mapping) else None
    first = chain[0] if isinstance(chain, list) and chain else None
    if not isinstance(first, Mapping) or not isinstance(first.get("msg"), str):
        return None
    stack, details, context = first.get("stack") or (), first.get("details"), first.get("context") or ()
    return Failure(
        first["msg"],
        str(first.get("kind") or ""),
        first.get("retry"),
        details if isinstance(details, Mapping) else None,
        "\n".join(map(str, stack)),
        tuple(map(str, context)),
    )


def error_of(wire: WireFailure) -> LuaError:
    """The failure as an exception."""
    return failure_of(wire).error()


class _Failures(DefaultFailureConverter):
    """Errors of Lua leave as `write_failure` has them; the SDK's own stay the SDK's."""

    def to_failure(self, exception: BaseException, payload_converter: PayloadConverter, failure: WireFailure) -> None:
        """See `FailureConverter.to_failure`."""
        if isinstance(exception, LuaError):
            write_failure(Failure.of(exception), failure)
        else:
            super().to_failure(exception, payload_converter, failure)
            failure.source = _SOURCE_NAME


#: What the SDK is given: our values go through it as `RawValue`, errors by `_Failures`.
CONVERTER = DataConverter(failure_converter_class=_Failures)


# contexts ----------------------------------------------------------------------------------------------------------
def to_headers(
    context: Context, headers: MutableMapping[str, WirePayload], extra: Mapping[str, Any] | None = None
) -> None:
    """Write context values and identity into headers. Values that are no plain data are left out, as documented."""
    values = {key: value for key, value in {**context.values, **(extra or {})}.items() if _is_plain(value)}
    if values:
        _put(headers, CONTEXT_HEADER, to_payload(values))
    security: dict[str, Any] = {}
    if context.actor is not None:
        security["actor"] = dict(context.actor)
    if context.policies is not None:
        security["policies"] = list(context.policies)
    if security:
        _put(headers, SECURITY_HEADER, to_payload(security))


def _put(headers: MutableMapping[str, WirePayload], key: str, payload: WirePayload) -> None:
    if isinstance(headers, dict):
        headers[key] = payload
    else:  # a map of messages in protobuf cannot be assigned to
        headers[key].CopyFrom(payload)


def _is_plain(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(_is_plain(item) for item in value)
    return isinstance(value, str | int | float | bool)


def _header(headers: Mapping[str, WirePayload], key: str) -> Mapping[str, Any]:
    payload = headers.get(key)
    if payload is None:
        return {}
    try:
        value = value_of(payload)
    except LuaError:
        return {}
    return value if isinstance(value, Mapping) else {}


def context_of(headers: Mapping[str, WirePayload]) -> Context:
    """The context that headers carry; what cannot be read is left out."""
    values = {key: value for key, value in _header(headers, CONTEXT_HEADER).items() if key != SOURCE}
    security = _header(headers, SECURITY_HEADER)
    actor, policies = security.get("actor"), security.get("policies")
    return Context(
        values,
        {"id": str(actor.get("id") or ""), "meta": actor.get("meta") or {}} if isinstance(actor, Mapping) else None,
        tuple(map(str, policies)) if isinstance(policies, list) else None,
    )


def source_of(headers: Mapping[str, WirePayload]) -> str:
    """PID of who sent a signal, or empty."""
    found = _header(headers, CONTEXT_HEADER).get(SOURCE)
    return found if isinstance(found, str) else ""
