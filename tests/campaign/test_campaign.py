"""The short form of the fault campaign: a minute of random faults; the long one is `make campaign`."""

from __future__ import annotations

import os

import pytest

from campaign.playing import campaign
from campaign.report import story

#: Seconds after which no further fault happens; the episode is then brought to its end.
LIMIT = 45.0


@pytest.mark.timeout(600)
def test_laws_hold_through_a_minute_of_faults() -> None:
    """With ``CAMPAIGN_SEED`` another minute is played."""
    seed = int(os.environ.get("CAMPAIGN_SEED", "20"))
    results = campaign(seed, 1000, LIMIT)
    for result in results:
        assert not result.broken, story(seed, result)
    assert sum(result.checks for result in results) > 0
