"""`qserver-console-monitor`: print the console text of a server, as it comes.

Listens only.  With an address it reads the topic ``QS_Console`` of the info socket; without one the private event stream of
the instance, which needs no setting of the server.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

import zmq

from ..client.blocking import Client
from ..client.errors import ClientError
from ..client.events import ByeEvent, ConsoleEvent, LostEvent
from ..client.target import find_target
from ..core import codec
from ..core.addresses import INFO_PORT
from ..instance import find_instance
from .target_options import add_common_options, encoding_of

ADDRESS_VARIABLE = "QSERVER_ZMQ_INFO_ADDRESS"
DEFAULT_ADDRESS = f"tcp://localhost:{INFO_PORT}"
DONE, INVALID = 0, 1

_TOPIC = b"QS_Console"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program until Ctrl-C; returns the exit status: 0, or 1 for unusable settings."""
    options = _parser().parse_args(arguments)
    address = options.address or options.old_address or (None if options.data_dir else os.environ.get(ADDRESS_VARIABLE))
    try:
        if address is None:
            _follow_instance(options.data_dir)
        else:
            _follow_address(address, encoding_of(options))
    except KeyboardInterrupt:
        return DONE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter fails once more at its end
        return DONE
    except (ClientError, ValueError, zmq.ZMQError) as err:
        print(f"qserver-console-monitor: {err}", file=sys.stderr)
        return INVALID
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="qserver-console-monitor", allow_abbrev=False, description="Print the console text of a server. End with Ctrl-C."
    )
    parser.add_argument(
        "--zmq-info-addr",
        dest="address",
        metavar="ADDR",
        help=f"info socket of the server; default: {ADDRESS_VARIABLE}, the event stream of the instance, {DEFAULT_ADDRESS}",
    )
    parser.add_argument("--zmq-subscribe-addr", dest="old_address", metavar="ADDR", help="deprecated spelling of --zmq-info-addr")
    add_common_options(parser)
    return parser


def _follow_instance(data_dir: str | None) -> None:
    """Print from the event stream; where no instance is found, from the default address."""
    instance = find_instance(data_dir) if data_dir else None
    if find_target(instance=instance).events is None:
        _follow_address(DEFAULT_ADDRESS, "json")
        return
    with Client(instance=instance) as client, client.subscribe(("console",)) as events:
        _say(f"Listening to the instance in {(instance or find_instance()).data_dir}. Press Ctrl-C to end.")
        for event in events:
            if isinstance(event, ConsoleEvent):
                _show(event.text)
            elif isinstance(event, ByeEvent):
                _say(f"The manager ends; waiting for the next one. {event.reason}".rstrip())
            elif isinstance(event, LostEvent):
                _say("The manager is not heard; trying on.")


def _follow_address(address: str, encoding: str) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.SUB)
    try:
        socket.connect(address)
        socket.subscribe(_TOPIC)
        _say(f"Listening to {address}. Press Ctrl-C to end.")
        while True:
            text = read_message(socket.recv_multipart(), encoding)
            if text is None:
                _say(f"A message could not be read as {encoding}; is the encoding of the server another one (--zmq-encoding)?")
            else:
                _show(text)
    finally:
        context.destroy(linger=0)


def read_message(frames: Sequence[bytes], encoding: str) -> str | None:
    """Return the console text of a message of the info socket; None if it cannot be read."""
    try:
        _, payload = frames
        decoded: Any = codec.from_json(payload) if encoding == "json" else codec.from_msgpack(payload)
        text = decoded["msg"]
    except (ValueError, KeyError, TypeError):
        return None
    return text if isinstance(text, str) else None


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _say(text: str) -> None:
    """Notices go where the text of the server does not."""
    print(text, file=sys.stderr, flush=True)
