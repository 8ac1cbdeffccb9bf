"""How a command ends: 0 done, 1 the work failed, 2 the call or the input was wrong, 130 interrupted."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

import click

from hpo.errors import ClusterError, HpoError, NodeGoneError, UserError

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130


def run_command(command: click.Command, args: list[str] | None = None) -> int:
    """Run *command* with *args* (default: those of the process) and return its exit code.

    An error is one sentence on stderr; ``--debug``, anywhere among the options, shows its traceback too.
    """
    words = list(sys.argv[1:] if args is None else args)
    end = words.index("--") if "--" in words else len(words)
    debug = "--debug" in words[:end]
    words = [word for word in words[:end] if word != "--debug"] + words[end:]
    return guarded(lambda: command.main(words, prog_name="hpo", standalone_mode=False), debug=debug)


def guarded(call: Callable[[], object], *, debug: bool = False) -> int:
    """Call *call* and turn what it returns or raises into an exit code."""
    from trackers.cli.exit import BROKEN, open_streams, reader_left

    open_streams()
    streams = sys.stdout, sys.stderr
    try:
        code = call()
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        _say("Interrupted.")
        return INTERRUPTED
    except SystemExit as exc:
        if sys.stdout is streams[0]:
            return exc.code if isinstance(exc.code, int) else FAILED
        sys.stdout, sys.stderr = streams  # click puts others there before it ends so: for any pipe that broke
        if reader_left():
            return DONE
        _say(BROKEN)
        return FAILED
    except Exception as exc:  # noqa: BLE001 - the outermost edge: what gets here becomes a sentence and a code
        if isinstance(exc, BrokenPipeError) and reader_left():  # `hpo list | head`: nothing is wrong
            return DONE
        if debug and not isinstance(exc, click.ClickException):
            import traceback

            traceback.print_exception(exc)
        code, sentence = verdict(exc)
        _say(sentence)
        return code
    return code if isinstance(code, int) else DONE


def verdict(exc: Exception) -> tuple[int, str]:
    """Return the exit code and the sentence for what a command raised."""
    from trackers.errors import ConflictError, DigestError, FencedError, PolicyError, TrackersError

    if isinstance(exc, click.ClickException):
        from trackers.cli.calls import sentence

        return WRONG, sentence(exc)
    if isinstance(exc, NodeGoneError | FencedError | ConflictError | DigestError | PolicyError):
        return FAILED, str(exc)
    if isinstance(exc, UserError | ClusterError):
        return WRONG, str(exc)
    if isinstance(exc, TrackersError):
        return WRONG, str(exc)
    if isinstance(exc, HpoError):
        return FAILED, str(exc)
    if isinstance(exc, OSError) and exc.filename is not None:
        return FAILED if exc.errno == errno.ENOSPC else WRONG, f"{exc.filename}: {exc.strerror}."
    if isinstance(exc, OSError) and exc.errno == errno.ENOSPC:
        from trackers.cli.exit import NO_ROOM

        return FAILED, NO_ROOM
    return FAILED, f"{type(exc).__name__}: {exc} (this should not happen; --debug shows where)"


def _say(sentence: str) -> None:
    from trackers.cli.exit import say_error

    if not sentence.endswith((".", "?", "!", ")", "^")):
        sentence += "."
    try:
        click.echo(sentence, err=True) if sentence == "Interrupted." else say_error(sentence)
    except BrokenPipeError:
        pass  # nobody listens on stderr either
