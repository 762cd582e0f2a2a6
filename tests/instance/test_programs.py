"""``python -m jupyter_queueserver``: the table of programs."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

import jupyter_queueserver.__main__ as programs
from jupyter_queueserver import cli
from jupyter_queueserver.__main__ import PROGRAMS, Program, main, run_program


def test_without_name_it_lists_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in PROGRAMS)


def test_unknown_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start-nothing"]) == 2
    assert "no program 'start-nothing'" in capsys.readouterr().err


def test_program_gets_its_arguments_and_returns_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["start-re-manager", "--config", "/nowhere"]) == 1
    assert "/nowhere does not exist" in capsys.readouterr().err
    assert run_program(Program("builtins:len", "counts"), ["a", "b"]) == 2


def test_windows_is_refused_with_a_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    assert main(["start-re-manager"]) == 1
    assert "Windows" in capsys.readouterr().err


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_has_a_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status: object = main([name, "--help"])
    except SystemExit as end:
        status = end.code
    assert not status
    assert "usage: " in capsys.readouterr().out


#: Those that are words of `qserver` or `jupyter queueserver` only.
WORDS = ("server", "environments", "backup", "restore", "recover", "import")


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in WORDS])
def test_every_program_is_installed_under_its_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command itself, and ``jupyter queueserver <name>``."""
    scripts = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts[name].partition(":")
    assert module == "jupyter_queueserver.__main__"
    monkeypatch.setitem(PROGRAMS, name, Program("builtins:len", "counts its arguments"))
    monkeypatch.setattr(sys, "argv", [name, "a", "b"])
    assert getattr(programs, function)() == 2
    monkeypatch.setattr(sys, "argv", ["jupyter-queueserver", name, "a", "b", "c"])
    assert programs.jupyter_queueserver() == 3


@pytest.mark.parametrize("word", WORDS[2:])
def test_programs_that_are_words_of_qserver(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        sys.exit(cli.main([word, "--help"]))
    assert not end.value.code
    assert f"usage: qserver {word}" in capsys.readouterr().out
