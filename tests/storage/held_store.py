"""Another program that holds a database: ``python held_store.py FILE``; it says ``held`` and lets go when its input ends."""

from __future__ import annotations

import sqlite3
import sys

connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
connection.close()
print("free", flush=True)
