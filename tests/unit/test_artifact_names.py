import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackers.artifacts import check_name
from trackers.errors import InvalidValueError

TRAVERSAL = [
    "..",
    "../x",
    "a/../x",
    "a/..",
    "./x",
    "a/./b",
    "/etc/passwd",
    "//server/share",
    "a//b",
    "a/",
    "",
    "..\\x",
    "a\\..\\x",
    "\\\\server\\share",
    "C:\\x",
    "C:/x",
    "file:///etc/passwd",
    "x:stream",
    "a%2e%2e/x",
    "..%252fx",
    "..%c0%afx",
    "%00",
    "x\0.png",
    "x#y",
    "#",
    "a\nb",
    "a\r",
    "\x7f",
    "\x85",
    "a\u2028b",
    "photo\u202egnp.exe",
    "\u2066x",
    "\ud800",
    " x",
    "x ",
    "a/ b",
    "a\u00a0/b",
    "x" * 256,
    "é" * 128,
    "a/" * 600 + "b",
    "x" * 10_000_000,
]


@pytest.mark.parametrize("name", TRAVERSAL, ids=lambda name: ascii(name)[:30])
def test_a_name_that_could_leave_its_folder_is_refused_with_what_is_wrong(name: str) -> None:
    with pytest.raises(InvalidValueError) as caught:
        check_name(name)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", ["x", "plots/loss.png", ".hidden", "...", "a..b", "日本/é.txt", "x" * 255, "~", "a b"])
def test_an_ordinary_name_stays_as_it_is(name: str) -> None:
    assert check_name(name) == name


def test_two_spellings_of_one_name_become_one() -> None:
    assert check_name(unicodedata.normalize("NFD", "é.txt")) == check_name("é.txt")


def test_a_name_that_is_not_text_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="must be text, not int"):
        check_name(3)  # type: ignore[arg-type]


@given(st.text(max_size=60))
def test_whatever_is_accepted_stays_inside_its_folder_on_every_system(text: str) -> None:
    import ntpath
    import posixpath

    try:
        name = check_name(text)
    except InvalidValueError:
        return
    assert posixpath.normpath(posixpath.join("/top", name)).startswith("/top/")
    assert ntpath.normpath(ntpath.join("D:\\top", name)).startswith("D:\\top\\")
    assert check_name(name) == name
