"""The spool: framing, torn lines, segments, acknowledgement, a disk that fails."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_queueserver.core.reports import EngineState, EnvironmentFailed, ItemEnded, Report
from jupyter_queueserver.link import spool
from jupyter_queueserver.link.spool import SpoolReader, SpoolWriter, decode_line, encode_line

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
reports: st.SearchStrategy[Report] = st.one_of(
    st.builds(EngineState, time=st.floats(0, 1e10), state=st.none() | texts, deferred=st.booleans()),
    st.builds(
        ItemEnded,
        time=st.floats(0, 1e10),
        item_uid=texts,
        ending=st.sampled_from(["completed", "failed"]),
        run_uids=st.lists(texts, max_size=3).map(tuple),
        msg=texts,
    ),
)


def state(text: str) -> EngineState:
    return EngineState(time=1.0, state=text)


@settings(deadline=None)
@given(st.integers(1, 2**40), reports)
def test_a_line_gives_back_what_was_written(n: int, report: Report) -> None:
    line = encode_line(n, report)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_line(line[:-1]) == (n, report)


@settings(deadline=None)
@given(reports, st.data())
def test_a_damaged_line_is_never_taken_for_a_report(report: Report, data: st.DataObject) -> None:
    line = encode_line(5, report)[:-1]
    place = data.draw(st.integers(0, len(line) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != line[place]))
    damaged = line[:place] + bytes([byte]) + line[place + 1 :]
    try:
        number, found = decode_line(damaged)
    except ValueError:
        return
    assert found == report  # the number alone is not covered by the checksum; its order is checked by the reader
    assert number != 5 or damaged != line


def test_nothing_is_told_after_the_end(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    assert writer.append(state("last")) == 1
    writer.close()
    assert writer.append(state("too late")) == 1
    assert writer.flush()
    assert SpoolReader(tmp_path).since(0) == [(1, state("last"))]


def test_lone_surrogates_are_written_all_the_same() -> None:
    line = encode_line(1, EnvironmentFailed(time=0.0, msg="file \udc80"))
    assert decode_line(line[:-1])[1] == EnvironmentFailed(time=0.0, msg="file ?")


@settings(deadline=None)
@given(st.lists(reports, max_size=12), st.integers(1, 400), st.data())
def test_a_reader_sees_all_whole_lines_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, written: list[Report], size: int, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    writer = SpoolWriter(directory, segment_bytes=size)
    for report in written:
        writer.append(report)
    writer.close()
    files = sorted(directory.iterdir())
    whole = len(written)
    if files:
        last = files[-1].read_bytes()
        cut = data.draw(st.integers(0, len(last)))
        files[-1].write_bytes(last[:cut])
        whole -= last.count(b"\n") - last[:cut].count(b"\n")
    since = data.draw(st.integers(0, len(written)))
    reader = SpoolReader(directory)
    assert reader.since(since) == list(enumerate(written, 1))[since:whole]
    assert reader.damage is None


def test_pulls_go_on_where_they_stopped_over_segments_and_acknowledgement(tmp_path: Path) -> None:
    writer, reader = SpoolWriter(tmp_path, segment_bytes=200), SpoolReader(tmp_path)
    seen: list[int] = []
    for n in range(1, 41):
        assert writer.append(state(f"s{n}")) == n
        if n % 3 == 0:
            pulled = reader.since(len(seen))
            seen += [number for number, _ in pulled]
            assert seen == list(range(1, n + 1))
            writer.acknowledge(n)
    assert len(list(tmp_path.iterdir())) < 4
    assert [n for n, _ in reader.since(len(seen))] == [40]
    assert [n for n, _ in SpoolReader(tmp_path).since(39)] == [40]
    writer.close()


def test_unacknowledged_reports_stay(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, segment_bytes=100)
    for n in range(20):
        writer.append(state(str(n)))
    writer.acknowledge(7)
    assert [n for n, _ in SpoolReader(tmp_path).since(7)] == list(range(8, 21))
    writer.close()


def test_damage_with_reports_behind_it_is_told(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path)
    for n in range(3):
        writer.append(state(f"state-{n}"))
    writer.close()
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes().replace(b"state-1", b"state-X"))
    reader = SpoolReader(tmp_path)
    assert [n for n, _ in reader.since(0)] == [1]
    assert reader.damage is not None
    assert reader.damage.startswith("Report 2 cannot be read")


def test_an_empty_or_missing_spool_has_no_reports(tmp_path: Path) -> None:
    assert SpoolReader(tmp_path).since(0) == []
    assert SpoolReader(tmp_path / "nowhere").since(5) == []


def test_threads_share_the_numbering(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, segment_bytes=1000)
    threads = [threading.Thread(target=lambda: [writer.append(state("x")) for _ in range(100)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [n for n, _ in SpoolReader(tmp_path).since(0)] == list(range(1, 401))
    writer.close()


@pytest.mark.parametrize("short", [False, True])
def test_what_the_disk_refuses_is_kept_and_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: bool) -> None:
    writer, reader = SpoolWriter(tmp_path), SpoolReader(tmp_path)
    writer.append(state("first"))
    write = os.write

    def full(fd: int, data: bytes) -> int:
        if short:
            return write(fd, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool.os, "write", full)
    assert writer.append(state("second")) == 2
    assert not writer.flush()
    assert [n for n, _ in reader.since(0)] == [1]
    monkeypatch.undo()
    assert writer.append(state("third")) == 3
    assert [(n, r.state) for n, r in reader.since(1)] == [(2, "second"), (3, "third")]  # type: ignore[attr-defined]
    assert reader.damage is None
    writer.close()


def test_a_gap_at_the_beginning_is_damage(tmp_path: Path) -> None:
    """Reports that are not applied yet were deleted: nothing behind the gap is taken for the next one."""
    writer = SpoolWriter(tmp_path, segment_bytes=100)
    for n in range(20):
        writer.append(state(str(n)))
    writer.close()
    writer.acknowledge(12)
    kept = min(int(path.stem) for path in tmp_path.iterdir())
    assert kept > 4
    reader = SpoolReader(tmp_path)
    for _ in range(2):
        assert reader.since(3) == []
        assert reader.damage == f"Reports 4 to {kept - 1} are missing."
    assert [n for n, _ in reader.since(kept - 1)] == list(range(kept, 21))
    assert reader.damage is None


def test_a_report_that_comes_twice_is_passed_over(tmp_path: Path) -> None:
    reader = SpoolReader(tmp_path)
    file = tmp_path / spool.segment_name(1)
    first = [encode_line(n, state(f"s{n}")) for n in range(1, 10)]
    file.write_bytes(b"".join(first))
    assert len(reader.since(0)) == 9
    with file.open("ab") as more:
        more.write(first[8] + first[7] + encode_line(10, state("s10")))
    for fresh in (reader, SpoolReader(tmp_path)):
        assert fresh.since(9) == [(10, state("s10"))]
        assert fresh.since(10) == []
        assert fresh.damage is None
        assert fresh.take_contradiction() is None


def test_a_report_that_comes_twice_with_other_contents_is_told_once(tmp_path: Path) -> None:
    reader = SpoolReader(tmp_path)
    file = tmp_path / spool.segment_name(1)
    file.write_bytes(encode_line(1, state("a")) + encode_line(2, state("b")))
    assert len(reader.since(0)) == 2
    with file.open("ab") as more:
        more.write(encode_line(2, state("other")) + encode_line(3, state("c")))
    assert reader.since(2) == [(3, state("c"))]
    assert reader.since(3) == []
    assert reader.damage is None
    told = reader.take_contradiction()
    assert told is not None
    assert "number 2 twice" in told
    assert reader.take_contradiction() is None
    late = SpoolReader(tmp_path)  # of the next manager, which had it applied
    assert late.since(3) == []
    assert late.take_contradiction() is None


def test_a_gap_behind_a_double_is_damage_still(tmp_path: Path) -> None:
    lines = [encode_line(n, state(str(n))) for n in (1, 1, 3, 4)]
    (tmp_path / spool.segment_name(1)).write_bytes(b"".join(lines))
    reader = SpoolReader(tmp_path)
    assert [n for n, _ in reader.since(0)] == [1]
    assert reader.damage == "Report 2 cannot be read: report 2 is missing, found 3."


def test_a_forked_child_writes_nothing(tmp_path: Path) -> None:
    """The pid is what counts: no fork is needed to see it (and in a process with threads none is welcome)."""
    writer, reader = SpoolWriter(tmp_path, segment_bytes=100), SpoolReader(tmp_path)
    for n in range(8):
        writer.append(state(str(n)))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    own, writer._pid = writer._pid, os.getppid()
    assert writer.append(state("of the child")) == 8
    assert writer.flush()
    writer.acknowledge(8)
    writer.close()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    writer._pid = own
    assert writer.append(state("of the worker")) == 9
    assert [n for n, _ in reader.since(0)] == list(range(1, 10))
    writer.close()
