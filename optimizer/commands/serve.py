"""``optimize serve``: the questions over HTTP, and a local page to negotiate at."""

from __future__ import annotations

import os

import click

from optimizer.commands.options import language_option, say_of


@click.command(name="serve")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0: any that is free.")
@click.option("--listen", "host", metavar="HOST", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--host-name", "names", multiple=True, metavar="NAME", help="Further name it goes by. Repeatable.")
@language_option
def command(port: int, host: str, names: tuple[str, ...], lang: str) -> None:
    """Answer questions over HTTP (POST /v1/solve, check, explain, budget, targets, frontier, memory, predict).

    Prints its address. Only this machine can reach it, unless --listen names another address; that needs a token, in
    the environment variable OPTIMIZE_SERVE_TOKEN. Needs the extra `serve`; see docs/service.md.
    """
    from optimizer.service.listen import TOKEN, rules_of, serve

    say = say_of(lang)

    def listening(address: str) -> None:
        click.echo(address)
        click.echo(say("open it in a browser; Ctrl-C ends it"), err=True)

    serve(host, port, rules_of(host, names, os.environ.get(TOKEN) or None), listening)
