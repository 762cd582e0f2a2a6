"""What was acknowledged, and what of it is uncertain because an answer was lost: the promises that the server must keep.

Items are followed by a tag in their arguments, because a copy (loop) or one that came back has a new uid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Certainty = Literal["no", "perhaps", "yes"]


@dataclass
class Promise:
    """What was promised about the items with one tag.

    Attributes
    ----------
    added, gone
        Whether it was put into the queue, and whether it was taken out again on a wish.
    alone
        Whether it was started past the queue: then it never comes back.
    notes
        Values that the argument ``note`` may have now.
    """

    item: dict[str, Any]
    added: Certainty
    gone: Certainty = "no"
    alone: bool = False
    notes: set[int] = field(default_factory=lambda: {0})


@dataclass
class Book:
    """All promises of one instance.

    Attributes
    ----------
    promises
        By tag.
    tags
        Of uids that were seen.
    order
        uids of the queue as acknowledged; some may have left it meanwhile.
    loose
        uids of which the place is not known.
    """

    promises: dict[str, Promise] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    loose: set[str] = field(default_factory=set)

    def see(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Remember whose uids these are."""
        self.tags.update({item["item_uid"]: item["kwargs"]["tag"] for item in items})

    # -- acknowledged --------------------------------------------------------------------------

    def added(self, items: Sequence[dict[str, Any]], place: dict[str, Any]) -> None:
        self.see(items)
        for item in items:
            known = self.promises.setdefault(item["kwargs"]["tag"], Promise(item, "yes"))
            known.added = "yes"
        self._put([item["item_uid"] for item in items], place)

    def executed(self, item: dict[str, Any]) -> None:
        self.see([item])
        self.promises[item["kwargs"]["tag"]] = Promise(item, "yes", alone=True)

    def moved(self, uids: Sequence[str], place: dict[str, Any]) -> None:
        self.order = [uid for uid in self.order if uid not in uids]
        self._put(uids, place)

    def removed(self, items: Sequence[dict[str, Any]]) -> None:
        self.see(items)
        uids = [item["item_uid"] for item in items]
        self._mark_gone(uids, "yes")
        self.order = [uid for uid in self.order if uid not in uids]

    def updated(self, uid: str, item: dict[str, Any]) -> None:
        self.see([item])
        self.promises[item["kwargs"]["tag"]].notes = {item["kwargs"].get("note", 0)}
        if uid in self.order:
            self.order[self.order.index(uid)] = item["item_uid"]
        if uid in self.loose:
            self.loose.add(item["item_uid"])

    def cleared(self) -> None:
        """Nobody here knows which items were in the queue at that moment: any may be gone."""
        for promise in self.promises.values():
            if promise.gone == "no":
                promise.gone = "perhaps"
        self.order.clear()

    # -- the answer was lost -------------------------------------------------------------------

    def perhaps_added(self, items: Sequence[dict[str, Any]]) -> None:
        for item in items:
            self.promises[item["kwargs"]["tag"]] = Promise(item, "perhaps")

    def perhaps_executed(self, item: dict[str, Any]) -> None:
        self.promises[item["kwargs"]["tag"]] = Promise(item, "perhaps", alone=True)

    def perhaps_removed(self, uids: Sequence[str]) -> None:
        self._mark_gone(uids, "perhaps")

    def perhaps_updated(self, uid: str, note: int) -> None:
        if (promise := self._promise(uid)) is not None:
            promise.notes.add(note)

    def loosen(self, uids: Iterable[str]) -> None:
        self.loose.update(uids)

    # -- what is so ----------------------------------------------------------------------------

    def with_note(self, uid: str, note: int) -> dict[str, Any]:
        """The item with another note, as a client sends it for an update."""
        promise = self._promise(uid)
        item = promise.item if promise is not None else {"item_type": "plan", "name": "work", "kwargs": {}}
        kept = {key: item[key] for key in ("item_type", "name") if key in item}
        return {**kept, "kwargs": {**item["kwargs"], "note": note}, "item_uid": uid}

    def settle(self, queue: Sequence[Mapping[str, Any]], running: Mapping[str, Any]) -> None:
        """Everything has been answered or lost for good: what is there now is what was meant."""
        present = [*queue, *([running] if running else [])]
        self.see(present)
        self.order = [item["item_uid"] for item in queue]
        self.loose.clear()
        by_tag = {item["kwargs"]["tag"]: item for item in present}
        for tag, promise in self.promises.items():
            found = by_tag.get(tag)
            if found is not None:
                promise.added = "yes"
                promise.notes = {found["kwargs"].get("note", 0)}
                promise.gone = "no"

    def _promise(self, uid: str) -> Promise | None:
        return self.promises.get(self.tags.get(uid, ""))

    def _mark_gone(self, uids: Sequence[str], certainty: Certainty) -> None:
        for uid in uids:
            promise = self._promise(uid)
            if promise is not None and promise.gone != "yes":
                promise.gone = certainty

    def _put(self, uids: Sequence[str], place: dict[str, Any]) -> None:
        beside = place.get("before_uid")  # behind an item that has begun to run meanwhile means the front: not known here
        if place.get("pos") == "front":
            self.order[:0] = uids
        elif place.get("pos") == "back":
            self.order += uids
        elif beside in self.order and beside not in self.loose:
            at = self.order.index(beside)
            self.order[at:at] = uids
        else:
            self.order += uids
            self.loose.update(uids)
            return
        self.loose.difference_update(uids)
