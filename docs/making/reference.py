"""The pages of the Python names: what stands on each, and how a function, a class or a value is written down."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from making.markdown import anchor, cell, markdown, prose, summary
from making.signature import annotation, constructor, default, fields, found_at, shown, types_in
from making.source import Member, definition, members

MADE = "Made by `python docs/generate.py` from the code and its docstrings; do not edit."


@dataclass(frozen=True)
class Entry:
    """A function or class at *path* (``module:name``), which readers know as *name*.

    Of a class: *made* shows the call that makes one; *titles* says what the groups of its members are called, in their
    order: ``owner`` or ``owner/section`` as the source has it; *also* is the path of a class that stands here with it.
    """

    path: str
    name: str
    made: bool = False
    titles: Mapping[str, str] = field(default_factory=dict)
    also: str = ""

    @property
    def thing(self) -> Any:
        """What it is."""
        return found_at(self.path)


def classes(module: str, *names: str, made: bool = False) -> list[Entry]:
    """Return classes of a module, which go by their bare names."""
    return [Entry(f"{module}:{name}", name, made) for name in names]


def functions(module: str, *names: str) -> list[Entry]:
    """Return functions of a module, which go by their full names."""
    return [Entry(f"{module}:{name}", f"{module}.{name}") for name in names]


@dataclass(frozen=True)
class Words:
    """Names that stand for types in signatures: paths of their assignments."""

    paths: Sequence[str]


@dataclass(frozen=True)
class Text:
    """A paragraph, or a table, that is made by a call."""

    make: Callable[[], str]


@dataclass(frozen=True)
class Calls:
    """Functions that do what methods do: a table of them, *of* being the class whose methods they are."""

    entries: Sequence[Entry]
    of: Entry


Part = Entry | Words | Text | Calls


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it."""

    title: str
    parts: Sequence[Part]
    text: str = ""


@dataclass(frozen=True)
class Page:
    """A page: its file, its title, what stands above the list of its names, its sections."""

    file: str
    title: str
    text: str
    sections: Sequence[Section]


class Reference:
    """All pages, which know where each name is documented."""

    def __init__(self, pages: Sequence[Page]) -> None:
        self._pages = pages
        self._names: dict[str, tuple[str, str]] = {}
        self._things: dict[int, tuple[str, str]] = {}
        self._titles: dict[int, str] = {}
        for page in pages:
            for entry in entries(page):
                self._learn(page.file, entry)
        for page in pages:  # what a class leaves to its bases is known when all have their places
            for entry in entries(page):
                self._learn_methods(page.file, entry)

    def _learn(self, file: str, entry: Entry) -> None:
        place = (file, anchor(entry.name))
        thing = entry.thing
        self._things.setdefault(id(thing), place)
        self._titles.setdefault(id(thing), entry.name)
        if entry.also:
            self._things[id(found_at(entry.also))] = place
            self._titles[id(found_at(entry.also))] = entry.name
        for name in {entry.name, entry.path.replace(":", ".")}:
            if name in self._names and self._names[name] != place:
                raise ValueError(f"{name} stands at {self._names[name]} and at {place}")
            self._names[name] = place

    def _learn_methods(self, file: str, entry: Entry) -> None:
        thing = entry.thing
        if inspect.isclass(thing) and not issubclass(thing, BaseException):
            for member in self.members_of(thing):
                if member.is_method:
                    self._names[f"{entry.name}.{member.name}"] = (file, anchor(f"{entry.name}.{member.name}"))

    def bases(self, cls: type) -> list[type]:
        """Return what a class is made of and what has a place of its own."""
        here = self._things.get(id(cls))
        return [base for base in cls.__mro__[1:] if self._things.get(id(base)) not in (None, here)]

    def members_of(self, cls: type) -> list[Member]:
        """Return the members that are written down with *cls*: those of its bases stand elsewhere, unless it says more."""
        elsewhere = self.bases(cls)
        known = {member.name for base in elsewhere for member in members(base)}
        above = {owner for base in elsewhere for owner in base.__mro__}
        return [one for one in members(cls) if one.name not in known or (one.owner not in above and one.value.__doc__)]

    def pages(self) -> dict[str, str]:
        """Return the text of each page by its file."""
        return {page.file: _Writer(self, page).text() for page in self._pages}

    def documented(self) -> set[int]:
        """Return the ids of all functions and classes that stand on a page."""
        return set(self._things)

    def target(self, name: str, file: str) -> str | None:
        """Return where a name is written down, as a link of the page *file*; None where it is not."""
        return _relative(self._names.get(name), file)

    def title_of(self, thing: Any) -> str:
        """Return the heading under which a class is written down."""
        return self._titles[id(thing)]

    def place_of(self, thing: Any, file: str) -> str | None:
        """Return where a function or class is written down, as a link of the page *file*."""
        return _relative(self._things.get(id(thing)), file)


def _relative(place: tuple[str, str] | None, file: str) -> str | None:
    if place is None:
        return None
    return f"#{place[1]}" if place[0] == file else f"{place[0]}#{place[1]}"


def entries(page: Page) -> Iterator[Entry]:
    for section in page.sections:
        for part in section.parts:
            if isinstance(part, Entry):
                yield part
            elif isinstance(part, Calls):
                yield from part.entries


class _Writer:
    def __init__(self, reference: Reference, page: Page) -> None:
        self.reference, self.page = reference, page
        self._within = ""
        """The class whose members are being written: a bare name of another one of them is a link."""

    def text(self) -> str:
        sections = [self._section(section) for section in self.page.sections]
        contents = [self._contents(section) for section in self.page.sections]
        return (
            "\n\n".join([f"# {self.page.title}", MADE, self.page.text.strip(), "\n".join(contents), *sections]) + "\n"
        )

    def _link(self, name: str) -> str | None:
        for full in (f"{self._within}.{name}", name) if self._within else (name,):
            if "." in full or re.fullmatch(r"[A-Z]\w+", full):
                found = self.reference.target(full, self.page.file)
                if found is not None:
                    return None if full == self._within else found
        return None

    # --- the table of contents ---------------------------------------------------------------------------------

    def _contents(self, section: Section) -> str:
        lines = []
        names = [part for part in section.parts if isinstance(part, Entry)]
        links = [f"[`{one.name.rpartition('.')[2]}`](#{anchor(one.name)})" for one in names if not self._groups_of(one)]
        links += [f"`{e.name.rpartition('.')[2]}`" for p in section.parts if isinstance(p, Calls) for e in p.entries]
        head = f"- [{section.title}](#{anchor(section.title)})"
        lines.append(head + (f": {', '.join(links)}" if links else ""))
        for entry in names:
            groups = self._groups_of(entry)
            if groups:
                lines.append(f"  - [`{entry.name}`](#{anchor(entry.name)})")
            for title, found in groups:
                methods = ", ".join(f"[`{m.name}`](#{anchor(f'{entry.name}.{m.name}')})" for m in found if m.is_method)
                attributes = ", ".join(f"`{m.name}`" for m in found if not m.is_method)
                shown_names = ", ".join(filter(None, [attributes, methods]))
                lines.append(f"    - {title}: {shown_names}" if title else f"    - {shown_names}")
        return "\n".join(lines)

    def _groups_of(self, entry: Entry) -> list[tuple[str, list[Member]]]:
        """Return the members of a class under their headings; none where it has few."""
        return self._groups(entry) if entry.titles else []

    def _groups(self, entry: Entry) -> list[tuple[str, list[Member]]]:
        groups: dict[str, list[Member]] = {title: [] for title in entry.titles.values()}
        for member in self.reference.members_of(entry.thing):
            key = f"{member.owner.__name__}/{member.section}" if member.section else member.owner.__name__
            title = entry.titles.get(key)
            if title is None:
                if entry.titles:
                    raise LookupError(f"{entry.name}: the group {key!r} of {member.name} has no title")
                title = ""
            groups.setdefault(title, []).append(member)
        return [(title, found) for title, found in groups.items() if found]

    # --- sections ----------------------------------------------------------------------------------------------

    def _section(self, section: Section) -> str:
        parts = [self._part(part) for part in section.parts]
        return "\n\n".join(filter(None, [f"## {section.title}", section.text.strip(), *parts]))

    def _part(self, part: Part) -> str:
        if isinstance(part, Words):
            return self._words(part)
        if isinstance(part, Text):
            return part.make().strip()
        if isinstance(part, Calls):
            return self._calls(part)
        thing = part.thing
        if inspect.isclass(thing):
            return self._error(part) if issubclass(thing, BaseException) else self._class(part)
        return self._function(part)

    def _words(self, words: Words) -> str:
        lines = ["| word | is | means |", "|---|---|---|"]
        for path in words.paths:
            module, _, name = path.partition(":")
            right, doc = definition(module, name)
            if not doc:
                raise LookupError(f"{path} has no docstring")
            lines.append(f"| `{name}` | {cell(f'`{annotation(right, module)}`')} | {cell(prose(doc, self._link))} |")
        return "\n".join(lines)

    def _calls(self, calls: Calls) -> str:
        lines = ["| function | what it does |", "|---|---|"]
        for entry in calls.entries:
            method = entry.name.rpartition(".")[2]
            target = self.reference.target(f"{calls.of.name}.{method}", self.page.file)
            self._within = calls.of.name
            told = cell(summary(inspect.getdoc(getattr(calls.of.thing, method)) or "", self._link))
            self._within = ""
            lines.append(f"| [`{entry.name}`]({target}) | {told} |")
        return "\n".join(lines)

    def _function(self, entry: Entry) -> str:
        function = entry.thing
        name = entry.name.rpartition(".")[2]
        head = f"### {entry.name}\n\n```python\n{shown(function, name)}\n```"
        returns = function.__annotations__.get("return")
        return "\n\n".join(filter(None, [head, self._doc(function, entry.name), self._returned(returns, function)]))

    def _doc(self, thing: Any, name: str) -> str:
        doc = inspect.getdoc(thing)
        if not doc:
            raise LookupError(f"{name} has no docstring")
        return markdown(doc, self._link)

    def _returned(self, returns: Any, function: Any) -> str:
        """Return links to the types that a function returns, but for the class whose method it is."""
        found = []
        for name, thing in types_in(returns, inspect.unwrap(function).__module__).items():
            place = self.reference.place_of(thing, self.page.file)
            if place is not None and self.reference.title_of(thing) != self._within:
                found.append(f"[`{name}`]({place})")
        return f"See {', '.join(found)}." if found else ""

    def _error(self, entry: Entry) -> str:
        return f"### {entry.name}\n\n{self._bases(entry.thing)}{self._doc(entry.thing, entry.name)}"

    def _bases(self, error: type) -> str:
        bases = []
        for base in error.__bases__:
            place = self.reference.place_of(base, self.page.file)
            bases.append(f"`{base.__name__}`" if place is None else f"[`{base.__name__}`]({place})")
        return f"A kind of {' and '.join(bases)}. "

    def _class(self, entry: Entry) -> str:
        cls = entry.thing
        parts = [f"### {entry.name}"]
        if entry.made:
            parts.append(f"```text\n{constructor(cls)}\n```")
        self._within = entry.name
        parts += [self._doc(cls, entry.name), self._inherited(cls)]
        if issubclass(cls, Enum):
            parts.append(_enumeration(cls))
        else:
            parts.append(self._fields(cls))
        for title, found in self._groups(entry):
            parts.append(f"#### {entry.name}: {title}" if title else "")
            parts.append(self._attributes([m for m in found if not m.is_method]))
            parts += [self._method(entry, m) for m in found if m.is_method]
        self._within = ""
        return "\n\n".join(filter(None, parts))

    def _inherited(self, cls: type) -> str:
        """Name the members that are written down with another class."""
        own = {one.name for one in self.reference.members_of(cls)}
        lines = []
        for base in self.reference.bases(cls):
            names = [one.name for one in members(base) if one.name not in own]
            own |= set(names)
            if names:
                title, place = self.reference.title_of(base), self.reference.place_of(base, self.page.file)
                listed = ", ".join(f"`{name}`" for name in names)
                all_of_it = len(own) == len(names)
                lines.append(
                    f"It has all that [`{title}`]({place}) has."
                    if all_of_it
                    else f"Like [`{title}`]({place}) it has {listed}."
                )
        return "\n\n".join(lines)

    def _fields(self, cls: type) -> str:
        rows = fields(cls)
        if not rows:
            return ""
        lines = ["| field | type | default |", "|---|---|---|"]
        lines += [f"| `{name}` | {cell(f'`{kind}`')} | {f'`{value}`' if value else ''} |" for name, kind, value in rows]
        return "\n".join(lines)

    def _attributes(self, found: Sequence[Member]) -> str:
        if not found:
            return ""
        lines = ["| attribute | type | what it is |", "|---|---|---|"]
        for one in found:
            told = cell(self._doc(one.value, f"{one.owner.__name__}.{one.name}"))
            kind = annotation(one.returns or "", one.owner.__module__)
            lines.append(f"| `{one.name}` | {cell(f'`{kind}`')} | {told} |")
        return "\n".join(lines)

    def _method(self, entry: Entry, member: Member) -> str:
        function = member.function
        bound = not isinstance(member.value, staticmethod)
        head = f"##### {entry.name}.{member.name}\n\n```python\n{shown(function, member.name, bound=bound)}\n```"
        doc = self._doc(getattr(entry.thing, member.name), f"{entry.name}.{member.name}")
        return "\n\n".join(filter(None, [head, doc, self._returned(member.returns, function)]))


def _enumeration(cls: type[Enum]) -> str:
    return "\n".join(
        ["| name | value |", "|---|---|", *(f"| `{one.name}` | `{default(one.value, '')}` |" for one in cls)]
    )
