"""The panes beside the conversation: a document and its quote, the documents, an answer's insides."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rag.errors import DocumentsError, QuestionError, SettingsError
from rag.index.excerpts import Opened
from rag.indexing import catalog
from rag.indexing.catalog import Listed
from rag.interfaces.chat.conversation import Conversation
from rag.interfaces.lifecycle import Preparation
from rag.interfaces.rendering import place
from rag.types import Answer, Citation, Match, Passage

MAX_SHOWN_CHARS = 600_000
"""A longer document is shown around the quote: more makes browsers slow."""

MAX_LISTED = 200

NOTHING_OPEN = '<p class="hint">Click a citation: its document opens here, with the quote marked.</p>'
NOTHING_INSIDE = '<p class="hint">“Look inside” below an answer shows how it came to be.</p>'


@dataclass(frozen=True, slots=True)
class Panes:
    """What the panes beside the conversation show, for one preparation."""

    preparation: Preparation
    read_only: bool

    def source(self, conversation: Conversation, what: str, turn: int, number: int) -> str:
        """The document of a citation ("cite") or a passage of the turn of this number."""
        answer = conversation.answer(turn)
        found: Sequence[Citation | Passage] = ()
        if answer is not None:
            found = answer.citations if what == "cite" else answer.passages
        if answer is None or not 0 <= number < len(found):
            raise QuestionError("This is no longer in the conversation. Ask again.")
        cited = found[number]
        if isinstance(cited, Citation):
            return self._opened(cited, answer.passages[cited.label - 1])
        return self.passage(answer.passages, number)

    def passage(self, passages: Sequence[Passage], number: int) -> str:
        """The document of the passage of this number."""
        if not 0 <= number < len(passages):
            raise QuestionError("This is no longer in the conversation. Ask again.")
        found = passages[number]
        citation = Citation(number + 1, found.source, found.start, found.end, found.text, found.page)
        return self._opened(citation, found)

    def document(self, source: str) -> str:
        """A document that is indexed, by its name."""
        return self._opened(Citation(1, source, 0, 0, ""), Passage(source, 0, 0, "", 0.0))

    def listed(self, documents: Sequence[Listed], sought: str | None) -> str:
        """The documents that have what is sought in their name."""
        return documents_html(documents, sought or "", read_only=self.read_only)

    def add(self, paths: Sequence[str]) -> None:
        """Put uploaded files among the documents and bring the index in step, then tell of those refused."""
        self._may_change()
        refused: list[str] = []
        for path in paths:
            try:
                catalog.add(self.preparation.settings.documents, Path(path).name, Path(path))
            except DocumentsError as error:
                refused.append(str(error))
            finally:
                Path(path).unlink(missing_ok=True)
        if len(refused) < len(paths):
            self.preparation.build()
        if refused:
            raise DocumentsError(" ".join(refused))

    def remove(self, source: str) -> None:
        """Delete a file of the documents folder, and bring the index in step."""
        self._may_change()
        catalog.remove(self.preparation.settings.documents, source)
        self.preparation.build(may_be_empty=True)

    def rebuild(self) -> None:
        """Build the index from nothing."""
        self._may_change()
        self.preparation.build(rebuild=True)

    def _opened(self, citation: Citation, passage: Passage) -> str:
        opened = self.preparation.ready().open(citation)
        stale = opened.sha256 is not None and catalog.is_stale(
            self.preparation.settings.documents, opened.source, opened.sha256
        )
        return source_html(opened, citation, passage, stale=stale)

    def _may_change(self) -> None:
        if self.read_only:
            raise SettingsError("This page is read-only: its documents can't be changed here.")


def source_html(opened: Opened, citation: Citation, passage: Passage, *, stale: bool) -> str:
    """The whole document with the quote marked, and what is to be known of it.

    Where the document no longer has the quote, the passage as it was asked stands first. `stale` says that
    the file has changed since it was indexed.
    """
    facts = [opened.title, opened.date, None if opened.page is None else f"page {opened.page}"]
    start, end = (citation.start, citation.end) if opened.start is None else (opened.start, opened.end)
    facts.append(f"characters {start}-{end}" if citation.quote else f"{len(opened.text):,} characters")
    about = " · ".join(escape(fact) for fact in facts if fact)
    warnings = "".join(f'<p class="changed">{escape(warning)}</p>' for warning in _warnings(opened, stale))
    if opened.start is None:
        first, last = citation.start - passage.start, citation.end - passage.start
        then = _text(passage.text, first, last, "What it said")
        now = f"<h3>The document now</h3>{_text(opened.text, 0, 0, opened.source)}" if opened.text else ""
        body = f"<h3>What it said when it was asked</h3>{then}{now}"
    else:
        body = _text(opened.text, opened.start, opened.end or opened.start, opened.source)
    return (
        '<article class="source"><button type="button" class="action back">Back to the answer</button>'
        f'<h2>{escape(opened.source)}</h2><p class="about">{about}</p>{warnings}'
        f"{body}</article>"
    )


def documents_html(listed: Sequence[Listed], sought: str, *, read_only: bool) -> str:
    """The documents whose name or title has what is sought, each with its state."""
    words = sought.casefold().split()
    found = [
        one for one in listed if all(word in f"{one.source} {one.title or ''}".casefold() for word in words)
    ]
    if not found:
        return f'<p class="hint">{"No document has that name." if words else "There is no document."}</p>'
    rows = "".join(_row(one, read_only) for one in found[:MAX_LISTED])
    more = len(found) - MAX_LISTED
    rest = f'<p class="hint">and {more:,} more: search for them by name</p>' if more > 0 else ""
    return (
        '<table class="documents"><thead><tr><th scope="col">Document</th><th scope="col">State</th>'
        '<th scope="col"><span class="unseen">Actions</span></th></tr></thead>'
        f"<tbody>{rows}</tbody></table>{rest}"
    )


def inside_html(answer: Answer) -> str:
    """How the answer came to be: what was found, what the model was shown, how long it took."""
    facts = {
        "Question": answer.question,
        "Taken to mean": answer.taken_as or "what it says",
        "Confidence": f"{answer.confidence:.2f}",
        "Model": answer.model,
        "Prompt": f"{answer.prompt_tokens} tokens" if answer.prompt_tokens else "the model was not asked",
        "Result": f"no quote: {answer.abstained}" if answer.abstained else f"{len(answer.citations)} quoted",
    }
    about = "".join(f"<dt>{name}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items())
    passages = _table(
        "Passages",
        ("", "Document", "Score", "By meaning", "By words"),
        (
            (
                str(number),
                place(passage, passage),
                f"{passage.score:.3f}",
                _match(passage.dense),
                _match(passage.keyword),
            )
            for number, passage in enumerate(answer.passages, 1)
        ),
    )
    evidence = _table(
        "Evidence",
        ("", "Sentence", "Score", "Reader", "In the prompt"),
        (
            (
                f"[{one.label}]",
                one.text,
                f"{one.score:.3f}",
                "not read" if one.odds is None else f"{one.odds:+.1f}",
                "yes" if one.shown else "no",
            )
            for one in answer.evidence
        ),
    )
    seconds = _table(
        "Seconds", ("Stage", "Seconds"), ((stage, f"{spent:.3f}") for stage, spent in answer.timings.items())
    )
    return f'<div class="inside"><dl>{about}</dl>{passages}{evidence}{seconds}</div>'


def _warnings(opened: Opened, stale: bool) -> Iterator[str]:
    if opened.start is None and not opened.text:
        yield "This document is no longer indexed."
    elif opened.start is None:
        yield "This document has changed since it was asked, and no longer has the quote."
    elif opened.changed:
        yield "This document has changed since it was asked: the quote stands elsewhere now."
    if stale:
        yield "The file has changed since it was indexed."


def _text(text: str, start: int, end: int, name: str) -> str:
    """The text with the characters from start to end marked; of a long one what is around them."""
    first = max(0, start - MAX_SHOWN_CHARS // 2) if len(text) > MAX_SHOWN_CHARS else 0
    last = min(len(text), max(end, first + MAX_SHOWN_CHARS))
    before = f'<p class="hint">{first:,} characters before are not shown</p>' if first else ""
    after = (
        f'<p class="hint">{len(text) - last:,} characters after are not shown</p>' if last < len(text) else ""
    )
    mark = f'<mark id="quote" tabindex="-1">{_shown(text[start:end])}</mark>' if end > start else ""
    return (
        f'{before}<div class="text" tabindex="0" role="region" aria-label="Text of {escape(name)}">'
        f"{_shown(text[first:start])}{mark}{_shown(text[end:last])}</div>{after}"
    )


def _shown(text: str) -> str:
    """The text as HTML; characters that HTML has no way to show are replaced, one for one."""
    return escape(text.replace("\0", "\N{REPLACEMENT CHARACTER}"))


def _row(one: Listed, read_only: bool) -> str:
    source = escape(one.source)
    facts = " · ".join(escape(fact) for fact in (one.title, one.date) if fact)
    name = source
    if one.characters is not None:
        name = f'<button type="button" class="link" data-open="{source}">{source}</button>'
    reason = f'<br><span class="reason">It {escape(one.reason)}</span>' if one.reason else ""
    remove = ""
    if not read_only and one.state != "gone":
        remove = (
            f'<button type="button" class="action" data-remove="{source}" aria-label="Remove {source}">'
            "Remove</button>"
        )
    return (
        f"<tr><td>{name}{f'<br><small>{facts}</small>' if facts else ''}</td>"
        f'<td><span class="state {one.state}">{one.state}</span>{reason}</td><td>{remove}</td></tr>'
    )


def _table(caption: str, names: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{name or "<span class=unseen>Number</span>"}</th>' for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    if not body:
        return ""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{caption}">'
        f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _match(match: Match | None) -> str:
    if match is None:
        return "none"
    return f"{match.score:.3f}, {'not ranked' if match.rank is None else f'rank {match.rank}'}"
