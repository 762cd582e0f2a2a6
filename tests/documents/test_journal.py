"""The journal: what was appended is read, in order, once, whatever is cut off or broken; appending never raises."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_queueserver.documents.journal import JournalWriter
from jupyter_queueserver.documents.reader import JournalReader, Position, end_of
from jupyter_queueserver.documents.segments import environments, read_header, segment_path, segments

sizes = st.lists(st.integers(0, 400), min_size=1, max_size=12)


def write(directory: Path, lengths: list[int], environment: str = "env", segment_bytes: int = 1 << 20) -> None:
    writer = JournalWriter(directory, environment, segment_bytes=segment_bytes)
    for number, length in enumerate(lengths):
        writer.append("event", {"n": number, "fill": b"\xf7jr\x01" * (length // 4)})
    writer.close()
    assert (writer.appended, writer.failed) == (len(lengths), 0)


def numbers(reader: JournalReader) -> list[int]:
    return [entry.doc["n"] for entry in reader]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journals")


def fresh(base: Path) -> Path:
    folder = base / str(len(list(base.iterdir())))
    folder.mkdir()
    return folder


@settings(max_examples=40, deadline=None)
@given(lengths=sizes, segment_bytes=st.integers(1, 2000), step=st.integers(1, 5))
def test_reading_in_any_steps_with_restarts_gives_everything_once(
    base: Path, lengths: list[int], segment_bytes: int, step: int
) -> None:
    directory = fresh(base)
    write(directory, lengths, segment_bytes=segment_bytes)
    position, seen = Position(), []
    while batch := (reader := JournalReader(directory, position)).read(step):
        seen += batch
        position = reader.position  # a new reader each time: as after a restart
    assert [entry.doc["n"] for entry in seen] == list(range(len(lengths)))
    assert [entry.seq for entry in seen] == list(range(1, len(lengths) + 1))


@settings(max_examples=60, deadline=None)
@given(lengths=sizes, data=st.data())
def test_a_torn_tail_hides_only_itself_and_a_new_writer_goes_on(base: Path, lengths: list[int], data: Any) -> None:
    directory = fresh(base)
    write(directory, lengths)
    path = segment_path(directory, "env", 1)
    whole = path.read_bytes()
    ends = [entry.after.offset for entry in JournalReader(directory)]
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    kept = sum(end <= cut for end in ends)
    reader = JournalReader(directory)
    assert numbers(reader) == list(range(kept))
    assert path.stat().st_size == cut  # a reader never cuts the file

    writer = JournalWriter(directory, "env")
    writer.append("event", {"n": 99})
    writer.close()
    assert numbers(reader) == [99]
    assert numbers(JournalReader(directory)) == [*range(kept), 99]


@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.integers(0, 200), min_size=2, max_size=8), data=st.data())
def test_a_flipped_bit_in_a_closed_segment_costs_one_document_at_most(base: Path, lengths: list[int], data: Any) -> None:
    directory = fresh(base)
    write(directory, lengths)
    expected = [entry.doc for entry in JournalReader(directory)]
    write(directory, [0])  # closes the first segment
    expected += [{"n": 0, "fill": b""}]
    path = segment_path(directory, "env", 1)
    damaged = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(damaged) - 1))
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(damaged)
    found = [entry.doc for entry in JournalReader(directory)]
    assert len(found) >= len(expected) - 1
    remaining = iter(expected)
    assert all(doc in remaining for doc in found)  # unchanged, in order, nothing twice


def test_environments_are_read_in_order_of_age_and_continued(tmp_path: Path) -> None:
    write(tmp_path, [1, 1], "zz-first")
    write(tmp_path, [1], "aa-second")
    reader = JournalReader(tmp_path)
    assert [entry.environment_id for entry in reader] == ["zz-first", "zz-first", "aa-second"]
    write(tmp_path, [1], "zz-first")
    assert [(entry.environment_id, entry.seq) for entry in reader] == [("zz-first", 3)]
    assert environments(tmp_path) == ["zz-first", "aa-second"]
    assert len(segments(tmp_path, "zz-first")) == 2


def test_a_reader_beside_a_living_writer(tmp_path: Path) -> None:
    reader = JournalReader(tmp_path)
    assert reader.read() == []
    writer = JournalWriter(tmp_path, "env")
    for n in range(5):
        writer.append("event", {"n": n})
        assert numbers(reader) == [n]
        assert numbers(reader) == []
    writer.close()


def test_the_header_names_writer_and_boot(tmp_path: Path) -> None:
    write(tmp_path, [1])
    header = read_header(segment_path(tmp_path, "env", 1))
    assert header is not None
    assert (header.environment_id, header.pid, header.first_seq) == ("env", os.getpid(), 1)
    assert header.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert end_of(tmp_path, "env") is not None
    assert end_of(tmp_path, "nobody") is None


def test_append_never_raises_and_says_what_was_lost(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("a file where the folder should be")
    alarms: list[str] = []
    writer = JournalWriter(tmp_path, "env", on_alarm=alarms.append)
    writer.append("start", {"uid": "a"})
    assert (writer.appended, writer.failed) == (0, 1)
    assert "start" in alarms[-1]
    (tmp_path / "env").unlink()
    writer.append("stop", {"uid": "b"})
    assert (writer.appended, writer.failed) == (1, 1)
    assert [entry.seq for entry in JournalReader(tmp_path)] == [2]  # the gap shows the loss
    writer.close()
    writer.append("event", {})
    assert writer.failed == 2


def test_a_failing_alarm_callback_does_not_reach_the_run_engine(tmp_path: Path) -> None:
    def explode(reason: str) -> None:
        raise RuntimeError(reason)

    writer = JournalWriter(tmp_path, "env", on_alarm=explode)
    writer.append("event", {"bad": object()})
    assert writer.appended == 1
    writer.close()


def test_after_a_short_write_the_document_goes_into_a_new_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = JournalWriter(tmp_path, "env")
    writer.append("event", {"n": 0})
    real, calls = os.writev, []

    def short_write(descriptor: int, pieces: tuple[bytes, ...]) -> int:
        calls.append(pieces)
        return real(descriptor, pieces if len(calls) > 1 else [b"".join(pieces)[:10]])

    def full_disk(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    with monkeypatch.context() as patch:
        patch.setattr(os, "writev", short_write)
        patch.setattr(os, "write", full_disk)
        writer.append("event", {"n": 1})
    writer.append("event", {"n": 2})
    writer.close()
    assert writer.failed == 0
    assert numbers(JournalReader(tmp_path)) == [0, 1, 2]
    assert len(segments(tmp_path, "env")) == 2


def test_the_bell_is_rung_and_a_full_or_missing_bell_does_not_matter(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bell:
        writer = JournalWriter(tmp_path, "env", bell=tmp_path / "bell")
        writer.append("event", {"n": 0})
        bell.bind(str(tmp_path / "bell"))
        for n in range(1, 2000):  # many more than a queue holds
            writer.append("event", {"n": n})
        assert bell.recv(10) == b"!"
    writer.append("event", {"n": 2000})
    assert (writer.appended, writer.failed) == (2001, 0)
    assert numbers(JournalReader(tmp_path)) == list(range(2001))
    writer.close()


def test_images_larger_than_a_chunk(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, "env")
    image = np.random.default_rng(1).integers(0, 4096, (1200, 1000), "uint16")
    for n in range(3):
        writer.append("event", {"n": n, "data": {"image": image + n}})
    writer.close()
    reader = JournalReader(tmp_path)
    assert len(reader.read(max_bytes=1)) == 1
    for entry in reader:
        np.testing.assert_array_equal(entry.doc["data"]["image"], image + entry.doc["n"])


@pytest.mark.usefixtures("child_environment")
def test_journal_and_relay_import_nothing_heavy() -> None:
    code = (
        "import sys, jupyter_queueserver.documents.journal, jupyter_queueserver.documents.__main__, "
        "jupyter_queueserver.documents.catalog, jupyter_queueserver.documents.deaths\n"
        "print(sorted({'numpy', 'pandas', 'tiled', 'bluesky', 'databroker', 'event_model', 'zmq', 'httpx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
