"""Values for parameters: anything that JSON can carry, and what leads further into a method than chance would."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def values(floats: st.SearchStrategy[float]) -> st.SearchStrategy[Any]:
    """Anything that JSON can carry, with these floating point numbers."""
    return st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | floats | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
        max_leaves=12,
    )


def items(anything: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Items of the queue, right and wrong."""
    return st.fixed_dictionaries(
        {"item_type": st.sampled_from(["plan", "instruction", "function"]) | anything},
        optional={
            "name": st.sampled_from(["quick", "count", "failing_plan", "queue_stop", "double"]) | anything,
            "args": st.lists(anything, max_size=2) | anything,
            "kwargs": st.dictionaries(st.text(max_size=5), anything, max_size=2) | anything,
            "meta": anything,
            "item_uid": st.text(max_size=40),
            "properties": anything,
        },
    )


def likely_values(anything: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    """Parameter -> values of its own kind."""
    return {
        "item": items(anything),
        "items": st.lists(items(anything), max_size=3),
        "user": st.just("me"),
        "user_group": st.sampled_from(["primary", "observer", "root", "nobodies"]),
        "pos": st.sampled_from(["front", "back"]) | st.integers(-3, 3),
        "pos_dest": st.sampled_from(["front", "back"]) | st.integers(-3, 3),
        "option": st.sampled_from(["deferred", "immediate", "active", "open", "closed"]),
        "mode": st.dictionaries(st.sampled_from(["loop", "ignore_failures"]), st.booleans()) | st.just("default"),
        "lock_key": st.sampled_from(["k1", "k2"]),
        "uids": st.lists(st.text(max_size=5), max_size=3),
    }
