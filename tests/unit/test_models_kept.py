"""Which models a manager keeps, and that it looks for them among those alone that compete."""

from hpo.manager.ledger import Finished
from hpo.manager.models import Models
from hpo.ranking.kept import beaten
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
    compared = []
    if keeper is not None:
        models._keeper = lambda finished: (compared.append(len(finished)), keeper(finished))[1]
    for number in range(trials):
        models.logged(number, number, logged(number))
        models.finished(Finished(number, RunState.COMPLETE, (float(number % 50),)), number)
        models.tidy()
    return models, [c.run_id for c in pages.changes if isinstance(c, ModelDropped)], compared


def test_the_best_few_stay_and_no_more_are_compared():
    models, dropped, compared = run(lambda finished: beaten(finished, 3, ("minimize",)), 200)
    assert sorted(set(range(200)) - set(dropped)) == [0, 50, 100]
    assert models.take_garbage() == {f"digest{number}" for number in dropped}
    assert max(compared) == 4


def test_where_all_stay_none_is_compared():
    models, dropped, _ = run(None, 200)
    assert dropped == []
    assert models._finished == {}
    assert models.take_garbage() == set()
