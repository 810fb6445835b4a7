"""What the command line takes: the commands, and the options of each."""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from rag.settings import DEFAULTS, Mode, Precision, Retrieval


def parser() -> argparse.ArgumentParser:
    """What parses the command line; `command` of what it gives names the command."""
    whole = argparse.ArgumentParser(
        prog="rag", description="Ask a folder of documents; every answer is quoted from them, word for word."
    )
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, *options: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        for option in options:
            _OPTIONS[option](made)
        return made

    build = command(
        "build",
        "Bring the index in step with the documents.",
        *_PLACES,
        *_EMBEDDER,
        "retrieval",
        "json",
    )
    build.add_argument("--watch", action="store_true", help="then again whenever a document changes")
    build.add_argument("--rebuild", action="store_true", help="start from nothing")
    build.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="embed on the workers of this Ray cluster, such as 127.0.0.1:6379, which can read the documents "
        "under the same path",
    )
    ask = command("ask", "Answer one question.", *_PLACES, *_MODELS, *_SCOPE, "json")
    ask.add_argument("question", metavar="QUESTION")
    search = command(
        "search", "Show the passages nearest to a query.", *_PLACES, *_SEARCHING, *_SCOPE, "json"
    )
    search.add_argument("query", metavar="QUERY")
    search.add_argument("-k", type=int, default=10, metavar="N", help="how many passages (default 10)")
    command("chat", "Hold a conversation in the terminal.", *_PLACES, *_MODELS, *_SCOPE)
    serve = command("serve", "Open the chat in the browser.", *_PLACES, *_MODELS)
    serve.add_argument("--host", help="the address to listen on (default: RAG_HOST, then 127.0.0.1)")
    serve.add_argument(
        "--port", type=int, help="the page's port (default: RAG_PORT, then the first free one from 7860)"
    )
    serve.add_argument("--user", help="who may use the page, with the password in RAG_PASSWORD")
    serve.add_argument(
        "--read-only",
        action="store_true",
        default=None,
        help="keep the page from changing the documents (default: RAG_READ_ONLY)",
    )
    serve.add_argument(
        "--mcp",
        action="store_true",
        help="speak the Model Context Protocol on stdin and stdout in place of the page; with --port, and "
        "without --mcp, the page's server speaks it at /mcp",
    )
    evaluate = command("eval", "Measure search and answers.", *_PLACES, *_MODELS, "json")
    evaluate.add_argument(
        "datasets",
        nargs="*",
        metavar="FILE",
        help="a .jsonl file of questions whose answers you know; rag eval alone shows what to write in it",
    )
    evaluate.set_defaults(bench=None)
    if find_spec("rag.training"):  # a checkout: the wheel leaves out the recipe, and its readers of sets
        evaluate.add_argument(
            "--bench",
            type=Path,
            metavar="DIR",
            help="a folder of evaluation sets: measure all of them, or those named in place of FILE",
        )
    evaluate.add_argument(
        "--of",
        metavar="FILE",
        help="ask the questions of the documents of FILE instead, which don't answer them and should refuse",
    )
    some = evaluate.add_mutually_exclusive_group()
    some.add_argument(
        "--each", type=_positive, metavar="N", help="ask N answerable questions and N others of each file"
    )
    some.add_argument(
        "--limit", type=_positive, metavar="N", help="ask N questions of each file, drawn at random"
    )
    evaluate.add_argument("--seed", type=int, default=0, metavar="N", help="the seed of the draw (default 0)")
    evaluate.add_argument("--search-only", action="store_true", help="measure search alone, which is faster")
    doctor = command(
        "doctor",
        "Prove that the index is whole and in step with the documents; exit status 1 if it isn't.",
        *_PLACES,
        *_EMBEDDER,
        "json",
    )
    doctor.add_argument("--repair", action="store_true", help="mend what can be mended without the documents")
    command("models", "List the models: recommended, and present.")
    return whole


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that the command takes, as they were given: None for those that weren't."""
    return {name: value for name, value in vars(arguments).items() if name in DEFAULTS}


def _setting(name: str, text: str, metavar: str = "NAME", kinds: Any = None) -> Any:
    how = {"metavar": metavar} if kinds is None else {"choices": get_args(kinds)}
    help_text = f"{text} (default: RAG_{name.upper()}, then {DEFAULTS[name]})"
    return lambda parser: parser.add_argument(f"--{name}", help=help_text, **how)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1")
    return int(text)


_PLACES = ("documents", "index")
_EMBEDDER = ("embedder", "precision")
_SEARCHING = (*_EMBEDDER, "retrieval", "reranker")
_SCOPE = ("since", "until", "source")
_MODELS = (*_SEARCHING, "reader", "model", "mode", "threshold")
_OPTIONS: dict[str, Any] = {
    "documents": _setting(
        "documents", "the documents folder, which build, serve and doctor read; others read the index", "DIR"
    ),
    "index": _setting("index", "the index: a folder, or milvus://host:port/collection", "DIR"),
    "retrieval": _setting(
        "retrieval", "search by meaning and by words, or by meaning alone", kinds=Retrieval
    ),
    "embedder": _setting("embedder", "the embedder: embedded, a folder, or hf:owner/repo"),
    "precision": _setting(
        "precision",
        "the embedder's weights: in eight bits, where it allows that, or as they are",
        kinds=Precision,
    ),
    "reranker": _setting("reranker", "the reranker: none, a cross-encoder's folder, or hf:owner/repo"),
    "reader": _setting(
        "reader", "what scores how well a sentence answers: embedded, none, or a trained reader's file"
    ),
    "model": _setting(
        "model",
        "the language model: embedded, a .gguf file, hf:owner/repo:pattern, or openai:NAME@URL[,URL...] for "
        "one on servers, with its key in RAG_MODEL_KEY",
    ),
    "mode": _setting(
        "mode",
        "what the language model may write: quotes alone, or sentences of its own that a quote bears out; "
        "auto: what it is large enough for",
        kinds=Mode,
    ),
    "threshold": _setting(
        "threshold", "answer when the confidence is at least P, 0 to 1; 0 always answers", "P"
    ),
    "since": lambda parser: parser.add_argument(
        "--since", metavar="DATE", help="only documents from this day, month or year on, such as 2016-05"
    ),
    "until": lambda parser: parser.add_argument(
        "--until", metavar="DATE", help="only documents up to this day, month or year"
    ),
    "source": lambda parser: parser.add_argument(
        "--source",
        dest="sources",
        action="append",
        metavar="SOURCE",
        help="only this document, named by its path in the documents folder; repeat it for more",
    ),
    "json": lambda parser: parser.add_argument("--json", action="store_true", help="print JSON"),
}
