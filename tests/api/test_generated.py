"""The generated files are those that the registry gives, and the client's methods do what the declarations say."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_queueserver.api import generate, methods
from jupyter_queueserver.api.registry import REQUEST_ID
from jupyter_queueserver.client import AsyncClient, Client


def test_generated_files_are_fresh() -> None:
    assert generate.stale() == [], "run python -m jupyter_queueserver.api.generate"


def test_a_stale_file_is_named(tmp_path: Path) -> None:
    generate.write(tmp_path)
    assert generate.stale(tmp_path) == []
    changed = tmp_path / "docs/reference/methods.md"
    changed.write_text(changed.read_text() + "more")
    (tmp_path / "jupyter_queueserver/client/_methods.py").unlink()
    assert sorted(generate.stale(tmp_path)) == ["docs/reference/methods.md", "jupyter_queueserver/client/_methods.py"]


def test_wrong_arguments_of_the_generator_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--chek"]) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("client", [AsyncClient, Client])
def test_every_method_is_a_method_of_the_clients(client: type) -> None:
    for name, method in methods().items():
        function = getattr(client, name)
        assert inspect.iscoroutinefunction(function) is (client is AsyncClient)
        parameters = list(inspect.signature(function).parameters)
        common = [REQUEST_ID.name] if method.kind == "write" else []
        assert sorted(parameters[1:]) == sorted([*method.parameter_names, *common])
        assert inspect.getdoc(function).startswith(method.summary)  # type: ignore[union-attr]


class _Recording(Client):
    def request(self, method: str, /, **params: object) -> dict[str, object]:
        return {"method": method, "params": params}


def test_only_what_is_given_is_sent() -> None:
    with _Recording("ipc:///nowhere") as client:
        assert client.queue_item_add({"name": "count"}, pos=0) == {
            "method": "queue_item_add",
            "params": {"item": {"name": "count"}, "pos": 0},
        }
        assert client.re_pause("immediate")["params"] == {"option": "immediate"}
        assert client.status() == {"method": "status", "params": {}}


def test_importing_the_client_loads_no_science() -> None:
    code = (
        "import sys, jupyter_queueserver.client, jupyter_queueserver.cli;"
        "print([n for n in ('bluesky', 'ophyd', 'numpy', 'databroker', 'tornado', 'IPython') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
