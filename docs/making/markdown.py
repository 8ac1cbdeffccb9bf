"""Docstrings as Markdown, and the anchors of headings."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable

Link = Callable[[str], str | None]
"""Returns where a name is documented, None where it is not."""

_CODE = re.compile(r"``(.+?)``|(?<!`)`([^`]+)`(?!`)")
_WORD = re.compile(r"\b[A-Z]\w*(?:Error|Exhausted|Interrupted|Pruned|Stopped)\b")


def anchor(title: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def markdown(doc: str, link: Link) -> str:
    """Return a docstring as paragraphs, bullets and blocks of code, names in it as links."""
    parts: list[str] = []
    code: list[str] = []
    for block in [*re.split(r"\n\s*\n", inspect.cleandoc(doc)), ""]:
        if block.startswith("    "):
            code.append(block)
            continue
        if code:
            parts.append(_fenced(inspect.cleandoc("\n\n" + "\n\n".join(code))))
            code = []
        if block.startswith(">>>"):
            parts.append(f"```python\n{_undoctested(block)}\n```")
        elif block.startswith("- "):
            parts.append("\n".join(prose(item, link) for item in re.split(r"\n(?=- )", block)))
        elif block:
            parts.append(prose(block, link))
    return "\n\n".join(parts)


def summary(doc: str, link: Link) -> str:
    """Return the first sentence of a docstring."""
    first = " ".join(inspect.cleandoc(doc).split("\n\n")[0].split())
    found = re.match(r"(.+?[^.][.])(?= [A-Z*`]|$)", first)
    return prose(found[1] if found else first, link)


def prose(text: str, link: Link) -> str:
    """Return a paragraph in one line."""
    text = " ".join(text.split())
    parts, start = [], 0
    for match in _CODE.finditer(text):
        parts += [_plain(text[start : match.start()], link), _code(match[1] or match[2], link)]
        start = match.end()
    return "".join([*parts, _plain(text[start:], link)])


def cell(text: str) -> str:
    """Return *text* as it stands in a cell of a table."""
    return text.replace("\n\n", " ").replace("\n", " ").replace("|", r"\|")


def _plain(text: str, link: Link) -> str:
    text = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)
    return _WORD.sub(lambda match: _linked(match[0], match[0], link), text)


def _code(name: str, link: Link) -> str:
    fence = "``" if "`" in name else "`"
    return _linked(f"{fence}{name}{fence}", name.removesuffix("()"), link)


def _linked(shown: str, name: str, link: Link) -> str:
    target = link(name)
    return shown if target is None else f"[{shown}]({target})"


def _fenced(code: str) -> str:
    try:
        ast.parse(code)
    except SyntaxError:
        return f"```text\n{code}\n```"
    return f"```python\n{code}\n```"


def _undoctested(block: str) -> str:
    """Return what a doctest calls, and what it answers as comments."""
    lines = [line[4:] if line.startswith((">>> ", "... ")) else f"# {line}" for line in block.splitlines()]
    return re.sub(r"^((?:from|import) .*\n)(?!from |import )", r"\1\n", "\n".join(lines), flags=re.MULTILINE)
