"""The blocks of a text as lines that a test can compare."""


def outline(extract) -> list[str]:
    """A line a block: its kind and level, its text, and after "<-" the texts of its header's spans.

    Fails unless the blocks are in order, don't overlap, and have all of the text that isn't white space.
    """
    lines, last = [], 0
    for block in extract.blocks:
        text = extract.text[block.start : block.end]
        assert block.start >= last, f"{text!r} begins before the block before it ends"
        assert text.strip(), "a block without text"
        assert not extract.text[last : block.start].strip(), "text in no block"
        header = [extract.text[start:end] for start, end in block.header]
        lines.append(
            f"{block.kind}{f' {block.level}' if block.level else ''}: {text}"
            + (f" <- {' & '.join(header)}" if header else "")
        )
        last = block.end
    assert not extract.text[last:].strip(), "text in no block"
    return lines
