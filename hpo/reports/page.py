"""The report as one HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from hpo.ranking import wording
from hpo.reports import facts, tables
from hpo.reports.figures import FIGURES, FigureKind
from hpo.reports.picture import data_uri
from hpo.reports.style import NothingToDraw, drawn
from hpo.reports.view import StudyView
from hpo.wording import quoted
from trackers.wording import counted

ENOUGH_TO_FLATTER = 10
"""Ranked trials from which the best of them is noticeably lucky."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure on the page: *uri* is its data, or *sentence* says why there is none."""

    name: str
    title: str
    caption: str
    uri: str = ""
    sentence: str = ""


def render(view: StudyView) -> str:
    """Return the whole page; it refers to nothing outside itself."""
    pictures = [_picture(kind, view) for kind in FIGURES.values() if _belongs(kind, view)]
    page = _template().render(
        view=view,
        name=wording.plain(view.row.name),
        description=view.row.description,
        status=_status(view),
        goals=_goals(view),
        verdict=facts.verdict(view),
        caution=_caution(view),
        comparisons=facts.comparisons(view),
        best=tables.best_params(view),
        load=facts.how_to_load(view),
        no_model=_no_model(view),
        front=tables.front(view),
        space=tables.space(view),
        settings=tables.settings(view),
        pictures=pictures,
        not_drawn=_not_drawn(pictures),
        ranking=tables.ranking(view),
        failures=facts.failures(view),
        unsaved=facts.unsaved_models(view),
        costs=facts.costs(view),
        remarks=facts.cost_remarks(view),
        code=tables.code(view),
        code_texts=tables.code_texts(view),
        environment=tables.environment(view),
        packages=tables.packages(view),
        made=_time(view.made_at),
        show=_show(view),
    )
    return page.encode("utf-8", "replace").decode("utf-8")


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("hpo.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": wording.number,
        "seconds": wording.seconds,
        "plain": wording.plain,
        "short": wording.short,
        "lines": lines,
        "numbers": numbers,
    }
    return environment.get_template("report.html")


def lines(text: str) -> str:
    """Make control characters visible, but for the ends of lines and tabs."""
    return "".join(c if c.isprintable() or c in "\n\t" else "·" for c in str(text))


def numbers(trials: tuple[int, ...], most: int = 12) -> str:
    """Write the numbers of trials, the first *most* of them."""
    shown = ", ".join(map(str, trials[:most]))
    return shown + (f" and {len(trials) - most:,} more" if len(trials) > most else "")


def _picture(kind: FigureKind, view: StudyView) -> Picture:
    try:
        return Picture(kind.name, kind.title, kind.caption, uri=data_uri(drawn(kind.draw, view)))
    except NothingToDraw as nothing:
        return Picture(kind.name, kind.title, "", sentence=str(nothing))
    except Exception as error:  # noqa: BLE001  one figure that fails must not cost the whole report
        why = f"This figure could not be drawn ({type(error).__name__}: {wording.short(str(error), 200)})."
        return Picture(kind.name, kind.title, "", sentence=why)


def _not_drawn(pictures: list[Picture]) -> list[tuple[str, list[str]]]:
    """Return each sentence that stands for figures, once, with their titles."""
    titles: dict[str, list[str]] = {}
    for picture in pictures:
        if picture.sentence:
            title = picture.title if picture.sentence not in titles else picture.title[0].lower() + picture.title[1:]
            titles.setdefault(picture.sentence, []).append(title)
    return list(titles.items())


def _belongs(kind: FigureKind, view: StudyView) -> bool:
    return kind.name != "pareto_front" or view.objectives > 1


def _status(view: StudyView) -> list[str]:
    row = view.row
    parts = [counted(len(view.trials), "trial"), wording.states(view.counts), f"study {row.status}"]
    starts = [trial.started_at for trial in view.trials if trial.started_at is not None]
    ends = [trial.ended_at for trial in view.trials if trial.ended_at is not None]
    if starts and ends:
        parts.append(f"{wording.seconds((max(ends) - min(starts)).total_seconds())} from first start to last end")
    workers = {attempt.worker for trial in view.trials for attempt in trial.attempts if attempt.worker}
    if workers:
        parts.append(counted(len(workers), "worker"))
    return [part for part in parts if part]


def _goals(view: StudyView) -> str:
    named = zip(view.row.directions, view.metric_names, strict=True)
    return ", ".join(f"{direction} {wording.short(name, 60)}" for direction, name in named)


def _caution(view: StudyView) -> str:
    ranked = len(view.ranking.ranked)
    if view.objectives != 1 or ranked < ENOUGH_TO_FLATTER:
        return ""
    return (
        f"Each result is one run of one trial. The best of {ranked:,} such results flatters its trial: "
        "measure it again on data that no trial has seen before you rely on the number."
    )


def _no_model(view: StudyView) -> str:
    if view.best is None or view.best.model:
        return ""
    why = wording.short(view.best.model_reason or "none was logged", 300)
    refit = (
        f" A refit has one: hpo register {quoted(view.row.name)} MODEL-NAME --run {view.refit}" if view.refit else ""
    )
    return f"Trial {view.best.trial.number} has no model: {why}.{refit}"


def _show(view: StudyView) -> str:
    """Return the call that shows one trial in full."""
    if not view.trials:
        return ""
    where = f" --storage {quoted(view.storage)}" if view.storage not in ("", "sqlite:///hpo.db") else ""
    return f"hpo show {quoted(view.trials[0].path)}{where}"


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else ""
