"""Which store is meant: --store, the options of the old interface, and where a password may stand."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from jupyter_queueserver.instance.secrecy import OWN_SECRETS
from jupyter_queueserver.manager.configfile import write_config
from jupyter_queueserver.manager.options import StartOptions, parse_options
from jupyter_queueserver.manager.settings import Settings, SettingsError
from jupyter_queueserver.storage import MemoryStore, open_store
from jupyter_queueserver.storage.redis import RedisStore


def parsed(*words: str, **environ: str) -> StartOptions:
    return parse_options(words, environ)


def settings(*words: str, **environ: str) -> Settings:
    found = parsed(*words, **environ)
    assert found.settings is not None
    return found.settings


def test_the_default_is_a_file() -> None:
    found = settings()
    assert (found.store, found.redis_name_prefix, found.redis_password) == ("sqlite", "qs_default", None)
    assert settings("--store", "memory").store == "memory"


@pytest.mark.parametrize("address", ["redis://h:6380/2", "rediss://user@h:6380/2", "unix:///run/redis.sock?db=1"])
def test_one_setting_in_three_places(tmp_path: Path, address: str) -> None:
    assert settings("--store", address).store == address
    assert settings(JUPYTER_QUEUESERVER_STORE=address).store == address
    (tmp_path / "c.yaml").write_text(f"operation: {{store: '{address}'}}\n")
    assert settings("--config", str(tmp_path / "c.yaml")).store == address


@pytest.mark.parametrize(("short", "address"), [("h", "redis://h"), ("h:1", "redis://h:1"), ("h:1/3", "redis://h:1/3")])
def test_the_options_of_the_old_interface(tmp_path: Path, short: str, address: str) -> None:
    found = parsed("--redis-addr", short, "--redis-name-prefix", "mine")
    assert found.settings is not None
    assert (found.settings.store, found.settings.redis_name_prefix, found.warnings) == (address, "mine", ())
    (tmp_path / "c.yaml").write_text(f"network: {{redis_addr: '{short}', redis_name_prefix: ''}}\n")
    kept = settings("--config", str(tmp_path / "c.yaml"))
    assert (kept.store, kept.redis_name_prefix) == (address, "")


def test_what_has_no_effect_is_said(tmp_path: Path) -> None:
    assert parsed("--redis-name-prefix", "x").warnings == (
        "--redis-name-prefix has no effect: the queue is kept in the data directory (SQLite).",
    )
    (tmp_path / "c.yaml").write_text("network: {redis_addr: h, redis_name_prefix: x}\n")
    found = parsed("--config", str(tmp_path / "c.yaml"), "--store", "sqlite")
    assert found.settings is not None
    assert found.settings.store == "sqlite"
    (text,) = found.warnings
    assert "'network/redis_addr'" in text
    assert text.endswith("have no effect: --store says where the queue is kept.")
    both = parsed("--redis-addr", "old", "--store", "redis://new")
    assert both.settings is not None
    assert both.settings.store == "redis://new"
    assert both.warnings == ("--redis-addr has no effect: --store says where the queue is kept.",)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--store", "redis"], "'redis' of --store must be sqlite, memory, or the address"),
        (["--store", "redis://"], "names no host; the form is redis://host:port/db"),
        (["--store", "redis://h:many"], "port is not an integer"),
        (["--store", "redis://h:0"], "port is not an integer"),
        (["--store", "redis://h:1/first"], "database is not an integer"),
        (["--store", "redis://h?db=first"], "database is not an integer"),
        (["--store", "redis://h?password=x"], "unknown option 'password'"),
        (["--store", "unix://"], "unix:///path"),
        (["--redis-addr", "h:many"], "The address of --redis-addr cannot be used: its port"),
    ],
)
def test_addresses_that_cannot_be_used(words: list[str], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        parsed(*words)


def test_a_password_is_never_on_the_command_line_and_never_shown(tmp_path: Path) -> None:
    for words in (["--store", "redis://u:hush@h"], ["--redis-addr", "u:hush@h:1"]):
        with pytest.raises(SettingsError, match="QSERVER_REDIS_PASSWORD_FILE") as caught:
            parsed(*words)
        assert "hush" not in str(caught.value)
    for address in ("redis://:hush@h:x", "redys://:hush@h"):
        with pytest.raises(SettingsError) as caught:
            parsed(JUPYTER_QUEUESERVER_STORE=address)
        assert "hush" not in str(caught.value)
    assert {"QSERVER_REDIS_PASSWORD", "JUPYTER_QUEUESERVER_STORE"} <= OWN_SECRETS  # no child that needs none gets it


def test_where_a_password_may_stand(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hush\n")
    at = ("--store", "redis://u@h:1/0")
    for found in (
        settings(*at, QSERVER_REDIS_PASSWORD="hush"),
        settings(*at, QSERVER_REDIS_PASSWORD_FILE=str(file)),
        settings(*at, "--redis-password-file", str(file)),
        settings(JUPYTER_QUEUESERVER_STORE="redis://u:hu%73h@h:1/0"),
    ):
        assert (found.store, found.redis_password) == ("redis://u@h:1/0", "hush")
    assert settings(JUPYTER_QUEUESERVER_STORE="redis://:hush@h").store == "redis://h"
    with pytest.raises(SettingsError, match="more than once"):
        settings(JUPYTER_QUEUESERVER_STORE="redis://:a@h", QSERVER_REDIS_PASSWORD="b")
    with pytest.raises(SettingsError, match="cannot be read"):
        settings(*at, "--redis-password-file", str(tmp_path / "none"))
    file.write_text("")
    with pytest.raises(SettingsError, match="in one line"):
        settings(*at, "--redis-password-file", str(file))


def test_saved_settings_say_the_same(tmp_path: Path) -> None:
    found = settings("--store", "redis://h:1/2", "--redis-name-prefix", "mine", QSERVER_REDIS_PASSWORD="$hush")
    write_config(found, tmp_path / "c.yaml")
    assert (tmp_path / "c.yaml").stat().st_mode & 0o077 == 0
    assert yaml.safe_load((tmp_path / "c.yaml").read_text())["network"]["redis_password"] == "$$hush"
    assert settings("--config", str(tmp_path / "c.yaml")) == found


def test_the_store_is_opened_as_it_is_named() -> None:
    assert isinstance(open_store("memory"), MemoryStore)
    store = open_store("redis://:hush@127.0.0.1:1/0")
    assert isinstance(store, RedisStore)
    assert store.address.url == "redis://127.0.0.1:1/0"
    assert "hush" not in repr(store.address)
    with pytest.raises(ValueError, match="no store of kind"):
        open_store("paper")
