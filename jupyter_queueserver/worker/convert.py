"""Turns an item into the call of a plan: binds arguments, replaces names by objects, reports every fault.

Only names that the interface says are replaced; nothing that came with an item is evaluated as code.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..core.checks import compile_plan_checker, loosely_bound, nearest_name, plan_signature
from ..core.descriptions import BUILT_IN_TYPES, lookup, usable_device_names
from ..core.errors import ItemInvalid
from ..core.typeexpr import TypeNotParsed, custom_types, parse_type
from ..core.typenodes import Scalar, TypeNode
from .devices import resolve_device

_EXPRESSION = re.compile(r"^[_a-zA-Z][_a-zA-Z0-9]*(\.[_a-zA-Z][_a-zA-Z0-9]*)*$")
_DEVICE_TYPES = tuple(name for name, flags in BUILT_IN_TYPES.items() if flags == ("convert_device_names",))
_MISSING = object()


class BoundPlan(NamedTuple):
    """What to call: ``plan(*args, **kwargs)``."""

    plan: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


def bind_item(
    ns: Mapping[str, Any],
    item: Mapping[str, Any],
    description: Mapping[str, Any],
    allowed_plans: Mapping[str, Any],
    allowed_devices: Mapping[str, Any],
) -> BoundPlan:
    """Make the call of a plan from a queue item.

    Parameters
    ----------
    ns
        The namespace of the environment.
    item
        Plan item with ``name`` and optional ``args`` and ``kwargs``.
    description
        The plan's description as in ``plans_allowed`` of the item's user group.
    allowed_plans, allowed_devices
        Lists of the item's user group: only these names are replaced by objects.

    Raises
    ------
    ItemInvalid
        Lists all faults at once in ``msg``; ``data["problems"]`` holds them as (path, sentence, hint).
    """
    name = str(item.get("name", ""))
    plan = ns.get(name)
    args, kwargs = item.get("args", ()), item.get("kwargs", {})
    names = _Names(ns, allowed_plans, allowed_devices)
    parameters = {parameter["name"]: parameter for parameter in description.get("parameters", ())}
    problems = _missing_plan(name, plan, description)
    checker = compile_plan_checker(description, name)
    problems += [_Fault(p.path, p.msg, p.hint) for p in checker.problems(item)]
    if problems:
        arguments, _ = loosely_bound(plan_signature(description), args, kwargs)
        _convert_arguments(arguments, parameters, names, problems, kwargs)
        raise _refusal(problems)
    bound = plan_signature(description).bind(*args, **kwargs)
    _convert_arguments(bound.arguments, parameters, names, problems, kwargs)
    _add_defaults(bound.arguments, parameters, names)
    if problems or not callable(plan):
        raise _refusal(problems)
    return BoundPlan(plan, bound.args, bound.kwargs)


class _Fault(NamedTuple):
    path: str
    text: str
    hint: str


def _convert_arguments(
    arguments: dict[str, Any],
    parameters: Mapping[str, Any],
    names: _Names,
    problems: list[_Fault],
    kwargs: Any,
) -> None:
    """Replace names in all arguments, in place; note what is no device where one must be."""
    for key, value in list(arguments.items()):
        parameter = parameters[key]
        converted = _converted(value, names, _Rule.of(parameter))
        path = f"item.kwargs.{key}" if key in kwargs else "item.args"
        problems += [_Fault(path, *found) for found in _left_over(key, converted, parameter, names)]
        is_star = parameter["kind"]["name"] == "VAR_POSITIONAL"
        arguments[key] = tuple(converted) if is_star else converted


def _add_defaults(arguments: dict[str, Any], parameters: Mapping[str, Any], names: _Names) -> None:
    """Pass the defaults of the decorator, which the function itself does not know."""
    for key, parameter in parameters.items():
        if key not in arguments and parameter.get("default_defined_in_decorator"):
            arguments[key] = _converted(ast.literal_eval(parameter["default"]), names, _EVERYTHING)


def _refusal(problems: list[_Fault]) -> ItemInvalid:
    first = problems[0]
    texts = [fault.text for fault in problems]
    if len(texts) > 1:
        numbered = "; ".join(f"({number}) {text}" for number, text in enumerate(texts, 1))
        msg = f"{len(texts)} problems: {numbered}"
    else:
        msg = first.text
    return ItemInvalid(msg, path=first.path, hint=first.hint, problems=[tuple(fault) for fault in problems])


def _missing_plan(name: str, plan: Any, description: Mapping[str, Any]) -> list[_Fault]:
    """Check that the plan is still there and still has the described parameters."""
    hint = "Update the environment (method environment_update) or open it again, then read the list of plans."
    if plan is None or not callable(plan):
        return [_Fault("item.name", f"Plan '{name}' is not in the namespace of the worker", hint)]
    try:
        known = inspect.signature(plan).parameters
    except (ValueError, TypeError) as error:
        return [_Fault("item.name", f"Plan '{name}' has no readable signature: {error}", hint)]
    gone = [p["name"] for p in description.get("parameters", ()) if p["name"] not in known]
    if gone:
        return [_Fault("item.name", f"Plan '{name}' has no parameters {gone} any more", hint)]
    return []


@dataclass(frozen=True, slots=True)
class _Rule:
    """Which strings of one parameter are replaced.

    Attributes
    ----------
    listed
        Names from the annotation's own lists.
    all_devices, all_plans
        Whether every allowed name is meant.
    no_devices, no_plans
        Whether none is, not even a listed one.
    expressions
        Whether other dotted names are looked up in the namespace.
    """

    listed: frozenset[str] = frozenset()
    all_devices: bool = False
    all_plans: bool = False
    no_devices: bool = False
    no_plans: bool = False
    expressions: bool = False

    @classmethod
    def of(cls, parameter: Mapping[str, Any]) -> _Rule:
        annotation = parameter.get("annotation")
        devices, plans = parameter.get("convert_device_names"), parameter.get("convert_plan_names")
        listed: set[str] = set()
        if annotation is not None:
            for key in ("devices", "plans"):
                for names in (annotation.get(key) or {}).values():
                    listed.update(names)
        return cls(
            listed=frozenset(listed),
            all_devices=devices is True or (devices is None and annotation is None),
            all_plans=plans is True or (plans is None and annotation is None),
            no_devices=devices is False,
            no_plans=plans is False,
            expressions=parameter.get("eval_expressions") is True,
        )


_EVERYTHING = _Rule(all_devices=True, all_plans=True)


class _Names:
    """The names that may be replaced, and their objects."""

    def __init__(self, ns: Mapping[str, Any], allowed_plans: Mapping[str, Any], allowed_devices: Mapping[str, Any]) -> None:
        self.ns = ns
        self.plans = allowed_plans
        self.devices = allowed_devices

    def replaced(self, text: str, rule: _Rule) -> Any:
        """Return the object for a string, or the string itself."""
        wanted = text in rule.listed
        if (wanted or rule.all_plans) and not rule.no_plans and text in self.plans and text in self.ns:
            return self.ns[text]
        if (wanted or rule.all_devices) and not rule.no_devices and self.device_allowed(text):
            try:
                return resolve_device(self.ns, text)
            except LookupError:
                return text
        if rule.expressions and _EXPRESSION.match(text):
            found = self._expression(text)
            return text if found is _MISSING else found
        return text

    def device_allowed(self, name: str) -> bool:
        """Tell whether a dotted name is a usable device of the group."""
        found = lookup(self.devices, name)
        return found is not None and not found.get("excluded")

    def _expression(self, text: str) -> Any:
        first, *rest = text.split(".")
        found = self.ns[first] if first in self.ns else getattr(builtins, first, _MISSING)
        for name in rest:
            if found is _MISSING:
                break
            found = getattr(found, name, _MISSING)
        return found


def _converted(value: Any, names: _Names, rule: _Rule) -> Any:
    """Replace names inside lists, tuples and values of dictionaries.

    Not recursive, as a client may nest as deep as it likes: containers are filled after they were made.
    """
    result: list[Any] = [None]
    waiting: list[tuple[Any, Any, Any]] = [(value, result, 0)]
    while waiting:
        part, target, key = waiting.pop()
        if isinstance(part, str):
            target[key] = names.replaced(part, rule)
        elif isinstance(part, (list, tuple)):
            target[key] = [None] * len(part)
            waiting.extend((element, target[key], position) for position, element in enumerate(part))
        elif isinstance(part, dict):
            target[key] = dict.fromkeys(part)
            waiting.extend((element, target[key], name) for name, element in part.items())
        else:
            target[key] = part
    return result[0]


def _left_over(name: str, value: Any, parameter: Mapping[str, Any], names: _Names) -> Iterator[tuple[str, str]]:
    """Find strings that stand where a device must be: unknown, not permitted, or not reachable."""
    node = _device_node(parameter)
    if node is None:
        return
    values = value if parameter["kind"]["name"] == "VAR_POSITIONAL" else [value]
    if parameter["kind"]["name"] == "VAR_KEYWORD":
        values = list(value.values())
    for element in values:
        fault = node.fault(element)
        if fault is None or not isinstance(fault.value, str):
            continue
        yield _device_fault(name, fault.value, names)


def _device_node(parameter: Mapping[str, Any]) -> TypeNode | None:
    """Return the parameter's type with device types that refuse strings; None if it has no such types."""
    annotation = parameter.get("annotation")
    if annotation is None or parameter.get("convert_device_names") is not True:
        return None
    custom = custom_types(annotation)
    if not any(kind in annotation["type"] and kind not in custom for kind in _DEVICE_TYPES):
        return None
    device = Scalar("a device", lambda value: not isinstance(value, str))
    try:
        return parse_type(annotation["type"], custom, replaced=dict.fromkeys(_DEVICE_TYPES, device))
    except TypeNotParsed:
        return None


def _device_fault(parameter: str, name: str, names: _Names) -> tuple[str, str]:
    """Return (sentence, hint) for a string that stands where a device must be."""
    shown = name if len(name) <= 200 else f"{name[:190]} ..."
    if names.device_allowed(name):
        try:
            resolve_device(names.ns, name)
            reason = "is no device"
        except LookupError as error:
            reason = f"cannot be used: {error}"
    else:
        reason = "is not in the list of allowed devices"
    hint = nearest_name(name, usable_device_names(names.devices)) or "Read the list of devices (method devices_allowed)."
    return f"Parameter '{parameter}': device '{shown}' {reason}", hint
