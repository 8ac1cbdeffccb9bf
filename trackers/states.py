"""The states of a run, and the one table of moves between them."""

from enum import IntEnum


class RunState(IntEnum):
    """State of a run or trial; names and integers are Optuna's ``TrialState``, so the two compare equal."""

    RUNNING = 0
    COMPLETE = 1
    PRUNED = 2
    FAIL = 3
    WAITING = 4

    def __repr__(self) -> str:
        return str(self.name)

    def is_finished(self) -> bool:
        """Tell whether no move leads out of this state."""
        return not LEGAL_MOVES[self]


LEGAL_MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.WAITING: frozenset({RunState.RUNNING, RunState.PRUNED, RunState.FAIL}),
    RunState.RUNNING: frozenset({RunState.COMPLETE, RunState.PRUNED, RunState.FAIL, RunState.WAITING}),
    RunState.COMPLETE: frozenset(),
    RunState.PRUNED: frozenset(),
    RunState.FAIL: frozenset(),
}


def may_move(old: RunState, new: RunState) -> bool:
    """Tell whether a run in state *old* may go to state *new*."""
    return new in LEGAL_MOVES[old]
