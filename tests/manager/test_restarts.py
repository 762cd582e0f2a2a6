"""What follows from a manager's end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jupyter_queueserver.manager.restarts import LONGEST_PAUSE, SHORT_PAUSE, Next, Restarts

CRASH = {"status": 1, "ending": False, "failed": False}


def test_deliberate_end_is_the_end() -> None:
    rule = Restarts(worked_before=True)
    assert rule.after_exit(ready_for=5.0, status=0, ending=False, failed=False)[0] is Next.END
    assert rule.after_exit(ready_for=5.0, status=None, ending=True, failed=False)[0] is Next.END


def test_refusal_counts_only_before_a_manager_has_worked() -> None:
    rule = Restarts()
    assert rule.after_exit(ready_for=None, status=3, ending=False, failed=False)[0] is Next.REFUSED
    assert rule.after_exit(ready_for=None, status=1, ending=False, failed=True)[0] is Next.REFUSED
    rule.is_ready()
    assert rule.after_exit(ready_for=None, status=3, ending=False, failed=True)[0] is Next.RESTART


def test_first_start_is_given_up_after_five_failures() -> None:
    rule = Restarts()
    found = [rule.after_exit(ready_for=None, **CRASH) for _ in range(5)]
    assert [pause for _, pause in found[:4]] == [0.0, 0.5, 1.0, 2.0]
    assert [verdict for verdict, _ in found] == [Next.RESTART] * 4 + [Next.GIVE_UP]


def test_pauses_grow_to_the_longest_and_go_on_for_ever() -> None:
    rule = Restarts(worked_before=True)
    pauses = [rule.after_exit(ready_for=None, **CRASH) for _ in range(2000)]
    assert {verdict for verdict, _ in pauses} == {Next.RESTART}
    assert [pause for _, pause in pauses[:8]] == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    assert pauses[-1][1] == LONGEST_PAUSE


@given(st.lists(st.one_of(st.none(), st.floats(0, 1000)), max_size=30))
def test_a_good_life_makes_the_next_start_immediate(lives: list[float | None]) -> None:
    rule = Restarts(worked_before=True)
    before = 0.0
    for ready_for in lives:
        verdict, pause = rule.after_exit(ready_for=ready_for, status=-9, ending=False, failed=False)
        assert verdict is Next.RESTART
        good = ready_for is not None and ready_for > 10
        longest = LONGEST_PAUSE if ready_for is None else SHORT_PAUSE
        assert pause == 0.0 if good else min(before, longest) <= pause <= longest
        before = pause


def test_a_manager_that_works_is_back_within_a_second_however_often_it_is_killed() -> None:
    rule = Restarts()
    rule.is_ready()
    pauses = [rule.after_exit(ready_for=0.3, **CRASH)[1] for _ in range(50)]
    assert pauses[:4] == [0.0, 0.5, 1.0, 1.0]
    assert max(pauses) == 1.0
