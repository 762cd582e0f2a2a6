"""The messages of the control channel, typed, as both sides read them.

One Jupyter message type each way (`REQUEST_TYPE`, `REPLY_TYPE`); the content of a request is one of the structs below, with
its name in the key ``request``.  Nothing here sends or decides anything.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ..core.tasks import TaskKind

#: Version of this conversation; a worker also serves managers that speak `OLDEST_PROTOCOL`.  2: tasks, interrupts, metadata.
#: 3: plans are broken off, requests have an end.
PROTOCOL = 3
OLDEST_PROTOCOL = 1

REQUEST_TYPE = "queueserver_request"
REPLY_TYPE = "queueserver_reply"

Phase = Literal["loading", "open", "failed", "closing"]
Command = Literal["resume", "stop", "abort", "halt"]
ItemFate = Literal["accepted", "taken", "ended", "withdrawn"]


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="request", forbid_unknown_fields=True):
    """Base of all requests.

    Attributes
    ----------
    environment_id
        The environment that is meant; a worker of another one refuses.
    fence
        Number of the manager's lease; an older one than the worker has seen is refused, a higher one is remembered.
    until
        Reading of the machine's monotonic clock (seconds) after which nobody waits for an answer any more: a worker that was
        stopped must not do later what was given up.  None: no end.
    """

    environment_id: str
    fence: int
    until: float | None = None


class Hello(Request, tag="hello", frozen=True, kw_only=True):
    """Comes first: makes the sending Jupyter session that of the manager; answered by `Facts`."""

    nonce: str
    protocol: int = PROTOCOL


class Allowed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an item may use.

    Attributes
    ----------
    group
        The item's user group.
    permissions
        All user group permissions as JSON text, as the manager has them at this moment; None: everything that exists is allowed.
    """

    group: str = ""
    permissions: str | None = None


class Start(Request, tag="start", frozen=True, kw_only=True):
    """Run this item once; answered by `StartReply` as soon as it is accepted.

    ``item_text`` is the item as JSON text (Python's dialect).
    """

    item_uid: str
    item_text: str
    allowed: Allowed = Allowed()


class Withdraw(Request, tag="withdraw", frozen=True, kw_only=True):
    """Take an accepted item back; refused once it is taken."""

    item_uid: str


class Pause(Request, tag="pause", frozen=True, kw_only=True):
    """Ask the RunEngine to pause; ``deferred``: only at the next checkpoint."""

    deferred: bool = False


class Continue(Request, tag="continue", frozen=True, kw_only=True):
    """What to do with the paused plan."""

    command: Command


class BreakOff(Request, tag="break_off", frozen=True, kw_only=True):
    """End the running plan though it is not paused, with its clean-up or without; one that is ending is broken off again."""

    command: Literal["abort", "halt"]


class Ack(Request, tag="ack", frozen=True, kw_only=True):
    """All reports up to ``n`` are applied and may be deleted."""

    n: int


class Close(Request, tag="close", frozen=True, kw_only=True):
    """End in order; refused unless idle."""


class Status(Request, tag="status", frozen=True, kw_only=True):
    """Answered by `Facts`."""


class StartTask(Request, tag="start_task", frozen=True, kw_only=True):
    """Do this task once; answered by `StartReply` as soon as it is accepted.

    ``payload`` is JSON text; what is in it depends on the kind (`jupyter_queueserver.core.rules.tasks` makes it).
    """

    task_uid: str
    kind: TaskKind
    background: bool
    payload: str


class Interrupt(Request, tag="interrupt", frozen=True, kw_only=True):
    """Interrupt the main thread: a running plan is paused, everything else gets a ``KeyboardInterrupt``; idle, nothing happens.

    Refused if a plan (or a task) is running and ``plan`` (or ``task``) is False.
    """

    plan: bool = False
    task: bool = False


class ReadMetadata(Request, tag="read_metadata", frozen=True, kw_only=True):
    """Answered by `Metadata`: the RunEngine's metadata, as far as ``keys`` permit (`jupyter_queueserver.core.metadata_keys`)."""

    keys: tuple[str, ...]


AnyRequest = Hello | Start | Withdraw | Pause | Continue | BreakOff | Ack | Close | Status | StartTask | Interrupt | ReadMetadata


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker knows of itself at this moment.

    Attributes
    ----------
    pid
        Its process id.
    nonce
        The nonce of its environment.
    protocol
        The highest version that it speaks.
    phase
        ``loading`` the startup code, ``open``, ``failed`` to load, ``closing``.
    engine
        State of the RunEngine; None if there is none (yet).
    running
        uid of the item that was taken and has not ended (it may be paused); None if there is none.
    accepted
        uid of the item that is accepted and not yet taken; None if there is none.
    last_report
        Number of the last report; 0 if there is none yet.
    cell_running
        Whether a cell of an attached console holds the kernel.
    tasks
        uids of the tasks that were accepted and have not ended.
    """

    pid: int
    nonce: str
    protocol: int
    phase: Phase
    engine: str | None = None
    running: str | None = None
    accepted: str | None = None
    last_report: int = 0
    cell_running: bool = False
    tasks: tuple[str, ...] = ()


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to `Pause` and `BreakOff`: whether the RunEngine has taken the request, or will when the plan lets go of it."""

    heard: bool = True


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to `ReadMetadata`: JSON text of a dictionary."""

    text: str


class StartReply(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to `Start` and `StartTask`.

    Attributes
    ----------
    accepted
        True: this request made the worker accept it.  False: the worker had seen this uid before and did nothing.
    fate
        What has become of the item or task so far.
    """

    accepted: bool
    fate: ItemFate


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The worker did not do it; nothing changed.

    Codes: ``malformed_request``, ``not_manager``, ``wrong_environment``, ``wrong_nonce``, ``wrong_protocol``, ``older_fence``,
    ``expired``, ``not_open``, ``busy``, ``kernel_busy``, ``not_running``, ``not_paused``, ``command_pending``, ``already_taken``,
    ``unknown_item``, ``engine_refused``, ``plan_running``, ``task_running``, ``no_engine``, ``metadata_not_json``,
    ``metadata_slow``, ``internal_error``.
    """

    code: str
    msg: str


def to_content(value: msgspec.Struct) -> dict[str, Any]:
    """Plain objects for a message's content."""
    content = msgspec.to_builtins(value)
    if content.get("until", 0.0) is None:  # unknown to older workers
        del content["until"]
    return content


def request_from_content(content: Any) -> AnyRequest:
    """Read a request; raises ``ValueError`` with a sentence if it is none."""
    return msgspec.convert(content, AnyRequest)


def reply_content(value: msgspec.Struct | None) -> dict[str, Any]:
    """Content of a reply: ``ok`` and the fields of the answer or the refusal."""
    fields = {} if value is None else msgspec.to_builtins(value)
    return {"ok": not isinstance(value, Refusal), **fields}
