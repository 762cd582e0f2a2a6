"""Plans and devices of a played environment, in the wire form: as many as conversations and fuzzes speak of."""

from __future__ import annotations

from typing import Any


def _parameter(name: str, type_: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": {"name": "POSITIONAL_OR_KEYWORD", "value": 1}, "annotation": {"type": type_}} | more


def _plan(name: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "module": "played", "properties": {"is_generator": True}, "parameters": list(parameters)}


def _device(*, movable: bool) -> dict[str, Any]:
    return {"is_readable": True, "is_movable": movable, "is_flyable": False, "classname": "Device", "module": "played"}


_DETECTORS = _parameter("detectors", "collections.abc.Sequence[__READABLE__]", convert_device_names=True)

PLANS = {
    plan["name"]: plan
    for plan in (
        _plan("quick"),
        _plan("count", _DETECTORS, _parameter("num", "int | None", default="1")),
        _plan(
            "long_count", _DETECTORS, _parameter("seconds", "float", default="60.0"), _parameter("step", "float", default="0.5")
        ),
        _plan("failing_plan", _DETECTORS, _parameter("points", "int", default="3")),
        _plan("hold", _parameter("go", "str")),
    )
}
DEVICES = {name: _device(movable=name in ("motor", "stage")) for name in ("det", "det1", "det2", "motor", "stage")}
