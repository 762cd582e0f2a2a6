"""Names become objects only where the interface says so, and all faults of an item are told at once."""

from typing import Any

import pytest

from jupyter_queueserver.core.errors import ItemInvalid
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.worker.annotations import parameter_annotation_decorator
from jupyter_queueserver.worker.convert import bind_item
from jupyter_queueserver.worker.introspect import describe_namespace
from jupyter_queueserver.worker.registration import Registry


class Device:
    parent = None

    def __init__(self, name: str, **components: Any) -> None:
        self.name = name
        self.component_names = tuple(components)
        self.__dict__.update(components)

    def read(self) -> dict[str, Any]:
        return {}

    def describe(self) -> dict[str, Any]:
        return {}


stage = Device("stage", x=Device("x"), y=Device("y"))
det, other = Device("det"), Device("other")
secret = Device("secret")


def quick():
    yield


def free(a, b=None, *rest, **more):
    yield


def helper(value):
    return value


@parameter_annotation_decorator(
    {
        "parameters": {
            "listed": {"annotation": "typing.List[D]", "devices": {"D": ["det", "stage.x", "ghost"]}},
            "devices": {"annotation": "typing.List[__READABLE__]"},
            "any_device": {"annotation": "typing.Union[__DEVICE__, str]"},
            "plan": {"annotation": "__PLAN__"},
            "both": {"annotation": "__PLAN_OR_DEVICE__"},
            "text": {"annotation": "str"},
            "mode": {"annotation": "M", "enums": {"M": ["det", "quick"]}},
            "no_devices": {"convert_device_names": False},
            "no_plans": {"convert_plan_names": False},
            "forbidden": {"annotation": "D", "devices": {"D": ["det"]}, "convert_device_names": False},
            "call": {"annotation": "__CALLABLE__"},
            "preset": {"default": ["det", "quick", "nothing"]},
        }
    }
)
def typed(
    *,
    listed=None,
    devices=None,
    any_device=None,
    plan=None,
    both=None,
    text=None,
    mode=None,
    no_devices=None,
    no_plans=None,
    forbidden=None,
    call=None,
    preset=None,
):
    yield


NS: dict[str, Any] = {
    "stage": stage, "det": det, "other": other, "secret": secret, "quick": quick, "free": free,
    "typed": typed, "helper": helper,
}  # fmt: skip
FOUND = describe_namespace(NS, registrations=Registry())
PERMISSIONS = Permissions.parse(
    {
        "user_groups": {
            "root": {"allowed_plans": [None], "allowed_devices": [None], "forbidden_devices": ["secret"]},
            "user": {"allowed_plans": [None], "allowed_devices": ["det", "other", "stage.x"]},
        }
    }
)
PLANS, DEVICES = PERMISSIONS.allowed_lists(FOUND.plans, FOUND.devices, "user")


def bind(name: str, *args: Any, ns: dict[str, Any] = NS, **kwargs: Any) -> Any:
    item = {"name": name, "args": list(args), "kwargs": kwargs}
    return bind_item(ns, item, PLANS[name], PLANS, DEVICES)


def refused(name: str, *args: Any, ns: dict[str, Any] = NS, **kwargs: Any) -> ItemInvalid:
    with pytest.raises(ItemInvalid) as found:
        bind(name, *args, ns=ns, **kwargs)
    return found.value


def test_unannotated_parameters_convert_every_allowed_name():
    bound = bind("free", ["det", {"k": ["quick", "stage.x"]}], "other", "text", ("det",), key="det")
    assert bound.plan is free
    assert bound.args == ([det, {"k": [quick, stage.x]}], other, "text", [det])  # type: ignore[attr-defined]
    assert bound.kwargs == {"key": det}


@pytest.mark.parametrize("name", ["stage", "stage.y", "stage.z", "secret", "helper", "det.nothing", "_x", "", "a..b"])
def test_names_without_permission_stay_text(name):
    assert bind("free", name).args == (name,)


@pytest.mark.parametrize(
    ("parameter", "given", "expected"),
    [
        ("listed", ["det", "stage.x"], [det, stage.x]),  # type: ignore[attr-defined]
        ("any_device", "other", other),
        ("devices", ["other", "stage.x"], [other, stage.x]),  # type: ignore[attr-defined]
        ("plan", "quick", quick),
        ("plan", "det", "det"),
        ("both", "det", det),
        ("both", "quick", quick),
        ("text", "det", "det"),
        ("mode", "det", "det"),
        ("no_devices", ["det", "quick"], ["det", quick]),
        ("no_plans", ["det", "quick"], [det, "quick"]),
        ("forbidden", "det", "det"),
        ("call", "helper", helper),
        ("call", "det.read", det.read),
        ("call", "len", len),
        ("call", "missing.thing", "missing.thing"),
        ("call", "helper()", "helper()"),
        ("call", "__import__('os')", "__import__('os')"),
    ],
)
def test_conversion_follows_annotation_and_flags(parameter, given, expected):
    assert bind("typed", **{parameter: given}).kwargs[parameter] == expected


def test_default_of_the_decorator_is_passed_converted():
    assert bind("typed").kwargs == {"preset": [det, quick, "nothing"]}
    assert bind("typed", preset=5).kwargs == {"preset": 5}


def test_arguments_keep_their_kinds_and_the_item_is_not_changed():
    item = {"name": "free", "kwargs": {"a": ["det"], "z": 1}}
    bound = bind_item(NS, item, PLANS["free"], PLANS, DEVICES)
    assert bound.args == ([det],)
    assert bound.kwargs == {"z": 1}
    assert item == {"name": "free", "kwargs": {"a": ["det"], "z": 1}}


def test_all_faults_are_listed_with_path_and_hint():
    error = refused("typed", listed=["dett"], devices=["othr", 5], text=5, wrong=1)
    problems = {path: (text, hint) for path, text, hint in error.data["problems"]}
    assert set(problems) == {
        "item.kwargs.wrong",
        "item.kwargs.listed.0",
        "item.kwargs.devices.1",
        "item.kwargs.devices",
        "item.kwargs.text",
    }
    assert error.msg.startswith("5 problems: (1) got an unexpected keyword argument 'wrong'; (2) ")
    assert problems["item.kwargs.devices"] == (
        "Parameter 'devices': device 'othr' is not in the list of allowed devices",
        "Did you mean 'other'?",
    )
    assert problems["item.kwargs.listed.0"][1] == "Did you mean 'det'?"


@pytest.mark.parametrize("name", ["nothing", "stage", "stage.y", "secret", ""])
def test_text_where_a_device_must_be_is_refused(name):
    error = refused("typed", devices=["det", name])
    assert f"device '{name}' is not in the list of allowed devices" in error.msg
    assert error.path == "item.kwargs.devices"


def test_device_that_vanished_from_the_namespace_is_named():
    without = {key: value for key, value in NS.items() if key != "other"}
    error = refused("typed", devices=["other"], ns=without)
    assert "there is no 'other' in the namespace" in error.msg


def test_text_is_kept_where_the_type_also_allows_text():
    assert bind("typed", any_device="unknown").kwargs["any_device"] == "unknown"


def test_plan_that_vanished_or_changed_is_refused():
    assert "is not in the namespace" in refused("free", 1, ns={}).msg
    assert "is not in the namespace" in refused("free", 1, ns={"free": 5}).msg

    def free(a):
        yield

    error = refused("free", 1, ns={"free": free})
    assert "has no parameters ['b', 'rest', 'more'] any more" in error.msg


def test_absurd_nesting_is_converted_not_crashed():
    value: Any = "det"
    for _ in range(50_000):
        value = [value]
    converted = bind("free", value).args[0]
    for _ in range(50_000):
        (converted,) = converted
    assert converted is det


def test_empty_item_binds():
    assert bind_item(NS, {"name": "quick"}, PLANS["quick"], PLANS, DEVICES) == (quick, (), {})
