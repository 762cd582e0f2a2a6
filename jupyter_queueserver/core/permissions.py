"""User group permissions: which plans, devices and functions a group may submit.

Parsed once and refused at once if anything is broken, so that computing the allowed lists cannot fail later.
It knows only descriptions, not where permissions are kept or who asks.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from .descriptions import components, usable_device_names, walk_devices
from .errors import PermissionsInvalid, RequestError
from .explosive import why_explosive
from .patterns import (
    DevicePattern,
    NamePattern,
    PatternInvalid,
    parse_device_pattern,
    parse_name_pattern,
)

#: The group whose rules apply to everybody first.
ROOT: Final = "root"

#: Used when there is no permissions file: everything but names with a leading underscore.
DEFAULT_PERMISSIONS: Final[Mapping[str, Any]] = {
    "user_groups": {
        "root": {
            "allowed_plans": [None],
            "forbidden_plans": [":^_"],
            "allowed_devices": [None],
            "forbidden_devices": [":^_:?.*"],
            "allowed_functions": [None],
            "forbidden_functions": [":^_"],
        },
        "primary": {"allowed_plans": [None], "allowed_devices": [None], "allowed_functions": [None]},
    }
}

_KEYS = tuple(f"{verb}_{what}" for what in ("plans", "devices", "functions") for verb in ("allowed", "forbidden"))

#: Characters of the longest name of a function that is compared with patterns: names come from requests, and the time that a
#: pattern with several parts of any length takes grows with their power.
_LONGEST_FUNCTION = 100

P = TypeVar("P", DevicePattern, NamePattern)


class UserGroupUnknown(RequestError):
    """The permissions have no such group."""

    code = "unknown_user_group"
    hint = "Use one of the groups of the permissions (method permissions_get)."


@dataclass(frozen=True, slots=True)
class _Rule(Generic[P]):
    """The two lists of one kind; ``everything`` stands for a leading null in the allowed list."""

    everything: bool
    allowed: tuple[P, ...]
    forbidden: tuple[P, ...]


@dataclass(frozen=True, slots=True)
class _Group:
    plans: _Rule[NamePattern]
    functions: _Rule[NamePattern]
    devices: _Rule[DevicePattern]


class Permissions:
    """The permissions of all groups, compiled.

    Make one with `parse`; it never changes.

    Attributes
    ----------
    dangers
        (group, sentence) of each pattern that may take for ever to match.  Such a pattern is never used: where it allows, it
        allows nothing, and where it forbids, it forbids all of that kind.
    """

    def __init__(self, wire: Mapping[str, Any], groups: Mapping[str, _Group]) -> None:
        self._wire = wire
        self.dangers = tuple((name, text) for name, group in groups.items() for text in _dangers(name, group))
        harmless = {name: _harmless_group(group) for name, group in groups.items()} if self.dangers else groups
        self._groups: Mapping[str, _Group] = harmless

    @classmethod
    def parse(cls, obj: Any) -> Permissions:
        """Check and compile permissions.

        Parameters
        ----------
        obj
            The content of the permissions file: an object with the single key ``user_groups``.

        Raises
        ------
        PermissionsInvalid
            Wrong structure, no group ``root``, a null that is not the first element, or a broken pattern;
            ``path`` names the place, e.g. ``user_groups.primary.allowed_plans[1]``.
        """
        wire = copy.deepcopy(_checked_structure(obj))
        groups = {name: _compile(rules, f"user_groups.{name}") for name, rules in wire["user_groups"].items()}
        return cls(wire, groups)

    def check_patterns(self) -> Permissions:
        """Return it, unless a pattern may take for ever to match: then raise `PermissionsInvalid`.

        Asked of what comes from outside; with what a store holds already the server goes on, without such patterns.
        """
        for name, text in self.dangers:
            raise PermissionsInvalid(text, path=f"user_groups.{name}")
        return self

    @classmethod
    def default(cls) -> Permissions:
        """Return the permissions that hold when there is no file."""
        return cls.parse(DEFAULT_PERMISSIONS)

    def to_wire(self) -> dict[str, Any]:
        """Return the dictionary that was parsed, a copy of its own."""
        return copy.deepcopy(dict(self._wire))

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of all groups, ``root`` included, in the order of the file."""
        return tuple(self._groups)

    def allowed_devices(self, existing_devices: Mapping[str, Any], group: str) -> dict[str, Any]:
        """Return the tree of devices that a group may name.

        A node that is not allowed itself but has allowed components stays with ``excluded: true``.

        Raises
        ------
        UserGroupUnknown
            There is no such group.
        """
        chosen: set[str] | None = None
        for rules in self._chain(group):
            names = _selected_devices(rules.devices, existing_devices)
            chosen = names if chosen is None else chosen & names
        return _pruned(existing_devices, chosen or set(), "")

    def allowed_plans(
        self,
        existing_plans: Mapping[str, Any],
        group: str,
        existing_devices: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the descriptions of the plans that a group may submit.

        Lists of plans and devices inside annotations are reduced to allowed names; descriptions that need no
        change are shared with `existing_plans`.

        Parameters
        ----------
        existing_devices
            Tree of all devices; None leaves the lists of devices as they are.

        Raises
        ------
        UserGroupUnknown
            There is no such group.
        """
        rules = [group_rules.plans for group_rules in self._chain(group)]
        names = {name for name in existing_plans if all(_name_passes(rule, name) for rule in rules)}
        devices = None
        if existing_devices is not None:
            devices = usable_device_names(self.allowed_devices(existing_devices, group))
        return {name: _reduced_plan(plan, names, devices) for name, plan in existing_plans.items() if name in names}

    def allowed_lists(
        self, existing_plans: Mapping[str, Any], existing_devices: Mapping[str, Any], group: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return (allowed plans, allowed devices) of a group; see the two methods."""
        return (
            self.allowed_plans(existing_plans, group, existing_devices),
            self.allowed_devices(existing_devices, group),
        )

    def function_allowed(self, name: str, group: str) -> bool:
        """Tell whether a group may call a function of the namespace by ``function_execute``; not one of more than 100 characters.

        Raises
        ------
        UserGroupUnknown
            There is no such group.
        """
        return len(name) <= _LONGEST_FUNCTION and all(_name_passes(rules.functions, name) for rules in self._chain(group))

    def _chain(self, group: str) -> list[_Group]:
        if not isinstance(group, str) or group not in self._groups:
            raise UserGroupUnknown(f"Unknown user group: '{group}'", path="user_group")
        return [self._groups[name] for name in dict.fromkeys((ROOT, group))]


def _dangers(name: str, group: _Group) -> Iterator[str]:
    """Sentences about patterns that may take for ever."""
    for rule in (group.plans, group.functions, group.devices):
        for pattern in (*rule.allowed, *rule.forbidden):
            for why in filter(None, map(why_explosive, pattern.expressions)):
                yield f"Pattern {pattern.text!r} of user group '{name}' may take for ever to match: {why}"


def _harmless_group(group: _Group) -> _Group:
    return _Group(_harmless(group.plans), _harmless(group.functions), _harmless(group.devices))


def _harmless(rule: _Rule[P]) -> _Rule[P]:
    """The rule without patterns that may take for ever; nobody may do more by that."""
    if any(map(_is_dangerous, rule.forbidden)):
        return _Rule(False, (), ())
    return _Rule(rule.everything, tuple(pattern for pattern in rule.allowed if not _is_dangerous(pattern)), rule.forbidden)


def _is_dangerous(pattern: NamePattern | DevicePattern) -> bool:
    return any(map(why_explosive, pattern.expressions))


def _checked_structure(obj: Any) -> Mapping[str, Any]:
    if not isinstance(obj, Mapping) or set(obj) != {"user_groups"}:
        raise PermissionsInvalid("User group permissions must be an object with the single key 'user_groups'")
    groups = obj["user_groups"]
    if not isinstance(groups, Mapping):
        raise PermissionsInvalid("'user_groups' must be an object: group name -> rules", path="user_groups")
    for name, rules in groups.items():
        _check_group(name, rules)
    if ROOT not in groups:
        raise PermissionsInvalid("Missing required user group: 'root'", path="user_groups")
    return obj


def _check_group(name: Any, rules: Any) -> None:
    path = f"user_groups.{name}"
    if not isinstance(name, str):
        raise PermissionsInvalid(f"Name of a user group must be a string: {name!r}", path="user_groups")
    if not isinstance(rules, Mapping):
        raise PermissionsInvalid(f"Rules of user group '{name}' must be an object", path=path)
    for key, entries in rules.items():
        if key not in _KEYS:
            raise PermissionsInvalid(f"Unknown key {key!r} in user group '{name}'; allowed keys: {', '.join(_KEYS)}", path=path)
        if not isinstance(entries, (list, tuple)):
            raise PermissionsInvalid(f"'{key}' of user group '{name}' must be a list", path=f"{path}.{key}")


def _compile(rules: Mapping[str, Any], path: str) -> _Group:
    def rule(what: str, parse: Any) -> _Rule[Any]:
        allowed, forbidden = f"allowed_{what}", f"forbidden_{what}"
        everything, wanted = _entries(rules.get(allowed, ()), parse, f"{path}.{allowed}")
        _, refused = _entries(rules.get(forbidden, ()), parse, f"{path}.{forbidden}")
        return _Rule(everything, wanted, refused)

    return _Group(
        plans=rule("plans", parse_name_pattern),
        functions=rule("functions", parse_name_pattern),
        devices=rule("devices", parse_device_pattern),
    )


def _entries(entries: Iterable[Any], parse: Any, path: str) -> tuple[bool, tuple[Any, ...]]:
    """Compile one list.  Entries behind a leading null have no effect, but broken ones are refused too."""
    patterns = []
    null_first = False
    for index, entry in enumerate(entries):
        place = f"{path}[{index}]"
        if entry is None:
            if index > 0:
                raise PermissionsInvalid(f"{place}: null is allowed only as the first element", path=place)
            null_first = True
            continue
        try:
            patterns.append(parse(entry))
        except PatternInvalid as error:
            raise PermissionsInvalid(f"{place}: {error}", path=place) from error
    return null_first, () if null_first else tuple(patterns)


def _name_passes(rule: _Rule[NamePattern], name: str) -> bool:
    if not rule.everything and not any(pattern.matches(name) for pattern in rule.allowed):
        return False
    return not any(pattern.matches(name) for pattern in rule.forbidden)


def _selected_devices(rule: _Rule[DevicePattern], devices: Mapping[str, Any]) -> set[str]:
    if rule.everything:
        chosen = {name for name, _ in walk_devices(devices)}
    else:
        chosen = set().union(*(pattern.select(devices) for pattern in rule.allowed))
    return chosen.difference(*(pattern.select(devices) for pattern in rule.forbidden))


def _pruned(devices: Mapping[str, Any], chosen: set[str], prefix: str) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, device in devices.items():
        inner = _pruned(components(device), chosen, f"{prefix}{name}.")
        allowed = prefix + name in chosen
        if not allowed and not inner:
            continue
        node = {key: value for key, value in device.items() if key not in ("components", "excluded")}
        if inner:
            node["components"] = inner
        if not allowed:
            node["excluded"] = True
        tree[name] = node
    return tree


def _reduced_plan(plan: Mapping[str, Any], plans: set[str], devices: set[str] | None) -> dict[str, Any]:
    """Copy only where a list of names shrinks: most plans have no such lists."""
    known = {"plans": plans, "devices": devices}
    parameters = [_reduced_parameter(parameter, known) for parameter in plan.get("parameters", ())]
    if all(new is old for new, old in zip(parameters, plan.get("parameters", ()), strict=True)):
        return dict(plan)
    return {**plan, "parameters": parameters}


def _reduced_parameter(parameter: Mapping[str, Any], known: Mapping[str, set[str] | None]) -> Mapping[str, Any]:
    annotation = parameter.get("annotation")
    if not annotation or not any(annotation.get(key) for key in known):
        return parameter
    reduced = dict(annotation)
    for key, names in known.items():
        if names is not None and key in reduced:
            reduced[key] = {type_name: [name for name in listed if name in names] for type_name, listed in reduced[key].items()}
    return {**parameter, "annotation": reduced}
