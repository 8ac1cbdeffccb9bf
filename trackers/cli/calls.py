"""What a wrong call is answered with: one sentence that says what is wrong and how the call goes."""

from __future__ import annotations

import re

import click

from trackers.wording import suggestion

NUMBER = r"\d+(?:\.\d+)?"
RANGE = re.compile(
    rf"(?P<value>\S+) is not in the range (?:(?P<low>{NUMBER})<=)?x(?:(?P<sign>[<>]=?)(?P<bound>{NUMBER}))?\.?"
)


def sentence(error: click.ClickException) -> str:
    """Return *error* as one sentence."""
    said = " ".join(error.format_message().split())
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    if ctx is None:
        return said
    if isinstance(ctx.command, click.Group):
        known = ctx.command.list_commands(ctx)
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            return f"{ctx.command_path} is called with one of its commands: {', '.join(known)}."
        if found := re.match(r"No such command '(?P<name>.*?)'\.", said):
            hint = (
                suggestion(found["name"], known) or f": there {'are' if len(known) > 1 else 'is'} {', '.join(known)}."
            )
            return f"There is no command {found['name']} in {ctx.command_path}{hint}"
    if isinstance(error, click.NoSuchOption):
        known = [option for param in ctx.command.get_params(ctx) for option in param.opts if option.startswith("--")]
        hint = suggestion(error.option_name, known) or f"; see {ctx.command_path} --help."
        return f"There is no option {error.option_name} in {ctx.command_path}{hint}"
    if isinstance(error, click.MissingParameter) or "unexpected extra argument" in said:
        return f"{said.partition('. ')[0].rstrip('.')}: the call is {_call(ctx)}"
    if isinstance(error, click.BadParameter) and (found := RANGE.fullmatch(error.message)):
        return f"{_name(error)} must be {_bounds(found)}, not {found['value']}."
    if isinstance(error, click.BadParameter) and error.param is not None:
        return _not_a_number(error, said)
    return said


def _not_a_number(error: click.BadParameter, said: str) -> str:
    """Return what to give instead of ``--limit abc``; *said* where the option takes no whole number."""
    found = re.fullmatch(r"'(?P<value>.*)' is not a valid integer(?: range)?\.", error.message)
    if found is None or error.param is None:
        return said
    low = getattr(error.param.type, "min", None)
    return f"{_name(error)} must be a whole number{'' if low is None else f' of at least {low}'}, not {found['value']}."


def _call(ctx: click.Context) -> str:
    """Return the shortest call that is right: ``hpo promote NAME VERSION --to ALIAS``."""
    params = ctx.command.get_params(ctx)
    arguments = [param.make_metavar(ctx) for param in params if isinstance(param, click.Argument)]
    options = [p for p in params if isinstance(p, click.Option) and p.required]
    return " ".join([ctx.command_path, *arguments, *(f"{o.opts[0]} {o.make_metavar(ctx)}" for o in options)])


def _name(error: click.BadParameter) -> str:
    opts = error.param.opts if error.param is not None else []
    return max(opts, key=len, default="it")


def _bounds(found: re.Match[str]) -> str:
    if found["low"]:
        return f"from {found['low']} to {found['bound']}" if found["bound"] else f"at least {found['low']}"
    words = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}
    return f"{words[found['sign']]} {found['bound']}"
