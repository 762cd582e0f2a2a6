"""Addresses that clients of the first version of the interface take for granted.  Constants only, cheap to import."""

from __future__ import annotations

#: 0MQ address of the first version's manager: a server binds it, its clients connect to it.
FIRST_VERSION_CONTROL = "tcp://127.0.0.1:5555"
#: TCP port of the first version's web server.
FIRST_VERSION_HTTP_PORT = 60610
