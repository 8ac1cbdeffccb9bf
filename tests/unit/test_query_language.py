from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackers.errors import FilterError
from trackers.query import And, Between, Comparison, Field, In, IsNull, Like, Not, Or, parse, parse_order

LOSS = Field("metric", "loss")
KERNEL = Field("param", "kernel")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("metrics.loss < 0.5", Comparison(LOSS, "<", 0.5)),
        ("metric.loss == -1e3", Comparison(LOSS, "=", -1000.0)),
        ("metrics.loss <> 3", Comparison(LOSS, "!=", 3)),
        ("metrics.`val loss` > .5", Comparison(Field("metric", "val loss"), ">", 0.5)),
        ('metrics."say ""hi""" > +5', Comparison(Field("metric", 'say "hi"'), ">", 5)),
        ("metrics.train/loss.mean-1 > 5.", Comparison(Field("metric", "train/loss.mean-1"), ">", 5.0)),
        ("metrics.loss{split=val} >= inf", Comparison(Field("metric", "loss", context="split=val"), ">=", math.inf)),
        ("metrics.loss{split='val'} > 0", Comparison(Field("metric", "loss", context="split=val"), ">", 0)),
        (
            'metrics.loss{ fold = 1, split = "a, b" } > 0',
            Comparison(Field("metric", "loss", context="fold=1,split=a, b"), ">", 0),
        ),
        (
            "metrics.loss{ split = val , fold=1 } > 0",
            Comparison(Field("metric", "loss", context="fold=1,split=val"), ">", 0),
        ),
        ("best(metrics.loss) != nan", Comparison(Field("metric", "loss", "best"), "!=", math.nan)),
        ("MAX( metrics.loss ) <= -inf", Comparison(Field("metric", "loss", "max"), "<=", -math.inf)),
        ("last(metrics.loss) = 1", Comparison(LOSS, "=", 1)),
        ("params.kernel = 'it''s'", Comparison(KERNEL, "=", "it's")),
        ('param.kernel = "rbf"', Comparison(KERNEL, "=", "rbf")),
        ("params.kernel != TRUE", Comparison(KERNEL, "!=", True)),
        ("params.kernel IN ('a', 1, 1, false)", In(KERNEL, ("a", 1, False))),
        ("params.kernel not in (2.5)", In(KERNEL, (2.5,), negated=True)),
        ("metrics.loss between 1 and 2 and tag.a = 'x'", None),
        ("metrics.loss not between 1 and inf", Between(LOSS, 1, math.inf, negated=True)),
        ("tags.a.b like 'x%'", Like(Field("tag", "a.b"), "x%")),
        ("tags.a not ilike '_X'", Like(Field("tag", "a"), "_X", ignore_case=True, negated=True)),
        ("params.kernel is null", IsNull(KERNEL)),
        ("params.kernel is not NULL", IsNull(KERNEL, negated=True)),
        ("params.kernel = null", IsNull(KERNEL)),
        ("params.kernel != null", IsNull(KERNEL, negated=True)),
        ("attribute.status = 'finished'", Comparison(Field("attribute", "state"), "=", "COMPLETE")),
        ("state in ('PRUNED', 'FAILED')", In(Field("attribute", "state"), ("PRUNED", "FAIL"))),
        ("attributes.run_name = 'x'", Comparison(Field("attribute", "name"), "=", "x")),
        ("study = 'digits'", Comparison(Field("attribute", "experiment"), "=", "digits")),
        (
            "attributes.started >= '2026-01-31T01:00:00+01:00'",
            Comparison(Field("attribute", "started"), ">=", 1769817600000000),
        ),
        ("attributes.started >= 1769817600", Comparison(Field("attribute", "started"), ">=", 1769817600000000)),
        ("tags.mlflow.runName = 'a'", Comparison(Field("attribute", "name"), "=", "a")),
        ("tags.`mlflow.user` != 'ann'", Comparison(Field("attribute", "user"), "!=", "ann")),
        ("tags.\"mlflow.parentRunId\" = 'ab'", Comparison(Field("attribute", "parent"), "=", "ab")),
        ("attributes.`Run name` = 'a'", Comparison(Field("attribute", "name"), "=", "a")),
        ("attributes.start_time >= 1769817600000", Comparison(Field("attribute", "started"), ">=", 1769817600000000)),
        ("", None),
        (" \n\t", None),
    ],
)
def test_a_filter_becomes_its_tree(text: str, tree: object) -> None:
    found = parse(text)
    if tree is not None or not text.strip():
        assert repr(found) == repr(tree)  # nan equals itself in text only
    if found is not None:
        assert parse(str(found)) == found


def test_and_binds_before_or_and_not_before_both() -> None:
    a, b, c = (Comparison(Field("tag", name), "=", "x") for name in "abc")
    text = "tags.a = 'x' or not tags.b = 'x' and tags.c = 'x'"
    assert parse(text) == Or((a, And((Not(b), c))))
    assert parse("(tags.a = 'x' or tags.b = 'x') and tags.c = 'x'") == And((Or((a, b)), c))
    assert parse("not (tags.a = 'x' or tags.b = 'x')") == Not(Or((a, b)))


@pytest.mark.parametrize(
    "text",
    [
        """there is no 'metricss'; did you mean metrics?
  metricss.acc > 1
  ^^^^^^^^""",
        """runs have no attribute 'stat'; did you mean state?
  attributes.stat = 'FAIL'
             ^^^^""",
        """'acc' is no field: write metrics.acc, params.acc or tags.acc
  acc > 0.9
  ^^^""",
        """'stats' is no field; did you mean status?
  metrics.a > 1 and stats = 'FAIL'
                    ^^^^^""",
        """metrics are numbers: write one, without quotes
  metrics.acc > '0.9'
                ^^^^^""",
        """tags are text: put the value in quotes, as in '5'
  tags.n = 5
           ^""",
        """text stands in quotes: write 'rbf'
  params.kernel = rbf
                  ^^^""",
        """this is no state; did you mean 'COMPLETE'?
  attributes.state = 'COMPLET'
                     ^^^^^^^^^""",
        """states have no order: use = != in, as in attributes.state in ('COMPLETE', 'PRUNED')
  attributes.state > 'FAIL'
                     ^^^^^^""",
        """nan has no order: write = nan, or != nan
  metrics.loss < nan
                 ^^^""",
        """null has no order: write is null, or is not null
  metrics.loss < null
               ^""",
        """null is no value: write is null, or is not null
  params.a in (1, null)
                  ^^^^""",
        """the filter should end here, or go on with and / or; did you mean and?
  metrics.a > 1 adn metrics.b > 2
                ^^^""",
        """'&&' has no meaning here: write and
  metrics.a > 1 && metrics.b > 2
                ^^""",
        """'“' has no meaning here: write '
  tags.a = “x”
           ^""",
        """'lke' is no operator; did you mean like?
  tags.a lke 'x'
         ^^^""",
        """like compares text, and metrics.a is no text: use = < > between in
  metrics.a like 'x'
            ^^^^""",
        """this parenthesis is never closed
  (metrics.a > 1 and (metrics.b > 2)
  ^""",
        """this parenthesis closes none
  metrics.a > 1)
               ^""",
        """the quote ' that opens here is never closed
  params.a = 'rbf
             ^""",
        """'avg' is no function: there are best, last, min, max
  avg(metrics.a) > 1
  ^^^""",
        """best(...) goes with a metric, as in best(metrics.loss)
  best(params.a) > 1
       ^^^^^^^^""",
        """a value is expected after >: a number, or text in quotes
  metrics.a >
             ^""",
        """a field comes first, as in metrics.accuracy > 0.9
  0.9 < metrics.a
  ^^^""",
        """this is not a number: put text in quotes
  params.a = 5abc
             ^^^^""",
        """this is no time: write it as '2026-01-31' or '2026-01-31T12:30:00' (UTC), or as seconds since 1970
  attributes.started > 'yesterday'
                       ^^^^^^^^^^^""",
        """a name is expected after tags.
  tags. = 'x'
  ^^^^^""",
        """both ends of between are numbers, or both are text
  params.a between 1 and 'b'
                         ^^^""",
    ],
)
def test_a_mistake_is_named_with_a_caret_under_the_wrong_word(text: str) -> None:
    given_text = text.splitlines()[1][2:]
    with pytest.raises(FilterError) as caught:
        parse(given_text)
    assert str(caught.value) == text
    assert caught.value.filter == given_text
    assert len(caught.value.args[0].splitlines()) == 3


def test_only_the_line_of_the_mistake_is_shown() -> None:
    with pytest.raises(FilterError) as caught:
        parse("tags.a = 'x' or\ntags.b b 1")
    assert str(caught.value).splitlines()[1:] == ["  tags.b b 1", "         ^"]


def test_a_long_filter_is_shown_around_the_mistake_only() -> None:
    text = " and ".join(["metrics.accuracy > 0.5"] * 50) + " and metrics.b >> 1"
    with pytest.raises(FilterError) as caught:
        parse(text)
    _, line, caret = str(caught.value).splitlines()
    assert len(line) < 120
    assert line[caret.index("^")] == ">"
    assert line.startswith("  ... ")


def test_wide_characters_do_not_shift_the_caret() -> None:
    with pytest.raises(FilterError) as caught:
        parse("tags.a = '世界' nd")
    _, line, caret = str(caught.value).splitlines()
    assert caret.index("^") == line.index("nd") + 2  # the two characters are two columns wide each


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("metrics.a > 1 and " * 4000, "at most 65,536 are read"),
        ("(" * 5000 + "metrics.a > 1" + ")" * 5000, "more than 100 deep"),
        ("not " * 5000 + "metrics.a > 1", "more than 100 deep"),
        (" or ".join(["metrics.a > 1"] * 201), "more than 200 conditions"),
        (f"params.a in ({','.join(map(str, range(5001)))})", "more than 5,000 values"),
        (f"tags.a like '{'a' * 10_001}'", "a pattern may have 10,000 characters"),
    ],
)
def test_a_filter_out_of_bounds_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(FilterError, match=sentence) as caught:
        parse(text)
    assert len(str(caught.value)) < 500


def test_an_order_out_of_bounds_is_called_an_order() -> None:
    with pytest.raises(FilterError, match="the order has 72,000 characters"):
        parse_order("metrics.a" * 8000)


def test_a_filter_of_the_largest_depth_and_width_is_read() -> None:
    deep = "(" * 99 + "metrics.a > 1" + ")" * 99
    assert parse(deep) == Comparison(Field("metric", "a"), ">", 1)
    wide = parse(" or ".join(["metrics.a > 1"] * 200))
    assert isinstance(wide, Or)
    assert len(wide.nodes) == 200


def test_numbers_beyond_every_type_are_read() -> None:
    assert parse("metrics.a < 1e999") == Comparison(Field("metric", "a"), "<", math.inf)
    assert parse("metrics.a < " + "9" * 5000) == Comparison(Field("metric", "a"), "<", math.inf)
    assert parse("metrics.a < 9223372036854775808") == Comparison(Field("metric", "a"), "<", 2.0**63)


def test_something_that_is_no_text_is_refused() -> None:
    with pytest.raises(FilterError, match="the filter is text, not dict"):
        parse({"metrics.a": 1})  # type: ignore[arg-type]


def test_names_are_found_in_their_normal_form() -> None:
    assert parse("params.e\u0301 = 1") == parse("params.é = 1") == Comparison(Field("param", "é"), "=", 1)


def test_an_order_is_read_from_text_or_a_list() -> None:
    keys = parse_order("metrics.auc desc, attributes.started asc, best(metrics.`val loss`)")
    assert [str(key) for key in keys] == [
        "metrics.auc desc",
        "attributes.started asc",
        'best(metrics."val loss") asc',
    ]
    assert parse_order(["metrics.auc DESC", "started", "max(metrics.x)"])[0].descending
    assert parse_order(None) == parse_order("") == parse_order([]) == ()
    assert len(parse_order("metrics.a, metrics.a desc")) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "metrics.auc downwards",
            "a field is followed by asc, desc or a comma\n  metrics.auc downwards\n              ^^^^^^^^^",
        ),
        ("metrics.a,", "another field is expected after the comma\n  metrics.a,\n            ^"),
        ("metric.a desc, atributes.x", "there is no 'atributes'; did you mean attributes?"),
        (",".join(f"metrics.m{i}" for i in range(9)), "an order may have 8 keys"),
    ],
)
def test_a_wrong_order_is_named_with_a_caret(text: str, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_order(text)
    assert str(caught.value).startswith(message)


TYPED = (
    "metrics.a params.b tags.c attributes.state started best( min( ( ) , = != < <= > >= and or not in between like "
    "ilike is null true nan inf 1 -2.5 1e9 'x' \"y\" `z` metrics.`a b` params.\"q{{\" {v} metrics.a{v=1} metrics.a{v='1'} metrics.a{ v = ''1'' , 2 } 'FAIL' '' "
    "desc '2026-01-31' . ' \" \\ % é \0 \ud800"
)
WORDS = st.sampled_from(TYPED.split(" "))


@given(st.lists(WORDS, max_size=25).map(" ".join) | st.text(max_size=60) | st.lists(WORDS, max_size=9).map("".join))
def test_any_text_is_read_or_refused_and_what_is_read_says_itself(text: str) -> None:
    try:
        tree = parse(text)
    except FilterError:
        tree = None
    if tree is not None:
        assert parse(str(tree)) == tree
    try:
        keys = parse_order(text)
    except FilterError:
        return
    assert parse_order(", ".join(map(str, keys))) == keys


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
FIELDS = st.one_of(
    st.builds(Field, st.just("metric"), NAMES, st.sampled_from(["best", "last", "min", "max"])),
    st.builds(Field, st.sampled_from(["param", "tag"]), NAMES),
)


@given(
    st.recursive(
        st.builds(IsNull, FIELDS, st.booleans()),
        lambda inner: (
            st.builds(Not, inner)
            | st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple))
            | st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple))
        ),
        max_leaves=12,
    )
)
def test_every_tree_says_a_filter_that_parses_to_it(tree: object) -> None:
    again = parse(str(tree))
    assert str(again) == str(parse(str(again)))
    assert repr(parse(str(again))) == repr(again)
