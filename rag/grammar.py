"""Evidence → a GBNF grammar in which the model can choose sentences but not words.

What it lets through is `0]` (the documents don't say), or up to `max_quotes` different sentences, each
copied to the character after its number, with `[` standing already at the end of the prompt:

    2] He denied it.
    [1] The minister spoke on Monday.
"""

from collections.abc import Sequence

MAX_SENTENCES = 9
"""Labels have one digit, so that each is one token whatever the tokenizer."""


def quote_grammar(sentences: Sequence[str], *, max_quotes: int, max_chars: int) -> str:
    """The grammar of these sentences, of which there are 1 to `MAX_SENTENCES`, none empty.

    After the first sentence, one that would take the quotes beyond `max_chars` together is not offered.
    """
    rules = {"root": f'"0]" | {_choice(())}'}
    for number, text in enumerate(sentences, 1):
        rules[f"s{number}"] = literal(text)
    pending: list[tuple[int, ...]] = [()]
    while pending:
        used = pending.pop()
        if len(used) == max_quotes:
            rules[_rest(used)] = '""'
            continue
        options = []
        for number, text in enumerate(sentences, 1):
            chars = len(text) + sum(len(sentences[other - 1]) for other in used)
            if number in used or (used and chars > max_chars):
                continue
            then = tuple(sorted((*used, number)))
            options.append(f'"{number}] " s{number} {_rest(then)}')
            if _rest(then) not in rules:
                rules[_rest(then)] = ""
                pending.append(then)
        if used:
            rules[_rest(used)] = f'("\\n[" {_choice(used)})?' if options else '""'
        if options:
            rules[_choice(used)] = " | ".join(options)
    return "\n".join(f"{name} ::= {rule}" for name, rule in rules.items())


def literal(text: str) -> str:
    """The text as a GBNF string; llama.cpp reads anything but these few characters as it stands."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " else f"\\x{ord(c):02X}" for c in escaped) + '"'


def _choice(used: tuple[int, ...]) -> str:
    return "choice" + "".join(f"-{number}" for number in used)


def _rest(used: tuple[int, ...]) -> str:
    return "rest" + "".join(f"-{number}" for number in used)
