"""Makes the descriptions of all plans and devices of a namespace, in the form that clients know.

Reads the namespace only: nothing is called, moved or changed.  What cannot be described becomes a problem in
the result, never an exception, so one odd object does not hide all others.
"""

from __future__ import annotations

import ast
import functools
import inspect
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from ..core.descriptions import BUILT_IN_TYPES, CUSTOM_TYPE_KEYS
from ..core.patterns import PatternInvalid, parse_device_pattern, parse_name_pattern
from .annotations import stored_annotation
from .devices import describe_devices
from .docstrings import DocText, read_docstring
from .hints import HintNotExpressible, hint_namespace, hint_text, resolve_hint
from .registration import Registry, registry

log = logging.getLogger(__name__)


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something in the namespace that could not be described, or only in part.

    Attributes
    ----------
    severity
        ``error``: the plan is left out and opening the environment should fail; ``warning``: it is left out
        by setting, or a device is listed without components; ``note``: a type hint was dropped.
    name
        Name in the namespace.
    text
        One sentence.
    parameter
        The parameter in question; empty if it is about the whole object.
    """

    severity: Literal["error", "warning", "note"]
    name: str
    text: str
    parameter: str = ""


class NamespaceDescription(msgspec.Struct, frozen=True):
    """Plans and devices of a namespace in wire form, each sorted by name, and the problems met."""

    plans: dict[str, dict[str, Any]]
    devices: dict[str, dict[str, Any]]
    problems: list[Problem]

    @property
    def errors(self) -> list[Problem]:
        """The problems for which opening the environment should fail."""
        return [problem for problem in self.problems if problem.severity == "error"]


class PlanInvalid(Exception):
    """A plan that cannot be described; the text says why."""


def describe_namespace(
    ns: Mapping[str, Any],
    *,
    device_max_depth: int = 0,
    ignore_invalid_plans: bool = False,
    registrations: Registry | None = None,
) -> NamespaceDescription:
    """Describe all plans and devices of a namespace.

    Parameters
    ----------
    ns
        The namespace in which startup code was run.
    device_max_depth
        Levels of the device trees that are listed, 1 for only the devices themselves; 0 is unlimited.
    ignore_invalid_plans
        True: plans that cannot be described are warnings, not errors. They are left out either way.
    registrations
        What startup code registered; None takes the registry of this process.
    """
    registered = registry if registrations is None else registrations
    devices, failures = describe_devices(ns, device_max_depth, registered.devices)
    problems = [Problem("warning", name, text) for name, text in failures.items()]
    functions = find_plans(ns, registered)
    plans: dict[str, dict[str, Any]] = {}
    for name, function in functions.items():
        reader = _PlanReader(name, function, devices, functions)
        try:
            plans[name] = reader.describe()
        except PlanInvalid as error:
            severity: Literal["error", "warning"] = "warning" if ignore_invalid_plans else "error"
            problems.append(Problem(severity, name, f"Plan '{name}' cannot be described: {error}"))
        except Exception as error:  # boundary: plans are objects of foreign code; the others must not suffer
            log.warning("Plan %r could not be described", name, exc_info=True)
            severity = "warning" if ignore_invalid_plans else "error"
            text = f"Plan '{name}' cannot be described: {type(error).__name__}: {error}"
            problems.append(Problem(severity, name, text))
        problems.extend(reader.notes)
    return NamespaceDescription(plans, devices, problems)


def find_plans(ns: Mapping[str, Any], registered: Registry) -> dict[str, Callable[..., Any]]:
    """Return all plans by name: generator functions, marked functions, registered callables."""
    found: dict[str, Callable[..., Any]] = {}
    for name in sorted(key for key in ns if isinstance(key, str) and key.isidentifier()):
        value, entry = ns[name], registered.plans.get(name)
        if entry is not None and entry.exclude:
            continue
        if is_plan(value) or (entry is not None and callable(value)):
            found[name] = value
    return found


def is_plan(value: Any) -> bool:
    """Tell whether an object is a generator function or marked by the ``plan`` decorator of bluesky."""
    if isinstance(value, type) or not callable(value):
        return False
    if inspect.isgeneratorfunction(value):
        return True
    marked = inspect.isroutine(value) or isinstance(value, functools.partial)
    return marked and getattr(_inner(value), "_is_plan_", False) is True


def _inner(function: Any) -> Any:
    """Return the function inside of ``functools.partial`` objects."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


class _PlanReader:
    """Describes one plan; collects notes on the way."""

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        devices: Mapping[str, Any],
        plans: Mapping[str, Any],
    ) -> None:
        self._name = name
        self._function = function
        self._inner = _inner(function)
        self._devices = devices
        self._plans = plans
        self._extra = stored_annotation(self._inner)
        self.notes: list[Problem] = []

    def describe(self) -> dict[str, Any]:
        """Return the description; raise `PlanInvalid` if there cannot be one."""
        try:
            signature = inspect.signature(self._function)
        except (ValueError, TypeError) as error:
            raise PlanInvalid(f"it has no readable signature ({error})") from error
        doc = read_docstring(getattr(self._inner, "__doc__", None))
        result: dict[str, Any] = {"name": getattr(self._inner, "__name__", self._name)}
        module = getattr(self._inner, "__module__", None)
        if module and "<" not in module:
            result["module"] = module
        description = self._extra.get("description") or doc.summary
        if description:
            result["description"] = description
        result["properties"] = {"is_generator": inspect.isgeneratorfunction(self._function)}
        result["parameters"] = [self._parameter(p, doc) for p in signature.parameters.values()]
        return result

    def _parameter(self, parameter: inspect.Parameter, doc: DocText) -> dict[str, Any]:
        name, extra = parameter.name, self._extra.get("parameters", {}).get(parameter.name, {})
        result: dict[str, Any] = {
            "name": name,
            "kind": {"name": parameter.kind.name, "value": int(parameter.kind)},
        }
        description = extra.get("description") or doc.parameters.get(name)
        if description:
            result["description"] = description
        annotation = self._annotation(parameter, extra)
        if annotation:
            result["annotation"] = annotation
        result.update(_default(parameter, extra))
        result.update({key: _number_text(extra[key]) for key in ("min", "max", "step") if key in extra})
        result.update(_flags(annotation, extra))
        return result

    def _annotation(self, parameter: inspect.Parameter, extra: Mapping[str, Any]) -> dict[str, Any]:
        if "annotation" in extra:
            return self._decorated(parameter.name, extra)
        if any(key in extra for key in CUSTOM_TYPE_KEYS):
            self._note(parameter.name, "lists of names in the decorator have no effect without 'annotation'")
        if parameter.annotation is inspect.Parameter.empty:
            return {}
        try:
            hint = parameter.annotation
            if hint is not None:
                hint = resolve_hint(hint, hint_namespace(inspect.unwrap(self._inner)))
            return {"type": hint_text(hint)}
        except HintNotExpressible as error:
            self._note(parameter.name, f"type hint left out: {error}")
            return {}

    def _decorated(self, name: str, extra: Mapping[str, Any]) -> dict[str, Any]:
        text = extra["annotation"]
        result: dict[str, Any] = {"type": text}
        words = set(re.findall(r"[_a-zA-Z][_a-zA-Z0-9]*", text))
        for key in CUSTOM_TYPE_KEYS:
            lists = extra.get(key)
            if not lists:
                continue
            strange = [type_name for type_name in lists if type_name not in words]
            if strange:
                raise PlanInvalid(f"parameter '{name}': types {strange} do not occur in annotation {text!r}")
            result[key] = {type_name: self._expanded(key, listed, name) for type_name, listed in lists.items()}
        return result

    def _expanded(self, key: str, entries: list[str], parameter: str) -> list[str]:
        """Expand patterns; names that are written out stay, whether there is such an object or not."""
        if key == "enums":
            return list(dict.fromkeys(entries))
        names: set[str] = set()
        try:
            for entry in entries:
                if key == "devices":
                    device_pattern = parse_device_pattern(entry)
                    exact = device_pattern.name
                    names |= {exact} if exact is not None else device_pattern.select(self._devices)
                else:
                    plan_pattern = parse_name_pattern(entry)
                    exact = plan_pattern.name
                    names |= {exact} if exact is not None else set(filter(plan_pattern.matches, self._plans))
        except PatternInvalid as error:
            raise PlanInvalid(f"parameter '{parameter}': {error}") from error
        return sorted(names, key=lambda name: (name.lower(), name))

    def _note(self, parameter: str, text: str) -> None:
        sentence = f"Plan '{self._name}', parameter '{parameter}': {text}"
        self.notes.append(Problem("note", self._name, sentence, parameter))


def _default(parameter: inspect.Parameter, extra: Mapping[str, Any]) -> dict[str, Any]:
    has_default = parameter.default is not inspect.Parameter.empty
    given = extra.get("default")
    if given is not None:
        if not has_default:
            raise PlanInvalid(f"parameter '{parameter.name}': the decorator gives a default, but the function has none")
        return {"default": _literal_text(parameter.name, given), "default_defined_in_decorator": True}
    return {"default": _literal_text(parameter.name, parameter.default)} if has_default else {}


def _literal_text(name: str, value: Any) -> str:
    text = repr(value)
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        shown = text if len(text) < 200 else f"{text[:190]} ..."
        raise PlanInvalid(f"parameter '{name}': default {shown} is not a literal") from None
    return text


def _number_text(value: float) -> str:
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value)) if whole else repr(value)


def _flags(annotation: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, bool]:
    """Return the flags set by built-in type names in the annotation, overruled by the decorator."""
    words = set(re.findall(r"__[A-Z_]+__", annotation.get("type", "")))
    custom = {name for key in CUSTOM_TYPE_KEYS for name in annotation.get(key, {})}
    flags = {flag: True for word in BUILT_IN_TYPES if word in words - custom for flag in BUILT_IN_TYPES[word]}
    flags.update({key: extra[key] for key in ("convert_device_names", "convert_plan_names") if key in extra})
    return flags
