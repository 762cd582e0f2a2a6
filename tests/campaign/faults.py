"""What goes wrong, drawn at random: deaths, stops, a store that is out of order, and deaths between two steps of the manager.

A fault happens in two halves, `begin` and `end`, so that operations can come in between.  Nothing here checks anything.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness import freeze, is_process, kill, until

from jupyter_queueserver.instance import write_private

from .world import Role, World

#: Effects and changes that are struck, and what leads to them: an addition, a plan, a plan that kills its worker, an opening.
STEPS = {
    "QueueInserted": ("add", "die"),
    "RunningSet": ("run", "run", "die"),
    "StartItem": ("run",),
    "ExecutionSet": ("run", "die"),
    "HistoryAppended": ("run", "die"),
    "ReportApplied": ("run", "die"),
    "RunsSet": ("run", "die"),
    "EnvironmentSet": ("open", "die"),
    "OpenEnvironment": ("open",),
}
_POINTS = ("commit", "committed", "publish", "published")


@dataclass
class Fault:
    """One fault, drawn but not begun.

    Attributes
    ----------
    kind
        Row of the table of results.
    words
        What exactly, for the trace.
    needs
        What has to be done so that it happens: see `STEPS`; empty: nothing.
    """

    kind: str
    words: str
    happen: Callable[[World], contextlib.AbstractContextManager[Callable[[], bool]]]
    needs: str = ""


def draw(rng: random.Random, roles: Sequence[Role]) -> Fault:
    """The next fault; the same numbers are drawn whatever the server does.

    Parameters
    ----------
    roles
        Who is there to be killed.
    """
    maker = rng.choices([maker for maker, _ in _MAKERS], [weight for _, weight in _MAKERS])[0]
    return maker(rng, roles)


# -- deaths and stops --------------------------------------------------------------------------


def _kill(rng: random.Random, roles: Sequence[Role]) -> Fault:
    role = rng.choice(roles)
    return Fault(f"SIGKILL {role}", "", lambda world: _killing(world, [role]))


def _kill_several(rng: random.Random, roles: Sequence[Role]) -> Fault:
    some = rng.sample(roles, rng.randint(2, 4))
    return Fault("SIGKILL several at once", " + ".join(some), lambda world: _killing(world, some))


@contextlib.contextmanager
def _killing(world: World, roles: list[Role]) -> Iterator[Callable[[], bool]]:
    pids = [pid for role in roles if (pid := world.pid(role)) is not None]
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        kill(*pids)
    for pid in pids:  # one that died by itself just before the others were killed
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    yield lambda: bool(pids)


def _stop(rng: random.Random, roles: Sequence[Role]) -> Fault:
    role = rng.choice(roles)
    return Fault(f"SIGSTOP {role}, short", "", lambda world: _stopping(world, [role], rng.uniform(0.1, 2.0)))


def _stop_long(rng: random.Random, roles: Sequence[Role]) -> Fault:
    role = rng.choice(roles)
    return Fault(f"SIGSTOP {role}, beyond the silence limit", "", lambda world: _stopping(world, [role], rng.uniform(6.0, 9.0)))


def _stop_several(rng: random.Random, roles: Sequence[Role]) -> Fault:
    some = rng.sample(roles, rng.randint(2, 4))
    seconds = rng.choice((1.0, 7.0))
    words = f"{' + '.join(some)} for {seconds:g} s"
    return Fault("SIGSTOP several at once", words, lambda world: _stopping(world, some, seconds))


@contextlib.contextmanager
def _stopping(world: World, roles: list[Role], seconds: float) -> Iterator[Callable[[], bool]]:
    """Stop them; they go on when that time is over and the operations in between are done."""
    pids = [pid for role in roles if (pid := world.pid(role)) is not None]
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        for pid in pids:
            freeze(pid)
    try:
        yield lambda: bool(pids)
        if pids:  # the time itself is the fault here
            with contextlib.suppress(AssertionError):
                until(lambda: not any(map(is_process, pids)), "", seconds)
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _stop_and_kill(rng: random.Random, roles: Sequence[Role]) -> Fault:
    """Some cannot act on the death of others."""
    some = rng.sample(roles, 3)
    stopped, killed, seconds = some[:1], some[1:], rng.choice((0.5, 3.0, 7.0))
    words = f"{stopped[0]} is stopped for {seconds:g} s, {' + '.join(killed)} killed"

    @contextlib.contextmanager
    def both(world: World) -> Iterator[Callable[[], bool]]:
        with _stopping(world, stopped, seconds), _killing(world, killed) as is_hit:
            yield is_hit

    return Fault("one stopped, two killed", words, both)


# -- between two steps -------------------------------------------------------------------------


def _strike(rng: random.Random, roles: Sequence[Role]) -> Fault:
    """The manager dies (or stops, and is killed by its watchdog) between two of its steps."""
    about = rng.choice(list(STEPS))
    point = rng.choice(("act", "acted") if about in ("StartItem", "OpenEnvironment") else _POINTS)
    action = rng.choices(("kill", "stop"), (5, 1))[0]
    script = [{"point": point, "about": about, "action": action, "skip": rng.choice((0, 0, 0, 1))}]
    kind = f"manager {'dies' if action == 'kill' else 'stops'}: {point} {about}"
    needs = rng.choice(STEPS[about])
    words = f"skip {script[0]['skip']}, {needs}"
    return Fault(kind, words, lambda world: _scripted(world, script, deadly=True), needs)


def _dies_twice(rng: random.Random, roles: Sequence[Role]) -> Fault:
    """So does the next one, at another step."""
    abouts = [rng.choice([name for name in STEPS if name not in ("StartItem", "OpenEnvironment")]) for _ in range(2)]
    script: list[dict[str, Any]] = [{"point": rng.choice(_POINTS), "about": about, "action": "kill"} for about in abouts]
    words = ", then ".join(f"{order['point']} {order['about']}" for order in script)
    needs = rng.choice(("run", "die"))
    return Fault("manager dies, and the next one too", words, lambda world: _scripted(world, script, deadly=True), needs)


@contextlib.contextmanager
def _scripted(world: World, script: list[dict[str, Any]], *, deadly: bool) -> Iterator[Callable[[], bool]]:
    manager = world.pid("manager")
    write_private(world.script, json.dumps(script).encode())

    def is_hit() -> bool:
        return _left(world) == 0

    try:
        yield is_hit
        if deadly and _left(world) < len(script) and manager is not None:
            until(lambda: not is_process(manager), "the manager's end at the point", 60.0)
    finally:
        world.script.unlink(missing_ok=True)


def _left(world: World) -> int:
    """How many blows of the script are still to come."""
    try:
        return sum(order.get("times", 1) for order in json.loads(world.script.read_text()))
    except FileNotFoundError:
        return 0


# -- the store ---------------------------------------------------------------------------------


def _moved(rng: random.Random, roles: Sequence[Role]) -> Fault:
    return Fault("store moved away and back", "", _moving, "add")


@contextlib.contextmanager
def _moving(world: World) -> Iterator[Callable[[], bool]]:
    aside = world.base / "aside"
    aside.mkdir(exist_ok=True)
    files = sorted(world.instance.data_dir.glob(f"{world.instance.store.name}*"))
    for path in files:
        path.rename(aside / path.name)
    try:
        yield lambda: bool(files)
    finally:
        for path in files:
            (aside / path.name).rename(path)


def _locked(rng: random.Random, roles: Sequence[Role]) -> Fault:
    seconds = rng.choice((0.5, 4.0))
    return Fault("store locked by a stranger", f"{seconds:g} s", lambda world: _locking(world, seconds), "add")


@contextlib.contextmanager
def _locking(world: World, seconds: float) -> Iterator[Callable[[], bool]]:
    with contextlib.closing(sqlite3.connect(world.instance.store, isolation_level=None, timeout=30.0)) as stranger:
        stranger.execute("BEGIN EXCLUSIVE")
        try:
            yield lambda: True
            manager = world.pid("manager")
            with contextlib.suppress(AssertionError):
                until(lambda: manager is None or not is_process(manager), "", seconds)
        finally:
            stranger.execute("ROLLBACK")


def _full(rng: random.Random, roles: Sequence[Role]) -> Fault:
    return Fault("store full (no file can grow)", "", _filling, "add")


@contextlib.contextmanager
def _filling(world: World) -> Iterator[Callable[[], bool]]:
    manager = world.pid("manager")
    if manager is not None:
        hard = resource.prlimit(manager, resource.RLIMIT_FSIZE)[1]
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(manager, resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield lambda: manager is not None
    finally:
        world.unlimit()


def _read_only(rng: random.Random, roles: Sequence[Role]) -> Fault:
    script = [{"point": "commit", "action": "sql", "statement": "PRAGMA query_only = 1"}]
    return Fault("store read-only", "", lambda world: _forbidding(world, script), "add")


@contextlib.contextmanager
def _forbidding(world: World, script: list[dict[str, Any]]) -> Iterator[Callable[[], bool]]:
    with _scripted(world, script, deadly=False) as is_hit:
        yield is_hit
    write_private(world.script, json.dumps([script[0] | {"statement": "PRAGMA query_only = 0"}]).encode())
    world.ask("lock", limit=30.0, queue=True, lock_key="campaign", user="campaign")  # some commit, so that it is said
    world.ask("unlock", limit=30.0, lock_key="campaign")
    world.script.unlink(missing_ok=True)


def _slow(rng: random.Random, roles: Sequence[Role]) -> Fault:
    seconds, times = rng.choice((0.3, 1.0, 3.0)), rng.randint(1, 5)
    script = [{"point": "commit", "action": "wait", "seconds": seconds, "times": times}]
    words = f"{times} times {seconds:g} s"
    return Fault("store slow", words, lambda world: _scripted(world, script, deadly=False), "run")


def _refusing(rng: random.Random, roles: Sequence[Role]) -> Fault:
    script = [{"point": "commit", "action": "refuse", "times": rng.randint(1, 6)}]
    return Fault("store refuses", f"{script[0]['times']} times", lambda world: _scripted(world, script, deadly=False), "run")


def _blocked(rng: random.Random, roles: Sequence[Role]) -> Fault:
    """The manager's loop hangs: its watchdog kills it."""
    script = [{"point": "publish", "action": "wait", "seconds": 30.0}]
    return Fault("manager's loop blocked", "", lambda world: _scripted(world, script, deadly=True), "run")


def _store_and_death(rng: random.Random, roles: Sequence[Role]) -> Fault:
    """A store that is out of order when the manager dies: the next one has to start with it."""
    first = rng.choice((_locking_long, _filling))

    @contextlib.contextmanager
    def both(world: World) -> Iterator[Callable[[], bool]]:
        with first(world) as is_hit, _killing(world, ["manager"]):
            yield is_hit

    return Fault("store out of order while the manager dies", first.__name__.strip("_"), both)


def _locking_long(world: World) -> contextlib.AbstractContextManager[Callable[[], bool]]:
    return _locking(world, 5.0)


_MAKERS: tuple[tuple[Callable[[random.Random, Sequence[Role]], Fault], int], ...] = (
    (_kill, 22),
    (_kill_several, 12),
    (_stop, 8),
    (_stop_long, 4),
    (_stop_several, 4),
    (_stop_and_kill, 6),
    (_strike, 30),
    (_dies_twice, 4),
    (_moved, 2),
    (_locked, 3),
    (_full, 3),
    (_read_only, 3),
    (_slow, 3),
    (_refusing, 2),
    (_blocked, 1),
    (_store_and_death, 2),
)
