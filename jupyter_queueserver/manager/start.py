"""The program `start-re-manager`: this process becomes the watchdog, or (``--detach``) starts one in
background.

Composition only: options, the duty, the watchdog.  Nothing is written before it is certain that nobody
else is on duty.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from ..instance.home import copied_from
from ..instance.launch import spawn_detached, watchdog_command
from ..instance.paths import Instance
from ..instance.process import Identity, ProcessWatch, is_alive
from ..instance.runtime import read_runtime
from .configfile import write_config
from .duty import Duty, DutyNote, Occupied, read_duty, take_duty
from .options import StartOptions, parse_options
from .screen import Voice
from .sealed import seal_secrets
from .settings import Settings, SettingsError, read_settings, settings_path, write_settings
from .watchdog import GIVE_WAY, Watchdog

DETACH_LIMIT = 30.0
"""Seconds that ``--detach`` waits for a manager."""
HAND_OVERS = 3
"""Stand-ins that are asked to give way: the manager may start another one in between."""
ADOPT_PATIENCE = 3.0
"""Seconds that a watchdog started by a manager waits for the duty."""


class StartReport(msgspec.Struct, frozen=True):
    """How a background start went: one JSON line on the descriptor of ``--report-fd``."""

    ready: bool = False
    occupied: bool = False
    text: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `start-re-manager`; returns its exit status."""
    try:
        options = parse_options(sys.argv[1:] if arguments is None else arguments, os.environ)
    except SettingsError as error:
        _complain(str(error))
        return 1
    for text in options.warnings:
        _complain(text)
    instance = Instance(Path(options.data_dir))
    return detach(instance, options) if options.detach else watch(instance, options)


def watch(instance: Instance, options: StartOptions) -> int:
    """Be the watchdog until its end; returns the exit status."""
    report = _reporter(options.report_fd)
    try:
        duty = _stand_in(instance) if options.adopt else _on_users_wish(instance)
    except Occupied as occupied:
        report(StartReport(occupied=True, text=describe_owner(instance, occupied.note)))
        return 0 if options.adopt else 1
    except OSError as error:
        report(StartReport(text=f"The data directory {instance.data_dir} cannot be used: {error}."))
        return 1
    try:
        return _on_duty(instance, options, duty, report)
    except (SettingsError, OSError) as error:
        report(StartReport(text=f"The watchdog cannot work: {error}"))
        return 1
    finally:
        duty.release()


def _stand_in(instance: Instance) -> Duty:
    return take_duty(instance, patience=ADOPT_PATIENCE, stand_in=True)


def _on_users_wish(instance: Instance) -> Duty:
    """Take the duty; a stand-in that a manager has started gives way."""
    for _ in range(HAND_OVERS):
        try:
            return take_duty(instance)
        except Occupied as occupied:
            note = occupied.note
            if note is None or not note.stand_in:
                raise
            watch = ProcessWatch(note.watchdog.pid)
            if is_alive(note.watchdog):
                watch.send_signal(GIVE_WAY)
            watch.close()
        with contextlib.suppress(Occupied):
            return take_duty(instance, patience=ADOPT_PATIENCE)
    return take_duty(instance)


def _on_duty(instance: Instance, options: StartOptions, duty: Duty, report: Callable[[StartReport], None]) -> int:
    living = _living_manager(instance, duty)
    if living is None and options.settings is None and instance.stopped_mark.exists():
        instance.watchdog_bell.unlink(missing_ok=True)  # of the one before, if it was killed
        with contextlib.suppress(OSError):
            instance.sockets.rmdir()
        return 0
    if living is None:
        instance.prepare_anew()
    else:
        instance.prepare()
    path = settings_path(instance)
    kept = _kept_settings(path)
    if options.settings is None:
        settings = read_settings(path)
    else:
        settings = options.settings
        instance.stopped_mark.unlink(missing_ok=True)
        write_settings(settings, path)
        if options.save_to is not None:
            write_config(settings, options.save_to)
    foreground = options.settings is not None and options.report_fd is None
    if not foreground:  # its options are read: it holds nobody's directory any longer
        os.chdir(instance.data_dir)
    voice = Voice(sys.stdout, instance.logs / "watchdog.log" if foreground else None)
    if (told := _told_of_copy(instance)) is not None:
        voice.say(told)
    if living is not None and options.settings is not None:
        _announce_adoption(settings, kept, living, voice)
    try:
        return _watch(settings, duty, voice, living, report, foreground=foreground)
    finally:
        voice.close()
        with contextlib.suppress(OSError):  # not empty: the manager stays
            instance.sockets.rmdir()


def _watch(
    settings: Settings,
    duty: Duty,
    voice: Voice,
    living: Identity | None,
    report: Callable[[StartReport], None],
    *,
    foreground: bool,
) -> int:
    watchdog = Watchdog(
        settings,
        duty,
        say=voice.say,
        show=voice.show if foreground and settings.console_output else None,
        report=lambda reason: report(StartReport(ready=reason is None, text=reason or "")),
        worked_before=duty.note.stand_in,
    )
    if living is not None:
        watchdog.adopt(living, is_ours=os.getppid() == living.pid)  # who starts a stand-in for himself is of this instance
    return watchdog.run()


def _living_manager(instance: Instance, duty: Duty) -> Identity | None:
    """The manager that lives without watchdog: as it published itself, else as the last watchdog noted it."""
    runtime = read_runtime(instance)
    if runtime is not None:
        return runtime.manager
    noted = duty.note.manager
    return noted if noted is not None and is_alive(noted) else None


def _kept_settings(path: Path) -> Settings | None:
    try:
        return read_settings(path)
    except SettingsError:
        return None


def _announce_adoption(settings: Settings, kept: Settings | None, living: Identity, voice: Voice) -> None:
    text = f"A manager (process {living.pid}) runs without watchdog; this one watches over it from now on."
    if kept is not None and msgspec.structs.replace(kept, working_dir=settings.working_dir) != settings:
        text += " It keeps its settings: the options given now are applied when the manager is restarted."
    voice.say(text)


def _told_of_copy(instance: Instance) -> str | None:
    """Sentence if this directory was copied from one where something ran; it is true until a manager has begun here."""
    home = copied_from(instance)
    if home is None:
        return None
    return (
        f"This data directory is a copy of {home.path}: what runs there is not touched, and an item that was running counts as"
        " interrupted here."
    )


def describe_owner(instance: Instance, note: DutyNote | None) -> str:
    """Sentence that names who is on duty, since when, and how his manager is reached."""
    who = "another process"
    if note is not None:
        since = datetime.datetime.fromtimestamp(note.since).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        who = f"process {note.watchdog.pid} since {since}"
    runtime = read_runtime(instance)
    where = f", its manager answers at {runtime.tcp_address or runtime.control_address}" if runtime else ""
    return (
        f"The data directory {instance.data_dir} is already in use by start-re-manager ({who}{where})."
        f" Stop it with `qserver --data-dir {instance.data_dir} manager stop`, or choose another --data-dir."
    )


def detach(instance: Instance, options: StartOptions) -> int:
    """Have a manager running in the background and print how to reach it; returns the exit status."""
    deadline = time.monotonic() + DETACH_LIMIT
    while time.monotonic() < deadline:
        runtime = read_runtime(instance)
        is_stopping = instance.stopped_mark.exists() and runtime is not None
        if runtime is not None and not is_stopping:
            print(msgspec.json.encode(runtime).decode(), flush=True)
            return 0
        if is_stopping or read_duty(instance) is not None:
            time.sleep(0.05)  # somebody else is starting it just now, or it is on its way out
            continue
        try:
            outcome = _start_in_background(instance, options, deadline)
        except OSError as error:
            outcome = StartReport(text=f"The data directory {instance.data_dir} cannot be used: {error}.")
        if not outcome.ready and not outcome.occupied:
            _complain(outcome.text)
            return 1
    _complain(f"The manager was not ready within {DETACH_LIMIT:g} s; see {instance.logs}/manager.log.")
    return 1


def _start_in_background(instance: Instance, options: StartOptions, deadline: float) -> StartReport:
    instance.prepare_data()
    log = instance.logs / "watchdog.log"
    if (told := _told_of_copy(instance)) is not None:
        _complain(told)
    receiver, sender = os.pipe()
    sealed = seal_secrets(os.environ)
    try:
        command = watchdog_command(*options.arguments, "--report-fd", str(sender), "--secrets-fd", str(sealed))
        child = spawn_detached(command, log, pass_fds=[sender, sealed])
    finally:
        os.close(sender)
        os.close(sealed)
    with open(receiver, "rb") as pipe:
        if not select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
            child.returncode = 0  # it goes on by itself, as after every background start
            return StartReport(text=f"The manager is not ready yet; see {instance.logs}/manager.log.")
        line = pipe.readline()
    if not line:
        return StartReport(text=f"The watchdog ended with status {child.wait()} at its start; see {log}.")
    outcome = msgspec.json.decode(line, type=StartReport)
    if outcome.ready:
        child.returncode = 0
    else:
        child.wait()  # so that the data directory is free again when the refusal is told
    return outcome


def _reporter(handle: int | None) -> Callable[[StartReport], None]:
    """Return the function that tells how the start went: to who waits for it, else failures to the user."""
    waiting = handle is not None

    def report(outcome: StartReport) -> None:
        nonlocal waiting
        if outcome.text:
            _complain(outcome.text)
        if waiting and handle is not None:
            waiting = False
            with contextlib.suppress(OSError):  # who waited is gone
                os.write(handle, msgspec.json.encode(outcome) + b"\n")
            os.close(handle)

    return report


def _complain(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"start-re-manager: {text}\n")
        sys.stderr.flush()
