"""Every method of the interface is part of a conversation, with its success and with a refusal; all of them in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from line import Turn
from line_inprocess import InProcessLine
from played_lists import DEVICES, PLANS
from talks import talks

from jupyter_queueserver.api import methods

#: Answered whatever is asked.
NEVER_REFUSED = {"ping", "status"}
#: A success would end or block the manager, or change the worker's kernel: see `test_conversations` and `test_killed_manager`.
NO_SUCCESS_HERE = {"manager_stop", "manager_kill", "manager_test"}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessLine]:
    """A line to a played server."""
    made = InProcessLine(tmp_path_factory.mktemp("played"), PLANS, DEVICES)
    try:
        made.open()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def turns(line: InProcessLine) -> list[Turn]:
    """All that is said in all conversations."""
    said: list[Turn] = []
    for conversation in talks().values():
        line.reset()
        conversation(line)
        said += line.turns
    return said


def test_every_method_is_spoken_of(turns: list[Turn]) -> None:
    assert {turn.method for turn in turns} == set(methods())
    assert len(methods()) >= 50


def test_every_method_succeeds_somewhere(turns: list[Turn]) -> None:
    succeeded = {turn.method for turn in turns if turn.reply.get("success", True)}
    assert succeeded | NO_SUCCESS_HERE == set(methods())


def test_every_method_is_refused_somewhere(turns: list[Turn]) -> None:
    refused = {turn.method for turn in turns if not turn.reply.get("success", True)}
    assert refused == set(methods()) - NEVER_REFUSED


def test_every_parameter_is_sent_somewhere(turns: list[Turn]) -> None:
    sent = {(turn.method, name) for turn in turns for name in turn.params}
    wanted = {(name, parameter) for name, method in methods().items() for parameter in method.parameter_names}
    assert {(method, name) for method, name in wanted - sent if name != "lock_key"} == set()
