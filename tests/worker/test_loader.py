"""Startup code: order, file names, failures, warnings, magics, modules; and metadata that persist."""

from __future__ import annotations

import copy
import linecache
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_queueserver.link.environment import StartupSource
from jupyter_queueserver.worker.loader import Loader, StartupCodeMissing
from jupyter_queueserver.worker.metadata import PersistentMetadata
from jupyter_queueserver.worker.runner import merged_metadata


def transform(text: str) -> str:
    lines = text.splitlines()
    return "\n".join(f"magic({line[1:]!r})" if line.startswith("%") else line for line in lines)


@pytest.fixture(autouse=True)
def _clean_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def load(directory: Path, kind: Any = "dir", value: str | None = None) -> tuple[Loader, dict[str, Any], bool]:
    namespace: dict[str, Any] = {"magic": lambda text: namespace.setdefault("said", []).append(text)}
    loader = Loader(namespace, transform)
    ok = loader.load(StartupSource(kind=kind, value=value or str(directory), ipython_dir=str(directory)))
    return loader, namespace, ok


def test_files_run_in_order_in_one_namespace(tmp_path: Path) -> None:
    (tmp_path / "10-b.py").write_text("y = x + 1\nplace = __file__\n")
    (tmp_path / "00-a.py").write_text("x = 1\n")
    (tmp_path / "20-c.ipy").write_text("%xmode Plain\nz = 3\n")
    (tmp_path / "notes.txt").write_text("not python")
    (tmp_path / "helper_of_startup.py.bak").write_text("broken(")
    loader, namespace, ok = load(tmp_path)
    assert ok
    assert (namespace["x"], namespace["y"], namespace["z"]) == (1, 2, 3)
    assert namespace["place"] == str(tmp_path / "10-b.py")
    assert "__file__" not in namespace
    assert namespace["said"] == ["xmode Plain"]
    assert [(file.name, file.names) for file in loader.files] == [
        ("00-a.py", ("__builtins__", "x")),
        ("10-b.py", ("place", "y")),
        ("20-c.ipy", ("said", "z")),
    ]
    assert str(tmp_path) in sys.path


def test_the_first_failure_ends_the_loading(tmp_path: Path) -> None:
    (tmp_path / "00-a.py").write_text("import warnings\nwarnings.warn('old motor')\n\n\n1 / 0\n")
    (tmp_path / "10-b.py").write_text("late = True\n")
    loader, namespace, ok = load(tmp_path)
    assert not ok
    assert "late" not in namespace
    (file,) = loader.files
    assert (file.error, file.line) == ("ZeroDivisionError: division by zero", 5)
    assert file.warnings == ("UserWarning: old motor",)
    assert "loader.py" not in file.traceback
    assert f'File "{tmp_path}/00-a.py", line 5' in file.traceback


@pytest.mark.parametrize(
    ("text", "error", "line"),
    [
        ("x = (\n", "SyntaxError", 1),
        ("a = 1\nimport sys\nsys.exit('enough')\n", "SystemExit: enough", 3),
        ("def f():\n    g()\ndef g():\n    raise KeyError('m')\n\nf()\n", "KeyError: 'm'", 6),
        ("import no_such_module_of_mine\n", "ModuleNotFoundError", 1),
    ],
)
def test_failures_name_their_line(tmp_path: Path, text: str, error: str, line: int) -> None:
    (tmp_path / "00-a.py").write_text(text)
    loader, _, ok = load(tmp_path)
    assert not ok
    assert loader.files[0].error is not None
    assert loader.files[0].error.startswith(error)
    assert loader.files[0].line == line


def test_magics_in_a_python_file_are_understood(tmp_path: Path) -> None:
    (tmp_path / "00-a.py").write_text("%matplotlib inline\nx = 1\n")
    _, namespace, ok = load(tmp_path)
    assert ok
    assert namespace["said"] == ["matplotlib inline"]


def test_script_module_and_profile(tmp_path: Path) -> None:
    (tmp_path / "my_startup_module.py").write_text("a = 1\n_hidden = 2\n")
    sys.path.insert(0, str(tmp_path))
    _, namespace, _ = load(tmp_path, "module", "my_startup_module")
    assert (namespace["a"], "_hidden" in namespace) == (1, False)
    _, namespace, _ = load(tmp_path, "script", str(tmp_path / "my_startup_module.py"))
    assert namespace["_hidden"] == 2
    profile = tmp_path / "profile_beamline" / "startup"
    profile.mkdir(parents=True)
    (profile / "00.py").write_text("b = 5\n")
    _, namespace, _ = load(tmp_path, "profile", "beamline")
    assert namespace["b"] == 5
    loader, _, ok = load(tmp_path, "module", "no_such_module_of_mine")
    assert not ok
    assert loader.files[0].error is not None


@pytest.mark.parametrize("kind", ["dir", "script", "profile"])
def test_what_is_not_there_is_named(tmp_path: Path, kind: str) -> None:
    with pytest.raises(StartupCodeMissing, match="nowhere"):
        load(tmp_path, kind, str(tmp_path / "nowhere"))


def test_metadata_persist_and_copy_as_a_plain_dictionary(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = PersistentMetadata(tmp_path / "md")
    first["scan_id"] = 7
    first.update({"sample": {"color": "red"}, "gone": 1})
    del first["gone"]
    first["object"] = object()
    assert "not kept" in caplog.text
    copied = copy.deepcopy({k: v for k, v in first.items() if k != "object"})
    assert copied == {"scan_id": 7, "sample": {"color": "red"}}
    del first["object"]
    assert type(copy.deepcopy(first)) is dict
    first.close()
    second = PersistentMetadata(tmp_path / "md")
    assert dict(second) == {"scan_id": 7, "sample": {"color": "red"}}
    second.close()


@pytest.mark.parametrize(
    ("meta", "merged"),
    [
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ([{"a": 1}, {"a": 2, "b": 3}], {"a": 1, "b": 3}),
        ([], {}),
    ],
)
def test_of_a_list_of_metadata_the_lower_index_wins(meta: Any, merged: dict[str, Any]) -> None:
    assert merged_metadata(meta) == merged


def test_scripts_run_in_the_namespace_and_their_sources_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    loader = Loader(namespace, lambda text: text.replace("%magic", "magic = 1"))
    monkeypatch.setattr("jupyter_queueserver.worker.loader._SCRIPTS_KEPT", 2)
    for name in ("<script 1>", "<script 2>", "<script 3>"):
        loader.run_script("x = __name__\n%magic\n", name)
    assert (namespace["x"], namespace["magic"]) == ("__main__", 1)
    assert "__file__" not in namespace
    assert linecache.getlines("<script 1>") == []
    assert linecache.getlines("<script 3>") == ["x = __name__\n", "%magic\n"]
    with pytest.raises(ZeroDivisionError):
        loader.run_script("y = 1\n1 / 0\n", "<script 4>")
    assert namespace["y"] == 1
