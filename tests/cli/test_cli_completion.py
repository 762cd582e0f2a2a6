"""Completion in the shell: which words are offered, and a real bash that asks for them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_queueserver.cli import program as cli
from jupyter_queueserver.cli.commands import commands
from jupyter_queueserver.cli.completion import FILE, next_words


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("queue item", ["confirm", "get", "move", "remove"]),
        ("queue add", ["instruction", "plan"]),
        ("queue add plan", ["after", "back", "before", "front"]),
        ("queue add plan front", []),
        ("queue add plan before some-uid", []),
        ("queue add instruction", ["after", "back", "before", "front", "queue-stop"]),
        ("queue add instruction 2", ["queue-stop"]),
        ("queue add instruction after some-uid", ["queue-stop"]),
        ("queue add scan", []),
        ("queue item get", ["back", "front"]),
        ("queue item move", ["back", "front"]),
        ("queue item move some-uid", ["after", "back", "before", "front"]),
        ("queue stop", ["cancel"]),
        ("queue mode set", ["ignore_failures", "loop"]),
        ("queue mode set loop", ["False", "True"]),
        ("queue mode set loop True", ["ignore_failures", "loop"]),
        ("queue autostart", ["disable", "enable"]),
        ("queue update", ["instruction", "plan"]),
        ("queue replace instruction some-uid", ["queue-stop"]),
        ("re pause", ["deferred", "immediate"]),
        ("manager stop", ["safe"]),
        ("manager stop safe", ["off", "on"]),
        ("permissions set", [FILE]),
        ("lock", ["all", "environment", "info", "queue"]),
        ("status", []),
        ("monitor", []),
        ("no such command", []),
    ],
)
def test_which_words_may_come_next(line: str, offered: list[str]) -> None:
    assert next_words(line.split()) == offered


def test_every_command_can_be_reached_by_what_is_offered() -> None:
    for name in commands():
        words = name.split()
        for length in range(len(words)):
            assert words[length] in next_words(words[:length])


def complete(shell_script: str, line: str, folder: Path) -> list[str]:
    """Let bash complete a line and return what it would show."""
    program = folder / "qserver"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m jupyter_queueserver qserver "$@"\n', encoding="utf-8")
    program.chmod(0o700)
    asked = f"""{shell_script}
        COMP_LINE={line!r}; COMP_POINT={len(line)}; COMP_TYPE=9; COMP_KEY=9; COMP_WORDS=({line}); COMP_CWORD=1
        function_name=$(complete -p qserver | sed 's/.*-F \\([^ ]*\\).*/\\1/')
        "$function_name" qserver "" ""
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    command = ["bash", "--norc", "-c", asked]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60, cwd=folder)
    return sorted(word.strip() for word in done.stdout.splitlines() if word.strip())


@pytest.fixture(scope="module")
def bash_script() -> str:
    """What bash is told, as a user's start-up file would have it."""
    assert shutil.which("bash")
    command = [sys.executable, "-m", "jupyter_queueserver", "qserver", "--completion", "bash"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("qserver queue item ", ["confirm", "get", "move", "remove"]),
        ("qserver queue item re", ["remove"]),
        ("qserver -k key queue item re", ["remove"]),
        ("qserver --format ", ["auto", "json", "table", "text"]),
        ("qserver --comp", ["--completion"]),
        ("qserver -c pin", ["ping"]),
        ("qserver -c queue_mode", []),
        ("qserver queue item remove -1 ", []),
        ("qserver permissions set ru", ["rules.yaml"]),
        ("qserver --data-dir fo", ["folder/"]),
    ],
)
def test_bash_completes(bash_script: str, line: str, offered: list[str], tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").touch()
    (tmp_path / "folder").mkdir()
    assert complete(bash_script, line, tmp_path) == offered


def test_what_zsh_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--completion", "zsh"]) == 0
    printed = capsys.readouterr().out
    assert "compdef" in printed
    assert "qserver" in printed
    assert cli.main(["--completion", "fish"]) == 2
