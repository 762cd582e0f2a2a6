"""The program `jupyter queueserver`: a Jupyter server with the extension, on the loopback interface.

Every option that it does not know is one of the Jupyter server (``--port``, ``--ServerApp.base_url=...``).  It ends without
asking: a plan that runs is not touched by its end.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from traitlets import default

from ..core.addresses import FIRST_VERSION_HTTP_PORT
from .extension import QueueServerExtension
from .paths import PREFIX

_LOOPBACK = ("localhost", "127.0.0.1", "::1")

#: Own options and the traits that they set.
_OPTIONS = {
    "data_dir": ("DIR", "data directory of the instance"),
    "address": ("ADDR", "0MQ address of a manager that runs elsewhere, instead of one of our own"),
    "startup_dir": ("DIR", "directory with startup files (default: simulated devices and plans)"),
    "startup_profile": ("NAME", "IPython profile whose startup directory is used"),
    "startup_module": ("NAME", "importable module with startup code"),
    "startup_script": ("FILE", "script with startup code"),
    "user_group": ("NAME", "user group of everybody who comes through this server (default: primary)"),
}


class QueueServerApp(ServerApp):
    """The Jupyter server of this program: it ends at the first signal and says where it is found."""

    classes = [*ServerApp.classes, QueueServerExtension]  # noqa: RUF012 - the form that traitlets wants

    @default("allow_root")
    def _allow_root_on_loopback(self) -> bool:
        """In containers root is often the only account; away from the loopback interface Jupyter's rule holds."""
        return self.ip in _LOOPBACK

    @default("default_url")
    def _default_url(self) -> str:
        """The page, also for who opens the server without a path."""
        return PREFIX

    @property
    def page_url(self) -> str:
        """Where a browser of this machine finds the queue server, with the token if it was made by this server.

        One that was given is known to its owner and is not shown; without it the link leads to the login.
        """
        place = urlsplit(self.local_url)._replace(path=url_path_join(self.base_url, PREFIX))
        return (place if self.identity_provider.token_generated else place._replace(query="")).geturl()

    def load_server_extensions(self) -> None:
        """End at once, before a port is bound, if the queue cannot be served."""
        super().load_server_extensions()
        for apps in self.extension_manager.extension_apps.values():
            if any(isinstance(app, QueueServerExtension) and app.refusal for app in apps):
                self.exit(1)

    def init_signal(self) -> None:
        """SIGINT and SIGHUP end it as SIGTERM does."""
        super().init_signal()
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._signal_stop)

    def _signal_stop(self, sig: int, frame: FrameType | None) -> None:
        """End; a second Ctrl-C does not wait for the manager's orderly end."""
        if self._stopping:
            return
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        super()._signal_stop(sig, frame)

    async def _post_start(self) -> None:
        """Print the address of the page once the port is bound."""
        await super()._post_start()
        sys.stdout.write(f"Queue server: {self.page_url}\n")
        sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until it is stopped; returns the exit status.

    Parameters
    ----------
    arguments
        Options; None: the command line of `jupyter queueserver`, which may name another program of the package first.
    """
    if arguments is None:
        arguments = sys.argv[1:]
        programs = importlib.import_module("jupyter_queueserver.__main__")
        if arguments and arguments[0] in programs.PROGRAMS:
            return programs.main(arguments)
    given, rest = make_parser().parse_known_args(list(arguments))
    words = [*(root_words(rest) if given.legacy_root else ()), *rest, *trait_words(vars(given))]
    app = QueueServerApp.instance(jpserver_extensions={"jupyter_queueserver": True})
    app.initialize(argv=words)
    app.start()
    return 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of our own options; those that are not given are None."""
    parser = argparse.ArgumentParser(
        prog="jupyter queueserver",
        allow_abbrev=False,
        description="Start a Jupyter server with the queue server and print its address.",
        epilog="All other options are those of `jupyter server`, e.g. --port, --no-browser, --ServerApp.base_url.",
    )
    for name, (metavar, text) in _OPTIONS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=text)
    parser.add_argument(
        "--manager-option",
        metavar="WORD",
        action="append",
        help="further option of start-re-manager, e.g. --manager-option=--saver --manager-option=none",
    )
    parser.add_argument(
        "--legacy-root",
        action="store_true",
        help="also serve all routes without prefix, with those of the first version of the interface,"
        f" on port {FIRST_VERSION_HTTP_PORT} unless --port is given",
    )
    return parser


def root_words(given: Sequence[str]) -> list[str]:
    """Return the words for the port of the first version's web server; none if another port is given."""
    if any(word.partition("=")[0] in ("--port", "--ServerApp.port") for word in given):
        return []
    return [f"--ServerApp.port={FIRST_VERSION_HTTP_PORT}", "--ServerApp.port_retries=0"]


def trait_words(given: dict[str, Any]) -> list[str]:
    """Turn our own options into words for traitlets, where they beat configuration files."""
    section = QueueServerExtension.__name__
    words = [f"--{section}.{name}={given[name]}" for name in _OPTIONS if given[name] is not None]
    words += [f"--{section}.manager_options={word}" for word in given["manager_option"] or ()]
    if given["legacy_root"]:
        # Then as now, a manager that was started by itself does not end with the web server.
        return [f"--{section}.end_manager=started", f"--{section}.legacy_root=True", *words]
    return [f"--{section}.end_manager=always", *words]
