"""The registry: one declaration for each method of the interface.

Request validation, 0MQ, REST, OpenAPI, the command line, the Python client and the reference are all made from what is
declared here.  A declaration is a function: its signature gives the parameters, its docstring the documentation, its body
the rule (a few lines that call `jupyter_queueserver.core`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..core.config import Config
from ..core.decision import Step
from ..core.state import State

Access = Literal["read", "write", "execute"]
Fetch = Literal["permission_files", "re_metadata", "history_page", "history_number", "history_uids"]
Scope = Literal["environment", "queue"]

#: Methods of the interface whose refusal of unknown parameters has no prefix.
_BARE = ("config_get", "plans_", "devices_")


@dataclass(frozen=True)
class Sent:
    """On failure, the key of the reply holds what the client sent in that parameter."""

    parameter: str


@dataclass(frozen=True)
class Present:
    """On failure, the key of the reply holds what is so at this moment."""

    of: Callable[[State], Any]


@dataclass(frozen=True)
class Key:
    """A key of the reply, beside ``success`` and ``msg``.

    Attributes
    ----------
    schema
        JSON Schema of its value.
    on_failure
        Its value in a refusing reply; `Sent` for an echo, `Present` for what holds then.
    doc
        What it is.
    """

    schema: Mapping[str, Any]
    on_failure: Any
    doc: str = ""


@dataclass(frozen=True)
class Parameter:
    """A parameter as it is declared in the signature."""

    name: str
    annotation: str
    required: bool
    default: Any
    doc: str


@dataclass(frozen=True)
class Context:
    """What a reading method may know beside the state.

    Attributes
    ----------
    epoch
        Identity of this life of the manager.
    version
        Of the package.
    local_time
        Turns seconds since the epoch into local ISO 8601 text without zone.
    kernel
        Whether the worker's kernel is shown to clients.
    connection
        The kernel's connection information; empty without one.
    store_failure
        Why the store takes no changes just now; None if it does.
    config
        What is settled by those who run the server.
    """

    epoch: str
    version: str
    local_time: Callable[[float], str]
    kernel: Literal["shown", "hidden"] = "shown"
    connection: Mapping[str, Any] = field(default_factory=dict)
    store_failure: str | None = None
    config: Config = field(default_factory=Config)


Prepare = Callable[..., Generator[None, None, Any]]


@dataclass(frozen=True)
class Method:
    """One method of the interface, whole.

    Attributes
    ----------
    kind
        ``read``: answered from the committed state at any time; ``write``: a decision of the one writer.
    function
        ``function(state, context, **params) -> dict`` of a reading, ``function(step, **params) -> dict`` of a writing method.
    parameters
        In the order of the signature.
    reply
        Further keys of the reply.
    access
        What the Jupyter server's authorizer is asked for.
    scope
        Scope of the interface's own HTTP server, e.g. ``write:queue:edit``.
    lock
        Which lock it respects; None: none.
    prefix
        Put before the text of every refusal.
    verb, path
        Of the REST route below ``/api``; an empty path: there is none.
    words
        Of the command line, e.g. ``queue item add``; empty: no command.
    shape
        How the further words of the command line are read (`jupyter_queueserver.cli.shapes`).
    further_words
        Other commands of the same method: pairs of words and shape, e.g. ``(("queue replace", "replace_item"),)``.
    prepare
        Long checks done beforehand in slices: a generator that yields between slices and returns what is given to
        `function` as ``prepared``.
    fetch
        What the shell has to get first, outside of the rules (a file, an answer of the worker); `function` is given it as
        ``fetched``, also an error that it must raise.  None: nothing.
    waits
        Whether the answer waits for the worker's answer to the effect.
    lenient
        Whatever is in the parameters is ignored.
    lenient_names
        Parameters that it does not have are ignored.
    envelope_prefix
        Put before the refusal of unknown parameters and of a wrong lock key, where that is not `prefix`; None: it is.
    even_without_store
        Whether it is done although the store cannot take it just now: what must work in any case, such as pausing a plan.  The
        worker's reports tell what came of it, and the next commit holds it.
    ours
        Whether it is no part of the interface of Bluesky Queue Server 0.0.25: existing clients do not know it.
    unanswered
        Whether no answer ever comes: clients do not send it again by themselves.
    """

    name: str
    kind: Literal["read", "write"]
    function: Callable[..., dict[str, Any]]
    parameters: tuple[Parameter, ...]
    reply: Mapping[str, Key]
    access: Access
    scope: str
    lock: Scope | None
    prefix: str
    verb: Literal["GET", "POST"]
    path: str
    words: str
    shape: str
    summary: str
    doc: str
    further_words: tuple[tuple[str, str], ...] = ()
    prepare: Prepare | None = None
    fetch: Fetch | None = None
    waits: bool = False
    lenient: bool = False
    lenient_names: bool = False
    envelope_prefix: str | None = None
    even_without_store: bool = False
    ours: bool = False
    unanswered: bool = False

    @property
    def commands(self) -> tuple[tuple[str, str], ...]:
        """Words and shape of each of its commands; empty: no command."""
        return (((self.words, self.shape),) if self.words else ()) + self.further_words

    @property
    def is_recorded(self) -> bool:
        """Whether a request with an id (`REQUEST_ID`) is done once only; reading methods ignore the id."""
        return self.kind == "write"

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names in the order of the declaration."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def names_prefix(self) -> str:
        """Prefix of the refusal of unknown parameters and of a wrong lock key."""
        if self.envelope_prefix is not None:
            return self.envelope_prefix
        if self.prefix:
            return self.prefix
        return "" if self.name.startswith(_BARE) else "Error: "


#: Taken by every writing method beside its own parameters: a request that comes again with the same id is not done again.
REQUEST_ID = Parameter(
    name="request_id",
    annotation="str | None",
    required=False,
    default=None,
    doc="Chosen by the client, 1 to 128 printable characters, e.g. a fresh UUID: the same request with the same id is not done"
    " again within 10 minutes, but answered as before.",
)
#: What doors that know who asks add to a request with an id: a retry is one of the same user only.
REQUEST_USER = "request_user"
#: What may stand among the parameters of every request; no method sees it.
COMMON_PARAMETERS = (REQUEST_ID.name, REQUEST_USER)

_methods: dict[str, Method] = {}


def methods() -> Mapping[str, Method]:
    """Return all methods by name, in the order of their declaration."""
    return _methods


def read(**declared: Any) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., dict[str, Any]]]:
    """Declare a reading method; see `Method` for the keywords."""
    return _declare("read", {"access": "read", "verb": "GET"} | declared)


def write(**declared: Any) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., dict[str, Any]]]:
    """Declare a writing method; see `Method` for the keywords."""
    return _declare("write", {"access": "write", "verb": "POST"} | declared)


def _declare(
    kind: Literal["read", "write"], declared: dict[str, Any]
) -> Callable[[Callable[..., dict[str, Any]]], Callable[..., dict[str, Any]]]:
    def register(function: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        name = function.__name__
        doc = inspect.cleandoc(function.__doc__ or "")
        defaults: dict[str, Any] = {
            "reply": {},
            "lock": None,
            "prefix": "",
            "path": "/" + name.replace("_", "/"),
            "words": "",
            "shape": "none",
        }
        if name in _methods:
            raise ValueError(f"method {name} is declared twice")
        _methods[name] = Method(
            name=name,
            kind=kind,
            function=function,
            parameters=tuple(_parameters(function, doc)),
            summary=doc.splitlines()[0] if doc else "",
            doc=doc,
            **(defaults | declared),
        )
        return function

    return register


def _parameters(function: Callable[..., Any], doc: str) -> Iterable[Parameter]:
    texts = _parameter_texts(doc)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY or name in ("prepared", "fetched"):
            continue
        yield Parameter(
            name=name,
            annotation=str(parameter.annotation),
            required=parameter.default is inspect.Parameter.empty,
            default=None if parameter.default is inspect.Parameter.empty else parameter.default,
            doc=texts.get(name, ""),
        )


def _parameter_texts(doc: str) -> dict[str, str]:
    """Read the ``Parameters`` section of a NumPy docstring."""
    texts: dict[str, str] = {}
    lines = doc.splitlines()
    if "Parameters" not in lines:
        return texts
    names: list[str] = []
    for line in lines[lines.index("Parameters") + 2 :]:
        if line and not line.startswith(" "):
            names = [name.strip() for name in line.split(":")[0].split(",")]
        elif line:
            for name in names:
                texts[name] = f"{texts[name]} {line.strip()}" if name in texts else line.strip()
    return texts


ReadFunction = Callable[..., dict[str, Any]]
__all__ = [
    "Context",
    "Key",
    "Method",
    "Parameter",
    "Sent",
    "State",
    "Step",
    "methods",
    "read",
    "write",
]
