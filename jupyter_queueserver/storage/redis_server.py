"""One Redis server as the store speaks to it: the script, time-outs, and errors as sentences.

It knows nothing of states and changes.  No call takes longer than a few seconds, and none is repeated by itself:
whether a call may be repeated is the store's matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

from ..core.errors import StoreUnavailable
from ..core.redis_address import RedisAddress

#: seconds for connecting, and for each answer
TIME_OUT = 3.0

#: in the order in which the script knows them
_KEYS = ("meta", "lease", "queue", "items", "history", "history_uids", "history_numbers", "parts", "results", "order")
_KEYS += ("pending", "scratch", "requests", "request_order", "replies")

Word = str | bytes | int | float


class AnswerLost(StoreUnavailable):
    """The server was asked and its answer never came: whether it did what it was asked is not known."""


class StoreFull(StoreUnavailable):
    """The server has reached the memory that it may use; it is reached, and takes what makes the store smaller."""


@cache
def _script() -> tuple[str, str]:
    """Return the script and the name under which the server keeps it."""
    text = files(__name__.rpartition(".")[0]).joinpath("lua", "store.lua").read_text(encoding="utf-8")
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _client(address: RedisAddress) -> Any:
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise StoreUnavailable(
            "The Redis store needs the Python package 'redis', which is not installed.", hint="Run: pip install redis"
        ) from error
    given = {"password": address.password} if address.password is not None else {}
    try:
        return redis.Redis.from_url(
            address.url,
            socket_timeout=TIME_OUT,
            socket_connect_timeout=TIME_OUT,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            **given,
        )
    except ValueError as error:
        raise StoreUnavailable(f"The address {address.url} of the Redis store cannot be used: {error}.") from error


class RedisServer:
    """A connection to a server, made at the first call; calls may come from several threads.

    Attributes
    ----------
    client
        Of the library `redis`; calls are made within `explained`.
    """

    def __init__(self, address: RedisAddress) -> None:
        self.address = address
        self.keys = [address.key(name) for name in _KEYS]
        self.client = _client(address)

    def key(self, name: str) -> str:
        """Return the full name of a key."""
        return self.address.key(name)

    def call(self, command: str, *words: Word) -> Any:
        """Let the script do a command; raises `StoreUnavailable`, and `StoreFull` of it."""
        text, name = _script()
        with self.explained():
            from redis.exceptions import NoScriptError

            try:
                return self.client.evalsha(name, len(self.keys), *self.keys, command, *words)
            except NoScriptError:  # the server was restarted, or sees it for the first time
                return self.client.eval(text, len(self.keys), *self.keys, command, *words)

    def read(self, command: str, *words: Word) -> Any:
        """Let the server do a command of its own that writes nothing; raises `StoreUnavailable`."""
        with self.explained():
            return self.client.execute_command(command, *words)

    def upload(self, key: str, command: str, words: Sequence[Word], seconds: int, size: int = 4_000_000) -> None:
        """Write many words under a key that vanishes after some seconds unless it is made to stay.

        Parameters
        ----------
        words
            An even number of them, if the command wants pairs.
        size
            Bytes that are sent at once, about.
        """
        for part in _portions(words, size):
            with self.explained():
                pipe = self.client.pipeline(transaction=True)
                pipe.execute_command(command, key, *part)
                pipe.expire(key, seconds)
                pipe.execute()

    def remove(self, keys: Sequence[str]) -> None:
        """Delete keys; raises `StoreUnavailable`."""
        with self.explained():
            self.client.unlink(*keys)

    def close(self) -> None:
        """Close all connections; a later call opens a new one."""
        self.client.close()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn the library's errors into refusals."""
        try:
            yield
        except OSError as error:  # files of certificates
            raise self._unavailable(f"cannot be used: {error}") from error
        except Exception as error:
            import redis.exceptions as kinds

            if not isinstance(error, kinds.RedisError):
                raise
            raise self._explained(error, kinds) from error

    def _explained(self, error: Exception, kinds: Any) -> StoreUnavailable:
        text = " ".join(str(error).split())
        if isinstance(error, kinds.OutOfMemoryError) or text.startswith("OOM") or "OOM command not allowed" in text:
            return StoreFull(
                f"The Redis store at {self.address.url} is full: the server has reached its maxmemory.",
                hint="Nothing was changed. Give the server more memory (maxmemory), or clear the history, then repeat.",
            )
        if isinstance(error, kinds.AuthenticationError) or text.startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
            return self._unavailable(f"refuses this user or password ({text})", "Set the password (QSERVER_REDIS_PASSWORD_FILE).")
        if isinstance(error, kinds.ReadOnlyError) or "READONLY" in text:
            return self._unavailable("is a read-only replica", "Name the master, or make this server one.")
        if isinstance(error, kinds.TimeoutError | kinds.ConnectionError):
            is_late = isinstance(error, kinds.TimeoutError)
            found = self._unavailable(f"does not answer within {TIME_OUT:g} s" if is_late else f"cannot be reached: {text}")
            return found if " connecting to " in f" {text}" else AnswerLost(found.msg, hint=found.hint)
        if "WRONGTYPE" in text:
            return self._unavailable(
                f"holds something of another program under the prefix '{self.address.prefix}'",
                f"Find the key that is none of the queue (redis-cli --scan --pattern '{self.address.key('*')}') and rename it.",
            )
        return self._unavailable(f"refuses: {text}")

    def _unavailable(
        self, what: str, more: str = "See that the server runs and can be written, then repeat."
    ) -> StoreUnavailable:
        return StoreUnavailable(f"The Redis store at {self.address.url} {what}.", hint=f"Nothing was changed. {more}")


def _portions(words: Sequence[Word], size: int) -> Iterator[Sequence[Word]]:
    """Cut into parts of an even number of words and about that many bytes."""
    start = held = 0
    for at in range(0, len(words), 2):
        held += sum(len(word) if isinstance(word, str | bytes) else 8 for word in words[at : at + 2])
        if held >= size or at + 2 - start >= 20_000:
            yield words[start : at + 2]
            start, held = at + 2, 0
    if start < len(words):
        yield words[start:]
