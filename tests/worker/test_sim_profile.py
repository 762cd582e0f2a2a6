"""The startup code that is shipped loads quickly, describes itself, and its plans run."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from bluesky import RunEngine

from jupyter_queueserver.core.checks import ItemChecker
from jupyter_queueserver.core.errors import ItemInvalid
from jupyter_queueserver.core.permissions import Permissions
from jupyter_queueserver.link.lists import load_lists
from jupyter_queueserver.worker.convert import bind_item
from jupyter_queueserver.worker.introspect import NamespaceDescription, describe_namespace
from jupyter_queueserver.worker.registration import Registry

FOLDER = Path(str(files("jupyter_queueserver"))) / "sim_profile"


@pytest.fixture(scope="module")
def ns() -> dict[str, Any]:
    space: dict[str, Any] = {"__name__": "__main__"}
    for path in sorted(FOLDER.glob("*.py")):
        space["__file__"] = str(path)
        exec(compile(path.read_text(), str(path), "exec"), space)  # noqa: S102 - our own startup code
    return space


@pytest.fixture(scope="module")
def found(ns: dict[str, Any]) -> NamespaceDescription:
    return describe_namespace(ns, registrations=Registry())


@pytest.fixture(scope="module")
def permissions() -> Permissions:
    return Permissions.parse(yaml.safe_load((FOLDER / "user_group_permissions.yaml").read_text()))


@pytest.fixture
def documents() -> list[tuple[str, Any]]:
    return []


@pytest.fixture
def run(ns, found, permissions, documents):
    """Check, bind and run one plan as the server does; fills and returns the documents."""
    plans, devices = permissions.allowed_lists(found.plans, found.devices, "primary")
    checker = ItemChecker(plans)
    engine = RunEngine({}, context_managers=[])

    def do(name: str, *args: Any, **kwargs: Any) -> list[tuple[str, Any]]:
        item = {"name": name, "args": list(args), "kwargs": kwargs}
        assert checker.check(item) == ()
        plan, bound_args, bound_kwargs = bind_item(ns, item, plans[name], plans, devices)
        engine.subscribe(lambda kind, doc: documents.append((kind, doc)))
        engine(plan(*bound_args, **bound_kwargs))
        return documents

    return do


def kinds(documents: list[tuple[str, Any]]) -> list[str]:
    return [kind for kind, _ in documents]


def test_everything_is_described(found):
    assert [p for p in found.problems if p.severity != "note"] == []
    assert list(found.devices) == ["det", "det1", "det2", "motor", "motor1", "motor2", "noisy_det", "stage"]
    assert set(found.devices["stage"]["components"]) == {"x", "y"}
    own = {"sweep_1d", "long_count", "failing_plan", "quick", "write_steps", "move_and_read"}
    assert own | {"count", "scan", "grid_scan", "rel_scan", "mv", "sleep"} <= set(found.plans)
    for name in own:
        assert found.plans[name]["description"]
        assert all("description" in parameter for parameter in found.plans[name]["parameters"])


def test_the_shipped_lists_are_those_of_the_namespace(found):
    """Names only: the descriptions of bluesky's plans differ from version to version of bluesky."""
    plans, devices = load_lists(FOLDER / "existing_plans_and_devices.yaml")
    assert set(plans) == set(found.plans), "run `make generate`"
    assert set(devices) == set(found.devices), "run `make generate`"


def test_permissions_of_the_two_groups(found, permissions):
    plans, devices = permissions.allowed_lists(found.plans, found.devices, "observer")
    assert set(plans) == {"count", "long_count", "quick"}
    assert "motor" not in devices
    assert "det" in devices
    plans, devices = permissions.allowed_lists(found.plans, found.devices, "primary")
    assert set(plans) == set(found.plans)
    assert set(devices) == set(found.devices)


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "points"),
    [
        ("count", [["det"]], {"num": 3}, 3),
        ("scan", [["det", "noisy_det"], "motor", -1, 1, 5], {}, 5),
        ("grid_scan", [["det1"], "motor1", 0, 1, 2, "motor2", 0, 1, 3], {}, 6),
        ("rel_scan", [["det"], "stage.x", -1, 1], {"num": 2}, 2),
        ("sweep_1d", [["det"], "motor"], {"resolution": "coarse", "md": {"sample": "Cu"}}, 5),
        ("sweep_1d", [["det"], "stage.y"], {}, 11),
        ("move_and_read", ["motor", 1.5, ["det"]], {}, 1),
        ("long_count", [["det"]], {"seconds": 0.02, "step": 0.01}, 2),
    ],
)
def test_plan_runs(run, name, args, kwargs, points):
    documents = run(name, *args, **kwargs)
    assert kinds(documents).count("event") == points
    assert documents[-1][0] == "stop"
    assert documents[-1][1]["exit_status"] == "success"


def test_quick_does_nothing(run):
    assert run("quick") == []


def test_failing_plan_fails_in_an_open_run(run, documents):
    with pytest.raises(RuntimeError, match="the beam is gone"):
        run("failing_plan", ["det"], points=2, message="the beam is gone")
    assert kinds(documents).count("event") == 2
    assert documents[-1][1]["exit_status"] == "fail"


def test_write_steps_leaves_a_line_for_each_step(run, tmp_path):
    target = tmp_path / "steps.txt"
    run("write_steps", str(target), steps=3, period=0.001)
    assert [line.split()[0] for line in target.read_text().splitlines()] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("kwargs", "reason"),
    [
        ({"detectors": ["motor"], "axis": "motor"}, "expected one of 'det'"),
        ({"detectors": ["det"], "axis": "det"}, "expected one of 'motor'"),
        ({"detectors": ["det"], "axis": "motor", "center": 101}, "out of range"),
        ({"detectors": ["det"], "axis": "motor", "resolution": "huge"}, "expected one of 'coarse'"),
        ({"detectors": ["det"]}, "missing a required argument: 'axis'"),
    ],
)
def test_sweep_refuses_wrong_arguments(found, kwargs, reason):
    with pytest.raises(ItemInvalid, match=reason):
        ItemChecker(found.plans).check({"name": "sweep_1d", "kwargs": kwargs})
