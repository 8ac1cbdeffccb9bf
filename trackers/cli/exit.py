"""How a command ends: 0 done, 1 the work failed, 2 the call or the input was wrong, 130 interrupted.

A signal that a command ends for in good order has 128 and its number, as a shell has it: 143 for SIGTERM.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from trackers.termination import Terminated

DONE, FAILED, WRONG, INTERRUPTED = 0, 1, 2, 130
NO_ROOM = "what was to be printed could not be written: the disk is full; the work itself is done"
BROKEN = "a connection was closed by its other end (broken pipe): call again."


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of the system that is raised here name the file that is written: a full disk names none."""
    try:
        yield
    except OSError as exc:
        exc.filename = exc.filename or str(path)
        raise


def run_command(args: list[str] | None = None) -> int:
    """Run ``trackers`` with *args* (default: those of the process) and return its exit code.

    An error is one sentence on stderr; ``--debug``, anywhere before a ``--``, shows its traceback too.
    """
    from trackers.cli.app import trackers

    words = list(sys.argv[1:] if args is None else args)
    end = words.index("--") if "--" in words else len(words)
    debug = "--debug" in words[:end]
    words = [word for word in words[:end] if word != "--debug"] + words[end:]
    open_streams()
    streams = sys.stdout, sys.stderr
    try:
        code = trackers.main(words, prog_name="trackers", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort) as exc:
        if isinstance(exc.__cause__, Terminated):  # what click made an Abort of
            click.echo("Terminated.", err=True)
            return 128 + exc.__cause__.number
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except SystemExit as exc:
        if sys.stdout is streams[0]:
            return exc.code if isinstance(exc.code, int) else FAILED
        sys.stdout, sys.stderr = streams  # click puts others there before it ends so: for any pipe that broke
        if reader_left():
            return DONE
        click.echo(click.style("Error: ", fg="red") + BROKEN, err=True)
        return FAILED
    except Exception as exc:  # noqa: BLE001 - the outermost edge: what gets here becomes a sentence and a code
        if isinstance(exc, BrokenPipeError) and reader_left():
            return DONE
        if debug and not isinstance(exc, click.ClickException):
            import traceback

            traceback.print_exception(exc)
        code, sentence = _verdict(exc)
        say_error(sentence)
    return code if isinstance(code, int) else DONE


def open_streams() -> None:
    """Give a process that was started without them (``>&-``) streams that lead nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for the life of the process


def say_error(sentence: str) -> None:
    """Print *sentence*, which may quote what somebody else wrote, without the characters that steer a terminal."""
    from trackers.cli.text import plain_lines

    click.echo(click.style("Error: ", fg="red") + plain_lines(sentence), err=True)


def reader_left() -> bool:
    """Tell whether the reader of our output went away (``trackers runs | head``), and let nothing more be written then.

    Asked where some pipe broke: it may be that of a database, which is no reader of ours.
    """
    left = False
    for stream in (sys.stdout, sys.stderr):
        try:
            descriptor = stream.fileno()
        except (io.UnsupportedOperation, ValueError):
            continue  # no file: what is written there goes nowhere else
        poll = select.poll()
        poll.register(descriptor, 0)
        if any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0)):
            left = True
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)  # what Python still holds is flushed there at the end
            os.close(nowhere)
    return left


def _verdict(exc: Exception) -> tuple[int, str]:
    from trackers.errors import ConflictError, DigestError, PolicyError, TrackersError

    if isinstance(exc, click.ClickException):
        from trackers.cli.calls import sentence

        return WRONG, sentence(exc)
    if isinstance(exc, TrackersError):
        return (FAILED if isinstance(exc, ConflictError | DigestError | PolicyError) else WRONG), str(exc)
    if isinstance(exc, OSError) and exc.filename is not None:
        return FAILED if exc.errno == errno.ENOSPC else WRONG, f"{exc.filename}: {exc.strerror}"
    if isinstance(exc, OSError) and exc.errno == errno.ENOSPC:
        return FAILED, NO_ROOM
    return FAILED, f"{type(exc).__name__}: {exc} (this should not happen; --debug shows where)"
