"""PyTorch: a training loop is the user's own, so its hook is the optimizer's: each step is seen after it was made.

Logged into the active run are the optimizer's settings, as params, and its learning rate, whenever it changes; those of a
second optimizer of the run have its number in their names. `watch` names the loss of each step besides.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from trackers.active import active_run
from trackers.autologging.patch import Patch, Settings, plain, safely
from trackers.errors import InvalidValueError


class _Hook(Patch):
    """A global hook of PyTorch's in the place of a patch."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def undo(self) -> None:
        """Take the hook away."""
        self._handle.remove()


def patches(settings: Settings) -> list[Patch]:
    """Have every optimizer's steps seen."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    return [_Hook(register_optimizer_step_post_hook(_Steps(settings.every)))]


class _Steps:
    def __init__(self, every: int) -> None:
        self._every = every
        self._seen: weakref.WeakKeyDictionary[Any, list[Any]] = weakref.WeakKeyDictionary()
        self._of_run: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def _number(self, run: Any) -> int:
        """Return which optimizer of *run* this is, from 1."""
        self._of_run[run] = number = self._of_run.get(run, 0) + 1
        return number

    def __call__(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        run = active_run()
        if run is None:
            return
        with safely("torch"):
            known = self._seen.get(optimizer)
            if known is None:
                number = self._number(run)
                known = self._seen[optimizer] = [0, None, number]
                settings = {"optimizer": type(optimizer).__name__, **optimizer.defaults}
                prefix = "torch." if number == 1 else f"torch.{number}."
                run.log_params({f"{prefix}{name}": plain(value) for name, value in settings.items()})
            step, rate, number = known[0], float(optimizer.param_groups[0].get("lr", 0.0)), known[2]
            known[0] += 1
            if rate != known[1] and step % self._every == 0:
                known[1] = rate
                run.log_metric("learning_rate", rate, step, None if number == 1 else {"optimizer": number})


def watch(loss: Callable[..., Any], name: str = "loss", every: int = 1) -> Callable[..., Any]:
    """Return *loss* so that each value it computes is logged to the active run as the metric *name*.

    The value is read from the device where it is logged: with *every* n, only each n-th time.
    """
    if every < 1:
        raise InvalidValueError(f"every is 1 or more steps, not {every}")
    step = -1

    def watched(*args: Any, **kwargs: Any) -> Any:
        nonlocal step
        value = loss(*args, **kwargs)
        step += 1
        run = active_run()
        if run is not None and step % every == 0:
            with safely("torch"):
                run.log_metric(name, float(value.detach()), step)
        return value

    return watched
