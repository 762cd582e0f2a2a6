"""Nothing is opened to the network unless a key or the explicit flag permits it, whichever way the address was given."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import zmq

from jupyter_queueserver.manager.option_table import OPTIONS, Option
from jupyter_queueserver.manager.options import parse_options
from jupyter_queueserver.manager.settings import Settings, SettingsError

KEY = {"QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER": zmq.curve_keypair()[1].decode()}
BY_NAME = {option.name: option for option in OPTIONS}
#: Every option that opens something by TCP, with what else makes it take effect.
ADDRESSES = {
    "zmq_control_addr": (),
    "zmq_legacy_addr": (),
    "zmq_info_addr": ("--zmq-publish-console=ON",),
    "ipython_kernel_ip": ("--use-ipython-kernel=ON",),
}
#: Which of them a key makes fit for the network: the others are never encrypted.
ENCRYPTED = {"zmq_control_addr", "zmq_legacy_addr"}
HOSTS = ["0.0.0.0", "*", "192.0.2.7", "[::]", "lab-7.example"]  # noqa: S104 - to be refused


def ways(option: Option, value: str, folder: Path) -> list[tuple[list[str], dict[str, str]]]:
    """Command lines and environments that say it: by option, by variable, by file."""
    section, _, key = option.config.partition("/")
    config = folder / f"{option.name}-{re.sub(r'[^a-z0-9]', '_', value)}.yaml"
    config.write_text(f"{section}:\n  {key}: {json.dumps(value)}\n")
    found: list[tuple[list[str], dict[str, str]]] = [([f"{flag}={value}"], {}) for flag in option.flags]
    found += [([], {name: value}) for name in option.variables]
    return [*found, ([f"--config={config}"], {})]


def parsed(words: list[str], environ: dict[str, str], folder: Path) -> Settings:
    found = parse_options([*words, "--data-dir", str(folder / "data")], environ).settings
    assert found is not None
    return found


def test_the_table_has_no_other_address() -> None:
    """An option that is added later must be looked at here."""
    found = {option.name for option in OPTIONS if option.name.endswith(("_addr", "_ip", "_address", "_host"))}
    assert found - {"redis_addr"} == set(ADDRESSES)


@pytest.mark.parametrize("name", sorted(ADDRESSES))
@pytest.mark.parametrize("host", HOSTS)
def test_closed_unless_permitted(name: str, host: str, tmp_path: Path) -> None:
    is_ip = name == "ipython_kernel_ip"
    if is_ip and host not in ("192.0.2.7",):
        host = "auto"
    value = host if is_ip else f"tcp://{host}:60615"
    for words, environ in ways(BY_NAME[name], value, tmp_path):
        words = [*words, *ADDRESSES[name]]
        with pytest.raises(SettingsError, match="network"):
            parsed(words, environ, tmp_path)
        assert getattr(parsed([*words, "--allow-remote"], environ, tmp_path), name) == value
        if name in ENCRYPTED:
            assert getattr(parsed(words, environ | KEY, tmp_path), name) == value
        else:
            with pytest.raises(SettingsError, match="encrypted"):
                parsed(words, environ | KEY, tmp_path)


@pytest.mark.parametrize("name", sorted(ADDRESSES))
def test_loopback_is_what_it_is_without_a_word(name: str, tmp_path: Path) -> None:
    found = parsed([*ADDRESSES[name]], {}, tmp_path)
    assert getattr(found, name) in (None, "tcp://127.0.0.1:60615", "tcp://127.0.0.1:60625")
