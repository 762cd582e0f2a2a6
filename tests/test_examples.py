"""The examples do what they say, against a real manager with the simulated devices and plans."""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_queueserver.client import Client
from jupyter_queueserver.instance import Instance, ProcessWatch, Runtime
from jupyter_queueserver.instance.launch import ensure_manager

EXAMPLES = Path(__file__).parent.parent / "examples"
#: Seconds for one example, and for the end of all processes.
LIMIT = 60.0


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A manager of its own; afterwards it is gone, with everything that it started."""
    instance = Instance(tmp_path_factory.mktemp("examples"))
    runtime = ensure_manager(instance, ["--private", "--saver", "none"], timeout=LIMIT)
    try:
        yield instance
    finally:
        end(instance, runtime)


def end(instance: Instance, runtime: Runtime) -> None:
    """Stop manager and watchdog and wait for their end."""
    watches = [ProcessWatch(one.pid) for one in (runtime.manager, runtime.watchdog) if one is not None]
    with Client(instance=instance) as client:
        client.manager_stop(option="safe_off")
    for watch in watches:
        handle = watch.fileno()
        if handle is not None:
            select.select([handle], [], [], LIMIT)
        assert watch.is_dead()
        watch.close()


def run(name: str, instance: Instance) -> list[str]:
    """Run an example; returns its lines."""
    command = [sys.executable, str(EXAMPLES / name), str(instance.data_dir)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_examples_run_and_are_seen_by_the_watcher(instance: Instance) -> None:
    command = [sys.executable, str(EXAMPLES / "watch_events.py"), str(instance.data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watcher:
        try:
            assert watcher.stdout is not None
            assert watcher.stdout.readline().startswith("snapshot at 0: manager is idle")

            blocking = run("client_blocking.py", instance)
            assert [line.partition(",")[0] for line in blocking] == ["count: completed", "scan: completed", "quick: completed"]
            assert run("client_async.py", instance) == ["refused: item_invalid at item.kwargs.nums", "count: completed"]

            stops = 0
            while stops < 3:  # one run each of count, scan and count; the no-op plan makes none
                line = watcher.stdout.readline()
                assert line, "the watcher ended before it had seen everything"
                stops += line == "document: stop\n"
        finally:
            watcher.terminate()


def test_startup_code_of_the_examples_compiles() -> None:
    found = sorted((EXAMPLES / "epics_profile").glob("*.py"))
    assert found
    for path in found:
        compile(path.read_text(encoding="utf-8"), str(path), "exec")
