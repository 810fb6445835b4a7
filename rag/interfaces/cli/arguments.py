"""What the command line takes: the commands, and the options of each."""

import argparse
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rag import __version__, settings
from rag.settings import Declaration, declarations


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The process's arguments, or these; `command` names the command. Wrong usage exits with status 2."""
    whole = parser()
    found = whole.parse_args(arguments)
    if found.command == "serve" and found.mcp and found.port is not None:
        whole.error(
            "serve --mcp speaks on stdin and stdout and opens no page, so it takes no --port. Without --mcp, "
            "the page's server speaks MCP at /mcp."
        )
    return found


def parser() -> argparse.ArgumentParser:
    """What parses the command line."""
    whole = argparse.ArgumentParser(
        prog="rag", description="Ask a folder of documents; every answer is quoted from them, word for word."
    )
    whole.add_argument("--version", action="version", version=f"rag {__version__}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, add_options) in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        for one in (*declarations(settings.Settings), *declarations(settings.Serving)):
            # Who only asks the index may name the documents too: the same options go with every command.
            if name in one.commands or (one.name == "documents" and name in ("ask", "search", "chat")):
                _add_setting(command, one)
        add_options(command)
    return whole


def given(arguments: argparse.Namespace, of: type | None = None) -> dict[str, Any]:
    """The settings that the command takes, `Settings` or those of another class: None where not given."""
    return {
        one.name: getattr(arguments, one.name)
        for one in declarations(of or settings.Settings)
        if arguments.command in one.commands
    }


def _add_setting(command: argparse.ArgumentParser, one: Declaration) -> None:
    default = f"{one.variable}, then {one.default}" if one.default else one.variable
    how: dict[str, Any] = {"help": f"{one.help.replace('`', '')} (default: {default})", "default": None}
    if one.type is bool:
        how["action"] = "store_true"
    elif one.choices:
        how["choices"] = one.choices
    else:
        how |= {"metavar": one.metavar, "type": int if one.type == int | None else str}
    command.add_argument(f"--{one.name.replace('_', '-')}", **how)


def _build(command: argparse.ArgumentParser) -> None:
    command.add_argument("--watch", action="store_true", help="then again whenever a document changes")
    command.add_argument("--rebuild", action="store_true", help="start from nothing")
    command.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="embed on the workers of this Ray cluster, such as 127.0.0.1:6379, which can read the documents "
        "under the same path",
    )
    _json(command)


def _ask(command: argparse.ArgumentParser) -> None:
    _scope(command)
    _json(command)
    command.add_argument("question", metavar="QUESTION")


def _search(command: argparse.ArgumentParser) -> None:
    _scope(command)
    _json(command)
    command.add_argument("query", metavar="QUERY")
    command.add_argument("-k", type=int, default=10, metavar="N", help="how many passages (default 10)")


def _serve(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--mcp",
        action="store_true",
        help="speak the Model Context Protocol on stdin and stdout in place of the page, whose server "
        "speaks it at /mcp",
    )


def _evaluate(command: argparse.ArgumentParser) -> None:
    _json(command)
    command.add_argument(
        "datasets",
        nargs="*",
        metavar="FILE",
        help="a .jsonl file of questions whose answers you know; rag eval alone shows what to write in it",
    )
    command.set_defaults(bench=None)
    if find_spec("rag.training"):  # a checkout: the wheel leaves out the recipe, and its readers of sets
        command.add_argument(
            "--bench",
            type=Path,
            metavar="DIR",
            help="a folder of evaluation sets: measure all of them, or those named in place of FILE",
        )
    command.add_argument(
        "--of",
        metavar="FILE",
        help="ask the questions of the documents of FILE instead, which don't answer them and should refuse",
    )
    some = command.add_mutually_exclusive_group()
    some.add_argument(
        "--each", type=_positive, metavar="N", help="ask N answerable questions and N others of each file"
    )
    some.add_argument(
        "--limit", type=_positive, metavar="N", help="ask N questions of each file, drawn at random"
    )
    command.add_argument("--seed", type=int, default=0, metavar="N", help="the seed of the draw (default 0)")
    command.add_argument("--search-only", action="store_true", help="measure search alone, which is faster")


def _doctor(command: argparse.ArgumentParser) -> None:
    _json(command)
    command.add_argument(
        "--repair", action="store_true", help="repair what can be repaired without the documents"
    )


def _scope(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--since", metavar="DATE", help="only documents from this day, month or year on, such as 2016-05"
    )
    command.add_argument("--until", metavar="DATE", help="only documents up to this day, month or year")
    command.add_argument(
        "--source",
        dest="sources",
        action="append",
        metavar="SOURCE",
        help="only this document, named by its path in the documents folder; repeat it for more",
    )


def _json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return int(text)


_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "build": ("Bring the index in step with the documents.", _build),
    "ask": ("Answer one question.", _ask),
    "search": ("Show the passages nearest to a query.", _search),
    "chat": ("Hold a conversation in the terminal.", _scope),
    "serve": ("Open the chat in the browser.", _serve),
    "eval": ("Measure search and answers.", _evaluate),
    "doctor": (
        "Check the index's integrity, and that it is in step with the documents; exit status 1 if not.",
        _doctor,
    ),
    "models": ("List the models: recommended, and present.", lambda _: None),
}
