"""Options: command line over configuration file over environment over default; what is refused and how."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from jupyter_queueserver.manager.configfile import write_config
from jupyter_queueserver.manager.options import parse_options
from jupyter_queueserver.manager.settings import (
    Settings,
    SettingsError,
    read_settings,
    shipped_profile,
    write_settings,
)

KEY = "0123456789abcdefghijABCDEFGHIJ.-:+=^!/*?"


def settings(*arguments: str, **environ: str) -> Settings:
    found = parse_options(arguments, environ).settings
    assert found is not None
    return found


def test_defaults(tmp_path: Path) -> None:
    found = settings("--data-dir", str(tmp_path))
    assert found.data_dir == str(tmp_path)
    assert found.instance.data_dir == tmp_path
    assert (found.zmq_control_addr, found.zmq_info_addr) == ("tcp://127.0.0.1:60615", "tcp://127.0.0.1:60625")
    assert (found.startup_kind, found.startup) == ("dir", str(shipped_profile()))
    assert found.is_shipped_profile
    assert found.user_group_permissions == str(shipped_profile() / "user_group_permissions.yaml")
    assert found.existing_plans_devices is not None
    assert found.existing_plans_devices.endswith("sim_profile/existing_plans_and_devices.yaml")
    assert (found.zmq_encoding, found.zmq_publish_console, found.log_level) == ("json", False, "NORMAL")
    assert (found.saver, found.store, found.use_ipython_kernel) == ("auto", "sqlite", False)


def test_precedence(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("network:\n  zmq_control_addr: tcp://127.0.0.1:2\n  zmq_encoding: msgpack\n")
    name = {
        "QSERVER_ZMQ_CONTROL_ADDRESS_FOR_SERVER": "tcp://127.0.0.1:3",
        "QSERVER_ZMQ_ENCODING_FOR_SERVER": "json",
    }
    assert settings(**name).zmq_control_addr == "tcp://127.0.0.1:3"
    assert settings("--config", str(file), **name).zmq_control_addr == "tcp://127.0.0.1:2"
    assert settings("--config", str(file), **name).zmq_encoding == "msgpack"
    assert settings(QSERVER_CONFIG=str(file)).zmq_control_addr == "tcp://127.0.0.1:2"
    line = ["--config", str(file), "--zmq-control-addr=tcp://127.0.0.1:1"]
    assert settings(*line, **name).zmq_control_addr == "tcp://127.0.0.1:1"
    assert settings("--zmq-addr", "tcp://127.0.0.1:1").zmq_control_addr == "tcp://127.0.0.1:1"


def test_private_means_no_tcp() -> None:
    found = settings("--private", QSERVER_ZMQ_CONTROL_ADDRESS_FOR_SERVER="tcp://*:1", QSERVER_ZMQ_PRIVATE_KEY=KEY)
    assert (found.zmq_control_addr, found.zmq_info_addr, found.zmq_private_key) == (None, None, None)


def test_nothing_is_opened_to_the_network_by_accident() -> None:
    for address in ("tcp://*:60615", "tcp://0.0.0.0:60615", "tcp://192.168.1.5:60615", "tcp://[::]:60615"):
        with pytest.raises(SettingsError, match="every machine of the network"):
            settings("--zmq-control-addr", address)
        assert settings("--zmq-control-addr", address, "--allow-remote").zmq_control_addr == address
        keyed = settings("--zmq-control-addr", address, QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER=KEY)
        assert (keyed.zmq_control_addr, keyed.zmq_private_key) == (address, KEY)
    # Console text is never encrypted: the key does not help, but unpublished it needs no permission.
    info = ["--zmq-info-addr", "tcp://*:60625"]
    assert settings(*info).zmq_info_addr == "tcp://*:60625"
    with pytest.raises(SettingsError, match=r"--zmq-info-addr .* read the console text, which is never encrypted") as caught:
        settings(*info, "--zmq-publish-console", "ON", QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER=KEY)
    assert "private key" not in str(caught.value)
    assert "control the queue" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "bound"),
    [
        ("tcp://localhost:5", "tcp://127.0.0.1:5"),
        ("tcp://127.0.0.1:*", "tcp://127.0.0.1:*"),
        ("tcp://[::1]:5", "tcp://[::1]:5"),
        ("ipc:///run/x", "ipc:///run/x"),
    ],
)
def test_local_addresses(address: str, bound: str) -> None:
    assert settings("--zmq-control-addr", address).zmq_control_addr == bound


@pytest.mark.parametrize("address", ["", "60615", "tcp://127.0.0.1", "tcp://127.0.0.1:70000", "udp://127.0.0.1:5", "ipc://"])
def test_broken_addresses(address: str) -> None:
    with pytest.raises(SettingsError, match="is no address"):
        settings("--zmq-control-addr", address)


def test_broken_key_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="Z85") as caught:
        settings(QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER="secret")
    assert "secret" not in str(caught.value)
    with pytest.raises(SettingsError, match="QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER"):
        settings("--private", QSERVER_ZMQ_PRIVATE_KEY_FOR_SERVER="secret")


def test_booleans() -> None:
    assert settings("--use-ipython-kernel", "ON").use_ipython_kernel
    assert settings(QSERVER_USE_IPYTHON_KERNEL="Yes").use_ipython_kernel
    assert not settings(QSERVER_USE_IPYTHON_KERNEL="perhaps").use_ipython_kernel
    assert not settings("--use-ipython-kernel", "OFF", QSERVER_USE_IPYTHON_KERNEL="t").use_ipython_kernel


@pytest.mark.parametrize(
    "words",
    [
        ["--use-ipython-kernel", "on"],
        ["--zmq-enc", "msgpack"],
        ["--kafka-topic", "x"],
        ["--startup-dir", ".", "--startup-module", "os"],
        ["--verbose", "--quiet"],
        ["--private", "--zmq-control-addr", "tcp://127.0.0.1:1"],
        ["--device-max-depth", "deep"],
    ],
)
def test_usage_errors_end_with_status_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(words, {})
    assert caught.value.code == 2
    assert "usage: start-re-manager" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("network: [1]", "sections with keys"),
        ("[]", "sections with keys"),
        ("false", "sections with keys"),
        ("kafka: {a: 1}", "Unknown section 'kafka'"),
        ("network: {zmq_adr: x}", "Unknown key 'network/zmq_adr'"),
        ("worker: {use_ipython_kernel: 'ON'}", "must be true or false"),
        ("startup: {device_max_depth: true}", "must be an integer"),
        ("network: {zmq_control_addr: 5}", "must be a text"),
        ("a: [", "cannot be read"),
        ("operation: {console_logging_level: LOUD}", "must be one of VERBOSE, NORMAL, QUIET, SILENT"),
        ("netwerk: {}", "did you mean 'network'"),
        ("run_engine: {kafka_topic: x}", "Unknown section 'run_engine'"),
        ("network: {zmq_adr: x}", "did you mean 'network/zmq_"),
        ("network: {startup_dir: x}", "did you mean 'startup/startup_dir'"),
        ("network: {zmq_control_addr: $NO_SUCH_NAME}", "NO_SUCH_NAME.* is not set"),
        ("network: {zmq_control_addr: '${NO_SUCH_NAME}'}", "NO_SUCH_NAME.* is not set"),
        ("network: {zmq_encoding: xml}", "The value 'xml' of 'network/zmq_encoding' in .*c.yaml must be json or msgpack"),
        (
            "startup: {device_max_depth: -1}",
            "The value -1 of 'startup/device_max_depth' in .* must be an integer, 0 or more",
        ),
        ("network: {zmq_control_addr: x}", "'network/zmq_control_addr' in .*c.yaml 'x' is no address"),
        ("network: {zmq_private_key: abc}", r"\('network/zmq_private_key' in .*c.yaml\) must be Z85"),
        ("network: {}\nworker: {}\nnetwork: {}", "Section 'network' stands twice in .*c.yaml, in lines 1 and 3"),
        (
            "network:\n  zmq_encoding: json\n  zmq_encoding: json",
            "Key 'network/zmq_encoding' stands twice .* lines 2 and 3",
        ),
        ("&a {'': *a}", "sections|constructor|recursive|Unknown section"),
        ("operation: {user_group_permissions_reload: SOMETIMES}", "must be one of NEVER, ON_REQUEST, ON_STARTUP"),
        ("operation: {emergency_lock_key: ''}", "must not be empty"),
        ("worker: {permitted_re_metadata_keys: /a}", "must be a list of texts"),
        ("worker: {permitted_re_metadata_keys: [1]}", "must be a list of texts"),
        ("worker: {ipython_shell_port: '6000'}", "must be an integer"),
        ("worker: {ipython_shell_port: 70000}", "'worker/ipython_shell_port' in .* must be an integer from 1 to 65535"),
    ],
)
def test_broken_configuration_is_refused(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(SettingsError, match=match):
        settings("--config", str(tmp_path / "c.yaml"))


def test_secret_of_a_wrong_type_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("operation: {emergency_lock_key: 4711}")
    with pytest.raises(SettingsError, match="must be a text") as caught:
        settings("--config", str(tmp_path / "c.yaml"))
    assert "4711" not in str(caught.value)


def test_configuration_directory_and_variables(tmp_path: Path) -> None:
    (tmp_path / "net.yml").write_text("network: {zmq_private_key: '${MY_KEY}', zmq_publish_console: true}\n")
    (tmp_path / "op.yml").write_text("operation: {console_logging_level: QUIET, print_console_output: false}\n")
    (tmp_path / ".hidden").write_text("[")
    (tmp_path / "notes.py").write_text("[")
    (tmp_path / "__pycache__").mkdir()
    found = settings("--config", str(tmp_path), MY_KEY=KEY)
    assert (found.zmq_private_key, found.zmq_publish_console) == (KEY, True)
    assert (found.log_level, found.console_output) == ("QUIET", False)
    (tmp_path / "again.yml").write_text("operation: {}\n")
    with pytest.raises(SettingsError, match="in both"):
        settings("--config", str(tmp_path), MY_KEY=KEY)
    with pytest.raises(SettingsError, match="does not exist"):
        settings("--config", str(tmp_path / "none"))


def test_dollar_signs(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("operation: {emergency_lock_key: 'a$$B-$ {$X}${X}y'}\n")
    assert settings("--config", str(tmp_path / "c.yaml"), X="1").emergency_lock_key == "a$B-$ {1}1y"


def test_startup_directory(tmp_path: Path) -> None:
    found = settings("--startup-dir", str(tmp_path))
    assert (found.startup_kind, found.startup) == ("dir", str(tmp_path))
    assert found.user_group_permissions == str(tmp_path / "user_group_permissions.yaml")
    assert found.existing_plans_devices == str(tmp_path / "existing_plans_and_devices.yaml")
    with pytest.raises(SettingsError, match="does not exist"):
        settings("--startup-dir", str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="existing directory"):
        settings("--user-group-permissions", str(tmp_path / "none" / "p.yaml"))
    (tmp_path / "other").mkdir()
    found = settings("--user-group-permissions", str(tmp_path / "other"))
    assert found.user_group_permissions == str(tmp_path / "other" / "user_group_permissions.yaml")


def test_startup_profile(tmp_path: Path) -> None:
    startup = tmp_path / "profile_lab" / "startup"
    startup.mkdir(parents=True)
    found = settings("--startup-profile", "lab", IPYTHONDIR=str(tmp_path))
    assert (found.startup_kind, found.startup, found.ipython_dir) == ("profile", "lab", str(tmp_path))
    assert found.user_group_permissions == str(startup / "user_group_permissions.yaml")
    where = ["--startup-profile", "lab", "--ipython-dir", str(tmp_path)]
    assert settings(*where).ipython_dir == str(tmp_path)
    assert settings(*where, "--startup-module", "lab.start").startup_kind == "module"
    with pytest.raises(SettingsError, match="cannot be combined"):
        settings(*where, "--startup-dir", str(tmp_path))
    with pytest.raises(SettingsError, match="does not exist"):
        settings("--startup-profile", "none", "--ipython-dir", str(tmp_path))


def test_a_profile_beside_a_module(tmp_path: Path) -> None:
    """Without the kernel it tells where the files are; with it, its startup files are executed first."""
    startup = tmp_path / "profile_default" / "startup"
    startup.mkdir(parents=True)
    words = ["--ipython-dir", str(tmp_path), "--startup-module", "lab.start"]
    found = settings(*words)
    assert (found.startup_kind, found.startup_profile) == ("module", None)
    assert found.existing_plans_devices == str(startup / "existing_plans_and_devices.yaml")
    found = settings(*words, "--use-ipython-kernel", "ON")
    assert (found.startup_kind, found.startup, found.startup_profile) == ("module", "lab.start", "default")
    assert found.ipython_dir == str(tmp_path)


def test_the_startup_directory_of_a_profile(tmp_path: Path) -> None:
    startup = tmp_path / "profile_lab" / "startup"
    startup.mkdir(parents=True)
    assert settings("--startup-dir", str(startup)).startup_kind == "dir"
    found = settings("--startup-dir", str(startup), "--use-ipython-kernel", "ON")
    assert (found.startup_kind, found.startup, found.ipython_dir) == ("profile", "lab", str(tmp_path))
    assert found.user_group_permissions == str(startup / "user_group_permissions.yaml")
    assert settings("--startup-dir", str(tmp_path), "--use-ipython-kernel", "ON").startup_kind == "dir"


def test_permissions_and_lists() -> None:
    found = settings()
    assert (found.user_group_permissions_reload, found.update_existing_plans_devices) == ("ON_STARTUP", "ENVIRONMENT_OPEN")
    found = settings("--user-group-permissions-reload=NEVER", "--update-existing-plans-devices", "ALWAYS")
    assert (found.user_group_permissions_reload, found.update_existing_plans_devices) == ("NEVER", "ALWAYS")


def test_permitted_metadata_keys(tmp_path: Path) -> None:
    assert settings().permitted_re_metadata_keys == ("/",)
    assert settings("--permitted-re-metadata-keys", "/a", "/b/c").permitted_re_metadata_keys == ("/a", "/b/c")
    variable = {"QSERVER_PERMITTED_RE_METADATA_KEYS": "/x:/y"}
    assert settings(**variable).permitted_re_metadata_keys == ("/x", "/y")
    (tmp_path / "c.yaml").write_text("worker: {permitted_re_metadata_keys: [/p/q]}\n")
    assert settings("--config", str(tmp_path / "c.yaml"), **variable).permitted_re_metadata_keys == ("/p/q",)


def test_emergency_lock_key(tmp_path: Path) -> None:
    variable = {"QSERVER_EMERGENCY_LOCK_KEY_FOR_SERVER": "from the environment"}
    assert settings(**variable).emergency_lock_key == "from the environment"
    (tmp_path / "c.yaml").write_text("operation: {emergency_lock_key: '${KEY}'}\n")
    assert settings("--config", str(tmp_path / "c.yaml"), KEY="file", **variable).emergency_lock_key == "file"


def test_kernel_options(tmp_path: Path) -> None:
    on = ["--use-ipython-kernel", "ON"]
    assert settings(*on).ipython_kernel_ip is None
    assert settings(*on, "--ipython-kernel-ip", "localhost").ipython_kernel_ip == "127.0.0.1"
    found = settings(*on, "--ipython-matplotlib", "qt5", QSERVER_IPYTHON_KERNEL_SHELL_PORT="60001")
    assert (found.ipython_kernel_ip, found.ipython_shell_port, found.ipython_hb_port) == ("127.0.0.1", 60001, None)
    assert found.ipython_matplotlib == "qt5"
    assert settings("--ipython-kernel-ip", "auto").ipython_kernel_ip is None  # nobody is to attach to a hidden kernel
    for address in ("auto", "192.168.1.5"):
        with pytest.raises(SettingsError, match="not encrypted"):
            settings(*on, "--ipython-kernel-ip", address)
        assert settings(*on, "--ipython-kernel-ip", address, "--allow-remote").ipython_kernel_ip == address
    for address in ("0.0.0.0", "::1", "somewhere"):  # noqa: S104 - it is refused
        with pytest.raises(SettingsError, match="--ipython-kernel-ip"):
            settings(*on, "--ipython-kernel-ip", address, "--allow-remote")
    with pytest.raises(SettingsError, match="QSERVER_IPYTHON_KERNEL_HB_PORT must be an integer"):
        settings(QSERVER_IPYTHON_KERNEL_HB_PORT="many")
    found = settings(*on, "--ipython-connection-file", "k.json", "--ipython-connection-dir", str(tmp_path))
    assert (found.ipython_connection_file, found.ipython_connection_dir) == ("k.json", str(tmp_path))


def test_a_metadata_key_without_slash_selects_nothing_and_says_so() -> None:
    found = parse_options(["--permitted-re-metadata-keys", "beamline", "/scan_id"], {})
    assert found.settings.permitted_re_metadata_keys == ("beamline", "/scan_id")
    (text,) = found.warnings
    assert "'beamline' of --permitted-re-metadata-keys selects nothing" in text


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--kafka-topic=x"], "the option --kafka-topic was removed"),
        (["--databroker-config", "x"], "the option --databroker-config was removed"),
        (["--zmq-enc", "msgpack"], "cannot be shortened: --zmq-enc may mean --zmq-encoding"),
        (["--existing-plans-and-devices", "."], "did you mean --existing-plans-devices?"),
        (["status"], "unexpected words: status"),
    ],
)
def test_unknown_words_are_named(words: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options(words, {})
    assert caught.value.code == 2
    assert text in capsys.readouterr().err


def test_saved_settings_are_a_configuration_file(tmp_path: Path) -> None:
    assert parse_options([], {"QSERVER_SETTINGS_SAVE_TO_FILE": "x.yaml"}).save_to == "x.yaml"
    (tmp_path / "lab").mkdir()
    words = ["--startup-dir", str(tmp_path / "lab"), "--verbose", "--permitted-re-metadata-keys", "/a", "/b", "--keep-re"]
    found = settings(*words, QSERVER_EMERGENCY_LOCK_KEY_FOR_SERVER="cost $5", QSERVER_USE_IPYTHON_KERNEL="on")
    file = tmp_path / "saved.yaml"
    write_config(found, file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert settings("--config", str(file)) == found
    with pytest.raises(SettingsError, match="QSERVER_SETTINGS_SAVE_TO_FILE"):
        write_config(found, tmp_path / "none" / "saved.yaml")


def test_module_needs_the_yaml_files(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="--user-group-permissions must say"):
        settings("--startup-module", "lab.start")
    files = ["--user-group-permissions", str(tmp_path), "--existing-plans-devices", str(tmp_path / "e.yaml")]
    found = settings("--startup-module", "lab.start", *files)
    assert (found.startup_kind, found.startup) == ("module", "lab.start")
    assert found.existing_plans_devices == str(tmp_path / "e.yaml")


def test_command_line_source_replaces_the_file(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("startup: {startup_module: lab.start}\n")
    found = settings("--config", str(tmp_path / "c.yaml"), "--startup-dir", str(tmp_path))
    assert (found.startup_kind, found.startup) == ("dir", str(tmp_path))


def test_negative_depth_and_unknown_encoding_are_refused() -> None:
    with pytest.raises(SettingsError):
        settings("--device-max-depth", "-1")
    with pytest.raises(SettingsError, match=r"^The value 'xml' of --zmq-encoding must be json or msgpack.$"):
        settings("--zmq-encoding", "xml")
    with pytest.raises(SettingsError, match="'xml' of the environment variable QSERVER_ZMQ_ENCODING_FOR_SERVER must be json or"):
        settings(QSERVER_ZMQ_ENCODING_FOR_SERVER="xml")
    with pytest.raises(SettingsError, match=r"^The value 0\.0 of --silence-limit must be a number above 0.$"):
        settings("--silence-limit", "0")
    assert settings("--zmq-encoding", "MSGPACK").zmq_encoding == "msgpack"


def test_file_round_trip(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    found = settings("--data-dir", str(tmp_path), "--device-max-depth", "3", "--keep-re", "--silent")
    write_settings(found, file)
    assert read_settings(file) == found
    assert file.stat().st_mode & 0o777 == 0o600
    content = msgspec.json.decode(file.read_bytes())
    file.write_bytes(msgspec.json.encode(content | {"colour": "blue"}))
    with pytest.raises(SettingsError, match="colour"):
        read_settings(file)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_settings(tmp_path / "none.json")


def test_adopt_needs_no_settings(tmp_path: Path) -> None:
    options = parse_options(["--adopt", "--data-dir", str(tmp_path)], {})
    assert options.settings is None
    assert options.data_dir == str(tmp_path)


def test_watchdog_imports_nothing_heavy() -> None:
    code = (
        "import sys, jupyter_queueserver.__main__, jupyter_queueserver.manager.start\n"
        "heavy = {'asyncio', 'zmq', 'yaml', 'bluesky', 'numpy', 'ophyd', 'sqlite3', 'tornado'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"
