"""JSON files → rows that know their place; what can't be read is an error that names file and line."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag.errors import EvaluationError, shown


class Row:
    """One JSON object of a file. Each method gives a field, or `EvaluationError` if it isn't one."""

    def __init__(self, value: Any, place: str) -> None:
        """Take a value that stands at this place, said as in "questions.jsonl, line 3"."""
        if not isinstance(value, dict):
            raise EvaluationError(f"{place} is not a JSON object.")
        self._value = value
        self.place = place

    def text(self, name: str) -> str:
        """A text."""
        return str(self._get(name, str, "a text"))

    def whole_number(self, name: str) -> int:
        """A whole number."""
        return int(self._get(name, int, "a whole number"))

    def choice(self, name: str, *choices: str | None) -> str | None:
        """One of these."""
        found: str | None = self._get(name, object, "")
        if found not in choices:
            allowed = ", ".join(json.dumps(choice) for choice in choices)
            raise EvaluationError(f"{self.place}: {name} is none of {allowed}.")
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        found = self._get(name, list, "a list of texts")
        if not all(isinstance(item, str) for item in found):
            raise EvaluationError(f"{self.place}: {name} is not a list of texts.")
        return tuple(found)

    def texts_if_any(self, name: str) -> tuple[str, ...]:
        """A list of texts, empty when the field is absent."""
        return self.texts(name) if name in self._value else ()

    def only_text(self, name: str) -> str:
        """The text of a list of one."""
        found = self.texts(name)
        if len(found) != 1:
            raise EvaluationError(f"{self.place}: {name} has {len(found)} texts, not 1.")
        return found[0]

    def rows(self, name: str, *, at_least: int = 0) -> "list[Row]":
        """A list of objects."""
        found = self._get(name, list, "a list of objects")
        if len(found) < at_least:
            raise EvaluationError(f"{self.place}: {name} is empty.")
        return [Row(item, f"{self.place}: {name}[{number}]") for number, item in enumerate(found)]

    def only(self, *names: str) -> None:
        """`EvaluationError` if there is a field of another name."""
        for name in self._value:
            if name not in names:
                raise EvaluationError(f"{self.place} has {name}; it may have {', '.join(names)}.")

    def _get(self, name: str, kind: type, what: str) -> Any:
        if name not in self._value:
            raise EvaluationError(f"{self.place} lacks {name}.")
        if not isinstance(self._value[name], kind):
            raise EvaluationError(f"{self.place}: {name} is not {what}.")
        return self._value[name]


def read_lines(path: Path) -> Iterator[Row]:
    """The objects of a JSON Lines file, which may be compressed (`.gz`)."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _parsed(line, f"{shown(path)}, line {number}")
    except (OSError, EOFError, zlib.error) as error:
        raise EvaluationError(f"{shown(path)} can't be read: {error}.") from error


def read_object(path: Path) -> Row:
    """The object of a JSON file."""
    try:
        return _parsed(path.read_bytes(), shown(path))
    except OSError as error:
        raise EvaluationError(f"{shown(path)} can't be read: {error}.") from error


def _parsed(content: bytes, place: str) -> Row:
    try:
        return Row(json.loads(content.decode("utf-8-sig")), place)
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{place} is not UTF-8 text.") from error
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"{place} is not JSON: {error}.") from error
