"""The decorator by which startup code describes the parameters of a plan beyond its type hints.

It only stores a checked copy of what was written; the description is made when the namespace is read.
Importable without bluesky, because startup code may be imported anywhere.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

#: The function attribute that holds the annotation.
ATTRIBUTE: Final = "_custom_parameter_annotation_"

F = TypeVar("F", bound=Callable[..., Any])

_TYPE_NAME = re.compile(r"^[_a-zA-Z][_a-zA-Z0-9]*$")
_NUMBERS = ("min", "max", "step")
_FLAGS = ("convert_device_names", "convert_plan_names")
_LISTS = ("devices", "plans", "enums")
_PARAMETER_KEYS = ("description", "annotation", "default", *_LISTS, *_NUMBERS, *_FLAGS)


class AnnotationInvalid(ValueError):
    """What was given to the decorator does not have the right form; the text names the place."""


def parameter_annotation_decorator(annotation: Mapping[str, Any]) -> Callable[[F], F]:
    """Describe a plan and its parameters for the queue server.

    Parameters
    ----------
    annotation
        Optional keys ``description`` (str) and ``parameters``, a dictionary: parameter name -> dictionary
        with the optional keys ``description``, ``annotation`` (type expression), ``devices``, ``plans``,
        ``enums`` (each: type name -> list of strings), ``default`` (a literal value; None is as good as no
        key), ``min``, ``max``, ``step`` (numbers), ``convert_device_names``, ``convert_plan_names`` (bool).

    Returns
    -------
    callable
        A decorator that stores a copy of `annotation` on the function and returns the function itself.

    Raises
    ------
    AnnotationInvalid
        Unknown keys or values of wrong types (a ValueError).
    ValueError
        When applied: a described parameter is not in the function's signature.
    """
    _check(annotation)
    stored = copy.deepcopy(dict(annotation))

    def decorate(function: F) -> F:
        known = inspect.signature(function).parameters
        unknown = [name for name in stored.get("parameters", {}) if name not in known]
        if unknown:
            raise ValueError(
                f"Annotation of {getattr(function, '__name__', function)!r} describes parameters that are "
                f"not in its signature: {', '.join(map(repr, unknown))}; it has: {', '.join(known)}"
            )
        setattr(function, ATTRIBUTE, stored)
        return function

    return decorate


def stored_annotation(function: Any) -> dict[str, Any]:
    """Return the annotation that the decorator stored on a function; empty if there is none."""
    found = getattr(function, ATTRIBUTE, None)
    return found if isinstance(found, dict) else {}


def _check(annotation: Any) -> None:
    _expect_dict(annotation, "annotation")
    _expect_keys(annotation, ("description", "parameters"), "annotation")
    if "description" in annotation:
        _expect(annotation["description"], str, "annotation['description']", "a string")
    parameters = annotation.get("parameters", {})
    _expect_dict(parameters, "annotation['parameters']")
    for name, parameter in parameters.items():
        where = f"annotation['parameters'][{name!r}]"
        _expect(name, str, where, "named by a string")
        _expect_dict(parameter, where)
        _expect_keys(parameter, _PARAMETER_KEYS, where)
        _check_parameter(parameter, where)


def _check_parameter(parameter: Mapping[str, Any], where: str) -> None:
    for key, value in parameter.items():
        place = f"{where}[{key!r}]"
        if key in ("description", "annotation"):
            _expect(value, str, place, "a string")
        elif key in _FLAGS:
            _expect(value, bool, place, "True or False")
        elif key in _NUMBERS:
            if isinstance(value, bool):
                raise AnnotationInvalid(f"{place} must be a number, not {value!r}")
            _expect(value, (int, float), place, "a number")
        elif key in _LISTS:
            _check_lists(value, place)


def _check_lists(lists: Any, where: str) -> None:
    _expect_dict(lists, where)
    for type_name, names in lists.items():
        if not isinstance(type_name, str) or not _TYPE_NAME.fullmatch(type_name):
            raise AnnotationInvalid(f"{where}: {type_name!r} is not a type name (letters, digits and '_')")
        place = f"{where}[{type_name!r}]"
        _expect(names, (list, tuple), place, "a list of strings")
        for entry in names:
            _expect(entry, str, place, "a list of strings")


def _expect(value: Any, kinds: Any, where: str, wanted: str) -> None:
    if not isinstance(value, kinds):
        raise AnnotationInvalid(f"{where} must be {wanted}, not {type(value).__name__}")


def _expect_dict(value: Any, where: str) -> None:
    _expect(value, Mapping, where, "a dictionary")


def _expect_keys(value: Mapping[str, Any], allowed: tuple[str, ...], where: str) -> None:
    unknown = [key for key in value if key not in allowed]
    if unknown:
        raise AnnotationInvalid(f"{where} has unknown keys {unknown!r}; allowed: {', '.join(allowed)}")
