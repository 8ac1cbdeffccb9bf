"""A diff of git as sections, one a file: looked through, thinned out, filled in again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from trackers.capture.secret import HIDDEN, is_settings_name, redact

DIFF_OPTIONS = (
    *("--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color"),
    *("--ignore-submodules=all", "--src-prefix=a/", "--dst-prefix=b/", "--unified=3", "--inter-hunk-context=0"),
    *("--diff-algorithm=myers", "--no-indent-heuristic", "--no-relative"),
)
"""What makes the same changes the same bytes, whatever a person's settings are."""

_START = re.compile(rb"^diff --git ", re.MULTILINE)
_HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")
_LINK = re.compile(
    rb"^(?:(?:new|old|deleted) (?:file )?mode|index [0-9a-f]+\.\.[0-9a-f]+) (?:120000|160000)$", re.MULTILINE
)
_INDEX = re.compile(rb"^(index [0-9a-f]+\.\.)([0-9a-f]+)", re.MULTILINE)
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, '"': 34, "\\": 92}
_ESCAPED = re.compile(rb"\\([abtnvfr\"\\]|[0-3][0-7]{2})")


@dataclass(frozen=True, slots=True)
class Section:
    """What a diff says of one file: *name* as the repository has it, *head* up to the first hunk, and the *body*."""

    name: str
    head: bytes
    body: bytes

    @property
    def data(self) -> bytes:
        return self.head + self.body

    @property
    def is_link(self) -> bool:
        """Whether it is about a link or a submodule, which are never restored from a diff."""
        return _LINK.search(self.head) is not None

    @property
    def is_deletion(self) -> bool:
        return b"\ndeleted file mode " in self.head

    @property
    def is_binary(self) -> bool:
        return b"\nGIT binary patch\n" in self.head


def split(diff: bytes) -> list[Section]:
    """Return the sections of *diff*; raises ValueError for what is no diff of git."""
    starts = [match.start() for match in _START.finditer(diff)]
    if diff and (not starts or starts[0] != 0):
        raise ValueError("a diff starts with 'diff --git'")
    return [_section(diff[a:b]) for a, b in zip(starts, [*starts[1:], len(diff)], strict=False)]


def _section(data: bytes) -> Section:
    binary = data.find(b"\nGIT binary patch\n")
    hunk = data.find(b"\n@@ -")
    if binary >= 0 and (hunk < 0 or binary < hunk):
        end = binary + len(b"\nGIT binary patch\n")
    else:
        end = hunk + 1 if hunk >= 0 else len(data)
    return Section(_name(data[: data.find(b"\n") if b"\n" in data else len(data)]), data[:end], data[end:])


def _name(line: bytes) -> str:
    """Return the file of ``diff --git a/NAME b/NAME``; both are the same, since renames are shown as two files."""
    rest = line.removeprefix(b"diff --git ")
    length = (len(rest) - 1) // 2
    first, second = rest[:length], rest[length + 1 :]
    names = [unquoted(word) for word in (first, second)]
    if (
        rest[length : length + 1] != b" "
        or names[0][:2] != "a/"
        or names[1][:2] != "b/"
        or names[0][2:] != names[1][2:]
    ):
        raise ValueError(f"the diff names its file in a strange way: {line[:100]!r}")
    return names[0][2:]


def unquoted(word: bytes) -> str:
    if word[:1] == b'"' and word[-1:] == b'"':
        word = _ESCAPED.sub(lambda m: bytes([_ESCAPES.get(m[1].decode()) or int(m[1], 8)]), word[1:-1])
    return word.decode("utf-8", "surrogateescape")


def hide(section: Section) -> tuple[Section, bool]:
    """Return *section* with its secrets hidden, and whether what it adds is still all there."""
    if section.is_binary:
        return section, True
    text = section.body.decode("latin-1")
    shown = redact(text, diff=True, settings=is_settings_name(section.name))
    if shown == text:
        return section, True
    pairs = zip(text.split("\n"), shown.split("\n"), strict=True)
    exact = not any(old != new and old.startswith("+") for old, new in pairs)
    found = Section(section.name, section.head, shown.encode("latin-1"))
    return (found if exact else anonymous(found)), exact


def anonymous(section: Section) -> Section:
    """Return *section* without the new content's id: by it a short secret could be guessed."""
    return Section(section.name, _INDEX.sub(lambda m: m[1] + b"0" * len(m[2]), section.head), section.body)


def fill(section: Section, old_text: Callable[[str], bytes]) -> Section:
    """Return *section* with the hidden parts of unchanged and removed lines as they are in the commit.

    *old_text* returns a file's bytes there. Without them a hunk with a hidden line in it would fit nowhere.
    """
    body = section.body.decode("latin-1")
    if section.is_binary or not any(HIDDEN in line and line[:1] in " -" for line in body.split("\n")):
        return section
    old = old_text(section.name).decode("latin-1").split("\n")
    lines, at = body.split("\n"), 0
    for place, line in enumerate(lines):
        hunk = _HUNK.match(line)
        if hunk is not None:
            at = int(hunk[1]) - 1
        elif line[:1] in (" ", "-"):
            if HIDDEN in line and 0 <= at < len(old):
                lines[place] = line[0] + old[at]
            at += 1
    return Section(section.name, section.head, "\n".join(lines).encode("latin-1"))


def patched(section: Section, old: bytes | None) -> bytes | None:
    """Return a file as the section makes it of *old* (None: there was none), None where it deletes it.

    The hunks are where they say, since a section belongs to one commit. Raises ValueError where they are not, and
    for a binary file.
    """
    if section.is_deletion:
        return None
    if section.is_binary:
        raise ValueError("a binary file")
    before = _lines(old or b"")
    after: list[bytes] = []
    at, last = 0, b""
    for line in _lines(section.body):
        hunk = _HUNK.match(line[:80].decode("latin-1"))
        if hunk is not None:
            start = max(0, int(hunk[1]) - 1) if before else 0
            if b" -0,0 " in line or re.match(rb"@@ -\d+,0 ", line):
                start = int(hunk[1])  # nothing is taken away: what is added comes after this line
            if start < at or start > len(before):
                raise ValueError("the changes do not fit the commit")
            after += before[at:start]
            at = start
        elif line.startswith(b"+"):
            after.append(line[1:])
        elif line.startswith(b"-"):
            at += 1
        elif line.startswith(b"\\"):
            if last == b"+":  # the new file has no end of line at its end
                after[-1] = after[-1].removesuffix(b"\n")
        else:
            after += before[at : at + 1]
            at += 1
        last = line[:1]
    return b"".join([*after, *before[at:]])


def _lines(data: bytes) -> list[bytes]:
    """Split *data* where git does: at line feeds alone."""
    lines = data.split(b"\n")
    return [*(line + b"\n" for line in lines[:-1]), *([lines[-1]] if lines[-1] else [])]
