"""A page of our runs, written to MLflow and read back."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackers.errors import ArtifactError
from trackers.interop.mlflow import words
from trackers.interop.mlflow.datasets import from_input
from trackers.interop.mlflow.files import is_same, local_path
from trackers.interop.mlflow.reading import iterate_histories
from trackers.interop.mlflow.series import Known, mark
from trackers.interop.outcome import Counted, Exported
from trackers.states import RunState
from trackers.values import Run

if TYPE_CHECKING:
    from trackers.store import Store

_METRICS, _PARAMS, _TAGS = 1000, 100, 100
"""So many MLflow takes at once."""

LONG_PARAMS = "trackers/long_params.json"


@dataclass(slots=True)
class _Wanted:
    """A run as it should be in MLflow."""

    run: Run
    theirs: str
    params: dict[str, str]
    tags: dict[str, str]
    keys: dict[str, str]
    """Our name of a series -> MLflow's key."""

    marks: dict[str, set[int]] = field(default_factory=dict)


class RunExport:
    """One page of runs. ``put`` does it all; *metric_names* are the objectives of a study."""

    def __init__(
        self,
        store: Store,
        client: Any,
        outcome: Exported,
        counted: Counted,
        experiment_id: str,
        metric_names: tuple[str, ...],
    ) -> None:
        self._store, self._client = store, client
        self._outcome, self._counted = outcome, counted
        self._experiment_id, self._metric_names = experiment_id, metric_names

    def put(self, runs: list[Run], there: Mapping[str, str]) -> dict[int, str]:
        """Write *runs*, those that are *there* (our uid -> MLflow's id) as far as they changed; return our id -> theirs."""
        found: dict[int, _Wanted] = {}
        old: dict[int, Any] = {}
        attrs = self._attributes(runs)
        for run in runs:
            theirs = there.get(run.uid)
            if theirs is not None:
                old[run.id] = self._client.get_run(theirs)
            one = self._want(run, theirs or "", attrs.get(run.id, {}))
            if theirs is None:
                one.theirs = self._create(one)
            found[run.id] = one
        self._points(found, old)
        for run_id, one in found.items():
            self._rest(one, old.get(run_id))
            self._files(one, run_id in old)
            self._end(one, old.get(run_id))
        self._counted.runs += len(runs)
        self._counted.added += len(runs) - len(old)
        self._compare(found)
        return {run_id: one.theirs for run_id, one in found.items()}

    def _attributes(self, runs: list[Run]) -> dict[int, Mapping[str, Any]]:
        """Return what objectives and people noted on trials, by the id of their run."""
        trials = [run for run in runs if run.number is not None]
        if not trials:
            return {}
        numbers = [run.number for run in trials if run.number is not None]
        found = self._store.get_trials(trials[0].experiment_id, points=False, numbers=numbers)
        return {trial.run_id: trial.user_attrs for trial in found}

    def _want(self, run: Run, theirs: str, attrs: Mapping[str, Any]) -> _Wanted:
        names = self._keys(list(run.params), "param", run)
        params = {names[name]: words.to_text(value) for name, value in run.params.items()}
        tags = {name: value for name, value in run.tags.items() if not (name == words.PARENT and run.parent_id)}
        called = self._keys(list(tags), "tag", run)
        tags = {called[name]: self._cut(value, words.LONGEST_TAG, f"tag {name!r}", run) for name, value in tags.items()}
        tags |= {
            key: self._cut(text, words.LONGEST_TAG, f"attribute {key.removeprefix(words.ATTRIBUTE)!r}", run)
            for key, text in words.to_attribute_tags(attrs).items()
        }
        tags |= self._own_tags(run)
        return _Wanted(run, theirs, params, tags, self._keys(list(run.metrics), "metric", run))

    def _own_tags(self, run: Run) -> dict[str, str]:
        tags = {words.UID: run.uid}
        if run.user:
            tags[words.USER] = run.user
        if run.state is RunState.PRUNED:
            tags[words.STATE] = "PRUNED"
        if run.number is not None:
            tags |= {"trackers.study": run.experiment, "trackers.number": str(run.number)}
        if run.values is not None:
            tags["trackers.values"] = json.dumps(list(run.values))
        if run.error and run.error != words.KILLED[1]:
            tags["trackers.error"] = run.error[: words.LONGEST_TAG]
        return tags

    def _keys(self, names: list[str], what: str, run: Run) -> dict[str, str]:
        keys = words.to_keys(names)
        for name, key in keys.items():
            if name != key:
                self._outcome.note(f"the {what} {name[:80]!r} is called {key!r} in MLflow")
        return keys

    def _cut(self, text: str, longest: int, what: str, run: Run) -> str:
        if len(text) <= longest:
            return text
        self._outcome.note(f"{run.path}: the {what} has {len(text)} characters; MLflow takes {longest}: it is cut")
        return text[:longest]

    # --- writing -----------------------------------------------------------------------------------------------

    def _create(self, one: _Wanted) -> str:
        run = one.run
        started = _ms(run.started_at or run.created_at)
        made = self._client.create_run(
            self._experiment_id, start_time=started, tags={words.UID: run.uid}, run_name=run.name or run.path
        )
        return str(made.info.run_id)

    def _points(self, found: Mapping[int, _Wanted], old: Mapping[int, Any]) -> None:
        """Write the points that are not there, a thousand at a time."""
        from mlflow.entities import Metric

        known = self._known(found, old)
        for run_id, points in groupby(self._store.intake.points(list(found)), key=lambda point: point[0]):
            one = found[run_id]
            batch: list[Any] = []
            for _, key, context, step, time, value in points:
                name = one.keys[f"{key}{{{context}}}" if context else key]
                point = (step, time // 1000 * 1000, value)
                one.marks.setdefault(name, set()).add(mark(point))
                have = known.get((run_id, name))
                if have is None or have.lacks(point):
                    batch.append(Metric(name, value, time // 1000, step))
                if len(batch) == _METRICS:
                    batch = self._send(one, batch)
            self._send(one, batch)
        for run_id, one in found.items():
            if run_id not in old:
                self._result(one)

    def _send(self, one: _Wanted, batch: list[Any]) -> list[Any]:
        if batch:
            self._client.log_batch(one.theirs, metrics=batch)
            self._counted.points += len(batch)
        return []

    def _known(self, found: Mapping[int, _Wanted], old: Mapping[int, Any]) -> dict[tuple[int, str], Known]:
        known: dict[tuple[int, str], Known] = {}
        ours = {one.theirs: run_id for run_id, one in found.items()}
        for theirs, key, history in iterate_histories(self._client, list(old.values())):
            series = known.setdefault((ours[theirs], key), Known())
            for points in history():
                for point in points:
                    series.add(point)
        return known

    def _result(self, one: _Wanted) -> None:
        """Log those values of a trial that are not the last of a series, so that MLflow can sort by them.

        Where the objective reported something else last, the result is ``NAME.result``.
        """
        from mlflow.entities import Metric

        if one.run.values is None:
            return
        time = one.run.ended_at or one.run.created_at
        for name, value in zip(self._metric_names, one.run.values, strict=False):
            key = words.to_key(name)
            if key in one.keys.values():
                if one.run.metrics.get(name) == value or math.isnan(value):
                    continue
                key += ".result"
                self._outcome.note(f"results that are not the last report are called {key!r} in MLflow")
            if key not in one.keys.values():
                one.marks.setdefault(key, set()).add(mark((0, _ms(time) * 1000, value)))
                self._client.log_batch(one.theirs, metrics=[Metric(key, value, _ms(time), 0)])

    def _rest(self, one: _Wanted, old: Any) -> None:
        """Write params, tags and inputs that are not there."""
        from mlflow.entities import Param, RunTag

        long = {key: text for key, text in one.params.items() if len(text) > words.LONGEST_PARAM}
        one.params = {
            key: self._cut(text, words.LONGEST_PARAM, f"param {key!r}", one.run) for key, text in one.params.items()
        }
        have = ({}, {}) if old is None else (old.data.params, old.data.tags)
        params = [Param(key, text) for key, text in one.params.items() if have[0].get(key) != text]
        tags = [RunTag(key, text) for key, text in one.tags.items() if have[1].get(key) != text]
        for start in range(0, max(len(params), len(tags)), _PARAMS):
            self._client.log_batch(one.theirs, params=params[start : start + _PARAMS], tags=tags[start : start + _TAGS])
        if long and old is None:
            self._client.log_dict(one.theirs, long, LONG_PARAMS)
            self._outcome.note(f"{one.run.path}: its long params are whole in the artifact {LONG_PARAMS}")
        if old is None:
            inputs = [from_input(each) for each in self._store.inputs(one.run)]
            if inputs:
                self._client.log_inputs(one.theirs, inputs)

    def _files(self, one: _Wanted, was_there: bool) -> None:
        rows = self._store.list_artifacts(one.run)
        if not rows:
            return
        there = dict(self._walk(one.theirs)) if was_there else {}
        lost = set()
        with tempfile.TemporaryDirectory(prefix="trackers-mlflow-") as folder:
            for row in rows:
                if there.get(row.name) == row.size:
                    continue
                above, _, last = row.name.rpartition("/")
                try:
                    path = self._store.artifacts.get(row.digest, Path(folder, last))
                except ArtifactError as exc:
                    lost.add(row.name)
                    told = f"{one.run.path}: the file {row.name!r} was not exported: {exc}"
                    self._outcome.problem(told, self._counted)
                    continue
                self._client.log_artifact(one.theirs, str(path), above or None)
                path.unlink()
        there = dict(self._walk(one.theirs))
        self._counted.files += len(rows) - len(lost)
        root = local_path(self._client.get_run(one.theirs).info.artifact_uri)
        for row in rows:
            if row.name in lost:
                continue
            if there.get(row.name) != row.size:
                self._outcome.problem(f"{one.run.path}: the file {row.name!r} is not whole in MLflow", self._counted)
            elif not is_same(self._outcome, root, row.name, row.digest, row.size):
                told = f"{one.run.path}: the file {row.name!r} is another one in MLflow"
                self._outcome.problem(told, self._counted)

    def _walk(self, theirs: str, path: str | None = None, depth: int = 0) -> Iterator[tuple[str, int]]:
        for info in self._client.list_artifacts(theirs, path):
            if not info.is_dir:
                yield info.path, int(info.file_size or 0)
            elif depth < 50:
                yield from self._walk(theirs, info.path, depth + 1)

    def _end(self, one: _Wanted, old: Any) -> None:
        run = one.run
        status = words.to_status(run.state, run.error)
        ended = None if run.ended_at is None else _ms(run.ended_at)
        if old is not None and (old.info.status, old.info.end_time) == (status, ended):
            return
        if ended is not None:
            self._client.set_terminated(one.theirs, status, ended)
        elif status != "RUNNING":
            self._client.update_run(one.theirs, status=status)

    # --- reading back ------------------------------------------------------------------------------------------

    def _compare(self, found: Mapping[int, _Wanted]) -> None:
        """Read every run again and say what is not as it is here; points count once, to the millisecond."""
        by_theirs = {one.theirs: one for one in found.values()}
        runs = [self._client.get_run(theirs) for theirs in by_theirs]
        marks: dict[tuple[str, str], set[int]] = {}
        for theirs, key, history in iterate_histories(self._client, runs):
            mine = marks.setdefault((theirs, key), set())
            for points in history():
                mine |= {mark(point) for point in points}
        for run in runs:
            one = by_theirs[run.info.run_id]
            wrong = [f"param {key!r}" for key, text in one.params.items() if run.data.params.get(key) != text]
            wrong += [f"tag {key!r}" for key, text in one.tags.items() if run.data.tags.get(key) != text]
            wrong += [f"metric {key!r}" for key, ours in one.marks.items() if marks.get((one.theirs, key)) != ours]
            if run.info.status != words.to_status(one.run.state, one.run.error):
                wrong.append("its state")
            if run.info.start_time != _ms(one.run.started_at or one.run.created_at):
                wrong.append("its start")
            if wrong:
                self._outcome.problem(f"{one.run.path} differs in MLflow: {', '.join(wrong[:5])}", self._counted)


def _ms(moment: datetime) -> int:
    """Return milliseconds since the epoch, exactly."""
    return int((moment - datetime.fromtimestamp(0, UTC)).total_seconds() * 1000 + 1e-6)
