"""A real manager whose worker is played, so that nothing that a fuzz sends is ever run: for ``--manager-program``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1] / "conversations"))

from actor import launcher

from jupyter_queueserver.link.worker import WorkerLink
from jupyter_queueserver.manager.__main__ import main


def _plan(name: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "properties": {"is_generator": True}, "module": "played", "parameters": list(parameters)}


def _parameter(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": {"name": "POSITIONAL_OR_KEYWORD", "value": 1}} | more


PLANS = {
    "quick": _plan("quick"),
    "count": _plan("count", _parameter("detectors"), _parameter("num", annotation={"type": "int"}, default="1")),
    "long_count": _plan("long_count", _parameter("seconds", annotation={"type": "float"}, default="1.0")),
    "failing_plan": _plan("failing_plan"),
}
DEVICES = {"det": {"is_readable": True, "is_movable": False, "is_flyable": False, "classname": "Detector", "module": "played"}}

if __name__ == "__main__":
    WorkerLink.launch = launcher(PLANS, DEVICES)  # type: ignore[method-assign]
    sys.exit(main())
