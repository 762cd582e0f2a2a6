"""Addresses and keys as server and clients take them for granted.  Constants only, cheap to import."""

from __future__ import annotations

import re

#: TCP port of the control socket.
CONTROL_PORT = 60615
#: TCP port of the info socket, where console text and status are published.
INFO_PORT = 60625
#: 0MQ address of the first version's manager: a server binds it, its clients connect to it.
FIRST_VERSION_CONTROL = "tcp://127.0.0.1:5555"
#: TCP port of the first version's web server.
FIRST_VERSION_HTTP_PORT = 60610
#: Form of a CurveZMQ key, private or public.
Z85_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
