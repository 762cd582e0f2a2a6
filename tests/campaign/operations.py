"""What users do, drawn at random: each operation with what it means for the book once it is acknowledged, or lost.

An operation knows nothing of faults.  It draws the same numbers whatever the server has answered, so that a seed leads to the
same wishes.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .book import Book

Reply = dict[str, Any]
WHO = {"user": "campaign", "user_group": "primary"}


@dataclass
class Operation:
    """One request.

    Attributes
    ----------
    path
        HTTP path, for worlds with a Jupyter server; empty: only over 0MQ.
    on_done
        Called with the reply when it was acknowledged.
    on_lost
        Called when nobody knows whether it was done.
    """

    method: str
    params: dict[str, Any] = field(default_factory=dict)
    on_done: Callable[[Reply], None] = lambda reply: None
    on_lost: Callable[[], None] = lambda: None
    path: str = ""


@dataclass
class Scene:
    """What an operation may look at.

    Attributes
    ----------
    trace
        File where plans write their steps.
    last_ended
        uid of the newest entry of the history that was read; None: there was none.
    is_pausing
        A pause was granted, and nothing that goes on after it.
    """

    rng: random.Random
    book: Book
    trace: str
    last_ended: str | None = None
    is_pausing: bool = False

    def pausing(self, reply: Reply) -> None:
        """A pause was granted."""
        self.is_pausing = True

    def going_on(self, reply: Reply) -> None:
        """What was paused goes on, or ends."""
        self.is_pausing = False


#: How a plan comes to its end, and how often.
ENDINGS = {"ends": 84, "fails": 10, "dies": 2, "dies early": 2, "dies late": 2}
DEADLY = ("dies", "dies early", "dies late")


def new_item(scene: Scene) -> dict[str, Any]:
    """An item with a tag that no other one has."""
    rng = scene.rng
    kwargs = {
        "trace": scene.trace,
        "tag": uuid.UUID(int=rng.getrandbits(128)).hex[:12],
        "steps": rng.choice((1, 3, 6, 12)),
        "pause": rng.choice((0.0, 0.02, 0.1, 0.2)),
        "runs": rng.choice((0, 1, 1, 2)),
        "ending": rng.choices(list(ENDINGS), list(ENDINGS.values()))[0],
        "delay": rng.uniform(0.0, 0.01),
    }
    if kwargs["runs"] == 0:
        kwargs["ending"] = "ends"
    return {"item_type": "plan", "name": "work", "kwargs": kwargs}


def add(scene: Scene) -> Operation:
    """One item, somewhere."""
    item, book = new_item(scene), scene.book
    place = _place(scene)
    return Operation(
        "queue_item_add",
        {"item": item, **place, **WHO},
        lambda reply: book.added([reply["item"]], place),
        lambda: book.perhaps_added([item]),
        "/queue/item/add",
    )


def add_ending(scene: Scene, *endings: str) -> Operation:
    """One item in front of the others, whose plan comes to one of these ends in its only run."""
    operation = add(scene)
    operation.params["item"]["kwargs"] |= {"ending": scene.rng.choice(endings), "runs": 1, "steps": 3}
    return operation


def add_batch(scene: Scene) -> Operation:
    """Several items at once."""
    items, book = [new_item(scene) for _ in range(scene.rng.randint(2, 6))], scene.book
    place = _place(scene)
    return Operation(
        "queue_item_add_batch",
        {"items": items, **place, **WHO},
        lambda reply: book.added(reply["items"], place),
        lambda: book.perhaps_added(items),
        "/queue/item/add/batch",
    )


def execute(scene: Scene) -> Operation:
    """One item past the queue."""
    item, book = new_item(scene), scene.book
    return Operation(
        "queue_item_execute",
        {"item": item, **WHO},
        lambda reply: book.executed(reply["item"]),
        lambda: book.perhaps_executed(item),
        "/queue/item/execute",
    )


def move(scene: Scene) -> Operation:
    """One item to another place."""
    book, uid, place = scene.book, _queued(scene), _place(scene)
    goal = {"pos_dest": place["pos"]} if "pos" in place else place
    return Operation(
        "queue_item_move",
        {"uid": uid, **goal},
        lambda reply: book.moved([uid], place),
        lambda: book.loosen([uid]),
        "/queue/item/move",
    )


def move_batch(scene: Scene) -> Operation:
    """Some items as one block."""
    book = scene.book
    uids = list(dict.fromkeys(_queued(scene) for _ in range(3)))
    place = _place(scene, without=uids)
    goal = {"pos_dest": place["pos"]} if "pos" in place else place
    return Operation(
        "queue_item_move_batch",
        {"uids": uids, **goal},
        lambda reply: book.moved(uids, place),
        lambda: book.loosen(uids),
        "/queue/item/move/batch",
    )


def remove(scene: Scene) -> Operation:
    """One item out."""
    book, uid = scene.book, _queued(scene)
    return Operation(
        "queue_item_remove",
        {"uid": uid},
        lambda reply: book.removed([reply["item"]]),
        lambda: book.perhaps_removed([uid]),
        "/queue/item/remove",
    )


def remove_batch(scene: Scene) -> Operation:
    """Some items out; those that have gone meanwhile do not matter."""
    book = scene.book
    uids = list(dict.fromkeys(_queued(scene) for _ in range(2)))
    return Operation(
        "queue_item_remove_batch",
        {"uids": uids, "ignore_missing": True},
        lambda reply: book.removed(reply["items"]),
        lambda: book.perhaps_removed(uids),
    )


def update(scene: Scene) -> Operation:
    """Other arguments for an item; sometimes it becomes another item by that."""
    book, uid, replace = scene.book, _queued(scene), scene.rng.random() < 0.5
    note = scene.rng.randint(1, 1_000_000)
    item = book.with_note(uid, note)
    return Operation(
        "queue_item_update",
        {"item": item, "replace": replace, **WHO},
        lambda reply: book.updated(uid, reply["item"]),
        lambda: book.perhaps_updated(uid, note),
        "/queue/item/update",
    )


def clear(scene: Scene) -> Operation:
    """The whole queue out."""
    book = scene.book
    return Operation("queue_clear", {}, lambda reply: book.cleared(), book.cleared, "/queue/clear")


def clear_history(scene: Scene) -> Operation:
    """The older part of the history out."""
    uid = scene.last_ended or "none"
    return Operation("history_clear", {"item_uid": uid})


def mode(scene: Scene) -> Operation:
    """Loop and ignoring of failures, on or off."""
    flags = {"loop": scene.rng.random() < 0.4, "ignore_failures": scene.rng.random() < 0.4}
    return Operation("queue_mode_set", {"mode": flags}, path="/queue/mode/set")


def autostart(scene: Scene) -> Operation:
    """On, or off."""
    return Operation("queue_autostart", {"enable": scene.rng.random() < 0.4}, path="/queue/autostart")


def pause(scene: Scene) -> Operation:
    """Both kinds."""
    return Operation("re_pause", {"option": scene.rng.choice(("deferred", "immediate"))}, scene.pausing, path="/re/pause")


def task(scene: Scene) -> Operation:
    """A script beside the queue."""
    background = scene.rng.random() < 0.7
    return Operation("script_upload", {"script": "campaign_value = 1", "run_in_background": background})


def _plain(method: str) -> Callable[[Scene], Operation]:
    return lambda scene: Operation(method, {}, path="/" + method.replace("_", "/"))


def _continuing(method: str) -> Callable[[Scene], Operation]:
    return lambda scene: Operation(method, {}, scene.going_on, path="/" + method.replace("_", "/"))


def _queued(scene: Scene) -> str:
    """An item that is believed to be in the queue."""
    drawn = scene.rng.random()
    order = scene.book.order
    return order[int(drawn * len(order))] if order else "none"


def _place(scene: Scene, without: list[str] | None = None) -> dict[str, Any]:
    kind = scene.rng.choices(("front", "back", "before_uid", "after_uid", "index"), (2, 4, 2, 2, 1))[0]
    beside, index = _queued(scene), scene.rng.randint(-3, 3)
    if kind == "index":
        return {"pos": index}
    if kind in ("before_uid", "after_uid") and beside != "none" and beside not in (without or []):
        return {kind: beside}
    return {"pos": "front" if kind == "front" else "back"}


Maker = Callable[[Scene], Operation]

#: What is drawn, and how often.
OPERATIONS: dict[Maker, int] = {
    add: 14,
    add_batch: 6,
    execute: 4,
    move: 6,
    move_batch: 3,
    remove: 3,
    remove_batch: 2,
    update: 4,
    clear: 1,
    clear_history: 1,
    mode: 5,
    autostart: 3,
    pause: 7,
    task: 2,
    _plain("queue_start"): 12,
    _plain("queue_stop"): 2,
    _plain("queue_stop_cancel"): 1,
    _plain("environment_open"): 4,
    _plain("environment_close"): 1,
    _plain("environment_destroy"): 1,
}

#: What is drawn half of the time while a plan is paused; the rest of the time it is refused, as it should be.
CONTINUATIONS: dict[Maker, int] = {
    _continuing("re_resume"): 4,
    _continuing("re_stop"): 2,
    _continuing("re_abort"): 2,
    _continuing("re_halt"): 2,
}


def draw(scene: Scene) -> Operation:
    """The next wish of a user."""
    some = CONTINUATIONS if scene.rng.random() < (0.5 if scene.is_pausing else 0.03) else OPERATIONS
    maker = scene.rng.choices(list(some), list(some.values()))[0]
    return maker(scene)
