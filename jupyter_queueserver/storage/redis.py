"""The store in a Redis server: each commit one atomic step of a script, with the fence checked in it.

Owned by a lease that runs out; who lost it can write nothing.  A server that is away, full or slow is a refusal within
seconds, and one that comes back with something else than was committed is written anew.  It never writes a key that does not
begin with its own prefix.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from ..core.changes import AnyChange
from ..core.errors import StoreUnavailable
from ..core.redis_address import RedisAddress
from ..core.state import State
from .contract import FenceLost, Owner, SchemaTooNew, StoreBroken
from .redis_changes import makes_smaller, uid_word, words_of
from .redis_durability import weaknesses
from .redis_keeper import LEASE, Keeper
from .redis_owner import RedisOwned, life_of_dead_owner, owner_in
from .redis_rewrite import write_anew
from .redis_server import AnswerLost, RedisServer, StoreFull, Word
from .texts import StoredHistory, requests_of, state_of
from .watched import Condition, EnvironmentElsewhere, HistoryLost

_log = logging.getLogger(__name__)

#: texts that are read at once, one by one
_READ = 500
#: items of the queue that are read at once, and bytes after which no more are
_READ_ITEMS, _READ_BYTES = 2000, 8_000_000
#: entries of the history that are cleared away at once; about 10 ms
_TIDY = 2000

#: what is said of a commit whose answer was lost; see the script
_IN_DOUBT = (
    "It will be taken back as soon as the server answers; if the manager ends before that, it may have been made."
    " See that the server runs, look at the state, then repeat."
)
#: seconds for which the last time that everything had to be written anew is told; after a good day it is no news
_REMEMBERED = 24 * 3600.0

#: how a server stands that holds something else than was committed last: what is said about it
_STALE = {"empty": "empty", "older": "in an older state", "damaged": "damaged"}


class RedisStore:
    """A `jupyter_queueserver.storage.watched.WatchedStore` in a Redis server.

    Parameters
    ----------
    address
        Where, and under which prefix.
    take_over
        Whether an environment that is open on another machine, or in another data directory, is given up.
    home
        Data directory of the manager, which with the machine says where its environment is; empty: the machine alone counts.
    lease
        Seconds after which another manager may have the store if this one, on another machine, gives no sign.

    Attributes
    ----------
    remarks
        Sentences about settings of the server by which commits may be lost.
    """

    def __init__(self, address: RedisAddress, *, take_over: bool = False, home: str = "", lease: float = LEASE) -> None:
        self.address = address
        self._home = home
        self._take_over = take_over
        self._lease = int(lease * 1000)
        self._open: RedisServer | None = None
        self._keeper: Keeper | None = None
        self._lock = threading.RLock()
        self._telling = threading.RLock()  # of its own: who wants to be told does not wait for a server that hangs
        self._life = uuid.uuid4().hex
        self._id = ""
        self._place = ""
        self._owner = b""
        self._since = 0.0
        self._fence = 0
        self._confirmed = 0
        self._attempt = 0
        self._is_empty = True
        self._stale: str | None = None
        self._stale_detail = ""
        self._is_lost = False
        self._failure: StoreUnavailable | None = None
        self._forgotten = 0
        self._alarm: str | None = None
        self._alarm_until = 0.0
        self.remarks: tuple[str, ...] = ()
        self._told: Callable[[Condition], None] = lambda condition: None
        self._condition = Condition()

    # -- owning --------------------------------------------------------------------------------

    def acquire(self, owner: Owner, at_least: int = 1) -> int:
        """Take the lease and raise the fence; see the protocol for what it raises.

        Raises
        ------
        EnvironmentElsewhere
            An environment is open on another machine, or in another data directory.
        """
        server = RedisServer(self.address)
        try:
            dead = life_of_dead_owner(server, owner)
            self._owner, self._since = msgspec.json.encode(owner), time.time()
            self._place = f"{owner.host}:{self._home}" if self._home else owner.host
            taking: list[Word] = [dead, self._owner, uuid.uuid4().hex, repr(self._since), self._lease, self._place]
            found, *more = server.call("acquire", self._life, 0, 0, *taking, int(self._take_over), at_least)
            self._check_taken(found.decode(), more)
        except BaseException:
            server.close()
            raise
        self._fence, self._id, self._confirmed = more[0], more[1].decode(), more[2]
        self._is_empty = self._confirmed == 0
        self._open = server
        self.remarks = tuple(weaknesses(server))
        for text in self.remarks:
            _log.warning("%s", text)
        self._tell()
        self._keeper = Keeper(self._look)
        self._keeper.start()
        return self._fence

    def _check_taken(self, found: str, more: Sequence[Any]) -> None:
        if found == "owned":
            raise RedisOwned(owner_in(more[0]), more[1] / 1000)
        if found == "elsewhere":
            raise EnvironmentElsewhere(more[0].decode())
        if found == "too_new":
            raise SchemaTooNew(
                f"The Redis store at {self.address.url} has format {more[0].decode()}; this program knows format 1.",
                hint="Nothing was written. Start the newer version, or choose another --redis-name-prefix.",
            )
        if found == "damaged":
            raise self._broken(more[0].decode())

    def _broken(self, what: str) -> StoreBroken:
        return StoreBroken(
            f"The Redis store at {self.address.url} (prefix '{self.address.prefix}') is damaged: {what}.",
            hint="Nothing was written. Restore the server's data, or begin anew under another --redis-name-prefix.",
        )

    def last_owner(self) -> Owner | None:
        """Return who acquired it last; raises `StoreUnavailable`."""
        server = self._open or RedisServer(self.address)
        try:
            return owner_in(server.read("HGET", server.key("meta"), "owner"))
        finally:
            if server is not self._open:
                server.close()

    def close(self) -> None:
        """Stop the keeper, give the lease back if the server is there, and disconnect."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.stop()
        server, self._open = self._open, None
        if server is None:
            return
        if self._failure is None:
            with suppress(StoreUnavailable):  # then it runs out
                server.call("release", *self._asking())
        server.close()

    # -- reading -------------------------------------------------------------------------------

    def load(self) -> State | None:
        """Return the state of the last commit, None if there never was one; raises `StoreBroken`."""
        with self._turn() as server:
            first, end = self._seen(server)
            if self._is_empty:
                return None
            key = server.key
            queue = list(self._queue(server))
            results = list(self._texts(server, "results", server.read("LRANGE", key("order"), 0, -1)))
            parts = {name.decode(): text for name, text in server.read("HGETALL", key("parts")).items()}
            requests = list(self._texts(server, "requests", server.read("LRANGE", key("request_order"), 0, -1)))
            history = StoredHistory(first, end, self._backwards(server, end - first))
            return replace(state_of(queue, history, results, parts), requests=requests_of(requests))

    def _seen(self, server: RedisServer) -> tuple[int, int]:
        """Ends of the history; raises `StoreBroken`, or `StoreUnavailable` if the server holds something else just now."""
        found, first, end, fault = server.call("see", self._life, self._confirmed, 0)
        if found != b"right":
            if self._keeper is not None:
                self._keeper.hurry()
            raise _anew(f"The Redis store at {self.address.url} does not hold what was committed.")
        if fault:
            raise self._broken(fault.decode())
        return first, end

    def _texts(self, server: RedisServer, name: str, uids: Sequence[bytes]) -> Iterator[bytes]:
        for start in range(0, len(uids), _READ):
            part = uids[start : start + _READ]
            for uid, text in zip(part, server.read("HMGET", server.key(name), *part), strict=True):
                if text is None:
                    raise self._broken(f"the text of {uid.decode(errors='replace')} is missing")
                yield text

    def _queue(self, server: RedisServer) -> Iterator[bytes]:
        place = 0
        while True:
            sizes, texts = server.call("queue", self._life, self._confirmed, 0, place, _READ_ITEMS, _READ_BYTES)
            if sizes is None:
                raise self._broken(f"the text of {texts.decode(errors='replace')} is missing")
            at = 0
            for size in map(int, sizes.split()):
                yield texts[at : at + size]
                at += size
                place += 1
            if not sizes:
                return

    def _backwards(self, server: RedisServer, size: int) -> Iterator[bytes]:
        for start in range(0, size, 20):
            part = server.read("LRANGE", server.key("history"), -min(start + 20, size), -start - 1)
            yield from reversed(part)

    def history(self, begin: int, end: int) -> list[bytes]:
        """Return the texts of those entries, oldest first; from any thread."""
        server = self._reached()
        first, last = self._seen(server)
        begin, end = max(begin, first), min(end, last)
        found: list[bytes] = []
        for start in range(begin, end, _READ):
            found += server.call("history", self._life, self._confirmed, 0, start, min(start + _READ, end))
        return found

    def history_number(self, uid: str) -> int | None:
        """Return the number of the newest entry with that uid; from any thread."""
        server = self._reached()
        self._seen(server)
        return server.call("number", self._life, self._confirmed, 0, uid_word(uid))

    def request_reply(self, request_id: str) -> bytes | None:
        """Return the reply of a recorded request."""
        with self._turn() as server:
            self._seen(server)
            return server.call("reply", self._life, self._confirmed, 0, uid_word(request_id))

    # -- writing -------------------------------------------------------------------------------

    def commit(self, changes: Sequence[AnyChange], after: State) -> None:
        """Keep the changes in one step; raises `FenceLost` or `StoreUnavailable`."""
        if not changes:
            return
        try:
            self._commit(changes, after)
        except AnswerLost as error:
            raise StoreUnavailable(error.msg, hint=_IN_DOUBT) from error

    def _commit(self, changes: Sequence[AnyChange], after: State) -> None:
        with self._turn() as server:
            if self._is_empty or self._stale is not None:
                self._write_anew(server, changes, after)
            else:
                small = int(makes_smaller(changes))
                words = words_of(changes, after)
                self._check(self._ask("commit", self._lease, small, self._environment_host(after), *words)[0].decode())
            self._confirmed += 1
            self._is_empty = False
            self._stale = None

    def _environment_host(self, after: State) -> str:
        return "" if after.environment.state == "closed" else self._place

    def _write_anew(self, server: RedisServer, changes: Sequence[AnyChange], after: State) -> None:
        end = [self._lease, self._environment_host(after), self._fence, self._owner]
        try:
            found = write_anew(server, self._ask, changes, after, end, is_first=self._is_empty)
        except HistoryLost as error:
            self._forgotten = error.count
            raise
        if found == "incomplete":  # another one was at the texts
            raise _anew(f"The Redis store at {self.address.url} was disturbed while it was written.")
        if found in ("lost", "held"):
            self._check(found)
        if self._stale is not None:
            lost = f" The {self._forgotten} oldest entries of the history are lost." if self._forgotten else ""
            when = time.strftime("%Y-%m-%d %H:%M:%S")
            how = f"{_STALE[self._stale]}{self._stale_detail}"
            self._alarm = f"The Redis store came back {how}; it was written anew at {when}.{lost}"
            self._alarm_until = time.monotonic() + _REMEMBERED
            self._forgotten = 0
            _log.warning("%s", self._alarm)

    def tidy(self) -> bool:
        """Clear a slice of the trimmed entries away; True: there are more."""
        with self._turn():
            if self._is_empty or self._stale is not None:
                return False
            found, more = self._ask("tidy", _TIDY)
            self._check(found.decode())
            return bool(more)

    def _ask(self, command: str, *words: Word) -> Any:
        """Let the script do a command in the owner's name; within a turn."""
        mine = self._asking()
        return self._reached(hard=False).call(command, *mine, *words)

    def _asking(self) -> list[Word]:
        """What each call in the owner's name begins with; one that arrives after a later one has no effect."""
        self._attempt += 1
        return [self._life, self._confirmed, self._attempt, self._id, self._fence, repr(self._since)]

    def _check(self, found: str) -> None:
        """Take how the server stands to this manager; raises what follows of it."""
        kind, _, detail = found.partition(": ")
        if kind == "right":
            return
        if kind == "lost":
            self._is_lost = True
            raise FenceLost(f"Another manager has acquired the Redis store at {self.address.url}.")
        if kind in _STALE:
            self._stale = kind
            self._stale_detail = f" ({detail})" if detail else ""
            raise _anew(f"The Redis store at {self.address.url} has come back {_STALE[kind]}{self._stale_detail}.")
        raise StoreUnavailable(
            f"The Redis store at {self.address.url} has come back in an older state, in which another manager has it.",
            hint="Nothing was changed. If that manager is gone, this passes within seconds.",
        )

    # -- how it is -----------------------------------------------------------------------------

    def watch(self, told: Callable[[Condition], None]) -> None:
        """Have a function called, at once and from any thread, whenever the condition changes."""
        with self._telling:
            self._told = told
            told(self._condition)

    def _reached(self, *, hard: bool = True) -> RedisServer:
        """The server; raises `StoreUnavailable` if it is known to be away (unless not ``hard``) or was never opened."""
        if self._open is None:
            raise StoreUnavailable(f"The Redis store at {self.address.url} is not open.")
        if hard and self._failure is not None and not isinstance(self._failure, StoreFull):
            raise StoreUnavailable(self._failure.msg, hint=self._failure.hint)
        return self._open

    @contextmanager
    def _turn(self) -> Iterator[RedisServer]:
        """One at a time; a server that is known to be away is not waited for, the keeper looks when it is back."""
        self._reached()
        with self._lock:
            server = self._reached()
            try:
                yield server
            except HistoryLost:
                raise
            except StoreUnavailable as error:
                if self._stale is None:
                    self._failure = error
                if self._keeper is not None:
                    self._keeper.hurry()
                raise
            else:
                self._failure = None
            finally:
                self._tell()

    def _look(self) -> bool:
        """Renew the lease and see how the server is; for the keeper."""
        with self._lock:
            if self._open is None:
                return True
            was_full = isinstance(self._failure, StoreFull)
            try:
                self._check(self._ask("renew", self._lease)[0].decode())
                if was_full:
                    self._open.call("probe", self._life, 0, 0)
            except FenceLost:
                pass
            except StoreUnavailable as error:
                self._failure = None if self._stale is not None else error
            except Exception:  # noqa: BLE001 - boundary of one look: a lease that nobody renews is worse than a line in the log
                _log.exception("The lease of the store could not be renewed.")
                return False
            else:
                self._failure = None
            self._tell(again=self._stale is not None)
            return self._failure is None and self._stale is None

    def _tell(self, *, again: bool = False) -> None:
        failure = self._failure.msg if self._failure is not None else None
        if self._stale is not None and failure is None:
            how = f"{_STALE[self._stale]}{self._stale_detail}"
            failure = f"The Redis store has come back {how}; everything is being written anew."
        if self._alarm is not None and time.monotonic() > self._alarm_until:
            self._alarm = None
        condition = Condition(
            failure=failure,
            stale=self._stale is not None and self._failure is None,
            lost=self._is_lost,
            alarm=self._alarm,
        )
        with self._telling:
            if condition != self._condition or again:
                self._condition = condition
                self._told(condition)


def _anew(text: str) -> StoreUnavailable:
    return StoreUnavailable(text, hint="Nothing was changed. The manager writes everything anew by itself: repeat in a moment.")
