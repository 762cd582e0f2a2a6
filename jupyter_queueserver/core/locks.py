"""The lock of the interface: who has reserved environment and queue, and whether a key opens it.

The key itself is never kept: only a salted digest of it, and that never leaves the store (`Lock.public`).
"""

from __future__ import annotations

import functools
import hashlib
import hmac

import msgspec

#: Rounds of the digest: a guess must cost more than a look, but a wrong key must not hold up the manager.
_ROUNDS = 1_000


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """Who has locked what.

    Attributes
    ----------
    environment, queue
        What is locked; both False: nothing.
    user, note
        Who locked it and why; None if it is not locked, or nothing was said.
    time
        When, seconds since the epoch; None if it is not locked.
    uid
        Changes with every locking and unlocking.
    salt, digest
        Of the key; empty if it is not locked.
    """

    environment: bool = False
    queue: bool = False
    user: str | None = None
    note: str | None = None
    time: float | None = None
    uid: str = "00000000-0000-4000-8000-000000000000"
    salt: str = ""
    digest: str = ""

    @property
    def is_locked(self) -> bool:
        """Whether anything is locked."""
        return self.environment or self.queue

    def opens(self, key: str) -> bool:
        """Whether this is the key."""
        return self.is_locked and hmac.compare_digest(key_digest(self.salt, key), self.digest)

    def public(self) -> Lock:
        """Return it without what could help to guess the key."""
        return msgspec.structs.replace(self, salt="", digest="")


@functools.lru_cache(maxsize=16)
def key_digest(salt: str, key: str) -> str:
    """Return the digest of a key, in hexadecimal digits."""
    return hashlib.pbkdf2_hmac("sha256", key.encode("utf-8", "surrogatepass"), salt.encode(), _ROUNDS).hex()
