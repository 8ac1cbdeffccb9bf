"""The errors of ``hpo``, one tree.

    HpoError
    ├── UserError(ValueError)              the call or the input was wrong: one sentence, exit code 2
    │   ├── SpaceError                     a search space that makes no sense
    │   ├── SettingsError                  an unknown setting, sampler or pruner, or a value out of range
    │   ├── ObjectiveError                 a file with no objective or several, one that cannot be imported
    │   ├── ResultError(TypeError)         an objective returned something that is not a result
    │   └── UnknownParamError(KeyError)    ``trial.params[...]`` names no param
    ├── ClusterError(RuntimeError)         Ray cannot be reached, or has not what a trial needs
    │   ├── NodeGoneError                  Ray on this machine died under a running study
    │   └── NoRoomError                    a sweep inside a trial, on a cluster that has no room for its workers
    ├── SpaceExhausted(RuntimeError)       a finite space has nothing left to suggest: the study is complete
    ├── TrialPruned                        raised by an objective: stop this trial, it is hopeless
    └── TrialStopped(BaseException)        raised inside an objective by the service: the trial goes back to the queue

    StudyInterrupted(KeyboardInterrupt)    Ctrl-C or SIGTERM has stopped a study: what finished is kept

Errors of the store come through as they are (``trackers.errors``). The docstring is the message where none is given.
"""

from __future__ import annotations

from typing import Any


class HpoError(Exception):
    """Something went wrong in the study."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message if message is not None else " ".join((type(self).__doc__ or "").split()))


class UserError(HpoError, ValueError):
    """The call or the input was wrong."""


class SpaceError(UserError):
    """The search space makes no sense."""


class SettingsError(UserError):
    """The setting is unknown, or its value is out of range."""


class ObjectiveError(UserError):
    """The objective cannot be found or loaded."""


class ResultError(UserError, TypeError):
    """The objective returned something that is not a result."""


class UnknownParamError(UserError, KeyError):
    """The trial has no such param."""

    def __str__(self) -> str:
        return str(self.args[0])


class ClusterError(HpoError, RuntimeError):
    """Ray cannot be reached, or does not have what a trial needs."""


class NodeGoneError(ClusterError):
    """Ray on this machine died: nothing that was shown as done is lost, and `hpo resume` goes on."""


class NoRoomError(ClusterError):
    """The cluster has no room for the workers of a sweep inside a trial, which would wait for each other."""


class SpaceExhausted(HpoError, RuntimeError):
    """Every point of the search space was tried: there is nothing left to suggest."""


class StudyInterrupted(KeyboardInterrupt):
    """A study was stopped by Ctrl-C, SIGTERM or a closed terminal; *summary* (a RunSummary) says how it ended.

    What finished is kept, and ``optimize`` goes on with the rest. No HpoError: what comes after the study in a script
    or a notebook shall not run by mistake.
    """

    def __init__(self, study: str, summary: Any) -> None:
        super().__init__(
            f"study {study!r} was interrupted; everything that finished is kept: optimize it again to go on"
        )
        self.summary = summary


class TrialPruned(HpoError):
    """The trial was pruned."""


class TrialStopped(BaseException):
    """The service takes the trial back (a stop, a drain); it goes to the queue and starts again later.

    Not an ``Exception``, so that an objective's ``except Exception`` does not swallow it.
    """
