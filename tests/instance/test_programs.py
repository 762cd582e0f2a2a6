"""``python -m jupyter_queueserver``: the table of programs."""

from __future__ import annotations

import pytest

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
