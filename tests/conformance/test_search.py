from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.reference_search import Known, in_order, matches, random_filter, random_order
from trackers.changes import ParamsSet, PointsLogged, TagsSet, TrialCreated, TrialFinished
from trackers.cli.exit import run_command
from trackers.clock import now_us
from trackers.errors import FilterError, InvalidValueError, NotFoundError
from trackers.page import RunPage
from trackers.query import OrderKey, parse, parse_order
from trackers.sql import filters, plan
from trackers.states import RunState
from trackers.store import Store

SPECIAL = [math.nan, math.inf, -math.inf, 0.0, 1.0, 0.5, 0.25, 1e300, -1.0]
MIXED: list[Any] = [
    1,
    1.0,
    0.5,
    True,
    False,
    None,
    "1",
    "rbf",
    "a\x00b",
    "b_c%",
    [1, 2],
    {"a": 1},
    math.nan,
    2**60,
    2**60 + 1,
    2**60 - 1,
    float(2**60),
    -(10**19),
    -(10**19) - 1,
    "é",
]


def fill(store: Store, dice: random.Random, count: int) -> None:
    """Log *count* runs in two experiments, and as many trials in a study, with little of everything."""
    parent = None
    for index in range(count):
        params = {
            "lr": dice.choice([0.5, 1e-3, 1, math.inf, math.nan]),
            "kernel": dice.choice(["rbf", "RBF", "linear"]),
        }
        params["mixed"] = dice.choice(MIXED)
        kept = {key: value for key, value in params.items() if dice.random() < 0.8}
        tags = {"team": dice.choice(["rbf", "digits", "", "b_c%"]), "a tag": dice.choice(["é", "a*b", "[x", "r?f"])}
        run = store.start_run(
            dice.choice(["fraud", "audio"]),
            name=dice.choice(["", "rbf", "linear", "é"]),
            params=kept,
            tags={key: value for key, value in tags.items() if dice.random() < 0.7},
            parent=parent if dice.random() < 0.3 else None,
        )
        for key, context in (("loss", None), ("loss", {"split": "val"}), ("acc", None)):
            for _ in range(dice.randrange(4)):
                run.log_metrics({key: dice.choice(SPECIAL)}, context=context)
        parent = run
        if index % 5:
            run.end(dice.choice([RunState.COMPLETE, RunState.FAIL, RunState.PRUNED]))
        else:
            run.flush()
    fill_study(store, dice, count)


def fill_study(store: Store, dice: random.Random, count: int) -> None:
    row = store.create_study("digits", directions=["maximize"], metric_names=["acc"])
    lease = store.acquire_study(row.id)
    for number, run_id in enumerate(store.allocate_ids(count)):
        value = dice.choice([0.5, 0.25, 1.0, -math.inf])
        lease.submit(
            [
                TrialCreated(run_id, store.new_uid(), number, RunState.RUNNING, now_us() + number),
                ParamsSet(run_id, {"lr": dice.choice([0.5, 1e-3, 1]), "mixed": dice.choice(MIXED)}),
                PointsLogged(run_id, "acc", ((0, 0, now_us(), dice.choice(SPECIAL)), (1, 0, now_us(), value))),
                TagsSet(run_id, {"team": dice.choice(["a", "b"])}),
                TrialFinished(run_id, now_us() + 10**6 * number, RunState.COMPLETE, (value,)),
            ]
        )
    lease.release("stopped", "the data is there")


def known_runs(store: Store) -> list[Known]:
    found = pages(store, "", None, 1000)
    uids = {run.id: run.uid for run in found}
    directions = {"digits": {"acc": "max"}}
    return [
        Known(
            run,
            {(one.key, one.context): one for one in store.metrics(run)},
            uids.get(run.parent_id) if run.parent_id is not None else None,
            directions.get(run.experiment, {}),
        )
        for run in found
    ]


def pages(store: Store, filter: str, order: str | None, limit: int) -> list[Any]:
    """Read all pages of a search."""
    found: list[Any] = []
    token = None
    while True:
        page = store.search_runs(filter, order_by=order, limit=limit, page_token=token)
        assert len(page) == limit or page.next_token is None
        found += page
        token = page.next_token
        if token is None:
            return found


@pytest.fixture
def filled(store: Store) -> Store:
    fill(store, random.Random(7), 40)
    return store


# Few runs are gathered, many are walked for a while, what is left meets or is walked with sets: each way by itself.
WAYS = {
    "gathered": {"FEW": 10**6},
    "walked": {"FEW": -1, "A_WHILE": 10**6},
    "walked by groups": {"FEW": -1, "A_WHILE": 3, "LONGER": 10**6, "_NEARLY": 10**6, "_MOST_GROUPS": 10**6},
    "walked a little, then met": {"FEW": -1, "A_WHILE": 3, "LONGER": 5, "MEETING": 10**6},
    "walked a little, then with sets": {"FEW": -1, "A_WHILE": 3, "LONGER": 5, "MEETING": -1},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_page_of_every_search_equals_the_slow_reference(
    filled: Store, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, bound in WAYS[way].items():
        monkeypatch.setattr(plan, name, bound)
    dice = random.Random(len(way))
    everything = known_runs(filled)
    assert len(everything) == 80
    sizes = []
    for _ in range(25):
        monkeypatch.setattr(filters, "LONG_LIST", dice.choice([0, filters.LONG_LIST]))
        tree = random_filter(dice)
        keys = random_order(dice)
        text, order = str(tree), ", ".join(map(str, keys)) or None
        assert repr(parse(text)) == repr(tree) or str(parse(text)) == text
        expected = [known.run.uid for known in in_order([k for k in everything if matches(k, tree)], keys)]
        found = [run.uid for run in pages(filled, text, order, dice.choice([9, 30, 80]))]
        assert found == expected, (text, order)
        sizes.append(len(found))
    assert sum(0 < size < 80 for size in sizes) > 8, "the filters must tell runs apart"


def test_text_longer_than_an_index_holds_is_compared_whole(store: Store) -> None:
    long = "x" * 300
    for index, text in enumerate([long, long + "a", long + "b", "x" * 249, "x" * 250, "y"]):
        store.start_run(name=str(index), params={"p": text}, tags={"t": text}).end()

    def found(filter: str) -> str:
        return "".join(run.name for run in store.search_runs(filter, order_by="attributes.created"))

    for field in ("params.p", "tags.t"):
        assert found(f"{field} = '{long}a'") == "1"
        assert found(f"{field} != '{long}a'") == "02345"
        assert found(f"{field} in ('{long}', '{long}b', 'y')") == "025"
        others = ", ".join(f"'{'x' * length}'" for length in range(251, 290))
        assert found(f"{field} in ('{long}', '{long}b', {others}, 'y')") == "025"
        assert found(f"{field} > '{long}'") == "125"
        assert found(f"{field} <= '{long}a'") == "0134"
        assert found(f"{field} like '{long}_'") == "12"
        assert found(f"{field} like '%xa'") == "1"
        assert found(f"{field} ilike '%XB'") == "2"
        assert found(f"{field} not like 'x%x'") == "125"
        assert found(f"{field} like '{'x' * 249}'") == "3"


def test_ilike_ignores_the_case_of_ascii_letters_alone_on_every_database(store: Store) -> None:
    for number, name in enumerate(["Émile", "émile", "ÉMILE", "EMILE", "a_B%c"]):
        with store.start_run("people", name=str(number)) as run:
            run.set_tags({"who": name})

    def found(pattern: str) -> str:
        return ",".join(sorted(run.name for run in store.search_runs(f"tags.who ilike '{pattern}'")))

    assert found("Émile") == "0,2"
    assert found("é%") == "1"
    assert found("emile") == "3"
    assert found("A\\_b\\%C") == "4"
    assert found("%MIL_") == "0,1,2,3"


def test_runs_are_found_by_their_data_sets(store: Store, tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text(name)
    for index, names in enumerate([["train"], ["train", "test"], []]):
        with store.start_run(name=str(index)) as run:
            for name in names:
                run.log_input(tmp_path / f"{name}.csv", role=name)
    digest = store.inputs(store.search_runs("attributes.name = '0'")[0])[0].digest

    def found(filter: str) -> str:
        return "".join(run.name for run in store.search_runs(filter, order_by="attributes.created"))

    assert found("datasets.name = 'train.csv'") == "01"
    assert found("dataset.name like 'te%'") == "1"
    assert found("datasets.name != 'train.csv'") == "1"
    assert found(f"datasets.digest = '{digest}' and not datasets.name = 'test.csv'") == "0"
    assert found("datasets.context = 'test'") == "1"
    assert found("datasets.name is null") == "2"
    with pytest.raises(FilterError, match="gives no order"):
        store.search_runs(order_by="datasets.name")
    with pytest.raises(FilterError, match="data sets have no 'size'"):
        store.search_runs("datasets.size = 'x'")


def test_nan_comes_last_and_runs_without_the_field_after_it_whatever_the_direction(store: Store) -> None:
    for value in (1.0, math.nan, math.inf, None, -math.inf):
        with store.start_run(name=str(value)) as run:
            if value is not None:
                run.log_metric("auc", value)
    names = [run.name for run in store.search_runs(order_by="metrics.auc asc")]
    assert names == ["-inf", "1.0", "inf", "nan", "None"]
    names = [run.name for run in store.search_runs(order_by="metrics.auc desc")]
    assert names == ["inf", "1.0", "-inf", "nan", "None"]


def test_numbers_compare_as_numbers_and_text_as_text(store: Store) -> None:
    values: list[Any] = [9, 10.0, True, "9", "10", None]
    for value in values:
        store.start_run(params={"n": value}, name=repr(value)).end()

    def found(filter: str) -> list[str]:
        return [run.name for run in store.search_runs(filter, order_by="attributes.created")]

    assert found("params.n > 9") == ["10.0"]
    assert found("params.n >= 1") == ["9", "10.0", "True"]
    assert found("params.n < '9'") == ["'10'"]
    assert found("params.n = true") == ["True"]
    assert found("params.n = 1") == ["True"]
    assert found("params.n is null") == ["None"]
    assert found("params.n != 9") == ["10.0", "True", "'9'", "'10'"]


def test_text_that_writes_a_number_finds_it_as_it_does_in_mlflow(store: Store) -> None:
    for value in (0.1, "0.1", 1, False):
        store.start_run(params={"n": value}).end()
    assert [run.params["n"] for run in store.search_runs("params.n = '0.1'", order_by="created")] == [0.1, "0.1"]
    assert [run.params["n"] for run in store.search_runs("params.n = 'False'")] == [False]
    assert [run.params["n"] for run in store.search_runs("params.n in ('1', 'x')")] == [1]


def test_trials_are_runs_and_best_follows_the_direction_of_their_study(filled: Store) -> None:
    trials = filled.search_runs("attributes.study = 'digits' and best(metrics.acc) >= 1", limit=1000)
    assert trials
    assert all(run.number is not None for run in trials)
    assert all(filled.metrics(run)[0].max >= 1 for run in trials)
    with pytest.raises(FilterError, match=r"write min\(metrics.loss\) or max\(metrics.loss\)"):
        filled.search_runs("best(metrics.loss) < 1")
    with pytest.raises(FilterError, match="no study here"):
        filled.search_runs(order_by="best(metrics.acc)", experiments=["fraud"])


def test_a_search_keeps_to_its_experiments_and_names_close_ones(filled: Store) -> None:
    runs = filled.search_runs(experiments=["fraud", "digits"], limit=1000)
    assert {run.experiment for run in runs} == {"fraud", "digits"}
    assert filled.search_runs(experiments="audio")[0].experiment == "audio"
    assert len(filled.search_runs(experiments=[])) == 0
    with pytest.raises(NotFoundError, match="there is no experiment 'fruad' in this store; did you mean 'fraud'"):
        filled.search_runs(experiments=["fruad"])


def test_runs_of_a_deleted_study_are_not_found(filled: Store) -> None:
    filled.delete_study("digits")
    assert {run.experiment for run in filled.search_runs(limit=1000)} == {"fraud", "audio"}


def test_paging_goes_on_where_it_was_when_runs_are_added_meanwhile(store: Store) -> None:
    for index in range(6):
        store.start_run(name=str(index)).end()
    first = store.search_runs(limit=3)
    store.start_run(name="new").end()
    second = store.search_runs(limit=3, page_token=first.next_token)
    assert [run.name for run in [*first, *second]] == ["5", "4", "3", "2", "1", "0"]
    assert second.next_token is None


@pytest.mark.parametrize("token", ["", "x", "AAAA", "eyJhIjoxfQ", "W10", "é", "a" * 100_000, "WzEsMl0", "W1tbW1tb"])
def test_a_token_that_cannot_be_read_is_refused_with_a_sentence(store: Store, token: str) -> None:
    with pytest.raises(InvalidValueError, match="page token"):
        store.search_runs(page_token=token)


def test_a_token_of_another_search_is_refused(filled: Store) -> None:
    token = filled.search_runs("metrics.loss > 0", limit=1).next_token
    with pytest.raises(InvalidValueError, match="belongs to another search"):
        filled.search_runs("metrics.loss > 1", limit=1, page_token=token)
    with pytest.raises(InvalidValueError, match="belongs to another search"):
        filled.search_runs("metrics.loss > 0", order_by="metrics.loss", limit=1, page_token=token)


def test_a_token_with_changed_values_reaches_no_statement(filled: Store) -> None:
    import base64
    import json

    token = filled.search_runs(limit=1).next_token
    assert token is not None
    mark, phase, *values = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    for wrong in ([mark, phase, "x", values[1]], [mark, 99, *values], [mark, -1, *values], [mark, phase, 10**30, 1]):
        text = base64.urlsafe_b64encode(json.dumps(wrong).encode()).decode()
        with pytest.raises(InvalidValueError, match="cannot be read"):
            filled.search_runs(limit=1, page_token=text)


@pytest.mark.parametrize("limit", [0, -1, 10**9, True, 1.5])
def test_a_limit_out_of_bounds_is_refused(store: Store, limit: Any) -> None:
    with pytest.raises(InvalidValueError, match="limit must be a number from 1 to 100,000"):
        store.search_runs(limit=limit)


@pytest.mark.parametrize(
    "filter",
    [
        "tags.a = 'x\0y' and attributes.name = 'x\0y' and params.\"k\0\" = 1 and metrics.\"k\0\" > 1",
        "tags.a like '%\ud800%' or attributes.name ilike '\ud800' or attributes.experiment = '\ud800'",
        "params.a in ('\0', '\ud800') and attributes.user != '\x1a'",
        "attributes.number > 1e300 or attributes.number = 1.5 or attributes.number in (inf, -inf, nan, 3)",
        "attributes.started > 1e300 or attributes.ended < -inf or attributes.created between 0 and 1e18",
        "attributes.duration = nan or attributes.duration < inf",
        "tags.a like '%\\' or tags.a like '\\%' or tags.a like '[[]*?'",
        " or ".join(f"(metrics.m{i} > {i} and params.p{i} = 'x')" for i in range(40)),
        f"params.a in ({', '.join(map(str, range(5000)))})",
        "(" * 98 + "not metrics.a > 1" + ")" * 98,
    ],
)
def test_a_strange_filter_reaches_the_database_unharmed(store: Store, filter: str) -> None:
    store.start_run().end()
    assert isinstance(store.search_runs(filter, order_by="params.a desc, tags.a, metrics.a"), RunPage)


def test_a_page_is_a_sequence_with_rows_and_a_data_frame(filled: Store) -> None:
    page = filled.search_runs("params.kernel = 'rbf'", order_by="metrics.loss")
    assert page[0] == next(iter(page))
    assert page[:2] == (page[0], page[1])
    rows = page.to_rows()
    assert rows[0]["params.kernel"] == "rbf"
    assert {tuple(row) for row in rows} == {tuple(rows[0])}, "every row has the same columns"
    frame = page.to_pandas()
    assert list(frame["run_id"]) == [run.uid for run in page]
    assert len(filled.search_runs("params.kernel = 'no'").to_pandas()) == 0


def test_a_page_is_read_by_a_number_of_statements_that_does_not_grow(filled: Store) -> None:
    from sqlalchemy import event

    statements: list[str] = []
    engine = filled.database._reader
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    counts = []
    for limit in (5, 70):
        statements.clear()
        filled.search_runs("params.lr > 0 or params.lr is null", limit=limit, order_by="attributes.created")
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_an_order_key_said_twice_counts_once() -> None:
    assert parse_order("metrics.a, metrics.a desc") == (OrderKey(parse_order("metrics.a")[0].field),)


def test_odd_values_stand_in_every_form_of_a_page(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    with store.start_run("odd", params={"half": "a\ud800b", "huge": 10**30, "plain": 1}) as run:
        run.log_metric("loss", 0.5, context="split=train")
    page = store.search_runs()
    assert page.to_arrow().column("params.huge").to_pylist() == [str(10**30)]
    assert page.to_arrow().column("params.half").to_pylist() == ["a\\ud800b"]
    assert page.to_pandas()["params.half"].tolist() == ["a\\ud800b"]
    assert run_command(["search", "--csv", "--storage", store.url]) == 0
    assert "a\\ud800b" in capsys.readouterr().out
    assert run_command(["show", run.uid, "--history", "loss{split=train}", "--storage", store.url]) == 0
    assert "0.5" in capsys.readouterr().out
    assert run_command(["show", run.uid, "--context", "split=train", "--storage", store.url]) == 2
    assert "--context goes with --history" in capsys.readouterr().err


def test_an_order_is_text(store: Store) -> None:
    for order in (5, [5], {"a": 1}.values()):
        with pytest.raises(FilterError, match="an order is text"):
            store.search_runs(order_by=order)  # type: ignore[arg-type]


def test_a_filter_is_nested_as_deep_as_is_said_on_every_database(store: Store) -> None:
    with store.start_run("e", params={"a": 1}) as run:
        pass

    def nested(depth: int, word: str) -> str:
        text = "params.a = 1"
        for level in range(depth):
            text = f"{word} ({text} {('or', 'and')[level % 2]} params.a = {level % 2})"
        return text

    assert [one.uid for one in store.search_runs("not " * 98 + "params.a = 1")] == [run.uid]
    assert [one.uid for one in store.search_runs("(" * 98 + "params.a = 1" + ")" * 98)] == [run.uid]
    for depth, word in ((40, ""), (20, "not")):
        assert len(store.search_runs(nested(depth, word))) <= 1
    for depth, word in ((60, ""), (30, "not")):
        with pytest.raises(InvalidValueError, match="40 is the most: write it flatter"):
            store.search_runs(nested(depth, word))


def test_integers_that_no_double_holds_are_told_apart(store: Store) -> None:
    seeds = [1234567890123456788, 1234567890123456789, 1234567890123456790, 2**53, 2**53 + 1, 10**30, -(10**19)]
    for seed in seeds:
        store.start_run("seeds", params={"seed": seed}).end()
    for one in [*seeds, 1234567890123456700, 2**53 - 1, 10**30 + 1, -(10**19) - 1, 0]:
        wanted = {
            "=": [seed for seed in seeds if seed == one],
            "!=": [seed for seed in seeds if seed != one],
            "<": [seed for seed in seeds if seed < one],
            ">=": [seed for seed in seeds if seed >= one],
        }
        for op, expected in wanted.items():
            found = store.search_runs(f"params.seed {op} {one}")
            assert sorted(run.params["seed"] for run in found) == sorted(expected), (op, one)
        for written in (f"params.seed = '{one}'", f"params.seed in ({one}, 7)", f"params.seed between {one} and {one}"):
            assert [run.params["seed"] for run in store.search_runs(written)] == wanted["="], written
        found = store.search_runs(f"params.seed not in ({one}, 7)")
        assert sorted(run.params["seed"] for run in found) == sorted(wanted["!="])


def test_a_nested_run_names_its_parent_in_what_a_search_returns(store: Store) -> None:
    with store.start_run("nested") as parent, store.start_run("nested", parent=parent) as child:
        pass
    rows = {row["run_id"]: row["parent"] for row in store.search_runs("").to_rows()}
    assert rows == {parent.uid: None, child.uid: parent.uid}
    assert store.get_run(child.uid).parent == parent.uid
