"""Documents keep their meaning through the journal's encoding; what cannot be kept is marked, never lost silently."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from jupyter_queueserver.documents.encoding import (
    UNENCODABLE_MARK,
    array_head,
    decode,
    decode_light,
    encode,
    plain_numbers,
)

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4)
    ),
    max_leaves=15,
)
dtypes = hnp.scalar_dtypes() | hnp.array_dtypes(max_size=3)


@given(plain)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    encoded = encode(value)
    assert encoded.replaced == []
    assert decode(encoded.data) == value
    assert decode_light(encoded.data) == value


@given(hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)))
def test_arrays_come_back_with_dtype_shape_and_bytes(array: np.ndarray) -> None:
    back = decode(encode({"a": array}).data)["a"]
    assert type(back) is np.ndarray
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable


@pytest.mark.parametrize("array", [np.arange(12).reshape(3, 4).T, np.arange(10)[::-2], np.asfortranarray(np.ones((2, 3), ">i2"))])
def test_arrays_in_any_memory_order(array: np.ndarray) -> None:
    np.testing.assert_array_equal(decode(encode(array).data), array)


@pytest.mark.parametrize(
    "scalar", [np.float64(1.5), np.int8(-3), np.bool_(True), np.str_("é"), np.datetime64("2026-01-01", "ns")]
)
def test_numpy_scalars_stay_numpy_scalars(scalar: np.generic) -> None:
    back = decode(encode([scalar]).data)[0]
    assert type(back) is type(scalar)
    assert back == scalar


def test_object_arrays_become_lists() -> None:
    assert decode(encode(np.array([1, "a", None], dtype=object)).data) == [1, "a", None]


class Silent:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("bad", [object(), 2**64, -(2**63) - 1, "\ud800", 1j, Silent()])
def test_unencodable_values_are_marked_and_the_rest_is_kept(bad: Any) -> None:
    encoded = encode({"good": [1, 2.5, "x"], "bad": {"deep": [bad]}, "array": np.arange(3)})
    back = decode(encoded.data)
    assert back["good"] == [1, 2.5, "x"]
    assert list(back["array"]) == [0, 1, 2]
    assert set(back["bad"]["deep"][0]) == {UNENCODABLE_MARK}
    assert len(encoded.replaced) == 1


def test_a_cycle_is_cut() -> None:
    loop: dict[str, Any] = {"a": 1}
    loop["self"] = loop
    encoded = encode(loop)
    assert decode(encoded.data)["a"] == 1
    assert encoded.replaced


def test_odd_keys_do_not_lose_the_document() -> None:
    back = decode(encode({"k": 2**80, (1, 2): "tuple", "\ud800": "surrogate", np.str_("n"): 1}).data)
    assert set(back) >= {"k", "n"}
    assert sorted(map(str, back.values())) == sorted(["tuple", "surrogate", "1", str(back["k"])])


@given(hnp.arrays(st.sampled_from(["<f8", ">f4", "<i2", "|u1", "|b1", ">i8"]), hnp.array_shapes(max_dims=3, max_side=3)))
def test_small_arrays_can_be_shown_without_numpy(array: np.ndarray) -> None:
    ext = decode_light(encode(array).data)
    assert array_head(ext).shape == array.shape
    shown = plain_numbers(ext, 1000)
    for ours, numpys in zip(np.ravel(shown), np.ravel(array), strict=True):
        assert ours == numpys or (math.isnan(ours) and math.isnan(numpys))
    assert np.shape(shown) == array.shape


def test_large_and_structured_arrays_are_not_shown() -> None:
    assert plain_numbers(decode_light(encode(np.zeros(1000)).data), 1000) is None
    assert plain_numbers(decode_light(encode(np.zeros(2, [("a", "i4")])).data), 1000) is None
