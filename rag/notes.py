"""Answer → what a reader has to know about how it came to be, beside what it says."""

from rag.types import Answer


def notes(answer: Answer) -> tuple[str, ...]:
    """A sentence for each thing to know, most often none."""
    found = []
    if answer.taken_as is not None:
        found.append(f"Taken to mean: {answer.taken_as}")
    if answer.left_out:
        found.append(f"Not shown to the language model, for want of room: {_sentences(answer.left_out)}.")
    if answer.dropped:
        found.append(
            f"Left out, as its quote doesn't bear it out: {_sentences(answer.dropped)} of the model's."
        )
    return tuple(found)


def _sentences(count: int) -> str:
    return "1 sentence" if count == 1 else f"{count} sentences"
