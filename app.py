"""The web chat: `python app.py`, or `rag serve` from any folder.

The page opens at once; the index is brought in step with the documents meanwhile, and the page shows how
far that is. What a document says is shown as text, whatever markup it holds.
"""

import contextlib
import os

# Before gradio is imported, which reads it then: nothing leaves the machine.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import sys
import threading
from collections.abc import Container, Generator, Iterator, Sequence
from typing import Any, TypeAlias

import gradio as gr

from rag.engine import Engine
from rag.errors import RagError, SettingsError
from rag.notes import notes, place
from rag.quotes import SEPARATOR
from rag.serving.endpoints import Endpoints
from rag.serving.preparation import Preparation
from rag.serving.programs import Programs
from rag.serving.server import additions
from rag.settings import resolve
from rag.types import Answer, Citation, Passage, Waiting

Chat: TypeAlias = list[dict[str, Any]]
"""Gradio's messages."""

Answers: TypeAlias = tuple[tuple[int, Answer], ...]
"""What was answered, oldest first, each with the place of its message in the chat."""

EXAMPLES = (
    "Who is the Kremlin spokesman?",
    "What was found in nine samples from southwestern Aleppo?",
    "Until when did the EU extend its curbs on Syria?",
    "What is the capital of Australia?",
)
LOOK_S = 2
"""How often the page asks for the state of the index."""

HOST = "127.0.0.1"
CONTEXT_CHARS = 160
"""How much of the passage is shown on each side of a quote."""

CHANGED = ' <span class="changed">changed since: this is what it said</span>'

CSS = """
.gradio-container { max-width: 860px !important; margin: 0 auto !important; }
#status { min-height: 1.6em; opacity: .75; font-size: .9em; }
#chat .quote { margin: 0 0 .5em; font-size: 1.05em; line-height: 1.55; }
#chat .short { margin: 0 0 .5em; font-size: 1.3em; font-weight: 600; line-height: 1.3; }
#chat .declined { margin: 0 0 .5em; font-style: italic; }
#chat .label { color: var(--color-accent); font-weight: 600; white-space: nowrap; }
#chat details { margin: .35em 0; border-left: 3px solid var(--border-color-primary); padding-left: .7em; }
#chat summary { cursor: pointer; font-size: .88em; overflow-wrap: anywhere; }
#chat .context { margin: .4em 0; font-size: .92em; line-height: 1.5; overflow-wrap: anywhere; }
#chat mark { background: #ffe58a; color: #1a1a1a; padding: .05em .1em; border-radius: 3px; }
#chat .changed { font-weight: 600; color: #b45309; }
#chat .note { font-size: .88em; opacity: .75; }
"""


def converse(
    question: str,
    history: Sequence[tuple[str, str]],
    preparation: Preparation,
    since: str | None = None,
    until: str | None = None,
) -> Generator[tuple[str, Answer | None], None, None]:
    """The reply to show, as HTML, while it grows, and the answer once it is whole.

    First the passages that are being read, then the text as the model writes it, then the answer with
    its quotes in their surroundings. `since` and `until` are as in `rag.answer`; "" and None are any date.
    """
    for state in preparation.states() if not preparation.ended.is_set() else ():
        yield f'<p class="note">{as_text(state)}</p>', None
    if preparation.engine is None:
        yield f'<p class="declined">{as_text(preparation.failure or "")}</p>', None
        return
    passages: tuple[Passage, ...] = ()
    text = ""
    try:
        events = preparation.engine.stream(
            question,
            history=history,
            since=(since or "").strip() or None,
            until=(until or "").strip() or None,
        )
        for event in events:
            if isinstance(event, Answer):
                yield answer_html(event), event
            elif isinstance(event, Waiting):
                waiting = f'<p class="note">Waiting: {event.ahead} ahead of you.</p>'
                yield waiting + passages_html(passages), None
            elif isinstance(event, str):
                text += event
                yield f'<p class="quote">{as_text(text)}</p>{passages_html(passages)}', None
            else:
                passages = event
                yield passages_html(passages), None
    except RagError as error:
        yield f'<p class="declined">{as_text(str(error))}</p>', None


def question_text(message: dict[str, Any]) -> str:
    """What the user typed; Gradio gives a message's content back as a list of parts."""
    content = message["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def answer_html(answer: Answer, changed: Container[Citation] = ()) -> str:
    """The answer, and under it each citation's quote highlighted where it stands.

    It is told of those whose document has changed since, where the quote stood.
    """
    known = "".join(f'<p class="note">{as_text(note)}</p>' for note in notes(answer))
    if answer.abstained:
        return (
            f'<p class="declined">{as_text(answer.text)}</p>'
            f'<p class="note">No quote, because {as_text(answer.abstained)}.</p>'
            f"{passages_html(answer.passages, title='Nearest passages')}{known}"
        )
    lines = "".join(lines_html(answer))
    sources = "".join(
        citation_html(citation, answer.passages[citation.label - 1], changed=citation in changed)
        for citation in answer.citations
    )
    return lines + sources + known


def lines_html(answer: Answer) -> Iterator[str]:
    """The short answer, then each quote with the model's own words before it."""
    rest = answer.text
    if answer.short is not None and rest.startswith(f"{answer.short}{SEPARATOR}"):
        yield f'<p class="short">{as_text(answer.short)}</p>'
        rest = rest.removeprefix(answer.short)
    for citation in answer.citations:
        before, _, rest = rest.partition(f"“{citation.quote}” [{citation.label}]")
        own = f"{as_text(before.strip())} " if before.strip() else ""
        label = f'<span class="label">[{citation.label}]</span>'
        yield f'<p class="quote">{own}“{as_text(citation.quote)}” {label}</p>'


def citation_html(citation: Citation, passage: Passage, *, changed: bool = False) -> str:
    """The quote, highlighted in the text around it, with its file and characters."""
    start, end = citation.start - passage.start, citation.end - passage.start
    before, after = passage.text[:start], passage.text[end:]
    if len(before) > CONTEXT_CHARS:
        before = "…" + before[-CONTEXT_CHARS:].partition(" ")[2]
    if len(after) > CONTEXT_CHARS:
        after = after[:CONTEXT_CHARS].rpartition(" ")[0] + "…"
    return (
        f'<details open><summary><span class="label">[{citation.label}]</span> '
        f"{as_text(place(citation, passage))}{CHANGED if changed else ''}</summary>"
        f'<p class="context">{as_text(before)}<mark>{as_text(citation.quote)}</mark>{as_text(after)}</p>'
        "</details>"
    )


def passages_html(passages: Sequence[Passage], *, title: str = "Passages found") -> str:
    """The passages, folded away under their number."""
    inner = "".join(
        f'<p class="context"><span class="label">[{number}]</span> {as_text(place(passage, passage))}<br>'
        f"{as_text(passage.text)}</p>"
        for number, passage in enumerate(passages, 1)
    )
    return f"<details><summary>{title}: {len(passages)}</summary>{inner}</details>"


def as_it_stands(chat: Chat, answers: Answers, engine: Engine) -> Chat:
    """The chat with a word beside each quote whose document has changed where it stood."""
    shown = list(chat)
    for number, answer in answers:
        changed = [citation for citation in answer.citations if engine.open(citation).changed]
        shown[number] = {"role": "assistant", "content": answer_html(answer, changed)}
    return shown


def as_text(text: str) -> str:
    """HTML that shows the text and nothing else, in Markdown too: whatever isn't a letter is an entity."""
    return "".join(
        character
        if character.isalnum() or character == " "
        else "<br>"
        if character == "\n"
        else ""
        if character == "\r"
        else f"&#{ord(character)};"
        for character in text
    )


def page(preparation: Preparation) -> Any:
    """The page, not yet served. Opening it starts the preparation, again if it failed before."""

    def prepare() -> Iterator[str]:
        preparation.start()
        yield from preparation.states()

    def take(question: str, chat: Chat, answering: bool) -> tuple[str, Chat, bool]:
        if answering:
            raise gr.Error("An answer is being written. Stop it first.", print_exception=False)
        if not question.strip():
            raise gr.Error("The question is empty. Type one.", print_exception=False)
        # The box is emptied here, once: what is typed while the answer grows stays.
        return "", [*chat, {"role": "user", "content": question}], True

    def reply(
        chat: Chat, answers: Answers, since: str | None, until: str | None
    ) -> Generator[tuple[Chat, Answers], None, None]:
        history = [(answer.question, answer.text) for _, answer in answers]
        for content, answer in converse(question_text(chat[-1]), history, preparation, since, until):
            known = answers if answer is None else (*answers, (len(chat), answer))
            yield [*chat, {"role": "assistant", "content": content}], known

    def look(chat: Chat, answers: Answers, answering: bool, seen: str) -> tuple[Any, Any, str]:
        state, engine = preparation.state, preparation.engine
        with contextlib.suppress(RagError):  # the next question tells of an index that can't be read
            if engine is not None and not answering and (now := engine.generation()) != seen:
                shown = as_it_stands(chat, answers, engine)
                return state, shown if shown != chat else gr.skip(), now
        return state, gr.skip(), seen

    def stopped(chat: Chat, answering: bool) -> tuple[Chat, bool]:
        note = {"role": "assistant", "content": '<p class="note">Stopped.</p>'}
        return [*chat, note] if answering else chat, False

    with gr.Blocks(title="Ask the documents", analytics_enabled=False) as blocks:
        gr.Markdown("# Ask the documents\nEvery answer is quoted from them, word for word.")
        chat = gr.Chatbot(
            elem_id="chat",
            label="Conversation",
            show_label=False,
            height="62vh",
            latex_delimiters=[],
            buttons=[],
            feedback_options=None,
            placeholder="Ask about your documents. Nothing leaves this machine.",
        )
        with gr.Row():
            box = gr.Textbox(
                label="Question",
                show_label=False,
                container=False,
                placeholder="Your question",
                scale=8,
                autofocus=True,
            )
            send = gr.Button("Ask", variant="primary", scale=1, min_width=80)
            stop = gr.Button("Stop", scale=1, min_width=80)
        with gr.Accordion("Only documents of some time", open=False), gr.Row():
            since = gr.Textbox(label="From", placeholder="2016, 2016-05 or 2016-05-12")
            until = gr.Textbox(label="To", placeholder="2016, 2016-05 or 2016-05-12")
        gr.Examples([[example] for example in EXAMPLES], inputs=[box], label="For example")
        status = gr.Markdown(elem_id="status")

        answers = gr.State(())
        seen = gr.State("")
        answering = gr.State(False)
        taken = gr.on(
            [box.submit, send.click],
            take,
            [box, chat, answering],
            [box, chat, answering],
            queue=False,
            trigger_mode="multiple",
        )
        replying = taken.success(
            reply,
            [chat, answers, since, until],
            [chat, answers],
            concurrency_limit=None,
            trigger_mode="multiple",
        )
        replying.then(lambda: False, outputs=[answering], queue=False)
        stop.click(stopped, [chat, answering], [chat, answering], cancels=[replying], queue=False)
        chat.clear(lambda: ((), False), outputs=[answers, answering], cancels=[replying], queue=False)
        blocks.load(prepare, outputs=[status], concurrency_limit=None)
        gr.Timer(LOOK_S).tick(
            look,
            [chat, answers, answering, seen],
            [status, chat, seen],
            queue=False,
            show_progress="hidden",
        )
        endpoints = Endpoints(preparation, refusal=lambda message: gr.Error(message, print_exception=False))
        gr.events.api(endpoints.answer, api_name="answer", concurrency_limit=None)
        gr.events.api(endpoints.search, api_name="search", concurrency_limit=None)
        gr.events.api(endpoints.build, api_name="build")
    return blocks


def serve(
    *,
    documents: str | None = None,
    index: str | None = None,
    embedder: str | None = None,
    model: str | None = None,
    reranker: str | None = None,
    reader: str | None = None,
    mode: str | None = None,
    threshold: str | None = None,
    port: int | None = None,
) -> None:
    """Serve the page on 127.0.0.1 until it is interrupted."""
    settings = resolve(
        documents=documents,
        index=index,
        embedder=embedder,
        model=model,
        reranker=reranker,
        reader=reader,
        mode=mode,
        threshold=threshold,
    )
    preparation = Preparation(settings)
    blocks = page(preparation)
    added = additions(Programs(preparation.ready), host=HOST, login=None)
    _, url, _ = launch(blocks, port=port, added=added)
    preparation.start()
    threading.Thread(target=preparation.watch, name="watching", daemon=True).start()
    print(f"The chat is at {url}  (Ctrl-C ends it)", flush=True)
    blocks.block_thread()


def launch(blocks: Any, *, port: int | None, added: dict[str, Any] | None = None) -> tuple[Any, str, str]:
    """Serve the page on 127.0.0.1 alone, with nothing from elsewhere: (server, its address, "").

    It goes on in threads of its own; `added` is what else it serves (see `rag.serving.server`).
    `SettingsError` when the port is taken.
    """
    try:
        served: tuple[Any, str, str] = blocks.queue().launch(
            server_name=HOST,
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            ssr_mode=False,
            theme=gr.themes.Default(
                font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
            ),
            css=CSS,
            footer_links=[],
            app_kwargs=added,
        )
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"Port {port or '7860 and those after it'} can't be used. Name another: --port N"
        ) from error
    return served


if __name__ == "__main__":
    from rag.cli import main

    sys.exit(main(["serve", *sys.argv[1:]]))
