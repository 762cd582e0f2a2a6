"""How plans end, told truthfully: what is known is in the result, what came back says why, and waits to be confirmed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from core_stage import ME, Stage, plan
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jupyter_queueserver.core.endings import FailurePoint, LastDocument, OpenRun, summary
from jupyter_queueserver.core.reports import ItemEnded, WorkerLost
from jupyter_queueserver.core.rules.environment import worker_ends
from jupyter_queueserver.core.rules.reports import apply_report
from jupyter_queueserver.core.status import status


def asking(stage: Stage) -> Stage:
    """The server is set to ask before items that came back run again."""
    stage.config = replace(stage.config, confirm_returned=True)
    return stage


def failed(*numbers: int, ending: str = "failed") -> Stage:
    """The first plan has failed and is back."""
    stage = Stage.opened(*numbers).started()
    stage.end(ending)
    return stage


def front(stage: Stage) -> dict[str, Any]:
    return stage.state.queue.at(0).fields


def last_result(stage: Stage) -> dict[str, Any]:
    return stage.entries[-1].fields["result"]


def die(stage: Stage, **known: Any) -> None:
    """The worker dies, and so much is known of it."""
    stage.submit(worker_ends)
    lost = WorkerLost(**{"time": 200.0, "reason": "The worker was killed."} | known)
    stage.submit(lambda step: apply_report(lost, step))
    assert stage.worker
    stage.worker.alive = False


# what the result tells


def test_where_a_plan_failed() -> None:
    stage = Stage.opened(1).started()
    point = FailurePoint(device="motor", command="set", run_uid="r", events={"primary": 5}, file="p.py", line=3, function="scan")
    running = stage.state.running
    assert running is not None
    stage.submit(lambda step: apply_report(_ended(running.item_uid, failure=point, msg="Plan failed: limit"), step))
    result = last_result(stage)
    assert result["failure"] == {
        **{"device": "motor", "command": "set", "run_uid": "r", "events": {"primary": 5}},
        **{"file": "p.py", "line": 3, "function": "scan"},
    }
    assert result["summary"] == "The plan failed at the device 'motor' (in 'set') after 5 points: limit."
    assert result["msg"] == "Plan failed: limit"


def _ended(uid: str, **fields: Any) -> ItemEnded:
    return ItemEnded(**{"time": 5.0, "item_uid": uid, "ending": "failed"} | fields)


@pytest.mark.parametrize(("problems", "goes_on"), [(("'num' is no number",), True), ((), False)])
def test_a_refusal_is_forgiven_if_it_is_about_the_parameters(problems: tuple[str, ...], goes_on: bool) -> None:
    stage = Stage.opened(1, 2, ignore_failures=True).started()
    uid = stage.state.running.item_uid if stage.state.running else ""
    stage.submit(lambda step: apply_report(_ended(uid, ending="refused", problems=problems, msg="no"), step))
    result = last_result(stage)
    assert (result["exit_status"], result["ending"]) == ("failed", "refused")
    assert result.get("problems", []) == list(problems)
    assert stage.running == (2 if goes_on else None)
    assert stage.numbers == ([] if goes_on else [1, 2])


def test_the_last_document_of_a_plan_whose_worker_died() -> None:
    stage = Stage.opened(1).started()
    run = stage.state.runs[0].uid
    die(stage, last_document=LastDocument(name="event", run_uid=run, seq_num=7, time=150.0))
    result = last_result(stage)
    assert result["last_document"] == {"name": "event", "run_uid": run, "seq_num": 7, "time": 150.0}
    assert result["summary"] == "The plan was cut off: The worker was killed. The last point that was kept is number 7."


def test_the_last_document_of_another_plan_is_not_told() -> None:
    stage = Stage.opened(1).started()
    die(stage, last_document=LastDocument(name="stop", run_uid="of another one", time=1.0))
    assert "last_document" not in last_result(stage)


def test_a_run_that_only_the_journal_has_is_linked() -> None:
    stage = Stage.opened(1).started()
    known = stage.state.runs[0].uid
    runs = (
        OpenRun(uid="old", scan_id=1, time=0.0),
        OpenRun(uid=known, scan_id=2, time=1e9),
        OpenRun(uid="new", scan_id=3, time=1e9),
    )
    die(stage, open_runs=runs)
    result = last_result(stage)
    assert result["run_uids"] == [known, "new"]
    assert result["scan_ids"][1] == 3


@pytest.mark.parametrize("wished", [False, True])
def test_a_plan_that_had_not_begun_is_queued_as_it_was(wished: bool) -> None:
    stage = Stage.opened(1, 2)
    uids = stage.uids
    before = stage.state.queue.at(0)
    stage.ok("queue_start")
    stage.hand_over()
    if wished:
        stage.ok("environment_destroy")
    die(stage, never_taken=uids[0])
    assert (stage.uids, stage.past) == (uids, [])
    assert stage.state.queue.at(0) == before
    assert stage.state.execution.state == "idle"


def test_an_executed_plan_that_had_not_begun_is_written_down() -> None:
    stage = Stage.opened()
    uid = stage.ok("queue_item_execute", item=plan(1), **ME)["item"]["item_uid"]
    stage.hand_over()
    die(stage, never_taken=uid)
    assert stage.past == [(1, "failed", "interrupted")]
    assert last_result(stage)["begun"] is False
    assert "had not begun" in last_result(stage)["summary"]
    assert stage.numbers == []


def test_the_proof_must_be_about_the_running_item() -> None:
    stage = Stage.opened(1).started()
    die(stage, never_taken="another one")
    assert stage.past == [(1, "failed", "interrupted")]


_ENDINGS = ("completed", "stopped", "aborted", "halted", "failed", "refused", "died", "died unheard")


@given(st.lists(st.tuples(st.sampled_from(_ENDINGS), st.booleans()), min_size=1, max_size=6), st.booleans(), st.booleans())
def test_each_begun_plan_has_one_ending_and_each_return_a_reason(
    story: list[tuple[str, bool]], loop: bool, ignore_failures: bool
) -> None:
    stage = Stage.opened(1, 2, loop=loop, ignore_failures=ignore_failures)
    begun: list[str] = []
    for ending, confirm in story:
        if stage.state.environment.state == "closed":
            stage.ok("environment_open")
            stage.go_on()
        if stage.state.running is None:
            stage.call("queue_start", confirm_returned=confirm)
            stage.hand_over() if ending == "refused" else stage.go_on()
        running = stage.state.running
        if running is None:
            break
        begun.append(running.item_uid)
        if ending.startswith("died"):
            assert stage.worker
            stage.worker.alive = False
            stage.notice_death(spool_lost=ending == "died unheard")
        else:
            stage.end(ending)
    ended = Counter(item.item_uid for item in stage.entries)
    still = {stage.state.running.item_uid} if stage.state.running else set()
    assert set(ended.values()) <= {1}
    assert {uid for uid in begun if uid not in still} - set(stage.uids) <= set(ended)
    for item in stage.entries:
        result = item.fields["result"]
        assert "returned" not in item.fields
        assert ("summary" in result) == (result["ending"] != "completed")
        assert result["exit_status"] in ("completed", "failed", "stopped", "aborted", "halted", "unknown")
    for item in stage.state.queue:
        mark = item.fields.get("returned")
        if mark is not None:
            assert (mark["item_uid"] in ended, mark["reason"] != "") == (True, True)
            assert mark["ending"] not in ("completed", "stopped", "lost")


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        ({"ending": "completed"}, ""),
        ({"ending": "stopped"}, "The plan was stopped before its end, because somebody wished so."),
        ({"ending": "aborted", "msg": "by hand"}, "The plan was aborted: by hand."),
        ({"ending": "failed", "msg": "Plan failed: no beam!"}, "The plan failed: no beam!"),
        ({"ending": "failed", "failure": {"events": {"x": 1}}}, "The plan failed after 1 point of the stream 'x'."),
        ({"ending": "lost", "msg": "Gone"}, "Nobody can tell how the plan ended: Gone."),
        ({"ending": "interrupted", "run_uids": [], "msg": "It died."}, "The plan was cut off: It died. No run had been opened."),
        ({"ending": "refused", "problems": ["a", "b"]}, "The worker refused the plan before it had begun: a; b."),
    ],
)
def test_sentences(result: dict[str, Any], sentence: str) -> None:
    assert summary(result) == sentence


def test_long_errors_are_shortened_in_sentences() -> None:
    assert len(summary({"ending": "failed", "msg": "x " * 5000})) < 400


# the mark


@pytest.mark.parametrize("ending", ["failed", "aborted", "halted"])
def test_the_mark_of_what_came_back(ending: str) -> None:
    stage = Stage.opened(1, 2)
    uid = stage.uids[0]
    stage.started()
    stage.end(ending)
    result = last_result(stage)
    assert front(stage)["returned"] == {
        **{"ending": ending, "reason": result["summary"], "time": result["time_stop"]},
        **{"run_uids": [f"run-{uid}"], "item_uid": uid, "confirmed": False},
    }
    assert [item.is_unconfirmed for item in stage.state.queue] == [True, False]


def test_the_mark_stays_when_the_item_moves_and_over_a_restart() -> None:
    stage = failed(1, 2)
    mark = front(stage)["returned"]
    stage.ok("queue_item_move", pos="front", pos_dest="back")
    stage.restart()
    assert stage.state.queue.at(1).fields["returned"] == mark


def test_the_mark_stays_when_a_client_sends_the_item_back_unchanged() -> None:
    stage = failed(1)
    sent = front(stage)
    reply = stage.ok("queue_item_update", item=sent, **ME)
    assert reply["item"]["returned"] == sent["returned"]


def test_an_edited_item_is_another_one() -> None:
    stage = failed(1)
    stage.ok("queue_item_update", item=front(stage) | {"kwargs": {"num": 5}}, **ME)
    assert "returned" not in front(stage)
    assert "result" not in front(stage)


@pytest.mark.parametrize("method", ["queue_item_add", "queue_item_update"])
def test_a_mark_cannot_be_forged(method: str) -> None:
    stage = asking(failed(1))
    sent = front(stage)
    sent["returned"] = sent["returned"] | {"confirmed": True, "reason": "all is well"}
    reply = stage.ok(method, item=sent, **ME)
    if method == "queue_item_add":
        assert "returned" not in reply["item"]
    assert front(stage)["returned"]["confirmed"] is False
    assert "came back" in stage.refused("queue_start")["msg"]


def test_a_plan_that_runs_again_and_is_completed_has_no_mark() -> None:
    stage = failed(1).started()
    stage.end()
    assert "returned" not in stage.entries[-1].fields
    assert "result" in stage.entries[-1].fields


def test_a_copy_in_a_loop_has_no_mark() -> None:
    stage = failed(1)
    stage.mode(loop=True)
    stage.started()
    stage.end()
    assert stage.state.running is not None
    assert "returned" not in stage.state.running.fields


def test_a_marked_plan_that_had_not_begun_keeps_its_mark() -> None:
    stage = failed(1)
    before = front(stage)
    stage.ok("queue_start")
    stage.hand_over()
    die(stage, never_taken=before["item_uid"])
    assert front(stage) == before


# confirming


def waiting(stage: Stage) -> int:
    """What the status tells."""
    asks = stage.config.confirm_returned
    told = status(stage.state, epoch="e", time_text="", version="1", kernel="hidden", confirm_returned=asks)
    return told["confirmation_needed"]


def test_nobody_has_to_confirm_unless_the_server_is_set_so() -> None:
    stage = failed(1).started()
    assert stage.running == 1


def test_the_queue_does_not_start_before_somebody_confirms() -> None:
    stage = asking(failed(1, 2))
    reply = stage.refused("queue_start")
    assert reply["error"]["code"] == "confirmation_needed"
    assert all(part in reply["msg"] for part in ("1 item came back", "'count'", front(stage)["returned"]["reason"]))
    assert waiting(stage) == 1
    reply = stage.ok("queue_item_confirm", uid=stage.uids[0])
    assert [item["returned"]["confirmed"] for item in reply["items"]] == [True]
    assert (reply["qsize"], waiting(stage)) == (2, 0)
    stage.started()
    assert stage.running == 1


def test_all_are_confirmed_by_the_start() -> None:
    stage = asking(failed(1, 2, ending="aborted"))
    stage.ok("queue_start", confirm_returned=True)
    stage.go_on()
    assert stage.running == 1


def test_a_start_that_is_refused_confirms_nothing() -> None:
    stage = asking(failed(1))
    stage.ok("environment_destroy")
    stage.kill()
    stage.refused("queue_start", confirm_returned=True)
    assert front(stage)["returned"]["confirmed"] is False


def test_the_confirmation_holds_for_one_return() -> None:
    stage = asking(failed(1))
    stage.ok("queue_start", confirm_returned=True)
    stage.go_on()
    stage.end("failed")
    assert front(stage)["returned"]["confirmed"] is False


def test_autostart_waits_for_the_confirmation() -> None:
    stage = asking(failed(1))
    stage.ok("queue_autostart", enable=True)
    stage.go_on()
    assert (stage.running, stage.state.autostart) == (None, True)
    stage.ok("queue_item_confirm", uids=stage.uids)
    stage.go_on()
    assert stage.running == 1


def test_one_item_that_is_not_confirmed_holds_the_others() -> None:
    stage = asking(failed(1, 2))
    stage.ok("queue_item_move", pos="front", pos_dest="back")
    stage.refused("queue_start")
    stage.ok("queue_item_remove", pos="back")
    stage.started()
    assert stage.running == 2


def test_confirming_what_did_not_come_back_changes_nothing() -> None:
    stage = failed(1, 2)
    before = stage.state.queue.at(1)
    reply = stage.ok("queue_item_confirm", uids=[stage.uids[1], stage.uids[1]])
    assert [item["item_uid"] for item in reply["items"]] == [before.item_uid]
    assert stage.state.queue.at(1) == before


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "item_format"),
        ({"uid": "a", "uids": ["a"]}, "item_format"),
        ({"uids": "a"}, "wrong_type"),
        ({"uid": "unknown"}, "not_in_queue"),
        ({"uids": [[]]}, "not_in_queue"),
    ],
)
def test_wrong_confirmations(params: dict[str, Any], code: str) -> None:
    reply = failed(1).refused("queue_item_confirm", **params)
    assert reply["error"]["code"] == code
    assert reply["msg"].startswith("Failed to confirm items: ")


def test_a_confirmation_is_true_or_false() -> None:
    assert failed(1).refused("queue_start", confirm_returned="yes")["error"]["code"] == "wrong_type"


def test_the_lock_holds_for_confirmations() -> None:
    stage = failed(1)
    stage.ok("lock", queue=True, lock_key="key", user="me")
    stage.refused("queue_item_confirm", uid=stage.uids[0])
    stage.ok("queue_item_confirm", uid=stage.uids[0], lock_key="key")


def test_a_long_list_is_named_in_part() -> None:
    stage = Stage.opened(*range(7))
    for _ in range(7):
        stage.started()
        stage.end("failed")
        stage.ok("queue_item_move", pos="front", pos_dest="back")
    asking(stage)
    msg = stage.refused("queue_start")["msg"]
    assert ("7 items" in msg, msg.count("'count'"), msg.endswith("; ...")) == (True, 5, True)
