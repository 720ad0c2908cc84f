"""What a failed run says, in the language that was asked for: also where the command line itself cannot be read."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import click

from optimizer.errors import InputError

_MOST_FINDINGS = 500
_OPTION = "--lang"
_ERROR, _USAGE = "Error: ", "Usage: "


def sayer(words: Sequence[str]) -> Callable[[str], str]:
    """What tells the errors of a command line: in the language of its last ``--lang``, before ``--`` ends the options.

    The words are looked at, not what was read of them: a line that cannot be read has a language as well.
    """
    asked, before = "en", ""
    for word in words:
        if word == "--":
            break
        if before == _OPTION or word.startswith(f"{_OPTION}="):
            asked = word.removeprefix(f"{_OPTION}=")
        before = word
    if asked != "zh":
        return str
    from optimizer.handover.language import error_translator

    return error_translator(asked)


def told(error: InputError, say: Callable[[str], str]) -> str:
    """How many things there are to mend, and all findings, as far as anybody reads."""
    number = len(error.findings)
    count = "1 thing to mend" if number == 1 else f"{number} things to mend"
    lines = [str(finding.told(say)) for finding in error.findings[:_MOST_FINDINGS]]
    rest = number - len(lines)
    return "\n".join([f"{say(_ERROR)}{say(count)}", *lines, *([say(f"... and {rest:,} more")] if rest else [])])


def show(error: click.ClickException, say: Callable[[str], str]) -> None:
    """What click found wrong with the command line: its usage, where help is, the error."""
    shown = io.StringIO()
    error.show(shown)
    lines, mark, said = f"\n{shown.getvalue()}".rstrip("\n").partition(f"\n{_ERROR}")
    told = [f"{say(_USAGE)}{one.removeprefix(_USAGE)}" if one.startswith(_USAGE) else say(one) for one in _lines(lines)]
    click.echo("\n".join([*told, f"{say(_ERROR)}{say(said)}"] if mark else told), err=True)


def _lines(text: str) -> list[str]:
    return text.split("\n")[1:]
