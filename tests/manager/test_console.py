"""Console text: all of it comes, whatever its size and bytes, and says which bytes it stands for."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from jupyter_queueserver.link.console import ConsoleReader
from jupyter_queueserver.manager.console import Console

MB = 1024 * 1024


def check_chain(messages: list[dict[str, Any]], end: int) -> None:
    """Each message begins where the one before ended."""
    place = messages[0]["offset"]
    for message in messages:
        assert message["offset"] == place
        place = message["end"]
    assert place == end


def test_much_text_on_one_ring(tmp_path: Path) -> None:
    """5 MiB and no further ring: the rest follows by itself, in turns."""
    path = tmp_path / "console"
    path.write_bytes(b"0123456\n" * (5 * MB // 8))
    heard: list[dict[str, Any]] = []

    async def main() -> None:
        complete = asyncio.Event()

        def tell(message: dict[str, Any]) -> None:
            heard.append(message)
            if message["end"] == 5 * MB:
                complete.set()

        console = Console(tell)
        console.follow("e", ConsoleReader(path), from_end=False)
        console.look()
        assert heard[-1]["end"] == MB, "others had no turn"
        console.look()
        await asyncio.wait_for(complete.wait(), 30.0)

    asyncio.run(main())
    check_chain(heard, 5 * MB)


def test_the_last_words_of_a_dead_worker(tmp_path: Path) -> None:
    """Everything is read when the next environment is followed, or at the end."""
    heard: list[dict[str, Any]] = []
    console = Console(heard.append)
    for name in ("first", "second"):
        path = tmp_path / name
        path.write_bytes(b"x" * (3 * MB))
        console.follow(name, ConsoleReader(path), from_end=False)
    assert {message["environment_id"] for message in heard} == {"first"}
    check_chain(heard, 3 * MB)
    console.finish()
    assert sum(len(message["text"]) for message in heard) == 6 * MB


def test_offsets_are_those_of_the_bytes(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, and a character that comes in two halves."""
    path = tmp_path / "console"
    path.write_bytes(b"\xff\xfeab\xc3")
    heard: list[dict[str, Any]] = []
    console = Console(heard.append)
    console.follow("e", ConsoleReader(path), from_end=False)
    console.finish()
    with path.open("ab") as file:
        file.write(b"\xbc!")
    console.finish()
    assert [(m["offset"], m["end"], m["text"]) for m in heard] == [(0, 4, "��ab"), (4, 7, "ü!")]
    tails = console.tail(None, 100)
    assert [(m["offset"], m["end"], m["text"]) for m in tails] == [(0, 7, "��abü!")]
    assert console.tail(7, 100) == []
    assert [m["text"] for m in console.tail(4, 100)] == ["ü!"]


def test_a_tail_ends_where_the_live_text_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "console"
    path.write_bytes("ü".encode() * 100_000 + b"\xe2\x82")
    heard: list[dict[str, Any]] = []
    console = Console(heard.append)
    console.follow("e", ConsoleReader(path), from_end=False)
    console.finish()
    tail = console.tail(0, 0)
    check_chain(tail, 200_000)
    assert "".join(message["text"] for message in tail) == "ü" * 100_000
    with path.open("ab") as file:
        file.write(b"\xac")
    console.finish()
    assert (heard[-1]["offset"], heard[-1]["end"], heard[-1]["text"]) == (200_000, 200_003, "€")
