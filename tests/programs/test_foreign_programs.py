"""Programs of the same names from other packages, and the whole help."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jupyter_queueserver.__main__ import PROGRAMS, main
from jupyter_queueserver.instance import Instance
from jupyter_queueserver.programs.foreign_programs import notice


def install(directory: Path, name: str, package: str) -> Path:
    directory.mkdir(exist_ok=True)
    script = directory / name
    script.write_text(f"#!/usr/bin/env python\nfrom {package} import main\nmain()\n")
    script.chmod(0o755)
    return script


def test_foreign_program_is_named_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    instance = Instance(tmp_path / "data")
    assert notice(instance) is None
    assert not instance.data_dir.exists()
    install(tmp_path / "bin", "start-re-manager", "jupyter_queueserver.__main__")
    assert notice(instance) is None
    foreign = install(tmp_path / "bin", "qserver", "some_package.cli")
    text = notice(instance)
    assert text is not None
    assert str(foreign) in text
    assert "`jupyter queueserver qserver`" in text
    assert "start-re-manager" not in text
    assert notice(instance) is None
    assert notice(Instance(tmp_path / "other")) == text
    install(tmp_path / "bin", "start-re-manager", "some_package.manager")
    assert "start-re-manager" in (notice(instance) or "")


def test_starting_the_server_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = install(tmp_path / "bin", "qserver", "some_package.cli")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setitem(PROGRAMS, "server", PROGRAMS["server"]._replace(target="builtins:len"))
    assert main(["server", "--help"]) == 1
    assert capsys.readouterr().err == ""
    assert main(["server", f"--data-dir={tmp_path / 'data'}"]) == 1
    assert str(foreign) in capsys.readouterr().err
    assert main(["server", "--data-dir", str(tmp_path / "data")]) == 2
    assert capsys.readouterr().err == ""


def test_whole_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help-all"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in PROGRAMS)
    assert "--manager-option" in text
    assert "QueueServerExtension.startup_dir" in text
