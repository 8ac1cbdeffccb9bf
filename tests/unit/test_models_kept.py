"""Which models a manager keeps, and that it looks for them among those alone that compete."""

from hpo.manager.ledger import Finished
from hpo.manager.models import Models
from hpo.ranking.kept import Keeper
from trackers.changes import ModelDropped, ModelLogged
from trackers.states import RunState


class Pages:
    """Takes what is written."""

    def __init__(self):
        self.changes = []

    def write(self, *changes):
        self.changes.extend(changes)


def logged(number):
    return ModelLogged(number, "model", manifest={"v": number}, files={"m": (f"digest{number}", 1)})


def run(keeper, trials):
    pages = Pages()
    models = Models(keeper, pages)
    held = []
    for number in range(trials):
        models.logged(number, number, logged(number))
        models.finished(Finished(number, RunState.COMPLETE, (float(number % 50),)), number)
        models.tidy()
        held.append(len(keeper._held) if keeper is not None else 0)
    return models, [c.run_id for c in pages.changes if isinstance(c, ModelDropped)], held


def test_the_best_few_stay_and_no_more_are_compared():
    models, dropped, held = run(Keeper(3, ("minimize",)), 200)
    assert sorted(set(range(200)) - set(dropped)) == [0, 50, 100]
    assert models.take_garbage() == {f"digest{number}" for number in dropped}
    assert max(held) == 3


def test_where_all_stay_none_is_remembered():
    models, dropped, _ = run(None, 200)
    assert dropped == []
    assert models._run_ids == {}
    assert models.take_garbage() == set()
