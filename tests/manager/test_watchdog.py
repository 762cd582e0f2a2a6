"""The watchdog and its manager watch each other: real processes, real kills, a fake manager."""

from __future__ import annotations

import os
import signal
import time

import msgspec
import pytest
from watchdog_stage import LIMIT

from jupyter_queueserver.instance import Runtime, identity_of, is_alive, read_runtime
from jupyter_queueserver.instance.launch import LaunchError, ensure_manager
from jupyter_queueserver.manager.duty import read_duty, take_duty
from jupyter_queueserver.manager.settings import read_settings, settings_path


def test_killed_manager_is_replaced_at_once_and_signal_ends_all(stage) -> None:
    watchdog = stage.start()
    first = stage.expect("ready")["pid"]
    os.kill(first, signal.SIGKILL)
    second = stage.expect("ready")["pid"]
    assert second != first
    watchdog.send_signal(signal.SIGTERM)
    status, out, err = stage.finish(watchdog)
    assert (status, err) == (0, "")
    assert "was killed by signal 9 (SIGKILL); another one is started." in out
    assert f"fake manager {second} starts" in out  # the manager's log is shown
    assert "The manager has ended." in out
    assert not stage.instance.sockets.exists()
    with pytest.raises(ProcessLookupError):
        identity_of(second)


def test_sigint_and_sighup_end_an_idle_manager(stage) -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        watchdog = stage.start("--console-output", "OFF")
        manager = stage.expect("ready")["pid"]
        watchdog.send_signal(number)
        status, out, _ = stage.finish(watchdog)
        assert status == 0
        assert "fake manager" not in out
        with pytest.raises(ProcessLookupError):
            identity_of(manager)


@pytest.mark.parametrize("extra", [(), ("--without-pidfd",)], ids=["pidfd", "looking"])
def test_silent_manager_is_killed_and_replaced(stage, extra) -> None:
    stage.extra = ("--silence-limit", "0.5", *extra)
    stage.start()
    first = stage.expect("ready")["pid"]
    os.kill(first, signal.SIGSTOP)
    assert stage.expect("ready")["pid"] != first
    with pytest.raises(ProcessLookupError):
        identity_of(first)  # dead and buried before its successor started


def test_a_manager_that_hangs_when_it_has_started_another_watchdog_is_killed(stage) -> None:
    """Found by the fault campaign: its own stand-in took it for that of another instance, and left it as it was."""
    stage.extra = ("--silence-limit", "0.5")
    stage.script(hangs=True)
    watchdog = stage.start()
    first = stage.expect("ready")["pid"]
    watchdog.kill()
    watchdog.wait()
    second = stage.expect("ready")["pid"]
    assert second != first
    assert stage.wait_dead(first)
    note = read_duty(stage.instance)
    assert note is not None
    assert note.watchdog.pid != watchdog.pid


def test_stopped_watchdog_does_not_blame_the_manager(stage) -> None:
    stage.extra = ("--silence-limit", "2")
    watchdog = stage.start()
    stage.expect("ready")
    watchdog.send_signal(signal.SIGSTOP)
    assert stage.is_quiet(2.8)
    watchdog.send_signal(signal.SIGCONT)
    assert stage.is_quiet(0.6)
    watchdog.send_signal(signal.SIGTERM)
    assert "silent" not in stage.finish(watchdog)[1]


def test_removed_socket_is_made_again(stage) -> None:
    stage.extra = ("--silence-limit", "3")
    watchdog = stage.start()
    manager = stage.expect("ready")["pid"]
    stage.instance.watchdog_bell.unlink()
    assert stage.is_quiet(4.5)
    watchdog.send_signal(signal.SIGTERM)
    assert stage.expect("ending")["pid"] == manager
    assert "it is made again" in stage.finish(watchdog)[1]


def test_refused_start_is_told_and_not_repeated(stage) -> None:
    stage.script(start="refuse")
    status, _, err = stage.finish(stage.start("--console-output", "OFF"))
    assert status == 1
    assert "The store belongs to somebody else." in err
    assert "Last lines of the log:\nfake manager" in err
    stage.expect("started")
    assert stage.is_quiet(0)
    assert not stage.instance.watchdog_bell.exists()


def test_crash_at_first_start_is_tried_again(stage) -> None:
    stage.script(crashes=2)
    watchdog = stage.start()
    stage.expect("ready")
    watchdog.send_signal(signal.SIGTERM)
    status, out, _ = stage.finish(watchdog)
    assert status == 0
    assert out.count("ended with status 1; another one is started") == 1  # told once, not at every try
    assert "RuntimeError: broken at the start" in out


def test_second_start_refuses_names_the_owner_and_writes_nothing(stage) -> None:
    first = stage.start()
    stage.expect("ready")
    assert any("is ready" in line for line in first.stdout)  # it is logged, too
    before = stage.listing()
    status, out, err = stage.finish(stage.start())
    assert (status, out) == (1, "")
    assert f"process {first.pid} since 20" in err
    assert "tcp://127.0.0.1:60615" in err
    assert stage.listing() == before


def test_two_detached_starts_share_one_manager(stage) -> None:
    both = [stage.start("--detach") for _ in range(2)]
    answers = [stage.finish(process) for process in both]
    runtimes = [msgspec.json.decode(out, type=Runtime) for status, out, _ in answers if status == 0]
    assert len(runtimes) == 2, answers
    assert runtimes[0] == runtimes[1]
    assert stage.expect("ready")["pid"] == runtimes[0].manager.pid
    assert stage.is_quiet(0)
    assert is_alive(runtimes[0].manager)
    again = stage.finish(stage.start("--detach"))
    assert msgspec.json.decode(again[1], type=Runtime) == runtimes[0]


def test_detached_start_that_fails_says_why(stage) -> None:
    stage.script(start="refuse")
    status, out, err = stage.finish(stage.start("--detach"))
    assert (status, out) == (1, "")
    assert "The store belongs to somebody else." in err
    assert read_duty(stage.instance) is None


def test_ensure_manager_starts_finds_and_respects_the_mark(stage) -> None:
    arguments = [word for word in stage.options if word not in ("--data-dir", str(stage.instance.data_dir))]
    stage.instance.data_dir.mkdir()
    stage.instance.stopped_mark.touch()
    with pytest.raises(LaunchError, match="stopped on purpose"):
        ensure_manager(stage.instance, arguments)
    runtime = ensure_manager(stage.instance, arguments, force=True)
    assert is_alive(runtime.manager)
    assert not stage.instance.stopped_mark.exists()
    assert ensure_manager(stage.instance, arguments) == runtime


def test_ensure_manager_tells_the_reason_of_a_refusal(stage) -> None:
    stage.script(start="refuse")
    with pytest.raises(LaunchError, match="The store belongs to somebody else"):
        ensure_manager(stage.instance, stage.options)


@pytest.mark.parametrize("extra", [(), ("--without-pidfd",)], ids=["pidfd", "looking"])
def test_killed_watchdog_is_replaced_and_the_new_one_works(stage, extra) -> None:
    stage.extra = extra
    watchdog = stage.start()
    manager = stage.expect("ready")["pid"]
    watchdog.kill()
    watchdog.wait()
    successor = stage.expect("watchdog", other_than=watchdog.pid)
    assert successor["pid"] == manager  # the same manager goes on
    os.kill(manager, signal.SIGKILL)
    assert stage.expect("ready")["pid"] != manager
    note = read_duty(stage.instance)
    assert note is not None
    assert note.watchdog.pid == successor["other"]


def test_adopted_manager_that_ends_on_purpose_is_not_started_again(stage) -> None:
    watchdog = stage.start()
    manager = stage.expect("ready")["pid"]
    watchdog.kill()
    watchdog.wait()
    successor = stage.expect("watchdog", other_than=watchdog.pid)["other"]
    os.kill(manager, signal.SIGTERM)
    stage.expect("ending")
    assert stage.wait_dead(successor)
    assert stage.is_quiet(0)


def test_busy_manager_stays_when_the_watchdog_is_asked_to_end(stage) -> None:
    stage.script(busy=True)
    watchdog = stage.start()
    manager = stage.expect("ready")["pid"]
    watchdog.send_signal(signal.SIGTERM)
    status, out, _ = stage.finish(watchdog)
    assert status == 0
    assert "Not everything ends: plan 'count' (uid 1) is running; manager and worker stay." in out
    assert f"start-re-manager --data-dir {stage.instance.data_dir}" in out
    assert f"qserver --data-dir {stage.instance.data_dir} manager stop safe off" in out
    assert stage.expect("watchdog", other_than=watchdog.pid)["pid"] == manager


def test_the_stand_in_of_a_busy_manager_gives_way_to_a_users_start(stage) -> None:
    stage.script(busy=True)
    first = stage.start()
    manager = stage.expect("ready")["pid"]
    first.send_signal(signal.SIGTERM)
    stage.finish(first)
    stand_in = stage.expect("watchdog", other_than=first.pid)
    assert stand_in["pid"] == manager
    second = stage.start()
    while stage.expect("watchdog", other_than=stand_in["other"])["other"] != second.pid:
        pass  # another stand-in may have been quicker once
    assert stage.wait_dead(stand_in["other"])
    third = stage.start()
    status, _, err = stage.finish(third)
    assert status == 1
    assert f"process {second.pid}" in err
    os.kill(manager, signal.SIGKILL)
    assert stage.expect("ready")["pid"] != manager


def test_user_adopts_a_manager_without_watchdog(stage) -> None:
    stage.script(revive=False, busy=True)
    first = stage.start()
    manager = stage.expect("ready")["pid"]
    first.kill()
    first.wait()
    second = stage.start("--device-max-depth", "2")
    assert stage.expect("watchdog", other_than=first.pid)["pid"] == manager
    os.kill(manager, signal.SIGKILL)
    assert stage.expect("ready")["pid"] != manager
    second.send_signal(signal.SIGTERM)
    out = stage.finish(second)[1]
    assert f"A manager (process {manager}) runs without watchdog" in out
    assert "the options given now are applied when the manager is restarted" in out
    assert read_settings(settings_path(stage.instance)).device_max_depth == 2


def test_an_adopted_manager_that_was_never_heard_is_not_killed(stage) -> None:
    """It may be that of another instance."""
    stage.script(revive=False)
    stage.extra = ("--silence-limit", "1.5")
    first = stage.start()
    manager = stage.expect("ready")["pid"]
    os.kill(manager, signal.SIGSTOP)
    first.kill()
    first.wait()
    second = stage.start()
    status, out, _ = stage.finish(second)
    assert status == 1
    assert f"The manager (process {manager}) has been silent" in out
    assert "was never heard here; it is left as it is" in out
    assert f"kill -9 {manager}" in out
    runtime = read_runtime(stage.instance)
    assert runtime is not None
    assert (runtime.manager.pid, is_alive(runtime.manager)) == (manager, True)
    os.kill(manager, signal.SIGCONT)
    third = stage.start()
    assert stage.expect("watchdog", other_than=first.pid) == {"kind": "watchdog", "pid": manager, "other": third.pid}
    os.kill(manager, signal.SIGSTOP)  # heard by now: this one is killed for its silence
    assert stage.expect("ready")["pid"] != manager


def test_the_lock_is_held_also_after_its_file_was_removed(stage) -> None:
    watchdog = stage.start()
    stage.expect("ready")
    stage.instance.watchdog_lock.unlink()
    deadline = time.monotonic() + LIMIT
    while read_duty(stage.instance) is None:  # it looks at each heartbeat
        assert time.monotonic() < deadline
        assert stage.is_quiet(0.02)
    status, _, err = stage.finish(stage.start())
    assert (status, f"process {watchdog.pid}" in err) == (1, True)


def test_a_watch_ends_whose_lock_was_removed_and_taken_by_another(stage) -> None:
    watchdog = stage.start()
    manager = stage.expect("ready")["pid"]
    watchdog.send_signal(signal.SIGSTOP)  # so that it cannot be quicker
    stage.instance.watchdog_lock.unlink()
    duty = take_duty(stage.instance)
    watchdog.send_signal(signal.SIGCONT)
    status, out, _ = stage.finish(watchdog)
    duty.release()
    assert (status, "another start-re-manager holds the new one" in out) == (1, True)
    assert identity_of(manager)


def test_unanswered_request_to_end_leaves_the_manager(stage) -> None:
    watchdog = stage.start()
    manager = stage.expect("ready")["pid"]
    os.kill(manager, signal.SIGSTOP)
    watchdog.send_signal(signal.SIGTERM)
    status, out, _ = stage.finish(watchdog)
    assert status == 0
    assert "does not answer and is left as it is" in out
    runtime = read_runtime(stage.instance)
    assert runtime is not None
    assert runtime.manager.pid == manager


def test_a_signal_that_is_heard_twice_is_one_wish(stage) -> None:
    watchdog = stage.start()
    manager = stage.expect("ready")["pid"]
    os.kill(manager, signal.SIGSTOP)  # so that it cannot answer in between
    watchdog.send_signal(signal.SIGTERM)
    assert any("SIGTERM: the manager is asked to end." in line for line in watchdog.stdout)
    watchdog.send_signal(signal.SIGTERM)
    os.kill(manager, signal.SIGCONT)
    status, out, _ = stage.finish(watchdog)
    assert status == 0
    assert "has not ended yet" not in out
    assert "The manager has ended." in out


def test_another_signal_leaves_a_manager_that_does_not_answer(stage) -> None:
    watchdog = stage.start()
    manager = stage.expect("ready")["pid"]
    os.kill(manager, signal.SIGSTOP)
    watchdog.send_signal(signal.SIGTERM)
    assert any("SIGTERM: the manager is asked to end." in line for line in watchdog.stdout)
    watchdog.send_signal(signal.SIGINT)
    assert "The manager has not ended yet." in stage.finish(watchdog)[1]


def test_a_manager_that_is_ending_is_waited_for(stage) -> None:
    stage.script(lingers=True)
    watchdog = stage.start()
    manager = stage.expect("ready")["pid"]
    watchdog.send_signal(signal.SIGTERM)
    stage.expect("ending")
    watchdog.send_signal(signal.SIGINT)
    assert any("SIGINT: the manager is ending already." in line for line in watchdog.stdout)
    os.kill(manager, signal.SIGUSR2)
    status, out, _ = stage.finish(watchdog)
    assert (status, "The manager has ended." in out) == (0, True)
