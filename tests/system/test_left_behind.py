"""What killed processes leave behind is taken away by the manager that ends, also when nobody has followed them yet."""

from __future__ import annotations

from collections.abc import Callable

from harness import Server, kill, until

from jupyter_queueserver.documents.launch import find_relay


def test_stop_right_after_watchdog_and_relay_were_killed(new_server: Callable[..., Server]) -> None:
    """Found by the fault campaign: the bell of the dead watchdog stayed."""
    server = new_server()
    server.start()
    server.open()
    relay = until(lambda: find_relay(server.data_dir), "the relay to run")
    until(server.instance.relay_bell.exists, "its bell")
    kill(server.watchdog, relay.pid)
    server.stop()


def test_stop_without_a_watchdog(new_server: Callable[..., Server]) -> None:
    """The stand-in that the manager has started finds that it is not wanted any more."""
    server = new_server()
    server.start()
    kill(server.watchdog)
    server.stop()
