"""Items are checked as the interface says: binding, types without conversion, ranges, metadata."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_queueserver.core.checks import ItemChecker, check_item, compile_plan_checker
from jupyter_queueserver.core.errors import ItemInvalid
from jupyter_queueserver.core.typeexpr import TypeNotParsed, parse_type

KINDS = ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD", "VAR_POSITIONAL", "KEYWORD_ONLY", "VAR_KEYWORD")


def parameter(name: str, text: str | None = None, kind: int = 1, **extra: Any) -> dict[str, Any]:
    result = {"name": name, "kind": {"name": KINDS[kind], "value": kind}, **extra}
    if text is not None:
        lists = {key: result.pop(key) for key in ("devices", "plans", "enums") if key in result}
        result["annotation"] = {"type": text, **lists}
    return result


def with_enum(text, **extra):
    return parameter("x", text, enums={"E": ["a", "b"]}, **extra)


def checker(*parameters):
    return compile_plan_checker({"name": "p", "properties": {"is_generator": True}, "parameters": list(parameters)})


def refusal(check, item):
    with pytest.raises(ItemInvalid) as found:
        check.check(item)
    return found.value


VALUES = [
    None, True, False, 0, 1, 5, -3, 0.0, 1.0, 5.0, 2.5, "", "a", "5", [], [1], [1, 2], [1.0], [1, 2.5],
    ["a"], [1, "a"], ["a", 1], [True], [[1], [2]], {}, {"a": 1}, {"a": 1.5}, {"a": "b"}, {"a": [1, 2.5]},
    [None], "zzz",
]  # fmt: skip

INTS = [0, 1, 5, -3]
NUMBERS = [True, False, *INTS, 0.0, 1.0, 5.0, 2.5]
STRINGS = ["", "a", "5", "zzz"]
LISTS = [v for v in VALUES if isinstance(v, list)]
DICTS = [v for v in VALUES if isinstance(v, dict)]
INT_LISTS = [[], [1], [1, 2]]
FLOAT_LISTS = [[], [1], [1, 2], [1.0], [1, 2.5], [True]]


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("int", INTS),
        ("float", NUMBERS),
        ("str", STRINGS),
        ("bool", [True, False, 0, 1]),
        ("NoneType", [None]),
        ("None", [None]),
        ("list", LISTS),
        ("dict", DICTS),
        ("tuple", LISTS),
        ("object", VALUES),
        ("typing.Any", VALUES),
        ("bytes", []),
        ("complex", []),
        ("typing.List[int]", INT_LISTS),
        ("list[float]", FLOAT_LISTS),
        ("typing.List", LISTS),
        ("typing.Sequence[int]", INT_LISTS),
        ("collections.abc.Sequence[float]", FLOAT_LISTS),
        ("typing.Iterable[int]", [*INT_LISTS, {}]),
        ("collections.abc.Iterable[typing.Any]", LISTS + DICTS),
        ("typing.Tuple[int, str]", [[1, "a"]]),
        ("tuple[int, ...]", INT_LISTS),
        ("tuple[float, float]", [[1, 2], [1, 2.5]]),
        ("tuple[()]", [[]]),
        ("typing.Set[int]", INT_LISTS),
        ("set", [v for v in LISTS if v != [[1], [2]]]),
        ("typing.Dict[str, int]", [{}, {"a": 1}]),
        ("dict[int, str]", [{}]),
        ("typing.Mapping[str, float]", [{}, {"a": 1}, {"a": 1.5}]),
        ("collections.abc.Mapping", DICTS),
        ("typing.Dict[str, typing.List[float]]", [{}, {"a": [1, 2.5]}]),
        ("typing.Optional[int]", [None, *INTS]),
        ("typing.Union[int, str]", INTS + STRINGS),
        ("int | None", [None, *INTS]),
        ("float | collections.abc.Iterable[float]", [*NUMBERS, *FLOAT_LISTS, {}]),
        ("typing.Literal['a', 1]", [1, "a"]),
        ("typing.Literal[True]", [True, 1]),
        ("typing.Callable[[int], float]", []),
        ("collections.abc.Hashable", [None, *NUMBERS, *STRINGS]),
        ("typing.Annotated[int, 'unit']", INTS),
        ("'int'", INTS),
        ("__READABLE__", STRINGS),
        ("__CALLABLE__ | None", [None, *STRINGS]),
        ("typing.List[__MOVABLE__]", [[], ["a"]]),
        ("E", ["a"]),
        ("typing.Optional[E]", [None, "a"]),
        ("typing.Union[E, int]", [*INTS, "a"]),
        ("dict[str, E]", [{}, {"a": "b"}]),
    ],
)
def test_values_accepted_by_a_type(text, accepted):
    check = checker(with_enum(text))
    assert check.unchecked == ()
    for value in VALUES:
        known = any(type(value) is type(a) and value == a and repr(value) == repr(a) for a in accepted)
        if known:
            check.check({"kwargs": {"x": value}})
        else:
            assert refusal(check, {"args": [value]}).msg, value


@pytest.mark.parametrize(
    "text",
    ["Nope", "typing.Type[int]", "typing.List[", "1 + 1", "f(x)", "int[str]", "x" * 20_000, "-" * 3000 + "1"],
)
def test_unreadable_type_is_left_to_the_worker(text):
    check = checker(parameter("x", text), parameter("y", "int"))
    assert check.unchecked == ("x",)
    check.check({"args": [object, 1]})
    assert refusal(check, {"args": [1, "a"]}).path == "item.args"


def test_deeply_nested_type_is_refused_not_crashed():
    for depth in (40, 60, 1000, 4000):
        text = "list[" * depth + "int" + "]" * depth
        if depth > 50:
            with pytest.raises(TypeNotParsed):
                parse_type(text)
        else:
            parse_type(text)


def test_custom_type_hides_a_built_in_name():
    check = checker(parameter("x", "__DEVICE__", devices={"__DEVICE__": ["det"]}))
    check.check({"args": ["det"]})
    assert "expected one of 'det'" in refusal(check, {"args": ["other"]}).msg


@pytest.mark.parametrize(
    ("text", "value", "reason"),
    [
        (
            "int",
            "5",
            "Error in argument types: Incorrect parameter type: key='x', value='5' (<class 'str'>), "
            "interpreted as '5' (<class 'int'>)",
        ),
        (
            "int",
            True,
            "Error in argument types: Incorrect parameter type: key='x', value='True' (<class 'bool'>), "
            "interpreted as '1' (<class 'int'>)",
        ),
        (
            "typing.List[int]",
            ["5"],
            "Error in argument types: Incorrect parameter type: key='x', value='['5']' (<class 'list'>), "
            "interpreted as '[5]' (<class 'list'>)",
        ),
        ("int", "a", "Incorrect value of parameter 'x': 'a' (str), expected int"),
        ("str", 5, "Incorrect value of parameter 'x': 5 (int), expected str"),
        ("list[int]", [1, "a"], "Incorrect value of parameter 'x' at x[1]: 'a' (str), expected int"),
        (
            "dict[str, list[int]]",
            {"k": [0, None]},
            "Incorrect value of parameter 'x' at x['k'][1]: None (NoneType), expected int",
        ),
        ("int | None", [], "Incorrect value of parameter 'x': [] (list), expected int or None"),
        ("E", "c", "Incorrect value of parameter 'x': 'c' (str), expected one of 'a', 'b' (E)"),
        ("E", "5", "Incorrect value of parameter 'x': '5' (str), expected one of 'a', 'b' (E)"),
    ],
)
def test_reason_names_parameter_value_and_expectation(text, value, reason):
    assert refusal(checker(with_enum(text)), {"kwargs": {"x": value}}).msg == reason


@pytest.mark.parametrize(
    ("item", "reason", "path"),
    [
        ({}, "missing a required argument: 'a'", "item.kwargs"),
        ({"args": [1, 2, 3]}, "too many positional arguments", "item.args"),
        ({"kwargs": {"a": 1, "z": 1}}, "got an unexpected keyword argument 'z'", "item.kwargs.z"),
        ({"args": [1], "kwargs": {"a": 1}}, "multiple values for argument 'a'", "item.kwargs.a"),
        ({"args": None}, "argument after * must be an iterable, not NoneType", "item.args"),
        ({"args": 5}, "argument after * must be an iterable, not int", "item.args"),
        ({"args": [1], "kwargs": None}, "argument after ** must be a mapping, not NoneType", "item.kwargs"),
        ({"args": [1], "kwargs": [1]}, "argument after ** must be a mapping, not list", "item.kwargs"),
        ({"args": [1], "kwargs": "abc"}, "argument after ** must be a mapping, not str", "item.kwargs"),
    ],
)
def test_binding_reasons_are_those_of_python(item, reason, path):
    found = refusal(checker(parameter("a"), parameter("b", default="1")), item)
    assert reason in found.msg
    assert found.path == path


@pytest.mark.parametrize("args", ["ab", {"a": 1, "b": 2}])
def test_text_and_dictionary_as_args_are_iterated(args):
    checker(parameter("a", "str"), parameter("b", "str")).check({"args": args})


def test_all_kinds_of_parameters_are_checked():
    check = checker(
        parameter("first", "int", 0),
        parameter("rest", "float", 2),
        parameter("flag", "bool", 3, default="False"),
        parameter("more", "str", 4),
    )
    check.check({"args": [1, 2, 2.5], "kwargs": {"flag": True, "note": "x"}})
    assert "'rest' at rest[1]: 'a'" in refusal(check, {"args": [1, 2, "a"]}).msg
    assert "'more' at more['note']: 5" in refusal(check, {"args": [1], "kwargs": {"note": 5}}).msg
    assert refusal(check, {"kwargs": {"first": 1}}).msg  # positional only


def test_defaults_are_not_checked_but_an_explicit_null_is():
    check = checker(parameter("x", "__CALLABLE__", default="None", eval_expressions=True))
    check.check({})
    assert "None (NoneType)" in refusal(check, {"kwargs": {"x": None}}).msg


@pytest.mark.parametrize(
    ("limits", "value", "reason"),
    [
        ({"min": "2"}, 1, "key='x', value='1': Value 1 is out of range [2, inf]"),
        ({"max": "2.5"}, 3, "key='x', value='3': Value 3 is out of range [-inf, 2.5]"),
        ({"min": "2", "max": "5"}, True, "key='x', value='True': Value True is out of range [2, 5]"),
        (
            {"min": "2", "max": "5"},
            {"a": [3, {"b": 7}]},
            "key='x', value='{'a': [3, {'b': 7}]}': Value 7 is out of range [2, 5]",
        ),
        ({"min": "2"}, float("nan"), "key='x', value='nan': Value nan is out of range [2, inf]"),
    ],
)
def test_numbers_out_of_range(limits, value, reason):
    found = refusal(checker(parameter("x", **limits)), {"kwargs": {"x": value}})
    expected = f"Argument values are out of range: Parameter value is out of range: {reason}"
    assert found.msg == expected
    assert found.path == "item.kwargs.x"


@pytest.mark.parametrize("value", [2, 5, 2.0, "1", None, [], ["a", 3], {"a": {"b": [4]}}])
def test_numbers_in_range_and_strings_pass(value):
    checker(parameter("x", min="2", max="5", step="1")).check({"args": [value]})


def test_range_holds_for_star_arguments():
    assert "Value 0" in refusal(checker(parameter("x", kind=2, min="1")), {"args": [1, "a", 0]}).msg


@pytest.mark.parametrize("meta", [{}, {"a": 1}, [], [{}], [{"a": 1}, {}], ({},)])
def test_meta_accepted(meta):
    checker().check({"meta": meta})


@pytest.mark.parametrize("meta", [None, 1, "text", [1], [{}, None]])
def test_meta_refused(meta):
    found = refusal(checker(), {"meta": meta})
    assert found.msg == "Plan parameter 'meta' must be a dictionary or a list of dictionaries"
    assert found.path == "item.meta"


def test_properties_must_be_a_dictionary():
    assert refusal(checker(), {"properties": None}).path == "item.properties"
    checker().check({"properties": {}})


def test_all_problems_are_listed():
    check = checker(
        parameter("a", "int"),
        parameter("b", "E", enums={"E": ["fast"]}),
        parameter("c", min="1"),
        parameter("d"),
    )
    item = {"kwargs": {"a": "x", "b": "fats", "c": 0, "oops": 1}, "meta": 5}
    problems = list(check.problems(item))
    assert [p.path for p in problems] == [
        "item.kwargs", "item.kwargs.oops", "item.kwargs.a", "item.kwargs.b", "item.kwargs.c", "item.meta",
    ]  # fmt: skip
    assert problems[0].msg == "missing a required argument: 'd'"
    assert problems[3].hint == "Did you mean 'fast'?"


PLANS = {"count": {"name": "count", "parameters": [parameter("detectors", "typing.List[__READABLE__]")]}}


def test_item_checker_knows_only_allowed_plans():
    check = ItemChecker(PLANS)
    assert check.check({"name": "count", "args": [["det"]]}) == ()
    with pytest.raises(ItemInvalid, match=r"^Plan 'coutn' is not in the list of allowed plans\.$") as found:
        check.check({"name": "coutn"})
    assert found.value.hint == "Did you mean 'count'?"
    assert found.value.path == "item.name"


@pytest.mark.parametrize("name", [None, 5, ["count"], {}, "x" * 100_000])
def test_absurd_plan_names_are_refused_briefly(name):
    with pytest.raises(ItemInvalid, match="is not in the list of allowed plans") as found:
        check_item({"name": name}, PLANS)
    assert len(found.value.msg) < 400


def test_missing_name_is_refused():
    with pytest.raises(ItemInvalid, match=r"^'name'$"):
        check_item({}, PLANS)


def test_unreadable_types_are_reported_by_the_item_checker():
    plans = {"p": {"name": "p", "parameters": [parameter("x", "ophyd.Device")]}}
    assert ItemChecker(plans).check({"name": "p", "args": ["det"]}) == ("x",)


@pytest.mark.parametrize(
    "parameters",
    [
        [{"name": "x"}],
        [{"name": "x", "kind": {"name": "STRANGE"}}],
        [parameter("x", default="1"), parameter("y")],
        [parameter("x", min="low")],
        [parameter("x"), parameter("x")],
        [{**parameter("x"), "annotation": "int"}],
    ],
)
def test_unusable_description_is_refused_with_a_sentence(parameters):
    with pytest.raises(ItemInvalid, match=r"Description of plan 'p' cannot be used"):
        compile_plan_checker({"name": "p", "parameters": parameters})


def nested(depth: int, wrap: type = list) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value] if wrap is list else {"k": value}
    return value


@pytest.mark.parametrize("text", [None, "typing.Any", "int", "list[int]", "dict[str, list[int]]", "set", "E", "int | E"])
@pytest.mark.parametrize(
    "value",
    [
        nested(50_000),
        nested(50_000, wrap=dict),
        "x" * 1_000_000,
        10**4000,
        [0] * 100_000,
        float("inf"),
        -0.0,
        {"k" * 100_000: [nested(5_000)]},
    ],
    ids=["lists", "dicts", "text", "digits", "long", "inf", "zero", "key"],
)
def test_absurd_values_are_accepted_or_refused_with_a_short_sentence(text, value):
    check = checker(with_enum(text, min="-5", max="5"))
    problems = list(check.problems({"kwargs": {"x": value}}))
    assert all(0 < len(p.msg) < 2_000 for p in problems)
    assert all(len(p.path) < 400 for p in problems)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
scalar_types = st.sampled_from(["int", "float", "str", "bool", "None", "typing.Any", "__DEVICE__", "E"])
type_texts = st.recursive(
    scalar_types,
    lambda inner: st.one_of(
        inner.map("typing.List[{}]".format),
        inner.map("typing.Optional[{}]".format),
        inner.map("dict[str, {}]".format),
        inner.map("collections.abc.Sequence[{}]".format),
        st.tuples(inner, inner).map(lambda pair: f"typing.Union[{pair[0]}, {pair[1]}]"),
        st.tuples(inner, inner).map(lambda pair: f"tuple[{pair[0]}, {pair[1]}]"),
    ),
    max_leaves=4,
)


@settings(deadline=None)
@given(type_texts, json_values)
def test_a_value_is_accepted_or_has_a_fault_that_is_really_there(text, value):
    node = parse_type(text, {"E": ["a", "b"]})
    fault = node.fault(value)
    assert (fault is None) == node.accepts(value)
    if fault is not None:
        part = value
        for key in fault.path:
            part = part[key]
        assert part is fault.value or fault.value in part


strict_types = st.recursive(
    st.sampled_from([int, str, type(None)]),
    lambda inner: inner.map(lambda t: list[t]) | inner.map(lambda t: dict[str, t]) | inner.map(lambda t: t | None),
    max_leaves=3,
)


def type_text(hint):
    return (
        "None"
        if hint is type(None)
        else hint.__name__
        if isinstance(hint, type) and not hasattr(hint, "__args__")
        else repr(hint)
    )


@settings(deadline=None, max_examples=200)
@given(strict_types, json_values)
def test_agrees_with_a_strict_reader(hint, value):
    """Where strict reading means the same (no float, no bool, no enum), an independent library must agree."""
    pydantic = pytest.importorskip("pydantic")
    try:
        pydantic.TypeAdapter(hint).validate_python(value, strict=True)
        expected = True
    except pydantic.ValidationError:
        expected = False
    assert parse_type(type_text(hint)).accepts(value) is expected


def test_an_ordinary_item_is_checked_in_microseconds():
    plans = {
        "scan": {
            "name": "scan",
            "parameters": [
                parameter("detectors", "collections.abc.Sequence[__READABLE__]"),
                parameter("args", "__MOVABLE__ | typing.Any", 2),
                parameter("num", "int | None", 3, default="None"),
                parameter("md", "dict[str, typing.Any] | None", 3, default="None"),
            ],
        }
    }
    check, item = ItemChecker(plans), {"name": "scan", "args": [["det"], "motor", -1, 1, 5]}
    check.check(item)
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(1000):
            check.check(item)
        best = min(best, (time.perf_counter() - start) / 1000)
    assert best < 50e-6


DEVICES = {
    "det": {"components": {"x": {}}},
    "stage": {"excluded": True, "components": {"x": {}}},
}


@pytest.mark.parametrize("value", ["det", "det.x", "det.x.deeper", "stage.x", ["det"]])
def test_names_of_devices_are_taken(value):
    kind = "typing.List[__READABLE__]" if isinstance(value, list) else "__MOVABLE__"
    plans = {"p": {"name": "p", "parameters": [parameter("x", kind)]}}
    assert ItemChecker(plans, DEVICES).check({"name": "p", "args": [value]}) == ()


@pytest.mark.parametrize("value", ["det.", "stage.z", "stage.x.", "det..x", "stage."])
def test_parts_that_no_device_has_are_refused(value):
    plans = {"p": {"name": "p", "parameters": [parameter("x", "__READABLE__")]}}
    with pytest.raises(ItemInvalid, match="name of a device"):
        ItemChecker(plans, DEVICES).check({"name": "p", "args": [value]})


@pytest.mark.parametrize(("value", "hint"), [("dett", "Did you mean 'det'?"), ("stage", None), ("", None), (5, None)])
def test_what_is_no_device_is_refused(value, hint):
    plans = {"p": {"name": "p", "parameters": [parameter("x", "__READABLE__")]}}
    with pytest.raises(ItemInvalid, match="name of a device") as caught:
        ItemChecker(plans, DEVICES).check({"name": "p", "args": [value]})
    assert caught.value.path == "item.args"
    if hint:
        assert caught.value.hint == hint
