"""The manager's log tells what happened, a line each."""

from __future__ import annotations

import logging

import pytest
from manager_parts import item

from jupyter_queueserver.core import changes as ch
from jupyter_queueserver.core.catalogue import Catalogue
from jupyter_queueserver.core.locks import Lock
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.core.state import Environment, Failure, State
from jupyter_queueserver.manager.diary import Diary


def test_a_day(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    diary = Diary(State(catalogue=Catalogue({}, {}, Permissions.default())), confirm_returned=True)
    failed = item("a").replaced(result={"ending": "failed", "msg": "Plan failed: no beam"})
    diary.note(
        [
            ch.EnvironmentSet(environment=Environment(state="opening")),
            ch.EnvironmentSet(environment=Environment(state="open")),
            ch.EnvironmentSet(environment=Environment(state="open", alarm="a document was lost")),
            ch.RunningSet(item=item("a")),
            ch.RunningSet(item=None),
            ch.HistoryAppended(items=(failed,)),
            ch.QueueInserted(items=(item("b"), item("c").replaced(returned={"confirmed": False}))),
            ch.LockSet(lock=Lock(queue=True, user="ada", salt="s", digest="d")),
            ch.LockSet(lock=Lock()),
            ch.AutostartSet(enabled=True),
            ch.QueueCleared(),
            ch.EnvironmentSet(environment=Environment(state="closed", failure=Failure(time=1.0, msg="It was killed."))),
        ]
    )
    assert caplog.messages == [
        "The environment is being opened.",
        "The environment is open.",
        "Plan 'count' is started (item a).",
        "Plan 'count' has ended, failed (item a): Plan failed: no beam",
        "Plan 'count' came back to the queue (item c); the queue does not start before somebody confirms it.",
        "ada has locked queue.",
        "Nothing is locked.",
        "Autostart is on.",
        "The environment is closed.",
        "It failed: It was killed.",
    ]
