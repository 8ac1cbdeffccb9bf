"""How a study is run: its manager made, in this process or on Ray, and interruptions passed on."""

from hpo.driver.order import OnProgress, Order, RunSummary, TrialDone

__all__ = ["OnProgress", "Order", "RunSummary", "TrialDone"]
