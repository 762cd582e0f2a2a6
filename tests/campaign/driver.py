"""The user of one instance: does what is drawn, repeats what was not answered, restarts what is gone, and reads what is so."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable
from typing import Any

from harness import until

from . import laws, operations
from .book import Book
from .listener import Ending, Listener
from .operations import Operation, Scene
from .traces import read_steps, read_taken
from .world import PATIENCE, Broken, World

Reply = dict[str, Any]

#: Seconds that a user waits for an answer while something may be wrong.
SHORT = 3.0
_PASSING = ("creating_environment", "closing_environment", "destroying_environment", "executing_task")
#: Codes of replies that say that nobody knows.
_UNKNOWN = ("request_timeout",)


class Driver:
    """One user.

    Parameters
    ----------
    note
        Takes the lines of the trace of this episode.
    """

    def __init__(self, world: World, rng: random.Random, note: Callable[[str], None]) -> None:
        self.world = world
        self.book = Book()
        self.scene = Scene(rng, self.book, str(world.trace))
        self.listener = Listener(world.instance.events_address)
        self.operations = 0
        self._rng = rng
        self._note = note
        self._unanswered: list[tuple[Operation, dict[str, Any], bool]] = []
        self._is_uncertain = False
        self._wishes: set[str] = set()
        self._last: laws.Reading | None = None
        self._knows_ids = self._asked_for_ids()

    def _asked_for_ids(self) -> bool:
        """Whether this server honours request ids."""
        return bool(self.world.must("queue_mode_set", mode={}, request_id="probe")["success"])

    # -- doing ---------------------------------------------------------------------------------

    def do(self, operation: Operation | None = None) -> Reply | None:
        """Send a wish and write down what came of it; None: no answer."""
        operation = operations.draw(self.scene) if operation is None else operation
        is_patient, over_http = self._rng.random() < 0.8, self._rng.random() < 0.3
        if self._unanswered:
            return None  # a user who does not know what came of the last wish does not go on
        params = operation.params
        if self._knows_ids:
            params = params | {"request_id": uuid.UUID(int=self._rng.getrandbits(128)).hex}
        self.operations += 1
        over_http = over_http and bool(operation.path) and self.world.pid("jupyter") is not None
        reply = self._send(operation, params, http=over_http)
        if reply is None or reply["success"]:
            self._wishes.add(operation.method)
        if reply is not None:
            self._answered(operation, reply)
        elif self._knows_ids and is_patient:
            self._note(f"{operation.method}: no answer, repeated later")
            self._unanswered.append((operation, params, over_http))
        else:
            self._note(f"{operation.method} {_short(params)}: no answer, nobody knows")
            self._is_uncertain = True
            operation.on_lost()
        return reply

    def _send(self, operation: Operation, params: dict[str, Any], *, http: bool = False, limit: float = SHORT) -> Reply | None:
        if http:
            reply = self.world.ask_http(operation.path, limit=limit, **params)
        else:
            reply = self.world.ask(operation.method, limit=limit, **params)
        if reply is not None and not reply["success"] and reply.get("error", {}).get("code") in _UNKNOWN:
            return None
        return reply

    def _answered(self, operation: Operation, reply: Reply) -> None:
        what = "done" if reply["success"] else f"refused ({reply['msg'].partition('Plan:')[0].strip()[:140]})"
        self._note(f"{operation.method} {_short(operation.params)}: {what}")
        if reply["success"]:
            operation.on_done(reply)

    def provoke(self, needs: str, is_hit: Callable[[], bool]) -> bool:
        """Do what leads the manager to the step where something shall happen; returns whether it did."""
        if needs == "add":
            self.do(operations.add(self.scene))
        elif needs == "run":
            self.get_busy()
        elif needs == "open":
            self._reopen()
        elif needs == "die":
            self.do(operations.add_ending(self.scene, *operations.DEADLY))
            self.get_busy()
        return is_hit() if not needs else self._try(is_hit, 12.0)

    def get_busy(self) -> None:
        """Have plans running, if that can be had."""
        status = self._glance()
        if not status.get("worker_environment_exists"):
            self._reopen()
        elif status.get("manager_state") == "paused":
            self.do(Operation("re_resume"))
        drawn = self._rng.random()
        if drawn < 0.15:
            self.do(operations.execute(self.scene))
            return
        for _ in range(2):
            self.do(operations.add_ending(self.scene, "ends"))
        self.do(Operation("queue_start"))
        if drawn > 0.75 and self._try(lambda: self._glance().get("re_state") == "running", 5.0):
            self.do(operations.pause(self.scene))

    def _reopen(self) -> None:
        if self._glance().get("worker_environment_exists") and not self.do(Operation("environment_destroy")):
            return
        self._try(lambda: not self._glance().get("worker_environment_exists", True), 10.0)
        if self.do(Operation("environment_open")):
            self._try(lambda: self._glance().get("worker_environment_state") in ("idle", "closed"), 20.0)

    def _try(self, look: Callable[[], Any], limit: float) -> bool:
        """Wait for something that need not come: something may be wrong."""
        try:
            until(look, "", limit)
        except AssertionError:
            return False
        return True

    def _glance(self) -> Reply:
        return self.world.ask("status", limit=1.0) or {}

    def linger(self) -> None:
        """Let some changes happen."""
        wanted, limit = self.listener.heard.changes + self._rng.randint(0, 20), self._rng.uniform(0.0, 0.6)
        self.listener.wait(lambda heard: heard.changes >= wanted, limit)

    # -- after a fault -------------------------------------------------------------------------

    def recover(self) -> None:
        """Restart what a user would restart, and wait until the server is well again."""
        self._come_back()
        self._wait(self._is_well, "the server to be well again")
        for operation, params, http in self._unanswered:  # in the same way: a repetition is one by the same user
            reply = self._send(operation, params, http=http, limit=PATIENCE)
            if reply is None:
                raise Broken(f"{operation.method} is not answered by a server that is well")
            self._answered(operation, reply)
        self._unanswered.clear()
        if self._is_uncertain:
            self._let_pass()

    def _come_back(self) -> None:
        world, deadline = self.world, time.monotonic() + PATIENCE
        while True:
            if world.has_jupyter and world.pid("jupyter") is None:
                self._note("user: starts the Jupyter server again")
                world.start_jupyter()
            if world.alive():
                return
            lonely = world.pid("watchdog") is None and world.pid("manager") is None
            if lonely and not world.has_jupyter:
                self._note("user: starts the server again")
                world.start_server()
            if time.monotonic() > deadline:
                raise Broken(f"no manager answers {PATIENCE:g} s after the fault; living: {world.crowd()}")

    def _is_well(self) -> bool:
        status = self._glance()
        return bool(status) and status["manager_state"] not in _PASSING and not status["environment_unreachable"]

    def _let_pass(self) -> None:
        """What was sent and not answered may still lie somewhere: wishes that come later have to wait for it."""
        if self.world.has_jupyter:
            until(lambda: self.world.ask_http("/queue/mode/set", limit=SHORT, mode={}), "the gateway to answer", PATIENCE)
        for _ in range(3):
            self.world.must("queue_mode_set", mode={})

    def _wait(self, look: Callable[[], Any], what: str) -> None:
        try:
            until(look, what, PATIENCE)
        except AssertionError as error:
            raise Broken(f"{error}; status: {self._glance()}; living: {self.world.crowd()}") from None

    # -- what is so ----------------------------------------------------------------------------

    def check(self) -> laws.Reading:
        """Check the laws of any moment, and go on from what is so."""
        reading = self._read()
        laws.check(reading, self.book)
        if self._last is not None:
            laws.queue_goes_on(self._last, reading, self._wishes)
        self._last, self._wishes = reading, set()
        self._check_crowd()
        self.book.settle(reading.queue, reading.running)
        self._is_uncertain = False
        self.scene.last_ended = reading.history[-1]["item_uid"] if reading.history else None
        return reading

    def _read(self) -> laws.Reading:
        found: list[laws.Reading] = []

        def look() -> bool:
            if (reading := self._read_once()) is not None:
                found.append(reading)
            return bool(found)

        self._wait(look, "the event stream to tell what the control socket says")
        return found[0]

    def _read_once(self) -> laws.Reading | None:
        world, heard = self.world, dict(self.listener.heard.endings)
        taken, begun = read_taken(world.instance), read_steps(world.trace)
        queue, history, status = world.must("queue_get"), world.must("history_get"), world.must("status")
        for reply, name in ((queue, "plan_queue_uid"), (history, "plan_history_uid")):
            if reply[name] != status[name]:
                return None
        view = self.listener.view(status["status_uid"], 2.0)
        if view is None:
            return None
        items = history["items"]
        endings = heard | {item["item_uid"]: self.listener.ending(item["item_uid"]) or Ending(item) for item in items}
        return laws.Reading(
            queue=queue["items"],
            running=queue["running_item"],
            history=items,
            endings=endings,
            view=view,
            heard=self.listener.heard,
            manager_state=status["manager_state"],
            is_stopping=status["queue_stop_pending"] or status["pause_pending"],
            environment_id=status["environment_id"] if status["worker_environment_exists"] else None,
            taken=taken,
            begun=begun,
            executions=read_steps(world.trace),
        )

    def _check_crowd(self) -> None:
        """There is one manager and one watchdog; one relay if there is a worker, which is the one that is recorded."""

        def is_in_order() -> bool:
            crowd = self.world.crowd()
            numbers = {kind: len(crowd.get(kind, ())) for kind in ("manager", "watchdog", "relay", "worker")}
            recorded = self.world.pid("worker")
            workers = [recorded] if recorded is not None else []
            relays = numbers["relay"] == 1 or (numbers["relay"] == 0 and not workers)
            return numbers["manager"] == numbers["watchdog"] == 1 and relays and crowd.get("worker", []) == workers

        self._wait(is_in_order, "one manager, one watchdog, one relay and the recorded worker, and nobody else")

    # -- the end -------------------------------------------------------------------------------

    def drain(self) -> laws.Reading:
        """Let everything that is left come to its end, and check the laws."""
        self.world.must("queue_autostart", enable=False)
        self.world.must("queue_mode_set", mode="default")
        for _ in range(60):
            self._wait(self._is_well, "the server to be well")
            status = self.world.must("status")
            if status["manager_state"] == "paused":
                self.world.must("re_resume")
            elif status["manager_state"] != "idle":
                self._wait(lambda: self._glance().get("manager_state") in ("idle", "paused"), "the queue to end")
            elif not status["worker_environment_exists"]:
                self.world.must("environment_open")
            elif not self._thin_out():
                return self.check()
            else:
                self.world.must("queue_start")
        raise Broken("the queue does not come to its end")

    def _thin_out(self) -> int:
        """Take out what will not come to its end, and most of a long queue; returns how many items are left."""
        items = self.world.must("queue_get")["items"]
        bad = [item["item_uid"] for at, item in enumerate(items) if item["kwargs"]["ending"] != "ends" or at > 4]
        if bad:
            removed = self.world.must("queue_item_remove_batch", uids=bad, ignore_missing=True)
            self.book.removed(removed["items"])
        return len(items) - len(bad)

    def close(self) -> None:
        """Stop listening."""
        self.listener.close()


def _short(params: dict[str, Any]) -> str:
    text = str({key: value for key, value in params.items() if key not in ("user", "user_group")})
    return text if len(text) < 300 else text[:300] + "..."
