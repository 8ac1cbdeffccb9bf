"""A page of MLflow's runs, written together and read back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trackers import changes as c
from trackers.interop.mlflow import words
from trackers.interop.mlflow.datasets import to_input
from trackers.interop.mlflow.files import Files, Taker
from trackers.interop.mlflow.reading import History, iterate_histories
from trackers.interop.mlflow.series import Known, Sum
from trackers.interop.outcome import Counted, Imported
from trackers.states import RunState
from trackers.values import ParamValue, Run, RunInput
from trackers.wording import counted

if TYPE_CHECKING:
    from trackers.store import Store

_MANY_POINTS = 200_000
"""So many points wait for the writer before this waits for it."""

_COMMIT = re.compile(r"[0-9a-f]{7,64}")

Key = tuple[int, str]


@dataclass(slots=True)
class _Wanted:
    """A run as it should be here."""

    run_id: int
    theirs: str
    name: str
    user: str
    state: RunState
    started: int
    ended: int | None
    params: dict[str, ParamValue]
    tags: dict[str, str]
    killed: bool
    files: Files = field(default_factory=dict)
    inputs: list[RunInput] = field(default_factory=list)
    new: bool = True


class RunImport:
    """One page of runs. ``take`` does it all."""

    def __init__(
        self, store: Store, client: Any, taker: Taker, outcome: Imported, counted: Counted, place: str
    ) -> None:
        self._store, self._client, self._taker = store, client, taker
        self._intake = store.intake
        self._outcome, self._counted, self._place = outcome, counted, place
        self._commits: list[Any] = []
        self._waiting = 0
        self._launches: dict[tuple[str, str | None, str, str | None], int] = {}

    def take(self, runs: list[Any], experiment: Callable[[], int], parents: dict[int, str]) -> dict[str, int]:
        """Write *runs* into the experiment and compare them; return MLflow's ids -> ours.

        *experiment* returns its id, and is called only where a run is not one of this store that came back.

        *parents* gets our ids of children -> MLflow's id of the parent.
        """
        found = self._meet(runs, experiment, parents)
        wanted = {run.theirs: run for run in found}
        before = {run.id: run for run in self._intake.read_runs([w.run_id for w in found if not w.new])}
        for run in runs:
            if run.info.run_id in wanted:
                self._hold(run, wanted[run.info.run_id])
        for one in found:
            self._submit(self._records(one, before.get(one.run_id)))
        sums = self._series([run for run in runs if run.info.run_id in wanted], wanted)
        self._settle()
        for one in found:
            self._follow(one, before.get(one.run_id))
        self._compare(found, sums)
        return {run.theirs: run.run_id for run in found}

    def _meet(self, runs: list[Any], experiment: Callable[[], int], parents: dict[int, str]) -> list[_Wanted]:
        """Find the runs that are here, write those that are new, and return all that are to be copied."""
        uids = {run.info.run_id: _uid(run) for run in runs}
        known = self._intake.find_runs(list(uids.values()), words.ORIGIN)
        fresh = [run for run in runs if uids[run.info.run_id] not in known]
        ids = dict(zip((run.info.run_id for run in fresh), self._store.allocate_ids(max(1, len(fresh))), strict=False))
        rows, found = [], []
        for run in runs:
            theirs, uid = run.info.run_id, uids[run.info.run_id]
            there = known.get(uid)
            if there is not None and not isinstance(there.origin, Mapping):
                self._counted.runs += 1  # exported from this store: the run is here, and may have gone on here
                if run.data.tags.get(words.UID) != uid:
                    self._outcome.problem(
                        f"run {theirs}: this store has a run of that id that is another", self._counted
                    )
                continue
            experiment_id = experiment()
            one = self._want(run, ids[theirs] if there is None else there.run_id, there is None)
            if one.new:
                rows.append(c.PastRun(one.run_id, uid, experiment_id, one.name, one.user, one.started))
            parent = run.data.tags.get(words.PARENT)
            if parent:
                parents[one.run_id] = parent
            found.append(one)
        self._intake.add_runs(rows)
        self._counted.runs += len(found)
        self._counted.added += len(rows)
        return found

    def _want(self, run: Any, run_id: int, new: bool) -> _Wanted:
        info, tags = run.info, run.data.tags
        name = str(info.run_name or tags.get(words.RUN_NAME, ""))
        user = tags.get(words.USER) or (info.user_id if info.user_id not in (None, "unknown") else "")
        started = int(info.start_time or 0) * 1000
        state = words.to_state(info.status, tags)
        ended = (int(info.end_time) * 1000 if info.end_time else started) if state.is_finished() else None
        kept = {words.RUN_NAME, words.USER}
        return _Wanted(
            run_id,
            info.run_id,
            self._fit(name, "run", info.run_id) if name else "",
            str(user)[:250],
            state,
            started,
            ended,
            {self._fit(key, "param", info.run_id): words.to_param(text) for key, text in run.data.params.items()},
            {self._fit(key, "tag", info.run_id): str(value) for key, value in tags.items() if key not in kept},
            info.status == "KILLED" and state is RunState.FAIL,
            new=new,
        )

    def _fit(self, name: str, what: str, owner: str) -> str:
        taken = words.fit(name, what)
        if taken != name:
            self._outcome.note(f"{owner}: the {what} {name[:80]!r} is called {taken!r} here")
        return taken

    def _hold(self, run: Any, one: _Wanted) -> None:
        """Take the files of a run, and what is known of its data."""
        known = {} if one.new else {row.name: (row.digest, row.size) for row in self._store.list_artifacts(one.run_id)}
        one.files = self._taker.take_or_say(run.info.artifact_uri, one.theirs, known)
        inputs = getattr(run, "inputs", None)
        one.inputs = [to_input(each) for each in (inputs.dataset_inputs if inputs is not None else ())]

    def _records(self, one: _Wanted, old: Run | None) -> list[c.Change]:
        """Return what has to be written, in the order in which it happened."""
        run_id = one.run_id
        records: list[c.Change] = []
        if old is None:
            records.append(c.AttrsSet(run_id, "system", {words.ORIGIN: {"from": "mlflow", "place": self._place}}))
        if one.state is not RunState.WAITING and (old is None or old.state is RunState.WAITING):
            records.append(
                c.TrialStarted(run_id, 0, one.started, worker="", host="", pid=0, launch=self._launch(one.tags))
            )
        params = {k: v for k, v in one.params.items() if old is None or not _same(old.params.get(k, ...), v)}
        if params:
            records.append(c.ParamsSet(run_id, params))
        tags = {key: value for key, value in one.tags.items() if old is None or old.tags.get(key) != value}
        if tags:
            records.append(c.TagsSet(run_id, tags))
        records += [
            c.InputLogged(run_id, each.name, each.digest, each.role, each.rows, each.schema, each.source)
            for each in one.inputs
        ]
        if one.files:
            records.append(c.ArtifactsLogged(run_id, one.ended or one.started, one.files))
        if one.ended is not None and (old is None or not old.state.is_finished()):
            outcome = {RunState.COMPLETE: "complete", RunState.PRUNED: "pruned"}.get(one.state, "fail")
            error = words.KILLED if one.killed else (None, None)
            records.append(c.AttemptEnded(run_id, 0, one.ended, outcome, reason=error[1] or ""))
            records.append(c.TrialFinished(run_id, one.ended, one.state, None, *error))
        self._counted.files += len(one.files)
        return records

    def _launch(self, tags: Mapping[str, str]) -> int | None:
        """Return the id of the code that a run ran, where MLflow knows its commit."""
        commit = tags.get("mlflow.source.git.commit", "").lower()
        if not _COMMIT.fullmatch(commit):
            return None
        branch, remote = (tags.get(f"mlflow.source.git.{name}") for name in ("branch", "repoURL"))
        key = commit, branch, tags.get("mlflow.source.name", ""), remote
        if key not in self._launches:
            self._launches[key] = self._intake.keep_launch(*key)
        return self._launches[key]

    # --- series ------------------------------------------------------------------------------------------------

    def _series(self, runs: list[Any], wanted: Mapping[str, _Wanted]) -> dict[Key, Sum]:
        """Write the points that are new; return the sum of every series as MLflow has it."""
        sums: dict[Key, Sum] = {}
        here = self._sums([one.run_id for one in wanted.values() if not one.new])
        for theirs, key, history in iterate_histories(self._client, runs):
            one = wanted[theirs]
            name = self._fit(key, "metric", theirs)
            found = sums.setdefault((one.run_id, name), Sum())
            if (one.run_id, name) in here:
                self._catch_up(one.run_id, name, history, found, here[one.run_id, name])
                continue
            for points in history():
                for point in points:
                    found.add(point)
                self._log(one.run_id, name, points)
        return sums

    def _catch_up(self, run_id: int, name: str, history: History, found: Sum, here: Sum) -> None:
        for points in history():
            for point in points:
                found.add(point)
        if found == here:
            return
        known = Known()
        for _, key, context, step, time, value in self._intake.points([run_id]):
            if key == name and not context:
                known.add((step, time, value))
        for points in history():
            self._log(run_id, name, [point for point in points if known.lacks(point)])

    def _log(self, run_id: int, name: str, points: list[tuple[int, int, float]]) -> None:
        if not points:
            return
        written = tuple((step, 0, time, value) for step, time, value in points)
        self._submit([c.PointsLogged(run_id, name, written)])
        self._counted.points += len(points)
        self._waiting += len(points)
        if self._waiting > _MANY_POINTS:
            self._settle()

    def _sums(self, run_ids: list[int]) -> dict[Key, Sum]:
        sums: dict[Key, Sum] = {}
        if run_ids:
            for run_id, key, context, step, time, value in self._intake.points(run_ids):
                if not context:
                    sums.setdefault((run_id, key), Sum()).add((step, time, value))
        return sums

    # --- writing and reading back ------------------------------------------------------------------------------

    def _submit(self, records: list[c.Change]) -> None:
        if records:
            self._commits.append(self._intake.submit(records))

    def _settle(self) -> None:
        for commit in self._commits:
            commit.wait()
        self._commits, self._waiting = [], 0

    def _follow(self, one: _Wanted, old: Run | None) -> None:
        """Write what no record can: a name that changed, and a run that ended, went on, and ended otherwise."""
        if old is None:
            return
        changed: dict[str, Any] = {}
        if (old.name, old.user) != (one.name, one.user):
            changed = {"name": one.name, "user": one.user}
        if old.state.is_finished() and one.state.is_finished():
            if (old.state, _us(old.ended_at)) != (one.state, one.ended):
                changed |= {"state": int(one.state), "ended_at": one.ended}
        elif old.state.is_finished():
            self._outcome.note(f"run {one.theirs} runs again in MLflow: here it stays {old.state.name} until it ends")
            one.state, one.ended = old.state, _us(old.ended_at)
        if changed:
            self._intake.follow_run(one.run_id, one.state if not old.state.is_finished() else old.state, **changed)

    def _compare(self, found: list[_Wanted], sums: Mapping[Key, Sum]) -> None:
        """Read everything back and say what is not as MLflow has it."""
        ids = [one.run_id for one in found]
        here = self._sums(ids)
        there = {run.id: run for run in self._intake.read_runs(ids)}
        unlike: dict[int, list[str]] = {}
        for (run_id, key), theirs in sums.items():
            ours = here.get((run_id, key), Sum())
            if ours != theirs:
                unlike.setdefault(run_id, []).append(
                    f"metric {key!r} has {counted(ours.count, 'point')}, {theirs.count} in MLflow"
                )
        for one in found:
            wrong = [*_differences(one, there[one.run_id]), *unlike.get(one.run_id, ())]
            if one.files:
                digests = {row.name: row.digest for row in self._store.list_artifacts(one.run_id)}
                wrong += [f"file {name!r}" for name, (digest, _) in one.files.items() if digests.get(name) != digest]
                for name, (_, size) in one.files.items():
                    self._outcome.compared(size, by_digest=(one.theirs, name) not in self._taker.by_size)
            if one.inputs:
                read = {(each.name, each.digest, each.role) for each in self._store.inputs(one.run_id)}
                wrong += [f"input {e.name!r}" for e in one.inputs if (e.name, e.digest, e.role) not in read]
            if wrong:
                self._outcome.problem(f"run {one.theirs} differs: {'; '.join(wrong[:5])}", self._counted)


def _differences(one: _Wanted, run: Run) -> list[str]:
    wrong = [f"param {key!r}" for key, value in one.params.items() if not _same(run.params.get(key, ...), value)]
    wrong += [f"tag {key!r}" for key, value in one.tags.items() if run.tags.get(key) != value]
    started = None if one.state is RunState.WAITING else one.started
    facts = {
        "name": (run.name, one.name),
        "user": (run.user, one.user),
        "state": (run.state, one.state),
        "start": (_us(run.started_at), started),
        "end": (_us(run.ended_at), one.ended),
    }
    return wrong + [f"{what} {ours!r} for {theirs!r}" for what, (ours, theirs) in facts.items() if ours != theirs]


def _same(ours: object, theirs: ParamValue) -> bool:
    return type(ours) is type(theirs) and words.to_text(ours) == words.to_text(theirs)


def _us(moment: Any) -> int | None:
    """Return microseconds since the epoch, exactly."""
    if moment is None:
        return None
    from datetime import UTC, datetime, timedelta

    return int((moment - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1))


def _uid(run: Any) -> str:
    """Return the uid here: that of the run of ours which was exported, else MLflow's own id."""
    return words.to_uid(run.data.tags.get(words.UID) or run.info.run_id)
