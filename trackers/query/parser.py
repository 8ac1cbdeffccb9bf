"""Read a filter: recursive descent over its tokens, bounded in depth and in the number of conditions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

from trackers.errors import FilterError, InvalidValueError
from trackers.names import tidy_context
from trackers.query.fields import (
    AGGREGATES,
    ATTRIBUTE_ALIASES,
    ATTRIBUTES,
    DATASET_ALIASES,
    DATASETS,
    KIND_ALIASES,
    KINDS,
    TAG_ALIASES,
    Field,
)
from trackers.query.literals import LONGEST_PATTERN, check_literal, read_literal
from trackers.query.nodes import (
    And,
    Between,
    Comparison,
    In,
    IsNull,
    Like,
    Literal,
    Node,
    Not,
    Or,
    depth_of,
    flattened,
)
from trackers.query.tokens import Token, tokenize
from trackers.wording import suggestion

DEEPEST = 100
"""How deep parentheses and ``not`` may be nested."""
DEEPEST_TREE = 40
"""How deep what they say may be nested, once parentheses and doubled nots that say nothing are away."""
MOST_CONDITIONS = 200
"""How many conditions one filter may have: a database's own limit on the depth of an expression lies above it."""
MOST_VALUES = 5000
"""How many values one ``in (...)`` may list."""

_OPERATORS = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_OPERATOR_WORDS = ("in", "not in", "between", "like", "ilike", "is null", "is not null")


def parse_flat(text: str) -> Node | None:
    """Read the filter *text* as a tree that a database can take: see ``flattened``.

    Raises FilterError, and InvalidValueError where and, or and not are nested deeper than SQLite can follow.
    """
    node = parse(text)
    if node is None:
        return None
    flat = flattened(node)
    if (depth := depth_of(flat)) > DEEPEST_TREE:
        raise InvalidValueError(
            f"the filter nests and, or and not {depth} deep, and {DEEPEST_TREE} is the most: write it flatter"
        )
    return flat


def parse(text: str) -> Node | None:
    """Read the filter *text*; None for an empty one, which matches every run.

    Raises FilterError, whose message shows the wrong word with a caret, for anything that is not a filter.
    """
    return Parser(text).whole()


class Parser:
    """One pass over one text; ``whole()`` reads a filter, ``field()`` a field of it (also for ``order_by``)."""

    def __init__(self, text: str, what: str = "filter") -> None:
        self.tokens = tokenize(text, what)
        self.text = text
        self.index = 0
        self.depth = 0
        self.conditions = 0
        self.attribute = ""  # the last attribute's name as written: start_time counts milliseconds

    # --- tokens ---

    @property
    def token(self) -> Token:
        return self.tokens[self.index]

    def take(self) -> Token:
        token = self.token
        if token.kind != "end":
            self.index += 1
        return token

    def sees(self, *words: str) -> bool:
        return self.token.quoted is None and self.token.kind in {"word", "sign"} and self.token.lower in words

    def fail(self, message: str, token: Token | None = None) -> NoReturn:
        token = token or self.token
        raise FilterError(message, self.text, token.position, len(token.text) or 1)

    def expect(self, word: str, why: str) -> None:
        if not self.sees(word):
            self.fail(
                f"{why}: {word} is missing here" if self.token.kind == "end" else f"{why}: {word} is expected here"
            )
        self.take()

    # --- the grammar ---

    def whole(self) -> Node | None:
        if self.token.kind == "end":
            return None
        node = self._or()
        if self.token.kind != "end":
            if self.sees(")"):
                self.fail("this parenthesis closes none")
            self.fail(
                f"the filter should end here, or go on with and / or{suggestion(self.token.text.lower(), ('and', 'or'))}"
            )
        return node

    def _or(self) -> Node:
        nodes = [self._and()]
        while self.sees("or"):
            self.take()
            nodes.append(self._and())
        return nodes[0] if len(nodes) == 1 else Or(tuple(nodes))

    def _and(self) -> Node:
        nodes = [self._not()]
        while self.sees("and"):
            self.take()
            nodes.append(self._not())
        return nodes[0] if len(nodes) == 1 else And(tuple(nodes))

    def _not(self) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(f"the filter is nested more than {DEEPEST} deep: take some parentheses away")
        try:
            if self.sees("not"):
                self.take()
                return Not(self._not())
            if self.sees("("):
                return self._group()
            return self._condition()
        finally:
            self.depth -= 1

    def _group(self) -> Node:
        opening = self.take()
        node = self._or()
        if not self.sees(")"):
            if self.token.kind == "end":
                self.fail("this parenthesis is never closed", opening)
            self.fail(f"and, or or ) is expected here{suggestion(self.token.text.lower(), ('and', 'or'))}")
        self.take()
        return node

    def _condition(self) -> Node:
        self.conditions += 1
        if self.conditions > MOST_CONDITIONS:
            self.fail(f"the filter has more than {MOST_CONDITIONS} conditions: use in (...), or search in parts")
        field = self.field()
        if self.token.kind == "sign" and self.token.text in _OPERATORS:
            return self._comparison(field)
        if self.sees("is"):
            return self._is_null(field)
        negated = self.sees("not")
        if negated:
            self.take()
        if self.sees("in"):
            return self._in(field, negated)
        if self.sees("between"):
            return self._between(field, negated)
        if self.sees("like", "ilike"):
            return self._like(field, negated)
        if negated:
            self.fail("after a field, not goes with in, between, like or ilike")
        raise self._no_operator(field)

    def _no_operator(self, field: Field) -> FilterError:
        message = f"what about {field}? An operator is expected here: = != < <= > >= in between like is"
        if self.token.kind == "word":
            guess = suggestion(self.token.text.lower(), _OPERATOR_WORDS)
            message = f"{self.token.text!r} is no operator{guess or ': write = != < <= > >= in between like is'}"
        return FilterError(message, self.text, self.token.position, len(self.token.text) or 1)

    def _comparison(self, field: Field) -> Node:
        sign = self.take()
        op = _OPERATORS[sign.text]
        if self.sees("null"):
            if op not in {"=", "!="}:
                self.fail("null has no order: write is null, or is not null", sign)
            self.take()
            return IsNull(field, negated=op == "!=")
        return Comparison(field, op, self._literal(field, op, f"after {sign.text}"))

    def _is_null(self, field: Field) -> Node:
        self.take()
        negated = self.sees("not")
        if negated:
            self.take()
        if not self.sees("null"):
            self.fail("is goes with null or not null: write = to compare")
        self.take()
        return IsNull(field, negated)

    def _between(self, field: Field, negated: bool) -> Node:
        self.take()
        low = self._literal(field, "between", "after between")
        self.expect("and", "between has two ends, as in between 1 and 2")
        high = self._literal(field, "between", "after and")
        if isinstance(low, str) is not isinstance(high, str):
            self.fail("both ends of between are numbers, or both are text", self.tokens[self.index - 1])
        return Between(field, low, high, negated)

    def _in(self, field: Field, negated: bool) -> Node:
        self.take()
        self.expect("(", "in goes with a list, as in in ('a', 'b')")
        values: dict[tuple[type, Literal | str], Literal] = {}
        while True:
            value = self._literal(field, "in", "in the list")
            values.setdefault((type(value), str(value)), value)
            if len(values) > MOST_VALUES:
                self.fail(f"the list has more than {MOST_VALUES:,} values: search in parts")
            if not self.sees(","):
                break
            self.take()
        self.expect(")", "the list of in has a comma between its values and a parenthesis at its end")
        return In(field, tuple(values.values()), negated)

    def _like(self, field: Field, negated: bool) -> Node:
        word = self.take()
        if field.holds not in {"text", "any"}:
            self.fail(f"{word.lower} compares text, and {field} is no text: use = < > between in", word)
        token = self.take()
        if token.kind != "string":
            self.fail(f"{word.lower} goes with a pattern in quotes, as in {word.lower} 'a%'", token)
        pattern = read_literal(token, self.text)
        assert isinstance(pattern, str)
        if len(pattern) > LONGEST_PATTERN:
            self.fail(f"a pattern may have {LONGEST_PATTERN:,} characters, not {len(pattern):,}", token)
        return Like(field, pattern, word.lower == "ilike", negated)

    def _literal(self, field: Field, op: str, where: str) -> Literal:
        token = self.token
        if token.kind in {"end", "sign"}:
            self.fail(f"a value is expected {where}: a number, or text in quotes")
        self.take()
        value = read_literal(token, self.text)
        return check_literal(field, op, value, token, self.text, self.attribute)

    # --- fields ---

    def field(self) -> Field:
        """Read a field, with the aggregate around it."""
        token = self.take()
        if token.kind == "end":
            self.fail("the filter ends where a field is expected, as in metrics.accuracy", token)
        if token.kind in {"number", "string"}:
            self.fail("a field comes first, as in metrics.accuracy > 0.9", token)
        if token.kind == "sign" or token.is_keyword:
            self.fail("a field is expected here, as in metrics.accuracy", token)
        if self.sees("(") and token.quoted is None and "." not in token.text:
            return self._aggregate(token)
        return self._named(token)

    def _aggregate(self, token: Token) -> Field:
        if token.lower not in AGGREGATES:
            self.fail(
                f"{token.text!r} is no function{suggestion(token.text.lower(), AGGREGATES) or _one_of(AGGREGATES)}",
                token,
            )
        self.take()
        inner = self.take()
        field = self._named(inner) if inner.kind == "word" and not inner.is_keyword else None
        if field is None or field.kind != "metric":
            self.fail(f"{token.lower}(...) goes with a metric, as in {token.lower}(metrics.loss)", inner)
        self.expect(")", f"{token.lower}(...) holds one metric")
        return Field(field.kind, field.key, token.lower, field.context)

    def _named(self, token: Token) -> Field:
        prefix, dot, key = token.text.partition(".")
        if not dot:
            return self._attribute(token, token.text, bare=True)
        kind = KINDS.get(prefix.lower()) or KIND_ALIASES.get(prefix.lower())
        if kind is None:
            guess = (
                suggestion(prefix.lower(), KINDS)
                or ": a field starts with metrics. params. tags. attributes. or datasets."
            )
            raise FilterError(f"there is no {prefix!r}{guess}", self.text, token.position, len(prefix))
        if token.context and kind != "metric":
            self.fail("only metrics have a context in braces", token)
        if token.context:
            key = key[: key.rindex("{" + token.context + "}")]
        if token.quoted is not None:
            key = token.quoted
        if not key:
            self.fail(f"a name is expected after {prefix}.", token)
        if kind == "tag" and key in TAG_ALIASES:
            return Field("attribute", TAG_ALIASES[key])
        if kind == "attribute":
            return self._attribute(token, key, bare=False)
        if kind == "dataset":
            return self._dataset(token, key)
        return Field(kind, _normal(key), context=tidy_context(token.context))

    def _dataset(self, token: Token, name: str) -> Field:
        known = DATASET_ALIASES.get(name.lower(), name.lower())
        if known not in DATASETS:
            guess = suggestion(name.lower(), DATASETS) or _one_of(DATASETS)
            raise FilterError(f"data sets have no {name[:64]!r}{guess}", self.text, token.position, len(token.text))
        return Field("dataset", known)

    def _attribute(self, token: Token, name: str, *, bare: bool) -> Field:
        name = name.lower()
        known = ATTRIBUTE_ALIASES.get(name, name)
        if known in ATTRIBUTES and not token.context:
            self.attribute = name
            return Field("attribute", known)
        guess = suggestion(name, [*ATTRIBUTES, *ATTRIBUTE_ALIASES])
        if bare:
            self.fail(
                f"{token.text!r} is no field{guess or f': write metrics.{name[:40]}, params.{name[:40]} or tags.{name[:40]}'}",
                token,
            )
        start = token.position + token.text.index(".") + 1
        length = max(1, len(token.text) - token.text.index(".") - 1)
        message = f"runs have no attribute {name[:64]!r}{guess or _one_of(ATTRIBUTES)}"
        raise FilterError(message, self.text, start, length)


def _one_of(words: Iterable[str]) -> str:
    return f": there are {', '.join(words)}"


def _normal(name: str) -> str:
    """Names are stored in their normal form (see ``trackers.names``)."""
    if name.isascii():
        return name
    import unicodedata

    return unicodedata.normalize("NFC", name)
