"""A chunk → the passage that is shown: the chunk with the sentences around it, as far as there is room."""

from collections.abc import Sequence

Span = tuple[int, int]


def widened(span: Span, sentences: Sequence[Span], taken: Sequence[Span], *, max_chars: int) -> Span:
    """The span, grown by whole sentences after and before it in turn, to at most `max_chars`.

    `sentences` are those of the document around and inside the span, in order. It doesn't grow into a
    span of `taken`, what is shown already, nor shrink where it is longer than `max_chars`.
    """
    start, end = span
    after = iter([found for found in sentences if found[0] >= end])
    before = iter([found for found in reversed(sentences) if found[1] <= start])
    sides = [after, before]
    while sides:
        side = sides.pop(0)
        found = next(side, None)
        if found is None or any(found[0] < other[1] and other[0] < found[1] for other in taken):
            continue
        if max(end, found[1]) - min(start, found[0]) > max_chars:
            continue
        start, end = min(start, found[0]), max(end, found[1])
        sides.append(side)
    return start, end
