"""Console, bells, environment record and ledger file: what two processes share on the disk."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import msgspec
import pytest

from jupyter_queueserver.core.items import Item
from jupyter_queueserver.instance import Instance
from jupyter_queueserver.link import environment
from jupyter_queueserver.link.bell import Bell, BellListener, ring
from jupyter_queueserver.link.console import ConsoleReader, punch_head
from jupyter_queueserver.link.environment import StartupSource, new_record
from jupyter_queueserver.link.launch import exit_sentence
from jupyter_queueserver.link.wire import Signer
from jupyter_queueserver.link.worker import item_text


def test_console_text_is_read_by_offset(tmp_path: Path) -> None:
    console = ConsoleReader(tmp_path / "console.log")
    assert (console.size, console.read(0, 10)) == (0, (0, b""))
    console.path.write_bytes(b"hello world")
    assert console.size == 11
    assert console.read(0, 5) == (0, b"hello")
    assert console.read(6, 100) == (6, b"world")
    assert console.read(11, 100) == (11, b"")
    assert console.read(50, 100) == (50, b"")


def test_the_head_of_a_long_console_is_given_back_and_offsets_stay_true(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    lines = b"".join(b"%07d\n" % n for n in range(40_000))
    path.write_bytes(lines)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    assert punch_head(fd, 0, kept=200_000) == 0  # not yet twice as long
    punched = punch_head(fd, 0, kept=65_536)
    assert punch_head(fd, punched, kept=65_536) == punched
    os.write(fd, b"more")
    os.close(fd)
    console = ConsoleReader(path)
    assert console.size == len(lines) + 4
    start, text = console.read(0, 1 << 20)
    assert text == (lines + b"more")[start:]
    if path.stat().st_blocks * 512 < len(lines):  # the file system can do it
        assert len(lines) - 2 * 65_536 <= start == punched


def test_a_bell_reaches_its_listener_and_never_raises(tmp_path: Path) -> None:
    path = tmp_path / "bell"

    async def scenario() -> None:
        heard: asyncio.Queue[set[bytes]] = asyncio.Queue()
        assert not ring(path, b"r")
        stale = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        stale.bind(str(path))
        stale.close()
        listener = BellListener(path, heard.put_nowait)
        bell = Bell(path)
        assert bell.ring(b"r")
        assert bell.ring(b"c")
        async with asyncio.timeout(15):
            rung = await heard.get()
            while rung != {b"r", b"c"}:
                rung |= await heard.get()
        while bell.ring(b"r"):  # until nobody takes it any more
            pass
        listener.close()
        assert not path.exists()
        assert not bell.ring(b"r")
        bell.close()
        assert not bell.ring(b"r")

    asyncio.run(scenario())


def test_a_successors_bell_is_left_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        first = BellListener(tmp_path / "bell", lambda _: None)
        second = BellListener(tmp_path / "bell", lambda _: None)
        first.close()
        first.close()
        assert ring(tmp_path / "bell", b"r")
        second.close()

    asyncio.run(scenario())


def test_the_record_is_written_private_and_read_back(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "data").prepare()
    assert environment.read_environment(instance) is None
    record = new_record(instance, StartupSource(kind="module", value="numpy"), device_max_depth=2)
    environment.write_environment(instance, record)
    assert environment.read_environment(instance) == record
    assert instance.environment_file.stat().st_mode & 0o777 == 0o600
    instance.environment_file.write_text('{"environment_id": 3}')
    assert environment.read_environment(instance) is None
    environment.remove_environment(instance)
    environment.remove_environment(instance)
    assert not instance.environment_file.exists()
    instance.sockets.rmdir()


def test_old_environments_are_pruned_but_never_the_open_one(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "data").prepare()
    source = StartupSource(kind="dir", value="x")
    assert environment.prune_environments(instance, keep=0) == []
    records = [new_record(instance, source) for _ in range(4)]
    names = [record.environment_id for record in records]
    for age, name in enumerate(names):
        directory = instance.environment_dir(name)
        directory.mkdir(parents=True)
        (directory / "kernel.json").touch()
        os.utime(directory / "kernel.json", (age, age))
    current = msgspec.structs.replace(records[0], environment_id=names[0])
    environment.write_environment(instance, current)
    assert environment.prune_environments(instance, keep=2) == [names[1]]
    left = sorted(path.name for path in instance.environment_dir("x").parent.iterdir())
    assert left == sorted([names[0], *names[2:]])
    instance.sockets.rmdir()


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (0, "The worker process ended with exit code 0."),
        (3, "The worker process ended with exit code 3."),
        (-9, "The worker process was killed by signal 9 (SIGKILL)."),
        (-11, "The worker process was killed by signal 11 (SIGSEGV)."),
        (-200, "The worker process was killed by signal 200 (unknown)."),
    ],
)
def test_the_end_of_a_child_in_words(code: int, sentence: str) -> None:
    assert exit_sentence(code) == sentence


def test_messages_are_signed_as_jupyter_does_it() -> None:
    from jupyter_client.session import Session

    ours, theirs = Signer("secret"), Session(key=b"secret")
    msg_id, frames = ours.pack("ping", {"a": [1, "ü", None]})
    _, rest = theirs.feed_identities(frames)
    received = theirs.deserialize(rest)
    assert received["header"]["session"] == ours.session_id
    assert received["content"] == {"a": [1, "ü", None]}
    reply = theirs.serialize(theirs.msg("pong", {"ok": True}, parent=received))
    assert ours.unpack(reply) == (msg_id, "pong", {"ok": True})
    with pytest.raises(ValueError, match="not signed"):
        Signer("other").unpack(reply)
    with pytest.raises(ValueError, match=r"IDS\|MSG"):
        ours.unpack([b"nonsense"])


def test_an_item_travels_as_text_whatever_a_user_wrote() -> None:
    import json

    fields = {"item_uid": "u", "item_type": "plan", "name": "p", "kwargs": {"a": "\udc80ü", "b": float("inf")}}
    text = item_text(Item(fields))
    text.encode()
    assert json.loads(text) == fields
    plain = Item({**fields, "kwargs": {"a": "ü"}})
    assert item_text(plain).encode() == plain.text


def test_an_unreadable_record_does_not_make_an_orphan(tmp_path: Path) -> None:
    instance = Instance(tmp_path / "data").prepare()
    path = instance.environment_file
    assert not environment.is_named(path, "e1")
    record = new_record(instance, StartupSource(kind="dir", value="x"))
    environment.write_environment(instance, record)
    assert environment.is_named(path, record.environment_id)
    assert not environment.is_named(path, "e1")
    path.write_text("{")
    assert environment.is_named(path, "e1")
    path.unlink()
    path.mkdir()
    assert environment.is_named(path, "e1")
    instance.sockets.rmdir()
