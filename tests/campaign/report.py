"""The result of a campaign in words: a table of faults, what was checked, and the story of a broken law."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from .episode import Result


def table(results: Sequence[Result]) -> str:
    """The result as Markdown."""
    struck, missed = _sum(result.struck for result in results), _sum(result.missed for result in results)
    lines = ["| fault | happened | laws broken |", "|---|---|---|"]
    broken = _sum(_last(result) for result in results if result.broken)
    for kind in sorted({*struck, *broken}):
        lines.append(f"| {kind} | {struck[kind]} | {broken[kind]} |")
    lines.append(f"| **all** | **{struck.total()}** | **{broken.total()}** |")
    return "\n".join([summary(results, struck.total(), missed.total()), "", *lines])


def summary(results: Sequence[Result], struck: int, missed: int) -> str:
    """What was done, in one paragraph."""
    return (
        f"{struck} faults in {len(results)} episodes (besides, {missed} never came to their moment);"
        f" {sum(result.operations for result in results)} operations, {sum(result.ended for result in results)} ended items,"
        f" {sum(result.changes for result in results)} changes and {sum(result.snapshots for result in results)} snapshots heard;"
        f" all laws checked {sum(result.checks for result in results)} times and at the end of each episode."
    )


def story(seed: int, result: Result) -> str:
    """Everything that is needed to understand a broken law, and to play its episode again."""
    return "\n".join(
        [
            f"A law is broken in episode {result.number}:",
            *(f"    {line}" for line in result.broken.splitlines()),
            f"The instance is kept in {result.place}.",
            f"Again: make campaign SEED={seed} EPISODE={result.number}",
            *result.story,
        ]
    )


def _last(result: Result) -> Counter[str]:
    faults = [line.partition("FAULT ")[2].strip() for line in result.story if "FAULT " in line]
    kinds = {*result.struck, *result.missed}
    for words in reversed(faults[-1:]):
        return Counter([next((kind for kind in kinds if words.startswith(kind)), words)])
    return Counter(["none"])


def _sum(counters: Iterable[Counter[str]]) -> Counter[str]:
    return sum(counters, Counter[str]())
