"""Options by which the small programs find their manager, the same in each of them."""

from __future__ import annotations

import argparse
import os

from ..client.blocking import Client
from ..client.target import ADDRESS_VARIABLE, DEFAULT_ADDRESS, ENCODING_VARIABLE
from ..instance import find_instance

NO_ANSWER = 3


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Add address, encoding and data directory."""
    parser.add_argument(
        "-a",
        "--zmq-control-addr",
        dest="address",
        metavar="ADDR",
        help=f"control socket of the manager; default: {ADDRESS_VARIABLE}, the instance, {DEFAULT_ADDRESS}",
    )
    add_common_options(parser)


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add encoding and data directory."""
    parser.add_argument(
        "--zmq-encoding",
        choices=("json", "msgpack"),
        default=None,
        help=f"must match the server; default: {ENCODING_VARIABLE}, json",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="data directory of the instance whose manager is meant")


def encoding_of(options: argparse.Namespace) -> str:
    """The encoding that is meant; raises ``ValueError`` for a variable that names none."""
    found = options.zmq_encoding or (os.environ.get(ENCODING_VARIABLE) or "json").lower()
    if found not in ("json", "msgpack"):
        raise ValueError(f"unknown encoding {found!r} in {ENCODING_VARIABLE}: use json or msgpack")
    return found


def open_client(options: argparse.Namespace) -> Client:
    """Return a client of the manager that is meant; raises `SettingsError` or ``ValueError``."""
    instance = find_instance(options.data_dir) if options.data_dir else None
    encoding = encoding_of(options)
    return Client(options.address, instance=instance, encoding="json" if encoding == "json" else "msgpack")
