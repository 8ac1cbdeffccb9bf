"""What is put in a column comes back equal, whatever it is."""

from __future__ import annotations

import math
import sqlite3

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trackers.errors import InvalidValueError
from trackers.names import clean_name
from trackers.sql.columns import escape, join_number, join_param, split_number, split_param, to_json, unescape

ANY_TEXT = st.text(alphabet=st.characters(codec=None, categories=None), max_size=50)


@given(ANY_TEXT)
@example("\x1au0000")
@example("\x1a\x1a\x00\ud800")
def test_any_text_comes_back_equal_and_can_be_stored(text: str) -> None:
    stored = escape(text)
    assert "\x00" not in stored
    stored.encode("utf-8")
    assert unescape(stored) == text


@given(ANY_TEXT, ANY_TEXT)
def test_different_texts_are_stored_differently(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) == (one == other)


@given(st.floats())
def test_any_float_comes_back_equal(value: float) -> None:
    number, kind = split_number(value)
    assert number is None or math.isfinite(number)
    back = join_number(number, kind)
    assert back == value or (math.isnan(back) and math.isnan(value))


@given(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | ANY_TEXT | st.lists(st.integers()))
def test_any_param_comes_back_equal_and_of_its_type(value: object) -> None:
    row = split_param(value)
    with sqlite3.connect(":memory:") as raw:
        back = join_param(*raw.execute("SELECT ?, ?, ?, ?", row).fetchone())
    raw.close()
    assert back == value
    assert type(back) is type(value)


def test_numbers_of_numpy_are_numbers() -> None:
    import numpy as np

    assert join_param(*split_param(np.float64(0.5))) == 0.5
    assert join_param(*split_param(np.int64(3))) == 3
    assert join_param(*split_param(np.bool_(True))) is True


def test_what_is_no_json_is_refused_by_its_type() -> None:
    with pytest.raises(InvalidValueError, match="type object"):
        to_json(object())
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(InvalidValueError, match="type list"):
        to_json(endless)


def test_a_name_is_kept_in_its_normal_form() -> None:
    assert clean_name("e\u0301") == "\u00e9"
    with pytest.raises(InvalidValueError, match="must be text, not int"):
        clean_name(3, "tag")
    with pytest.raises(InvalidValueError, match="250 characters"):
        clean_name("é" * 251)
