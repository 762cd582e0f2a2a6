"""What a test has shown: noted with its report, and by ``-p shown`` made into the table of docs/reference/coverage.md.

The table holds only what passing tests have really called.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jupyter_queueserver.api import methods
from jupyter_queueserver.api.http_form import NOT_SERVED

if TYPE_CHECKING:
    from line import Turn

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "coverage.md"
WAYS = ("0MQ", "REST", "CLI", "client")
_KEY = "shown"
#: Tests of a cell that are named.
_NAMED = 2
_HEAD = """# What is shown by which test

<!-- Made by `make coverage-table`: do not edit. -->

Every method of the interface over every way in, and tests that have called it there **with success**; in brackets: how many more
tests have, and in how many tests it was refused. Only tests that passed are counted.

| Way | What is called | Where the tests are |
|---|---|---|
| 0MQ | a real manager and worker; JSON, and msgpack with CurveZMQ | `tests/conversations/test_conversations.py` |
| REST | the same, behind a real Jupyter server | `tests/conversations/test_conversations.py` |
| CLI | `qserver`, and a real manager with a played worker | `tests/conversations/test_command_line.py` |
| client | `jupyter_queueserver.client.Client`, a real manager and worker | `tests/conversations/test_conversations.py` |

The conversations over 0MQ, REST and with the client are compared turn by turn with the same conversation inside one process.
Ending a manager is in `test_the_end`, killing it in `tests/conversations/test_killed_manager.py`. "-": there is no such
route or command in the interface.

Beside the conversations, `tests/fuzz` sends what nobody would: cases that schemathesis makes from [`openapi.json`](openapi.json),
in the right form and in wrong ones, to every route but those that end the manager, never end, or are websockets (each with its
reason in `tests/fuzz/test_http_fuzz.py`), with the key and without one; and frames and calls over 0MQ in both encodings. No
answer may be a 5xx, have a status or a form that is not described, or end the manager.
"""

Record = Callable[[str, object], None]


def note(record: Record, way: str, turns: Iterable[Turn]) -> None:
    """Note what was said, as properties of the test."""
    for method, done in sorted(
        {(turn.method, bool(turn.reply.get("success", "http_status" not in turn.reply))) for turn in turns}
    ):
        note_one(record, way, method, done=done)


def note_one(record: Record, way: str, method: str, *, done: bool) -> None:
    """Note one call."""
    record(_KEY, f"{way} {method} {'done' if done else 'refused'}")


def is_absent(method: str, way: str) -> bool:
    """Whether the interface has no such thing."""
    return (way == "REST" and method in NOT_SERVED) or (way == "CLI" and not methods()[method].commands)


class Table:
    """Gathers what tests show."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str], set[str]] = defaultdict(set)

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the notes of a test that has passed."""
        if report.when != "teardown" or report.outcome != "passed":
            return
        for key, value in report.user_properties:
            if key == _KEY:
                way, method, outcome = str(value).split()
                self._seen[method, way, outcome].add(_short(report.nodeid))

    @pytest.hookimpl
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the page, unless a test failed."""
        if exitstatus == pytest.ExitCode.OK and not hasattr(session.config, "workerinput"):
            PAGE.write_text(self.page(), encoding="utf-8")

    def page(self) -> str:
        """Return the page as Markdown."""
        rows = [f"| [`{name}`](methods.md#{name}) | {' | '.join(self._cell(name, way) for way in WAYS)} |" for name in methods()]
        return "\n".join([_HEAD, f"| Method | {' | '.join(WAYS)} |", "|---|" + "---|" * len(WAYS), *rows, ""])

    def _cell(self, method: str, way: str) -> str:
        if is_absent(method, way):
            return "-"
        done = sorted(self._seen[method, way, "done"], key=lambda name: (self._breadth(name), name))
        refused = self._seen[method, way, "refused"]
        more = [f"+{len(done) - _NAMED}"] if len(done) > _NAMED else []
        more += [f"refused: {len(refused)}"] if refused else []
        named = [", ".join(f"`{name}`" for name in done[:_NAMED])] if done else []
        return " ".join(named + ([f"({', '.join(more)})"] if more else []))

    def _breadth(self, name: str) -> int:
        """How many methods a test shows: the fewer, the more it is about each of them."""
        return len({method for (method, _, outcome), names in self._seen.items() if outcome == "done" and name in names})


def _short(nodeid: str) -> str:
    """The conversation of a test, else its name."""
    name = nodeid.rpartition("::")[2]
    function, _, parameter = name.partition("[")
    return parameter.rstrip("]") if function == "test_conversation" else function


def pytest_configure(config: pytest.Config) -> None:
    """As a plugin: gather and write."""
    config.pluginmanager.register(Table())
