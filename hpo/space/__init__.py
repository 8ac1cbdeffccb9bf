"""Search spaces: ``Float``, ``Int``, ``Categorical``, conditions between them, and ``Space``, which holds them.

Pure: no clock, no randomness, no numpy. Whatever makes no sense is refused when it is made.
"""

from hpo.choice import Choice
from hpo.space.param import Categorical, Float, Int, Param, from_distribution
from hpo.space.space import Space

__all__ = ["Categorical", "Choice", "Float", "Int", "Param", "Space", "from_distribution"]
