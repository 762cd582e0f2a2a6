"""The model of the Qt widgets, `RunEngineClient`, without a display: what the widgets' buttons do, one after another.

Command line: one JSON object with ``control`` and ``info``, or ``uri`` and ``token``; ``script``, a file for exports.
Prints what happened as one line of JSON.
"""

import json
import sys
import threading
import time
from pathlib import Path

from bluesky_widgets.models.run_engine_client import RunEngineClient
from telling import own_traceback

#: Seconds that anything may take that is not measured.
PATIENCE = 30
COUNT = {"item_type": "plan", "name": "count", "args": [["det"]], "kwargs": {"num": 2}}
LONG = {"item_type": "plan", "name": "long_count", "args": [["det"]], "kwargs": {"seconds": 60, "step": 0.05}}


class Model:
    """Stands for the model; notes the names that are used, and the events that it emits."""

    def __init__(self, target):
        vars(self).update(_target=target, used=set(), heard=set())
        for name in target.events.emitters:
            getattr(target.events, name).connect(lambda event, name=name: self.heard.add(name))

    def __getattr__(self, name):
        self.used.add(name)
        return getattr(self._target, name)

    def __setattr__(self, name, value):
        self.used.add(name)
        setattr(self._target, name, value)

    def unused(self):
        return sorted({name for name in dir(type(self._target)) if not name.startswith("_")} - self.used)

    def status(self):
        """The status as it is now."""
        self.load_re_manager_status(unbuffered=True)
        return self.re_manager_status

    def wait(self, condition, what):
        """Poll as the widgets do, until the status fulfils the condition."""
        end = time.monotonic() + PATIENCE
        pause = threading.Event()
        while not condition(self.status()):
            assert time.monotonic() < end, f"waited for {what}: {self.re_manager_status}"
            pause.wait(0.02)

    def queue(self):
        """``num`` (or the name) of each item in the model's copy of the queue."""
        self.load_re_manager_status(unbuffered=True)
        self.load_plan_queue()
        items = [self.queue_item_by_uid(self.queue_item_pos_to_uid(place)) for place in range(self.status()["items_in_queue"])]
        return [item.get("kwargs", {}).get("num", item["name"]) for item in items]


def plan(num):
    """A plan that ``num`` tells from others."""
    return COUNT | {"kwargs": {"num": num}}


def connecting(model, words):
    model.clear_connection_status()
    assert model.re_manager_connected is None
    model.manager_connecting_ops()
    model.load_re_manager_status(unbuffered=True)
    assert model.re_manager_connected is True
    assert model.re_manager_status["manager_state"] == "idle"
    assert "status_changed" in model.heard


def environment(model, words):
    model.environment_open(timeout=PATIENCE)
    assert model.status()["worker_environment_exists"]
    model.environment_close(timeout=PATIENCE)
    assert not model.status()["worker_environment_exists"]
    model.environment_open(timeout=PATIENCE)
    model.activate_env_destroy(True)
    assert model.env_destroy_activated is True
    model.environment_destroy(timeout=PATIENCE)
    assert not model.status()["worker_environment_exists"]
    model.environment_open(timeout=PATIENCE)
    before = model.status()["task_results_uid"]
    model.environment_update()
    model.wait(lambda status: status["task_results_uid"] != before, "the update")
    model.wait(lambda status: status["manager_state"] == "idle", "idle")


def lists(model, words):
    model.load_allowed_plans()
    model.load_allowed_devices()
    assert {"allowed_plans_changed", "allowed_devices_changed"} <= model.heard
    assert {"count", "scan", "long_count"} <= set(model.get_allowed_plan_names())
    assert model.get_allowed_plan_parameters(name="count")["parameters"][0]["name"] == "detectors"
    assert "queue_stop" in model.get_allowed_instruction_names()
    assert model.get_allowed_instruction_parameters(name="queue_stop") is not None
    assert model.get_bound_item_arguments(plan(2))


def editing(model, words):
    model.queue_item_add(item=plan(1))
    model.queue_item_add_batch(items=[plan(2), plan(3)])
    model.queue_item_add(item=plan(4), params={"pos": "front"})
    assert model.queue() == [4, 1, 2, 3]
    assert {"plan_queue_changed", "queue_item_selection_changed"} <= model.heard
    uids = [model.queue_item_pos_to_uid(place) for place in range(4)]
    assert model.queue_item_uid_to_pos(uids[2]) == 2
    item = model.queue_item_by_uid(uids[1])
    assert model.get_item_value_for_label(item=item, label="USER") == item["user"]
    model.set_map_param_labels_to_keys()
    model.queue_item_update(item=item | {"kwargs": {"num": 11}})
    assert model.queue() == [4, 11, 2, 3]
    uids = [model.queue_item_pos_to_uid(place) for place in range(4)]  # the widgets replace: the changed item has a new one
    moves = [
        (model.queue_items_move_up, [11, 4, 2, 3]),
        (model.queue_items_move_down, [4, 11, 2, 3]),
        (model.queue_items_move_to_bottom, [4, 2, 3, 11]),
        (model.queue_items_move_to_top, [11, 4, 2, 3]),
        (lambda: model.queue_items_move_in_place_of(uids[2]), [4, 2, 11, 3]),
    ]
    for move, expected in moves:
        model.selected_queue_item_uids = [uids[1]]
        move()
        assert model.queue() == expected, (expected, model.queue())
    model.selected_queue_item_uids = [uids[1]]
    model.queue_item_copy_to_queue()
    assert sorted(model.queue()) == [2, 3, 4, 11, 11]
    model.selected_queue_item_uids = uids[2:]
    model.queue_items_remove()
    assert sorted(model.queue()) == [4, 11, 11]
    model.queue_clear()
    assert model.queue() == []
    sheet = Path(words["export"]).with_suffix(".csv")
    sheet.write_text("plan,args,num\ncount,\"['det']\",5\nquick,,\n")
    model.queue_upload_spreadsheet(file_path=str(sheet))
    assert model.queue() == [5, "quick"]
    model.queue_clear()
    model.load_plan_queue()


def running(model, words):
    model.queue_item_add(item=plan(2))
    model.queue_start()
    model.wait(lambda status: status["items_in_history"] == 1 and status["manager_state"] == "idle", "the plan to end")
    model.load_plan_history()
    assert "plan_history_changed" in model.heard
    model.selected_history_item_pos = [0]
    model.history_item_add_to_queue()
    model.history_item_send_to_processing()
    assert {"history_item_selection_changed", "history_item_process"} <= model.heard
    assert model.queue() == [2]
    for form in ("txt", "json", "yaml"):
        file = Path(words["export"]).with_suffix(f".{form}")
        model.save_plan_history_to_file(file_path=str(file), file_format=form)
        assert "completed" in file.read_text()
    model.queue_clear()
    model.history_clear()
    assert model.status()["items_in_history"] == 0


def start_long(model):
    model.queue_item_add(item=LONG)
    model.queue_start()
    model.wait(lambda status: status["re_state"] == "running", "the plan to run")


def engine(model, words):
    endings = [(model.re_stop, "stopped"), (model.re_abort, "aborted"), (model.re_halt, "halted")]
    for end, ending in endings:
        start_long(model)
        model.load_plan_queue()
        model.running_item_add_to_queue()
        model.load_run_list()
        model.queue_stop()
        model.queue_stop_cancel()
        model.re_pause(timeout=PATIENCE, option="deferred")
        model.wait(lambda status: status["manager_state"] == "paused", "the plan to pause")
        model.re_resume(timeout=PATIENCE)
        model.wait(lambda status: status["re_state"] == "running", "the plan to go on")
        model.re_pause(timeout=PATIENCE, option="immediate")
        model.wait(lambda status: status["manager_state"] == "paused", "the plan to pause again")
        end(timeout=PATIENCE)
        model.wait(lambda status: status["manager_state"] == "idle", "idle")
        model.load_plan_history()
        assert model._target._plan_history_items[-1]["result"]["exit_status"] == ending
        model.queue_clear()
    assert "running_item_changed" in model.heard


def switches(model, words):
    model.queue_mode_loop_enable(True)
    assert model.status()["plan_queue_mode"]["loop"] is True
    model.queue_mode_loop_enable(False)
    model.queue_autostart(True)
    assert model.status()["queue_autostart_enabled"] is True
    model.queue_autostart(False)
    model.kernel_interrupt()


def console(model, words):
    model.start_console_output_monitoring()
    model.queue_item_add(item=COUNT | {"name": "failing_plan", "kwargs": {"message": "a line for the console"}})
    model.queue_start()
    while "a line for the console" not in model.console_monitoring_thread()[1]:  # each call waits for the next text
        pass
    model.stop_console_output_monitoring()
    model.wait(lambda status: status["manager_state"] == "idle", "idle")
    model.queue_clear()
    model.clear()


CHAPTERS = (connecting, environment, lists, editing, running, engine, switches, console)


def converse(words):
    """Run all chapters; a chapter that fails does not keep the next one from running."""
    if "uri" in words:
        model = Model(RunEngineClient(http_server_uri=words["uri"], http_server_api_key=words["token"]))
    else:
        model = Model(RunEngineClient(zmq_control_addr=words["control"], zmq_info_addr=words["info"], user_name=words["user"]))
    report = {}
    for chapter in CHAPTERS:
        try:
            chapter(model, words)
        except Exception as err:  # noqa: BLE001 - whatever goes wrong in a client is what the report is about
            report[chapter.__name__] = own_traceback(err)
        else:
            report[chapter.__name__] = ""
    return {"chapters": report, "unused": model.unused(), "qt": [name for name in sys.modules if "qt" in name.lower()]}


if __name__ == "__main__":
    print(json.dumps(converse(json.loads(sys.argv[1]))))
