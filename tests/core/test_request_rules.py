"""Requests with an id: what counts as the same request, what is remembered how long, and how much of it."""

from __future__ import annotations

from typing import Any

import pytest
from core_stage import ME, Stage, plan
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from jupyter_queueserver.api import methods, parse_request
from jupyter_queueserver.core import requests as index_module
from jupyter_queueserver.core.catalogue import Catalogue
from jupyter_queueserver.core.changes import RequestRecorded, RequestsForgotten
from jupyter_queueserver.core.codec import to_json
from jupyter_queueserver.core.decision import Step
from jupyter_queueserver.core.errors import RequestError
from jupyter_queueserver.core.mirror import public
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.requests import ID_LIMIT, RequestIndex, RequestRecord, request_key, unpacked
from jupyter_queueserver.core.rules import requests as rules
from jupyter_queueserver.core.state import State

NOW = 1_000_000.0


def known(request_id: str, time: float = NOW, size: int = 10) -> RequestRecord:
    return RequestRecord(request_id=request_id, digest="d", time=time, size=size)


def step_with(*records: RequestRecord, now: float = NOW) -> Step:
    state = State(catalogue=Catalogue({}, {}, Permissions.default()), requests=RequestIndex(records))
    return Step(state, now, lambda: "u")


def record(step: Step, request_id: str = "new", *, in_any_case: bool = False, **how: Any) -> list[str]:
    """Record a request if there is room; returns the ids that are known then."""
    if not in_any_case:
        rules.require_room(step, **how)
    rules.record(step, replace(request_key(request_id, "m", {}, None), digest="d"), b'{"success":true}', **how)
    return [each.request_id for each in step.state.requests]


# -- what is the same request ------------------------------------------------------------------


def test_a_retry_adds_nothing_and_gets_the_same_uid() -> None:
    stage = Stage.opened()
    first = stage.ok("queue_item_add", item=plan(1), **ME, request_id="r")
    seq = stage.state.seq
    assert stage.ok("queue_item_add", item=plan(1), **ME, request_id="r") == first
    assert stage.state.seq == seq
    assert stage.numbers == [1]
    stage.ok("queue_item_add", item=plan(1), **ME, request_id="r2")
    assert stage.numbers == [1, 1]


def test_a_retry_is_answered_as_before_though_it_would_be_refused_now() -> None:
    stage = Stage.opened(1)
    added = stage.ok("queue_item_add", item=plan(2), **ME, request_id="r")
    started = stage.ok("queue_start", request_id="s")
    stage.go_on()
    stage.ok("lock", lock_key="k", user="me", queue=True, environment=True)
    assert stage.ok("queue_item_add", item=plan(2), **ME, request_id="r") == added
    assert stage.ok("queue_start", request_id="s") == started
    assert not stage.wishes


def test_a_refused_request_is_judged_anew() -> None:
    stage = Stage.opened()
    stage.refused("queue_start", lock_key=5, request_id="r")
    stage.refused("queue_item_remove", request_id="r")
    stage.add(1)
    stage.ok("queue_item_remove", request_id="r")
    assert stage.numbers == []


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("queue_item_add", {"item": plan(2), **ME}),
        ("queue_item_add", {"item": plan(1), **ME, "pos": "front"}),
        ("queue_item_add", {"item": plan(1), **ME, "user": "she"}),
        ("queue_item_add", {"item": plan(1), **ME, "request_user": "she"}),
        ("queue_clear", {}),
        ("queue_clear", {"no_such_parameter": 1}),
    ],
)
def test_the_same_id_with_something_else_is_refused(method: str, params: dict[str, Any]) -> None:
    stage = Stage.opened()
    stage.ok("queue_item_add", item=plan(1), **ME, request_id="r")
    reply = stage.refused(method, **params, request_id="r")
    assert reply["error"] == {
        "code": "request_id_reused",
        "hint": rules.RequestIdReused.hint,
        "path": "request_id",
    }
    assert set(methods()[method].reply) <= set(reply)
    assert stage.numbers == [1]


@pytest.mark.parametrize("request_id", ["", "x" * (ID_LIMIT + 1), "a\nb", "\ud800", 5, [], True, {"a": 1}])
def test_ids_that_are_none(request_id: Any) -> None:
    stage = Stage.opened()
    assert stage.refused("queue_clear", request_id=request_id)["error"]["code"] == "request_id_invalid"


@pytest.mark.parametrize("request_id", ["x", "x" * ID_LIMIT, "Ünïcode id", "5f3c7a0e-0000-4000-8000-000000000000"])
def test_ids(request_id: str) -> None:
    stage = Stage.opened()
    stage.ok("queue_clear", request_id=request_id)
    assert stage.state.requests.get(request_id) is not None


def test_none_is_no_id() -> None:
    stage = Stage.opened()
    stage.ok("queue_clear", request_id=None)
    assert len(stage.state.requests) == 0


@pytest.mark.parametrize("name", sorted(name for name, method in methods().items() if method.kind == "read"))
def test_reading_methods_ignore_it(name: str) -> None:
    call = parse_request({"method": name, "params": {"request_id": ["anything"]}})
    assert call.params == {}
    assert call.key() is None


@pytest.mark.parametrize("name", sorted(name for name, method in methods().items() if method.kind == "write"))
def test_every_writing_method_takes_it(name: str) -> None:
    call = parse_request({"method": name, "params": {"request_id": "r", "request_user": "me"}})
    assert call.params == {}
    key = call.key()
    assert key is not None
    assert key.request_id == "r"


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


@given(first=st.dictionaries(st.text(), JSON, max_size=4), second=st.dictionaries(st.text(), JSON, max_size=4))
def test_content_and_digest(first: dict[str, Any], second: dict[str, Any]) -> None:
    """The order of keys means nothing; everything else does."""
    key = request_key("r", "m", first, None)
    turned = dict(reversed(list(first.items())))
    assert request_key("r", "m", turned, None) == key
    same = to_json(dict(sorted(first.items()))) == to_json(dict(sorted(second.items())))
    assert (request_key("r", "m", second, None) == key) == same or first == second
    assert request_key("r", "other", first, None) != key
    assert request_key("r", "m", first, "me") != key


@given(value=st.one_of(st.binary(), st.just("\ud800"), st.just({1: 2}), st.just(10**40), st.just(float("nan"))))
def test_what_json_does_not_know_has_a_digest_too(value: Any) -> None:
    assert request_key("r", "m", {"item": value}, None) == request_key("r", "m", {"item": value}, None)
    assert request_key("r", "m", {"item": value}, None) != request_key("r", "m", {"item": [value]}, None)


def test_what_is_too_deep_is_refused_or_has_a_digest() -> None:
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    assert request_key("r", "m", {"item": deep}, None).digest
    with pytest.raises(RequestError):
        request_key("", "m", {"item": deep}, None)


# -- how long, how much ------------------------------------------------------------------------


def test_old_records_go_when_others_come() -> None:
    old, held, fresh = known("old", NOW - rules.KEPT - 1), known("held", NOW - rules.KEPT + 1), known("fresh")
    assert record(step_with(old, held, fresh)) == ["held", "fresh", "new"]


def test_what_is_young_by_the_clock_that_does_not_jump_stays() -> None:
    """The clock of the machine jumped by a day."""
    one, other = known("one", NOW - 86400), known("other", NOW - 86399)
    assert record(step_with(one, other), young=1) == ["other", "new"]
    assert record(step_with(one, other), young=2) == ["one", "other", "new"]
    ahead = known("ahead", NOW + 86400)
    assert record(step_with(ahead, other), young=0) == ["new"]


def test_many_old_ones_go_little_by_little() -> None:
    step = step_with(*(known(f"r{n}", NOW - 2 * rules.KEPT) for n in range(1000)))
    sizes = [len(record(step, f"new {n}")) for n in range(6)]
    assert sizes[0] > sizes[1] > 600
    assert sizes[-1] == 6


def test_old_ones_go_without_others_too() -> None:
    step = step_with(*(known(f"r{n}", NOW - 2 * rules.KEPT) for n in range(1000)), known("held", NOW - 1))
    sizes = []
    while len(step.changes) == len(sizes):
        rules.forget_outlived(step)
        sizes.append(len(step.state.requests))
    assert [each.request_id for each in step.state.requests] == ["held"]
    assert 1000 > sizes[0] > 600


def test_a_big_reply_counts_as_it_is_kept() -> None:
    step = step_with()
    reply = to_json({"items": ["the same again"] * 10_000})
    rules.record(step, request_key("big", "m", {}, None), reply)
    (change,) = step.changes
    assert isinstance(change, RequestRecorded)
    assert change.reply is not None
    assert unpacked(change.reply) == reply
    assert step.state.requests.reply_bytes == len(change.reply) < len(reply) / 10
    with pytest.raises(ValueError, match="unpacked"):
        unpacked(change.reply[:-9])


def test_a_flood_of_ids_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "REQUEST_IDS_LIMIT", 3)
    step = step_with(known("a"), known("b"))
    assert record(step) == ["a", "b", "new"]
    with pytest.raises(rules.TooManyRequestIds, match="3 requests"):
        record(step, "one more")
    assert [each.request_id for each in step.state.requests] == ["a", "b", "new"]
    assert record(step, "pause", in_any_case=True) == ["a", "b", "new", "pause"]


def test_no_room_is_made_at_the_cost_of_the_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "REQUEST_IDS_LIMIT", 2)
    promised = known("promised", NOW - rules.PROMISED + 1)
    assert record(step_with(known("over", NOW - rules.PROMISED - 1), promised)) == ["promised", "new"]
    with pytest.raises(rules.TooManyRequestIds):
        record(step_with(promised, known("fresh")))


def test_big_replies_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "REQUEST_REPLIES_LIMIT", 100)
    assert record(step_with(known("big", size=99))) == ["big", "new"]
    with pytest.raises(rules.TooManyRequestIds, match="100 bytes"):
        record(step_with(known("big", size=100)))
    assert record(step_with(known("big", NOW - rules.PROMISED - 1, size=100))) == ["new"]


def test_a_flood_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "REQUEST_IDS_LIMIT", 0)
    stage = Stage.opened()
    reply = stage.refused("queue_item_add", item=plan(1), **ME, request_id="r")
    assert reply["error"]["code"] == "too_many_request_ids"
    stage.ok("queue_item_add", item=plan(1), **ME)
    stage.ok("environment_destroy", request_id="in any case")


def test_what_the_worker_refused_is_forgotten() -> None:
    step = step_with(known("a"), known("b"))
    rules.forget(step, "a")
    rules.forget(step, "unknown")
    assert step.changes == [RequestsForgotten(request_ids=("a",))]


def test_subscribers_hear_neither_ids_nor_replies() -> None:
    told = public(RequestRecorded(record=known("secret id"), reply=b'{"secret": 1}'))
    assert b"secret" not in to_json(told)
    assert b"secret" not in to_json(public(RequestsForgotten(request_ids=("secret id",))))


# -- the index ---------------------------------------------------------------------------------


class IndexModel(RuleBasedStateMachine):
    """The index beside a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.index = RequestIndex()
        self.model: dict[str, RequestRecord] = {}
        self.seen: list[tuple[RequestIndex, list[RequestRecord]]] = []

    @rule(number=st.integers(0, 30), size=st.integers(0, 5))
    def add(self, number: int, size: int) -> None:
        made = known(f"r{number}", size=size)
        self.model.pop(made.request_id, None)
        self.model[made.request_id] = made
        self.index = self.index.added(made)

    @rule(numbers=st.lists(st.integers(0, 30), max_size=5))
    def remove(self, numbers: list[int]) -> None:
        for number in numbers:
            self.model.pop(f"r{number}", None)
        self.index = self.index.without(f"r{number}" for number in numbers)

    @rule(count=st.integers(0, 10))
    def remove_oldest(self, count: int) -> None:
        oldest = list(self.model)[:count]
        for name in oldest:
            del self.model[name]
        self.index = self.index.without(oldest)

    @rule()
    def remember(self) -> None:
        self.seen.append((self.index, list(self.index)))

    @invariant()
    def same(self) -> None:
        assert list(self.index) == list(self.model.values())
        assert len(self.index) == len(self.model)
        assert self.index.reply_bytes == sum(each.size for each in self.model.values())
        assert all(self.index.get(name) is each for name, each in self.model.items())
        assert self.index.get("nobody") is None
        assert RequestIndex(self.model.values()) == self.index
        assert all(list(index) == records for index, records in self.seen)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_CHUNK", 4)


TestIndex = IndexModel.TestCase
