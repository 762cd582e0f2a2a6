"""`qserver-list-plans-devices`: startup code is loaded by a process of its own, and the file is one that a manager reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from jupyter_queueserver.link.lists import load_lists
from jupyter_queueserver.manager.settings import shipped_profile

PLAN = 'def my_plan():\n    """Says nothing."""\n    yield\n'


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jupyter_queueserver", "qserver-list-plans-devices", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=60, check=False)


def test_shipped_profile(tmp_path: Path) -> None:
    (tmp_path / "existing_plans_and_devices.yaml").write_text("old")
    done = run("--startup-dir", str(shipped_profile()), "--file-dir", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = load_lists(tmp_path / "existing_plans_and_devices.yaml")
    assert found is not None
    assert "count" in found[0]
    assert "det1" in found[1]
    read = yaml.safe_load((tmp_path / "existing_plans_and_devices.yaml").read_text())
    assert (read["existing_plans"], read["existing_devices"]) == found


def test_magics_of_a_script_and_the_name_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "start.ipy").write_text(f"%matplotlib agg\nassert get_ipython() is not None\n{PLAN}")
    done = run("--startup-script", "start.ipy", "--file-name", "lists.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = load_lists(tmp_path / "lists.yaml")
    assert found is not None
    assert list(found[0]) == ["my_plan"]


def test_profile_is_loaded_before_a_module(tmp_path: Path) -> None:
    startup = tmp_path / "profile_lab" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text(PLAN)
    (tmp_path / "lab_start.py").write_text(PLAN.replace("my_plan", "other_plan"))
    words = ["--ipython-dir", str(tmp_path), "--startup-profile", "lab", "--startup-script", str(tmp_path / "lab_start.py")]
    assert run(*words, "--use-ipython-kernel", "ON", cwd=tmp_path).returncode == 0
    found = load_lists(tmp_path / "existing_plans_and_devices.yaml")
    assert found is not None
    assert sorted(found[0]) == ["my_plan", "other_plan"]
    assert run(*words, cwd=tmp_path).returncode == 0  # without the kernel the profile only tells where files are
    found = load_lists(tmp_path / "existing_plans_and_devices.yaml")
    assert found is not None
    assert list(found[0]) == ["other_plan"]


def test_invalid_plans(tmp_path: Path) -> None:
    (tmp_path / "start.py").write_text(f"{PLAN}\ndef broken(a=object()):\n    yield\n")
    done = run("--startup-script", "start.py", cwd=tmp_path)
    assert done.returncode == 1
    assert "broken" in done.stderr
    assert not (tmp_path / "existing_plans_and_devices.yaml").exists()
    assert run("--startup-script", "start.py", "--ignore-invalid-plans", "ON", cwd=tmp_path).returncode == 0
    found = load_lists(tmp_path / "existing_plans_and_devices.yaml")
    assert found is not None
    assert list(found[0]) == ["my_plan"]


@pytest.mark.parametrize(
    ("words", "text", "status"),
    [
        ([], "No startup code is named", 1),
        (["--startup-dir", "nowhere"], "nowhere does not exist", 1),
        (["--startup-module", "no_such_module"], "no_such_module", 1),
        (["--startup-script", "bad.py"], "Startup code 'bad.py', line 2 failed: ValueError: wrong", 1),
        (["--startup-dir", ".", "--file-dir", "nowhere"], "--file-dir", 1),
        (["--startup-dir", ".", "--startup-profile", "x"], "cannot be combined", 1),
        (["--startup-dir", ".", "--startup-module", "os"], "not allowed with", 2),
        (["--startup-dir", ".", "--colour"], "--colour", 2),
        (["--startup-dir", ".", "--device-max-depth", "-1"], "must be 0 or more", 2),
    ],
)
def test_refusals(tmp_path: Path, words: list[str], text: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.py").write_text("x = 1\nraise ValueError('wrong')\n")
    (tmp_path / "profile_x" / "startup").mkdir(parents=True)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    done = run(*words, cwd=tmp_path)
    assert done.returncode == status
    assert text in done.stderr
    assert not (tmp_path / "existing_plans_and_devices.yaml").exists()
