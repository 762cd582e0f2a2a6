"""The file with existing plans and devices: when it is read, when it is written, and what a broken one does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from jupyter_queueserver.core.catalogue import Catalogue
from jupyter_queueserver.core.changes import AnyChange, DevicesSet, EnvironmentSet, PlansSet, apply
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.state import Environment, State
from jupyter_queueserver.link.lists import format_lists, load_lists, parse_lists
from jupyter_queueserver.manager.lists_file import ListsFile
from jupyter_queueserver.manager.settings import ListsUpdate, shipped_profile

PLANS: dict[str, Any] = {"count": {"name": "count", "parameters": [], "description": "odd: \x7f \x85 \u2028 \U0001f600 'x'"}}
DEVICES: dict[str, Any] = {"det": {"classname": "Det", "components": {"x": {"is_readable": True}}}}


def first_state(plans: dict[str, Any] | None = None, devices: dict[str, Any] | None = None, environment: str = "closed") -> State:
    catalogue = Catalogue(plans or {}, devices or {}, Permissions.default())
    return State(catalogue=catalogue, environment=Environment(state=environment))  # type: ignore[arg-type]


class Place:
    """A file and the manager's part of it; each manager is a new one."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "existing_plans_and_devices.yaml"
        self.mark = directory / "lists.digest"

    def manager(self, update: ListsUpdate = "ENVIRONMENT_OPEN") -> ListsFile:
        return ListsFile(str(self.path), self.mark, update)

    def news(self, state: State) -> Sequence[AnyChange]:
        file = self.manager()
        changes = file.news(state)
        file.taken_over()
        return changes


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def open_environment(file: ListsFile, plans: dict[str, Any], devices: dict[str, Any]) -> State:
    """Go through an opening as the writer does; returns the state after it."""
    state = first_state(environment="opening")
    file.news(state)
    changes: list[AnyChange] = [
        EnvironmentSet(environment=replace(state.environment, state="open")),
        DevicesSet(devices=devices),
        PlansSet(plans=plans),
    ]
    for change in changes:
        state = apply(state, change, 1.0)
    tell(file, changes, state)
    return state


def tell(file: ListsFile, changes: Sequence[AnyChange], state: State) -> None:
    """Have the manager's part hear of a commit, and wait until it has written."""

    async def commit() -> None:
        file.changed(changes, state)
        await file.close()

    asyncio.run(commit())


def test_form_is_yaml_and_comes_back() -> None:
    data = format_lists(PLANS, DEVICES)
    assert parse_lists(data, "x") == (PLANS, DEVICES)
    assert yaml.safe_load(data) == {"existing_plans": PLANS, "existing_devices": DEVICES}


def test_lists_are_known_before_an_environment_was_opened(place: Place) -> None:
    place.path.write_text(yaml.safe_dump({"existing_plans": PLANS, "existing_devices": DEVICES}))
    assert place.news(first_state()) == [PlansSet(plans=PLANS), DevicesSet(devices=DEVICES)]
    assert place.news(first_state(PLANS, DEVICES)) == []
    assert place.news(first_state()) != [], "the store was emptied: the file is read again"


def test_file_is_read_only_if_somebody_else_wrote_it(place: Place) -> None:
    place.path.write_bytes(format_lists(PLANS, DEVICES))
    place.news(first_state())
    newer = {**PLANS, "scan": {"name": "scan"}}
    assert place.news(first_state(newer, DEVICES)) == [], "the store knows better"
    place.path.write_bytes(format_lists({}, DEVICES))
    assert place.news(first_state(newer, DEVICES)) == [PlansSet(plans={})]


def test_not_read_with_an_environment(place: Place) -> None:
    place.path.write_bytes(format_lists(PLANS, DEVICES))
    assert place.news(first_state(environment="open")) == []


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "[]",
        "existing_plans: {}",
        "{existing_plans: {a: 1}, existing_devices: {}}",
        "{existing_plans: [], existing_devices: {}}",
    ],
)
def test_broken_file_is_logged_and_changes_nothing(place: Place, text: str, caplog: pytest.LogCaptureFixture) -> None:
    place.path.write_text(text)
    assert place.news(first_state(PLANS, DEVICES)) == []
    assert str(place.path) in caplog.text
    with pytest.raises(ValueError, match=str(place.path)):
        load_lists(place.path)


def test_missing_file_is_no_fault(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    assert place.news(first_state()) == []
    assert load_lists(place.path) is None
    assert caplog.text == ""


def test_written_when_an_environment_was_opened(place: Place) -> None:
    file = place.manager()
    state = open_environment(file, PLANS, DEVICES)
    assert load_lists(place.path) == (PLANS, DEVICES)
    assert place.news(first_state(PLANS, DEVICES)) == []
    place.path.unlink()
    alarm = EnvironmentSet(environment=replace(state.environment, alarm="disk"))
    tell(file, [alarm, PlansSet(plans={})], apply(state, PlansSet(plans={}), 2.0))
    assert not place.path.exists()


def test_unchanged_lists_leave_the_file_alone(place: Place) -> None:
    open_environment(place.manager(), PLANS, DEVICES)
    place.path.chmod(0o640)
    before = place.path.stat()
    open_environment(place.manager(), PLANS, DEVICES)
    assert place.path.stat().st_mtime_ns == before.st_mtime_ns
    open_environment(place.manager(), {}, DEVICES)
    assert place.path.stat().st_mode & 0o777 == 0o640
    assert load_lists(place.path) == ({}, DEVICES)


def test_always_and_never(place: Place) -> None:
    open_environment(place.manager("NEVER"), PLANS, DEVICES)
    assert not place.path.exists()
    file = place.manager("ALWAYS")
    state = open_environment(file, PLANS, DEVICES)
    change = PlansSet(plans={})
    tell(file, [change], apply(state, change, 2.0))
    assert load_lists(place.path) == ({}, DEVICES)


def test_directory_that_cannot_be_written_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = Place(tmp_path / "gone")
    open_environment(place.manager(), PLANS, DEVICES)
    assert str(place.path) in caplog.text


def test_the_package_is_never_written_to(tmp_path: Path) -> None:
    path = shipped_profile() / "lists_of_a_test.yaml"
    file = ListsFile(str(path), tmp_path / "mark", "ALWAYS")
    open_environment(file, PLANS, DEVICES)
    assert not path.exists()
