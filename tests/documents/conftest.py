"""Fixtures of the document tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from document_samples import Document

from jupyter_queueserver.documents.journal import JournalWriter

ROOT = Path(__file__).parents[2]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """An empty journal folder in a data directory."""
    folder = tmp_path / "data" / "journal"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def fill(journal: Path) -> Iterator[Callable[..., None]]:
    """Append documents to the journal: ``fill(documents, environment="env")``."""
    writers: dict[str, JournalWriter] = {}

    def append(documents: list[Document], environment: str = "env") -> None:
        if environment not in writers:
            writers[environment] = JournalWriter(journal, environment)
        for name, doc in documents:
            writers[environment].append(name, doc)

    yield append
    for writer in writers.values():
        writer.close()
        assert writer.failed == 0


@pytest.fixture
def child_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let child processes find the package also where it is not installed."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
