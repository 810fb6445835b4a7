"""What the page does: the handler of each event, and what `page.js` does before and after it."""

import functools
from typing import Any, TypeAlias

import gradio as gr

from rag.interfaces.chat.handlers import Handlers
from rag.interfaces.chat.layout import Page

Dependency: TypeAlias = Any
"""An event of Gradio's with its handler, which others can follow or cancel."""

LOOK_S = 2
"""How often the page asks for the state of the index."""

# What may fail goes through the queue: Gradio shows no error of what doesn't.
_QUEUED: dict[str, Any] = {"concurrency_limit": None, "show_progress": "hidden", "api_visibility": "private"}
_DIRECT: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def connect(blocks: gr.Blocks, page: Page, on: Handlers) -> None:
    """Give the events of the page their handlers."""
    replying = _asking(page, on)
    _answers(page, on)
    _documents(page, on)
    _conversations(page, on, replying)
    _opening(blocks, page, on)


def _asking(page: Page, on: Handlers) -> list[Dependency]:
    """Questions are asked, stopped and edited; gives the events that end when a conversation is left."""
    chat, session, marked = page.chat, page.session, page.marked
    shown = [chat.conversation, session]
    asked = gr.on(
        [chat.question.submit, chat.ask.click],
        on.ask,
        [chat.question, session, marked],
        [chat.question, *shown, chat.editing],
        js="(...given) => rag.asked(given)",
        **_QUEUED,
    )
    again = page.clicks.retry(on.ask_again, [session, marked], [*shown, chat.editing], **_QUEUED)
    limits = [chat.since, chat.until, chat.sources]
    replying = [
        event.success(
            on.reply,
            [session, marked, *limits],
            [*shown, page.reading],
            trigger_mode="multiple",
            **_QUEUED,
        )
        for event in (asked, again)
    ]
    for event in replying:
        event.failure(on.reply_failed, [session, marked], shown, **_DIRECT)
        _save(event.then, page, on)
    stopped = chat.stop.click(
        on.stop, [session, marked], [*shown, page.record], cancels=replying, **_DIRECT
    ).then(**_list_saved(page, on))
    _repaint(stopped, page, on)
    edited = [session, chat.question, chat.editing]
    page.clicks.edit(on.edit, [session], [*edited, chat.editing_note], **_QUEUED).success(
        js="() => rag.focus()"
    )
    chat.cancel_edit.click(on.cancel_edit, [session], edited, **_DIRECT)
    # Who leaves a conversation at once leaves a question behind that isn't shown yet.
    return [asked, again, *replying]


def _answers(page: Page, on: Handlers) -> None:
    """Answers are rated and looked into, and what they cite is opened."""
    session, clicks = page.session, page.clicks
    rated = clicks.like(on.rate_answer, [session, page.marked], [page.chat.conversation, session], **_QUEUED)
    _save(rated.then, page, on)
    clicks.select(on.open_cited, [session, page.reading], [page.source, page.tabs], **_QUEUED).success(
        js="() => rag.show()"
    )
    clicks.click(on.look_inside, [session], [page.inside, page.tabs], **_QUEUED)


def _documents(page: Page, on: Handlers) -> None:
    """Documents are searched, opened, added and removed."""
    tab, sought = page.documents, page.documents.sought
    tab.table.select(on.open_document, None, [page.source, page.tabs], **_QUEUED).success(
        js="() => rag.show()"
    )
    sought.input(on.panes.listed, [page.listed, sought], [tab.table], trigger_mode="always_last", **_DIRECT)
    tab.table.delete(on.remove, [sought], _listing(page), **_QUEUED)
    tab.add.upload(on.upload, [tab.add, sought], _listing(page), **_QUEUED)
    tab.rebuild.click(on.rebuild, [sought], _listing(page), **_QUEUED)


def _conversations(page: Page, on: Handlers, replying: list[Dependency]) -> None:
    """Conversations are chosen, begun, deleted, renamed and exported."""
    tab, chat, session = page.conversations, page.chat, page.session
    # Another tab of the browser may have saved one meanwhile.
    page.conversations_tab.select(**_list_saved(page, on, js="(_, session) => [rag.save(''), session]"))
    emptied = [tab.choice, chat.conversation, session, chat.editing]
    for leaving in (chat.conversation.clear, tab.new.click):
        left = leaving(on.leave, None, emptied, cancels=replying, js="() => rag.close()", **_DIRECT)
        _repaint(left, page, on)
    opened = tab.choice.input(
        on.reopen,
        [page.record, tab.choice],
        [chat.conversation, session, page.marked, chat.editing],
        cancels=replying,
        js="(_, id) => [rag.load(id), id]",
        **_QUEUED,
    )
    _repaint(opened, page, on)
    tab.delete.click(
        on.deleted,
        [page.record, session, tab.choice],
        emptied,
        js="(_, session, id) => [rag.remove(id), session, id]",
        **_QUEUED,
    )
    renamed = tab.rename.click(on.rename, [tab.title, session], [session, tab.title], **_QUEUED)
    _save(renamed.success, page, on)
    for button, kind in ((tab.as_markdown, "md"), (tab.as_json, "json")):
        export = functools.partial(on.export, kind=kind)
        button.click(export, [session], [page.file], **_QUEUED).success(
            js="file => rag.download(file)", inputs=[page.file]
        )


def _opening(blocks: gr.Blocks, page: Page, on: Handlers) -> None:
    """The page opens with what the browser has saved; from then on it follows the index."""
    chat = page.chat
    blocks.load(
        on.reopen,
        [page.record],
        [chat.conversation, page.session, page.marked, chat.editing],
        js="() => rag.reload()",
        **_QUEUED,
    ).then(**_list_saved(page, on))
    blocks.load(inputs=[chat.question], outputs=[chat.question], js="typed => rag.unanswered() || typed")
    blocks.load(on.preparation.start, **_DIRECT)
    for looking in (blocks.load, gr.Timer(LOOK_S).tick):
        looking(
            on.look,
            [page.session, page.seen, page.documents.sought],
            [page.status, chat.conversation, page.seen, page.marked, *_listing(page)],
            **_DIRECT,
        )


def _save(listener: Any, page: Page, on: Handlers) -> None:
    """At the event, save the conversation in the browser."""
    listener(on.to_save, [page.session], [page.record], **_DIRECT).then(**_list_saved(page, on))


def _list_saved(
    page: Page, on: Handlers, js: str = "(record, session) => [rag.save(record), session]"
) -> dict[str, Any]:
    """The arguments of an event that saves the record, if there is one, and lists what is saved."""
    given, shown = [page.record, page.session], [page.conversations.choice, page.session]
    return {"fn": on.list_saved, "inputs": given, "outputs": shown, "js": js, **_QUEUED}


def _repaint(event: Dependency, page: Page, on: Handlers) -> None:
    """After the event, which may have cancelled an answer, show the conversation as it is."""
    event.then(on.repaint, [page.session, page.marked], [page.chat.conversation], **_DIRECT)


def _listing(page: Page) -> list[Any]:
    """What shows documents."""
    return [page.listed, page.documents.table, page.chat.sources]
