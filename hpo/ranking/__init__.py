"""Leaderboards: who won, who shares a place, and whose model is worth its disk space. Pure, on values only."""

from hpo.ranking.board import board
from hpo.ranking.kept import Keeper
from hpo.ranking.leaderboard import Ranking, Standing
from hpo.ranking.order import Group, Place, order
from hpo.ranking.pareto import non_domination_ranks

__all__ = ["Group", "Keeper", "Place", "Ranking", "Standing", "board", "non_domination_ranks", "order"]
