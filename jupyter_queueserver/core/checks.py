"""Checks an item against the description of its plan, without the worker: binding, types, ranges, metadata.

One compiled checker per plan answers in microseconds.  Nothing is converted and nothing is evaluated; a type
that cannot be read here is named in ``unchecked`` and left to the worker.
"""

from __future__ import annotations

import difflib
import inspect
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .descriptions import BUILT_IN_TYPES
from .errors import ItemInvalid
from .typeexpr import TypeNotParsed, custom_types, parse_type
from .typenodes import ANY, Elements, Entries, Enumerated, KnownDevice, NoReading, TypeNode

_KINDS = {kind.name: kind for kind in inspect.Parameter.POSITIONAL_ONLY.__class__}
_VAR_KINDS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)

_repr = reprlib.Repr()
_repr.maxlevel, _repr.maxlist, _repr.maxtuple, _repr.maxdict = 6, 20, 20, 20
_repr.maxstring, _repr.maxother, _repr.maxlong = 120, 120, 60


class PlanChecker:
    """The compiled rules of one plan.

    Attributes
    ----------
    name
        Name of the plan, for messages.
    unchecked
        Names of the parameters whose type could not be read here and is left to the worker.
    """

    __slots__ = ("_bind", "_ranges", "_signature", "_types", "name", "unchecked")

    def __init__(
        self,
        name: str,
        signature: inspect.Signature,
        types: Mapping[str, TypeNode],
        ranges: Mapping[str, tuple[float, float]],
        unchecked: Iterable[str],
    ) -> None:
        self.name = name
        self.unchecked = tuple(unchecked)
        self._signature = signature
        self._bind = signature.bind
        self._types = types
        self._ranges = ranges

    def check(self, item: Mapping[str, Any]) -> None:
        """Check one plan item; the name is not looked at.

        Parameters
        ----------
        item
            A plan item; missing ``args`` and ``kwargs`` mean no arguments.

        Raises
        ------
        ItemInvalid
            The first rule that the item breaks; ``msg`` is the reason, ``path`` the place, e.g.
            ``item.kwargs.num``.
        """
        for problem in self.problems(item):
            raise problem

    def problems(self, item: Mapping[str, Any]) -> Iterator[ItemInvalid]:
        """Yield every rule that the item breaks, in the order in which they are checked."""
        args, kwargs = item.get("args", ()), item.get("kwargs", {})
        try:
            bound = self._bind(*args, **kwargs).arguments
        except TypeError as error:
            first = ItemInvalid(str(error), path=_binding_path(str(error), kwargs))
            yield first
            bound, others = loosely_bound(self._signature, args, kwargs)
            yield from (other for other in others if other.msg != first.msg)
        types = self._types
        for name, value in bound.items():
            node = types.get(name)
            if node is not None and not node.accepts(value):
                yield _type_refusal(name, value, node, _path(name, kwargs))
        for name, limits in self._ranges.items():
            if name in bound:
                yield from _range_refusals(name, bound[name], limits, _path(name, kwargs))
        if "meta" in item or "properties" in item:
            yield from _extra_refusals(item)


class ItemChecker:
    """Checks plan items against a list of allowed plans, compiling each plan's rules at its first use.

    Parameters
    ----------
    allowed_plans
        Descriptions of the plans of one user group, as in ``plans_allowed``; not changed and not copied.
    allowed_devices
        Tree of the devices that the group may name; None: names of devices are only checked to be strings.
    """

    def __init__(self, allowed_plans: Mapping[str, Any], allowed_devices: Mapping[str, Any] | None = None) -> None:
        self._plans = allowed_plans
        self._built_in = {} if allowed_devices is None else _device_types(allowed_devices)
        self._checkers: dict[str, PlanChecker] = {}

    def check(self, item: Mapping[str, Any]) -> tuple[str, ...]:
        """Check one plan item.

        Returns
        -------
        tuple of str
            Names of the plan's parameters whose types are left to the worker; usually empty.

        Raises
        ------
        ItemInvalid
            The reason, without a prefix; ``hint`` names the nearest known name where there is one.
        """
        if "name" not in item:
            raise ItemInvalid("'name'", path="item.name", hint="Give the name of the plan as 'name'.")
        name = item["name"]
        checker = self._checkers.get(name) if isinstance(name, str) else None
        if checker is None:
            checker = self._compile(name)
        checker.check(item)
        return checker.unchecked

    def _compile(self, name: Any) -> PlanChecker:
        if not isinstance(name, str) or name not in self._plans:
            shown = name if isinstance(name, str) and len(name) <= 200 else _repr.repr(name)
            raise ItemInvalid(
                f"Plan '{shown}' is not in the list of allowed plans.",
                path="item.name",
                hint=nearest_name(name, self._plans) or "Read the allowed plans (method plans_allowed).",
            )
        checker = self._checkers[name] = compile_plan_checker(self._plans[name], name, self._built_in)
        return checker


def check_item(item: Mapping[str, Any], allowed_plans: Mapping[str, Any]) -> tuple[str, ...]:
    """Check one plan item once; see `ItemChecker.check`, which is faster for many."""
    return ItemChecker(allowed_plans).check(item)


def compile_plan_checker(
    description: Mapping[str, Any], name: str | None = None, built_in: Mapping[str, TypeNode] | None = None
) -> PlanChecker:
    """Compile the rules of one plan from its description.

    Parameters
    ----------
    description
        One value of ``plans_existing`` or ``plans_allowed``.
    name
        Name for messages; None takes the description's own.
    built_in
        Nodes for built-in type names such as ``__READABLE__``; those that are not named accept any string.

    Raises
    ------
    ItemInvalid
        The description itself is unusable: unknown kind of parameter, impossible order, a limit that is no
        number.
    """
    name = name or str(description.get("name", ""))
    parameters: list[inspect.Parameter] = []
    types: dict[str, TypeNode] = {}
    ranges: dict[str, tuple[float, float]] = {}
    unchecked: list[str] = []
    try:
        for parameter in description.get("parameters", ()):
            parameters.append(_signature_parameter(parameter))
            limits = _limits(parameter)
            if limits is not None:
                ranges[parameter["name"]] = limits
            try:
                node = _type_of(parameter, parameters[-1].kind, built_in or {})
            except TypeNotParsed:
                unchecked.append(parameter["name"])
            else:
                if node is not ANY:
                    types[parameter["name"]] = node
        signature = inspect.Signature(parameters)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        text = f"Description of plan '{name}' cannot be used: {error}"
        raise ItemInvalid(text, path="item.name") from error
    return PlanChecker(name, signature, types, ranges, unchecked)


def plan_signature(description: Mapping[str, Any]) -> inspect.Signature:
    """Rebuild the signature of a plan; defaults are only marked as present, their values are None.

    Raises
    ------
    ValueError, TypeError, KeyError
        The description is unusable.
    """
    return inspect.Signature([_signature_parameter(p) for p in description.get("parameters", ())])


def loosely_bound(signature: inspect.Signature, args: Any, kwargs: Any) -> tuple[dict[str, Any], list[ItemInvalid]]:
    """Bind what can be bound although the arguments do not fit, so that all faults can be told at once.

    Returns
    -------
    dict
        Parameter name -> value, for the arguments that have a place.
    list of ItemInvalid
        One for each argument without a place and each required parameter without an argument.
    """
    if not isinstance(args, (list, tuple)) or not isinstance(kwargs, Mapping):
        return {}, []
    parameters = signature.parameters.values()
    kinds = {parameter.kind for parameter in parameters}
    places = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    faults: list[ItemInvalid] = []
    if inspect.Parameter.VAR_POSITIONAL not in kinds and len(args) > len(places):
        faults.append(ItemInvalid("too many positional arguments", path="item.args"))
        args = args[: len(places)]
    by_name = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    fitting: dict[str, Any] = {}
    for key, value in kwargs.items():
        if key in by_name and key in places[: len(args)]:
            faults.append(ItemInvalid(f"multiple values for argument '{key}'", path=f"item.kwargs.{key}"))
        elif key in by_name or inspect.Parameter.VAR_KEYWORD in kinds:
            fitting[key] = value
        else:
            text = f"got an unexpected keyword argument '{key}'"
            faults.append(ItemInvalid(text, path=f"item.kwargs.{key}", hint=nearest_name(key, by_name)))
    bound = signature.bind_partial(*args, **fitting).arguments
    for parameter in parameters:
        needed = parameter.default is parameter.empty and parameter.kind not in _VAR_KINDS
        if needed and parameter.name not in bound:
            text = f"missing a required argument: '{parameter.name}'"
            faults.append(ItemInvalid(text, path=f"item.kwargs.{parameter.name}"))
    return bound, faults


def _signature_parameter(parameter: Mapping[str, Any]) -> inspect.Parameter:
    kind = _KINDS[parameter["kind"]["name"]]
    default = inspect.Parameter.empty
    if "default" in parameter and kind not in _VAR_KINDS:
        default = None  # only its presence counts: defaults are not checked
    return inspect.Parameter(parameter["name"], kind, default=default)


def _device_types(devices: Mapping[str, Any]) -> dict[str, TypeNode]:
    """Nodes of the built-in types that stand for devices and nothing else."""
    node = KnownDevice(devices)
    return {name: node for name, flags in BUILT_IN_TYPES.items() if flags == ("convert_device_names",)}


def _type_of(parameter: Mapping[str, Any], kind: Any, built_in: Mapping[str, TypeNode]) -> TypeNode:
    annotation = parameter.get("annotation")
    if annotation is None:
        return ANY
    node = parse_type(annotation["type"], custom_types(annotation), replaced=built_in)
    if node is ANY:
        return ANY
    if kind is inspect.Parameter.VAR_POSITIONAL:
        return Elements(node.text, node)
    if kind is inspect.Parameter.VAR_KEYWORD:
        return Entries(node.text, None, node)
    return node


def _limits(parameter: Mapping[str, Any]) -> tuple[float, float] | None:
    if "min" not in parameter and "max" not in parameter:
        return None
    return _number(parameter.get("min", "-inf")), _number(parameter.get("max", "inf"))


def _number(text: Any) -> float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _range_refusals(name: str, value: Any, limits: tuple[float, float], path: str) -> Iterator[ItemInvalid]:
    low, high = limits
    waiting = [value]
    while waiting:  # not recursive: a client may nest as deep as it likes
        part = waiting.pop()
        if isinstance(part, (int, float)):
            if low <= part <= high:
                continue
            yield ItemInvalid(
                f"Argument values are out of range: Parameter value is out of range: key='{name}', "
                f"value='{_repr.repr(value)}': Value {_repr.repr(part)} is out of range [{low}, {high}]",
                path=path,
                hint=f"Give values of '{name}' between {low} and {high}.",
            )
            return  # one refusal says it for all values of the parameter
        if isinstance(part, (list, tuple)):
            waiting.extend(reversed(part))
        elif isinstance(part, Mapping):
            waiting.extend(reversed(list(part.values())))


def _extra_refusals(item: Mapping[str, Any]) -> Iterator[ItemInvalid]:
    if "meta" in item:
        meta = item["meta"]
        parts = meta if isinstance(meta, (list, tuple)) else [meta]
        if not all(isinstance(part, Mapping) for part in parts):
            yield ItemInvalid("Plan parameter 'meta' must be a dictionary or a list of dictionaries", path="item.meta")
    if "properties" in item and not isinstance(item["properties"], Mapping):
        yield ItemInvalid("Plan parameter 'properties' must be a dictionary", path="item.properties")


def _type_refusal(name: str, value: Any, node: TypeNode, path: str) -> ItemInvalid:
    """Make the refusal: one wording for values that another reader would have converted, one for others."""
    try:
        read = node.reading(value)
    except NoReading:
        return _plain_refusal(name, value, node, path)
    return ItemInvalid(
        f"Error in argument types: Incorrect parameter type: key='{name}', value='{_shown(value)}' "
        f"({type(value)}), interpreted as '{_shown(read)}' ({type(read)})",
        path=path,
        hint=f"Give '{name}' as {node.text}; values are not converted.",
    )


def _plain_refusal(name: str, value: Any, node: TypeNode, path: str) -> ItemInvalid:
    fault = node.fault(value)
    if fault is None:
        raise AssertionError(f"value of {name!r} is refused and has no fault")
    where = "".join(f"[{_repr.repr(key)}]" for key in fault.path)
    return ItemInvalid(
        f"Incorrect value of parameter '{name}'{f' at {name}{where}' if where else ''}: "
        f"{_repr.repr(fault.value)} ({type(fault.value).__name__}), expected {fault.expected}",
        path="".join((path, *(f".{_shown(key)}" for key in fault.path))),
        hint=nearest_name(fault.value, _known_names(node)),
    )


def _known_names(node: TypeNode) -> list[str]:
    """Collect the strings of all custom types inside a type, for the hint."""
    names: list[str] = []
    waiting: list[Any] = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Enumerated):
            names.extend(part.names)
        for attribute in ("item", "key"):
            inner = getattr(part, attribute, None)
            if inner is not None:
                waiting.append(inner)
        waiting.extend(getattr(part, "nodes", ()))
        waiting.extend(getattr(part, "items", ()))
    return names


def nearest_name(given: Any, known: Iterable[str]) -> str | None:
    """Return a hint that asks for the nearest known name; None if nothing is near or `given` is no string."""
    if not isinstance(given, str) or len(given) > 100:
        return None
    near = difflib.get_close_matches(given, list(known), n=1)
    return f"Did you mean '{near[0]}'?" if near else None


def _shown(value: Any) -> str:
    """Return the value as text of bounded length; a string without quotes."""
    if isinstance(value, str):
        return value if len(value) <= 120 else f"{value[:110]} ..."
    return _repr.repr(value)


def _path(name: str, kwargs: Mapping[str, Any]) -> str:
    return f"item.kwargs.{name}" if name in kwargs else "item.args"


def _binding_path(message: str, kwargs: Any) -> str:
    if "argument after **" in message or not isinstance(kwargs, Mapping):
        return "item.kwargs"
    quoted = message.split("'")[1::2]
    if quoted and quoted[-1] in kwargs:
        return f"item.kwargs.{quoted[-1]}"
    return "item.args" if "positional" in message or "argument after *" in message else "item.kwargs"
