"""The check sum of a row of the SQLite store, as a function of its SQL."""

from __future__ import annotations

import sqlite3
import zlib


def give_row_sum(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Let the SQL of a connection use ``row_sum(values...)``; returns the connection."""
    connection.create_function("row_sum", -1, row_sum, deterministic=True)
    return connection


def row_sum(*values: bytes | str | int) -> int:
    """Return the check sum (CRC-32) of the values of a row, in order."""
    datas = [value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass") for value in values]
    return zlib.crc32(b"".join([b"%d:%b" % (len(data), data) for data in datas]))
