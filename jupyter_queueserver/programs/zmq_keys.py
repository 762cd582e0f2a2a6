"""`qserver-zmq-keys`: make a key pair for an encrypted control socket, or find the public key of a private one.

Prints and keeps nothing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import zmq

from ..core.addresses import Z85_KEY

DONE, INVALID = 0, 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit status: 0, or 4 for a key that is none."""
    parser = argparse.ArgumentParser(
        prog="qserver-zmq-keys", allow_abbrev=False, description="Print a key pair (CurveZMQ) for the control socket."
    )
    parser.add_argument(
        "--zmq-private-key",
        metavar="KEY",
        help="private key whose public key is wanted, 40 characters (write --zmq-private-key='...'); default: a new pair",
    )
    given = parser.parse_args(arguments).zmq_private_key
    try:
        public, private = _pair(given)
    except ValueError as err:
        print(f"qserver-zmq-keys: {err}", file=sys.stderr)
        return INVALID
    print(f"Private key (server only): {private}")
    print(f"Public key (clients):      {public}")
    if given is None:
        print("\nServer: QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER, or network/zmq_private_key in its configuration file.")
        print("Clients: QSERVER_ZMQ_PUBLIC_KEY. In a shell, put the keys in single quotes.")
    return DONE


def _pair(private: str | None) -> tuple[str, str]:
    """Return (public, private); raises ``ValueError``, which does not repeat the key."""
    if private is None:
        new_public, new_private = zmq.curve_keypair()
        return new_public.decode(), new_private.decode()
    if not Z85_KEY.fullmatch(private):
        raise ValueError("the private key must be Z85 text of 40 characters")
    try:
        return zmq.curve_public(private.encode()).decode(), private
    except zmq.ZMQError as err:
        raise ValueError(f"the private key cannot be used: {err.strerror}") from err
