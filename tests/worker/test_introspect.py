"""The namespace is described in the form that clients know; what cannot be is a problem, never a crash."""

import functools
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import bluesky.plan_stubs
import bluesky.plans
import pytest
from bluesky.protocols import Flyable, Movable, NamedMovable, Preparable, Readable, Stageable
from bluesky.utils import plan as mark_plan

from jupyter_queueserver.core.checks import compile_plan_checker
from jupyter_queueserver.worker.annotations import parameter_annotation_decorator
from jupyter_queueserver.worker.docstrings import read_docstring
from jupyter_queueserver.worker.introspect import describe_namespace, is_plan
from jupyter_queueserver.worker.registration import RegisteredDevice, RegisteredPlan, Registry

NOTHING = Registry()


class FakeDevice:
    """A readable in the shape of ophyd: names of components, attributes."""

    def __init__(self, name: str, **components: Any) -> None:
        self.name = name
        self.component_names = tuple(components)
        self.__dict__.update(components)

    parent = None

    def read(self) -> dict[str, Any]:
        return {}

    def describe(self) -> dict[str, Any]:
        return {}


class FakeMotor(FakeDevice):
    def set(self, value: float) -> None:
        raise AssertionError("a description must not move anything")


class FakeFlyer:
    name = "flyer"
    parent = None

    def kickoff(self) -> None: ...

    def complete(self) -> None: ...


class AsyncDevice:
    """In the shape of ophyd-async: children as pairs, some of them no attributes."""

    def __init__(self, **children: Any) -> None:
        self._children = children

    def children(self) -> Iterable[tuple[str, Any]]:
        return self._children.items()


class BrokenParent(FakeDevice):
    @property
    def lost(self) -> Any:
        raise TimeoutError("PV not connected")


def namespace() -> dict[str, Any]:
    table = FakeDevice("table", x=FakeMotor("x", setpoint=FakeMotor("setpoint")), y=FakeMotor("y"))
    return {
        "det": FakeDevice("det"),
        "motor": FakeMotor("motor"),
        "table": table,
        "flyer": FakeFlyer(),
        "DeviceClass": FakeDevice,
        "number": 5,
    }


def described(function: Callable[..., Any], ns: dict[str, Any] | None = None) -> dict[str, Any]:
    result = describe_namespace({**(ns or {}), "p": function}, registrations=NOTHING)
    assert not result.errors
    return result.plans["p"]


def described_hint(hint: Any) -> dict[str, Any]:
    def p(x):
        yield

    p.__annotations__ = {"x": hint}
    parameter = described(p)["parameters"][0]
    return {key: value for key, value in parameter.items() if key not in ("name", "kind")}


class Unknown: ...


#: What a type checker would not let through, but a user may write.
ODD_LITERAL: Any = vars(typing)["Literal"][...]

READABLE = {"convert_device_names": True}
CALLABLE = {"eval_expressions": True}


@pytest.mark.parametrize(
    ("hint", "text", "flags"),
    [
        (int, "int", {}),
        (None, "None", {}),
        (type(None), "NoneType", {}),
        ("int", "int", {}),
        ("Sequence[Readable]", "collections.abc.Sequence[__READABLE__]", READABLE),
        (list["int"], "list[int]", {}),
        (typing.List[int], "typing.List[int]", {}),  # noqa: UP006
        (typing.List, "typing.List", {}),  # noqa: UP006
        (typing.Optional[int], "typing.Optional[int]", {}),  # noqa: UP045
        (typing.Union[int, str], "typing.Union[int, str]", {}),  # noqa: UP007
        (typing.Union[int, str, None], "typing.Union[int, str, None]", {}),  # noqa: UP007
        (int | None, "int | None", {}),
        (float | Iterable[float], "float | collections.abc.Iterable[float]", {}),
        (Iterable, "collections.abc.Iterable[typing.Any]", {}),
        (Iterable | bool | None, "collections.abc.Iterable[typing.Any] | bool | None", {}),
        (tuple[int, ...], "tuple[int, ...]", {}),
        (dict[str, Any], "dict[str, typing.Any]", {}),
        (typing.Literal["a", 1, None], "typing.Literal['a', 1, None]", {}),
        (typing.Annotated[int, object()], "int", {}),
        (Readable, "__READABLE__", READABLE),
        (Readable[float], "__READABLE__", READABLE),
        (Movable, "__MOVABLE__", READABLE),
        (NamedMovable, "__MOVABLE__", READABLE),
        (Flyable, "__FLYABLE__", READABLE),
        (Stageable, "__DEVICE__", READABLE),
        (Preparable, "__DEVICE__", READABLE),
        (typing.Optional[Readable], "typing.Optional[__READABLE__]", READABLE),  # noqa: UP045
        (Mapping[Movable, Any], "collections.abc.Mapping[__MOVABLE__, typing.Any]", READABLE),
        (Callable, "__CALLABLE__", CALLABLE),
        (Callable[[Sequence[Readable]], Unknown], "__CALLABLE__", CALLABLE),
        (Callable[[], None] | None, "__CALLABLE__ | None", CALLABLE),
        (list[Callable[[int], float]], "list[__CALLABLE__]", CALLABLE),
    ],
)
def test_hint_becomes_text(hint, text, flags):
    assert described_hint(hint) == {"annotation": {"type": text}, **flags}


@pytest.mark.parametrize(
    "hint",
    [Unknown, list[Unknown], "NoSuchName", typing.TypeVar("T"), [int], 5, ODD_LITERAL, "1 +", "list['"],
    ids=str,
)
def test_hint_that_cannot_be_expressed_is_dropped_and_noted(hint):
    def p(x, y: int):
        yield

    p.__annotations__["x"] = hint
    result = describe_namespace({"p": p}, registrations=NOTHING)
    first, second = result.plans["p"]["parameters"]
    assert "annotation" not in first
    assert second["annotation"] == {"type": "int"}
    (note,) = result.problems
    assert (note.severity, note.name, note.parameter) == ("note", "p", "x")


def test_every_plan_of_bluesky_is_described_and_checkable():
    ns: dict[str, Any] = {}
    for module in (bluesky.plans, bluesky.plan_stubs):
        ns.update({key: value for key, value in vars(module).items() if not key.startswith("_")})
    result = describe_namespace(ns, registrations=NOTHING)
    assert [p for p in result.problems if p.severity != "note"] == []
    assert {"count", "scan", "grid_scan", "rel_scan", "spiral", "fly", "mv", "sleep", "null"} <= set(result.plans)
    assert len(result.plans) > 80
    unchecked = {name: compile_plan_checker(plan).unchecked for name, plan in result.plans.items()}
    assert {name for name, left in unchecked.items() if left} == {"install_suspender", "remove_suspender"}


def test_count_of_bluesky_has_the_known_form():
    count = describe_namespace({"take": bluesky.plans.count}, registrations=NOTHING).plans["take"]
    assert count["name"] == "count"
    assert count["module"] == "bluesky.plans"
    assert count["description"] == "Take one or more readings from detectors."
    assert count["properties"] == {"is_generator": True}
    detectors, num, delay, per_shot, md = count["parameters"]
    assert detectors == {
        "name": "detectors",
        "kind": {"name": "POSITIONAL_OR_KEYWORD", "value": 1},
        "description": "list of 'readable' objects",
        "annotation": {"type": "collections.abc.Sequence[__READABLE__]"},
        "convert_device_names": True,
    }
    assert num["annotation"] == {"type": "int | None"}
    assert num["default"] == "1"
    assert num["description"].endswith("\n\nIf None, capture data until canceled")
    assert delay["annotation"] == {"type": "float | collections.abc.Iterable[float]"}
    assert (per_shot["kind"], per_shot["default"]) == ({"name": "KEYWORD_ONLY", "value": 3}, "None")
    assert md["annotation"] == {"type": "dict[str, typing.Any] | None"}


def test_what_counts_as_a_plan():
    def generator():
        yield

    def ordinary():
        return []

    class Holder:
        def method(self, a: int = 1):
            yield

    assert is_plan(generator)
    assert is_plan(mark_plan(ordinary))
    assert is_plan(Holder().method)
    assert is_plan(functools.partial(generator))
    assert not is_plan(ordinary)
    assert not is_plan(Holder)
    assert not is_plan(generator())
    assert described(mark_plan(ordinary))["properties"] == {"is_generator": False}
    assert [p["name"] for p in described(Holder().method)["parameters"]] == ["a"]


def test_partial_plan_takes_what_is_left_of_the_signature():
    def move(motor, position: float, speed: float = 1.0):
        """Move a motor."""
        yield

    plan = described(functools.partial(move, "m"))
    assert [p["name"] for p in plan["parameters"]] == ["position", "speed"]
    assert plan["description"] == "Move a motor."
    assert plan["name"] == "move"


@pytest.mark.parametrize("default", [object(), float("inf"), float("nan"), Unknown])
def test_default_that_is_no_literal_makes_the_plan_invalid(default):
    def bad(a=default):
        yield

    def good():
        yield

    ns = {"bad": bad, "good": good}
    result = describe_namespace(ns, registrations=NOTHING)
    assert list(result.plans) == ["good"]
    assert [p.name for p in result.errors] == ["bad"]
    lenient = describe_namespace(ns, ignore_invalid_plans=True, registrations=NOTHING)
    assert lenient.errors == []
    assert [p.severity for p in lenient.problems] == ["warning"]


def test_defaults_are_literal_text():
    def p(a=1, b="abc", c=[1, 2], d=(), e=None, f=-1.5):  # noqa: B006
        yield

    texts = [parameter["default"] for parameter in described(p)["parameters"]]
    assert texts == ["1", "'abc'", "[1, 2]", "()", "None", "-1.5"]


def test_decorator_goes_over_hint_and_docstring():
    @parameter_annotation_decorator(
        {
            "description": "From the decorator.",
            "parameters": {
                "cams": {
                    "annotation": "typing.List[Cam]",
                    "devices": {"Cam": ["zzz", "Aaa", "det", "__DETECTOR__:^[dt]", "zzz"]},
                    "description": "Cameras.",
                },
                "inner": {"annotation": "P", "plans": {"P": [":^p", "ghost"]}},
                "mode": {
                    "annotation": "Mode",
                    "enums": {"Mode": ["slow", "fast", "slow"]},
                    "default": "fast",
                },
                "span": {"min": 1.0, "max": 2.5, "step": 1e-5},
                "axis": {"annotation": "__MOVABLE__", "convert_device_names": False},
                "either": {"annotation": "__PLAN_OR_DEVICE__"},
                "own": {"annotation": "__DEVICE__", "devices": {"__DEVICE__": ["det"]}},
                "none": {"default": None},
            },
        }
    )
    def p(cams: int, inner, mode="slow", span: float = 2.0, axis=None, either=None, own=None, none=5):
        """From the docstring.

        Parameters
        ----------
        cams
            Not this.
        span
            In mm.
        """
        yield

    plan = described(p, namespace())
    assert plan["description"] == "From the decorator."
    got = {q["name"]: {k: v for k, v in q.items() if k not in ("name", "kind")} for q in plan["parameters"]}
    assert got["cams"] == {
        "description": "Cameras.",
        "annotation": {"type": "typing.List[Cam]", "devices": {"Cam": ["Aaa", "det", "table", "zzz"]}},
    }
    assert got["inner"] == {"annotation": {"type": "P", "plans": {"P": ["ghost", "p"]}}}
    assert got["mode"] == {
        "annotation": {"type": "Mode", "enums": {"Mode": ["slow", "fast"]}},
        "default": "'fast'",
        "default_defined_in_decorator": True,
    }
    assert got["span"] == {
        "description": "In mm.",
        "annotation": {"type": "float"},
        "default": "2.0",
        "min": "1",
        "max": "2.5",
        "step": "1e-05",
    }
    assert got["axis"]["convert_device_names"] is False
    assert (got["either"]["convert_device_names"], got["either"]["convert_plan_names"]) == (True, True)
    assert "convert_device_names" not in got["own"]
    assert got["none"] == {"default": "5"}


@pytest.mark.parametrize(
    ("parameter", "sentence"),
    [
        ({"annotation": "T", "devices": {"T": [":("]}}, "not a regular expression"),
        ({"annotation": "T", "devices": {"T": ["__CAM__:a"]}}, "Unknown device type"),
        ({"annotation": "T", "plans": {"T": ["__READABLE__:a"]}}, "only in patterns of devices"),
        ({"annotation": "int", "enums": {"T": ["a"]}}, "do not occur in annotation"),
        ({"default": 5}, "the function has none"),
    ],
)
def test_wrong_annotation_makes_the_plan_invalid(parameter, sentence):
    @parameter_annotation_decorator({"parameters": {"a": parameter}})
    def p(a):
        yield

    result = describe_namespace({"p": p}, registrations=NOTHING)
    assert result.plans == {}
    assert sentence in result.errors[0].text
    assert "'a'" in result.errors[0].text


@pytest.mark.parametrize(
    "annotation",
    [
        None,
        {"descriptions": "x"},
        {"description": 5},
        {"parameters": []},
        {"parameters": {"a": None}},
        {"parameters": {"a": {"type": "int"}}},
        {"parameters": {"a": {"min": "1"}}},
        {"parameters": {"a": {"max": True}}},
        {"parameters": {"a": {"devices": ["det"]}}},
        {"parameters": {"a": {"devices": {"1x": ["det"]}}}},
        {"parameters": {"a": {"enums": {"T": "abc"}}}},
        {"parameters": {"a": {"enums": {"T": [1]}}}},
        {"parameters": {"a": {"convert_plan_names": 1}}},
        {"parameters": {"b": {}}},
    ],
)
def test_decorator_refuses_a_wrong_form(annotation):
    def p(a):
        yield

    with pytest.raises(ValueError, match=r"annotation|signature"):
        parameter_annotation_decorator(annotation)(p)


def test_decorator_copies_and_changes_nothing_else():
    annotation: dict[str, Any] = {"parameters": {"a": {"min": 1}}}

    def p(a):
        yield a

    assert parameter_annotation_decorator(annotation)(p) is p
    annotation["parameters"]["a"]["min"] = 2
    assert described(p)["parameters"][0]["min"] == "1"
    assert list(p(3)) == [3]


def test_devices_are_classified_and_expanded():
    devices = describe_namespace(namespace(), registrations=NOTHING).devices
    assert list(devices) == ["det", "flyer", "motor", "table"]
    assert devices["det"] == {
        "is_readable": True,
        "is_movable": False,
        "is_flyable": False,
        "classname": "FakeDevice",
        "module": __name__,
    }
    assert devices["motor"]["is_movable"] is True
    assert (devices["flyer"]["is_readable"], devices["flyer"]["is_flyable"]) == (False, True)
    assert list(devices["table"]["components"]) == ["x", "y"]
    assert "setpoint" in devices["table"]["components"]["x"]["components"]


def test_depth_and_registration_of_devices():
    def tree(depth: int, **registered: RegisteredDevice) -> dict[str, Any]:
        found = describe_namespace(namespace(), device_max_depth=depth, registrations=Registry(devices=registered))
        return found.devices

    assert "components" not in tree(1)["table"]
    assert "components" not in tree(2)["table"]["components"]["x"]
    assert "components" in tree(3)["table"]["components"]["x"]
    assert "components" in tree(1, table=RegisteredDevice(0))["table"]["components"]["x"]
    assert "components" not in tree(0, table=RegisteredDevice(1))["table"]
    assert "table" not in tree(0, table=RegisteredDevice(exclude=True))


def test_children_in_the_style_of_ophyd_async():
    ns = {"dev": AsyncDevice(a=FakeMotor("a"), vector=AsyncDevice(**{"1": FakeDevice("one")}))}
    device = describe_namespace(ns, registrations=NOTHING).devices["dev"]
    assert device["is_readable"] is False
    assert device["components"]["a"]["is_movable"] is True
    assert list(device["components"]["vector"]["components"]) == ["1"]


def test_one_unreachable_component_hides_all_of_its_device():
    broken = BrokenParent("broken", good=FakeDevice("good"))
    broken.component_names = ("good", "lost")
    result = describe_namespace({"broken": broken, "det": FakeDevice("det")}, registrations=NOTHING)
    assert "components" not in result.devices["broken"]
    assert "det" in result.devices
    (problem,) = result.problems
    assert (problem.severity, problem.name) == ("warning", "broken")
    assert "PV not connected" in problem.text


def test_object_that_raises_when_touched_does_not_hide_the_others():
    class Hostile:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("do not touch")

    result = describe_namespace({"hostile": Hostile(), "det": FakeDevice("det")}, registrations=NOTHING)
    assert list(result.devices) == ["det"]
    assert "do not touch" in result.problems[0].text


def test_area_detectors_are_expanded_only_when_registered():
    from ophyd import ADComponent, DetectorBase, Signal

    class SoftCamera(DetectorBase):
        gain = ADComponent(Signal, value=1.0, name="gain")

    ns = {"cam": SoftCamera("", name="cam", configuration_attrs=[])}
    plain = describe_namespace(ns, registrations=NOTHING).devices["cam"]
    assert "components" not in plain
    registered = Registry(devices={"cam": RegisteredDevice(2)})
    expanded = describe_namespace(ns, registrations=registered).devices["cam"]
    assert "gain" in expanded["components"]


def test_registered_plans_are_included_or_left_out():
    def ordinary(a: int = 1):
        return iter([])

    def generator():
        yield

    registered = Registry(plans={"ordinary": RegisteredPlan(), "generator": RegisteredPlan(exclude=True)})
    ns = {"ordinary": ordinary, "generator": generator, "other": ordinary}
    plans = describe_namespace(ns, registrations=registered).plans
    assert list(plans) == ["ordinary"]
    assert plans["ordinary"]["properties"] == {"is_generator": False}


def test_registry_of_startup_code():
    from jupyter_queueserver.worker import registration

    try:
        registration.register_plan("a_1", exclude=True)
        registration.register_device("stage", depth=0)
        assert registration.registry.plans == {"a_1": RegisteredPlan(True)}
        assert registration.registry.devices == {"stage": RegisteredDevice(0)}
        for name in ("1a", "a.b", "", "a b", None):
            with pytest.raises(ValueError, match="cannot be registered"):
                registration.register_plan(typing.cast(str, name))
        for depth in (-1, 1.5, True):
            with pytest.raises(ValueError, match="depth"):
                registration.register_device("x", depth=typing.cast(int, depth))
    finally:
        registration.registry.clear()
    assert registration.registry == Registry()


def test_worker_flag_is_off_until_set():
    from jupyter_queueserver.worker import registration

    assert registration.is_re_worker_active() is False
    registration.set_re_worker_active()
    try:
        assert registration.is_re_worker_active() is True
    finally:
        registration.clear_re_worker_active()
    assert registration.is_re_worker_active() is False


DOC = """
Summary line
goes on.

More text.

Parameters
----------
a : int
    The a.

    Second paragraph:
        indented.
b, *c : list, optional
    Both.
d
    No type.
e : {'x', 'y'}

Returns
-------
f : int
    Not a parameter.

Other Parameters
----------------
``g`` : int
    Rare.
"""


def test_docstring_sections():
    found = read_docstring(DOC)
    assert found.summary == "Summary line\ngoes on."
    assert found.parameters == {
        "a": "The a.\n\nSecond paragraph:\n    indented.",
        "b": "Both.",
        "c": "Both.",
        "d": "No type.",
        "g": "Rare.",
    }


@pytest.mark.parametrize(
    ("text", "summary"),
    [(None, ""), ("", ""), ("  \n ", ""), ("One.", "One."), ("\n\nParameters\n----------\na\n    x\n", "")],
)
def test_docstring_summary(text, summary):
    assert read_docstring(text).summary == summary
