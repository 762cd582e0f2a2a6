"""``jupyter queueserver --help-all``: all programs, the options of the server, and the settings of the extension."""

from __future__ import annotations

from ..gateway.extension import QueueServerExtension
from ..gateway.launch import make_parser


def text(programs: str) -> str:
    """Return the whole help.

    Parameters
    ----------
    programs
        The list of programs.
    """
    traits = QueueServerExtension.class_own_traits(config=True)
    section = [QueueServerExtension.class_get_trait_help(traits[name]) for name in sorted(traits)]
    return "\n".join(
        [
            programs,
            "",
            "Each program has a help of its own: jupyter queueserver <program> --help",
            "",
            "Without a program, jupyter queueserver starts a Jupyter server:",
            "",
            make_parser().format_help(),
            "Settings of the extension, for jupyter_server_config.py and the command line of any Jupyter server:",
            "",
            *section,
            "",
            "All settings of the Jupyter server: jupyter server --help-all",
        ]
    )
