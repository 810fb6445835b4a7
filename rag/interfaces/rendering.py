"""Answer → what a reader has to know about how it came to be, and where what it quotes stands."""

from rag.types import Answer, Citation, Passage


def notes(answer: Answer) -> tuple[str, ...]:
    """A sentence for each thing to know, most often none."""
    found = []
    if answer.taken_as is not None:
        found.append(f"Taken to mean: {answer.taken_as}")
    if answer.left_out:
        found.append(f"Not shown to the language model, for want of room: {_sentences(answer.left_out)}.")
    if answer.dropped and answer.guarantee == "grammar":
        found.append(
            f"Left out, as its quote doesn't bear it out: {_sentences(answer.dropped)} of the model's."
        )
    if answer.guarantee == "location":
        dropped = f" Left out: {_sentences(answer.dropped)} of the model's." if answer.dropped else ""
        found.append(
            f"The model's server takes no grammar: its quotes were looked for in the documents.{dropped}"
        )
    return tuple(found)


def place(found: Citation | Passage, passage: Passage) -> str:
    """Where a passage, or a quote out of it, stands: file, date, page, characters, how many have it too."""
    parts = [found.source]
    if passage.date is not None:
        parts.append(passage.date)
    if found.page is not None:
        parts.append(f"page {found.page}")
    parts.append(f"characters {found.start}-{found.end}")
    if found.copies:
        parts.append(f"and {len(found.copies)} more")
    return ", ".join(parts)


def _sentences(count: int) -> str:
    return "1 sentence" if count == 1 else f"{count} sentences"
