"""What a measurement yields: samples, their summary, and a figure of the table.  Arithmetic only."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Summary:
    """Smallest, middle and 90th percentile of some samples, all in the unit of the samples."""

    low: float
    median: float
    p90: float
    number: int

    def text(self, scale: float = 1.0, digits: int = 2) -> str:
        """Return ``min / median / p90 (n)``, multiplied by `scale`."""
        values = " / ".join(f"{value * scale:.{digits}f}" for value in (self.low, self.median, self.p90))
        return f"{values} (n={self.number})"


def summary(samples: Sequence[float]) -> Summary:
    """Summarize at least one sample."""
    ordered = sorted(samples)
    place = min(len(ordered) - 1, round(0.9 * (len(ordered) - 1)))
    return Summary(ordered[0], statistics.median(ordered), ordered[place], len(ordered))


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes
    ----------
    what
        What was measured, with its unit.
    reach
        What is wanted, as text; empty: given for information.
    value
        What was found, in that unit.
    limit
        Largest value that reaches it; None: not judged.
    spread
        ``min / median / p90`` of what `value` was taken from.
    baseline
        What it was compared with in the same run, with its own figure.
    old
        The old server's figure in the same run; empty: not measured.
    digits
        Digits after the decimal point.
    """

    what: str
    value: float
    reach: str = ""
    limit: float | None = None
    spread: str = ""
    baseline: str = ""
    old: str = ""
    digits: int = 2

    @property
    def verdict(self) -> str:
        """``yes``, ``no`` or nothing."""
        if self.limit is None:
            return ""
        return "yes" if self.value <= self.limit else "no"


@dataclass
class RowResult:
    """What one row found, and the load averages (1 min, 2 cores = 2.0 is full) before and after it."""

    name: str
    load: tuple[float, float]
    seconds: float
    figures: list[Figure] = field(default_factory=list)
