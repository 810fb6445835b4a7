"""JSON files → rows that know their place: an error names the file and the line."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag.errors import EvaluationError, shown


class Row:
    """One JSON object of a file; its methods return a field, or raise `EvaluationError` with its place."""

    def __init__(self, value: Any, place: str) -> None:
        """`place` says where the value stands, such as "questions.jsonl, line 3"."""
        if not isinstance(value, dict):
            raise EvaluationError(f"{place} is not a JSON object.")
        self._value = value
        self.place = place

    def text(self, name: str) -> str:
        """A string."""
        return str(self._get(name, str, "a text"))

    def whole_number(self, name: str) -> int:
        """An integer."""
        return int(self._get(name, int, "a whole number"))

    def choice(self, name: str, *choices: str | None) -> str | None:
        """One of the choices."""
        value: str | None = self._get(name, object, "")
        if value not in choices:
            allowed = ", ".join(json.dumps(choice) for choice in choices)
            raise EvaluationError(f"{self.place}: {name} must be one of {allowed}.")
        return value

    def __contains__(self, name: str) -> bool:
        return name in self._value

    def texts(self, name: str, *, optional: bool = False) -> tuple[str, ...]:
        """A list of strings; an optional one that is absent is empty."""
        if optional and name not in self:
            return ()
        values = self._get(name, list, "a list of texts")
        if not all(isinstance(value, str) for value in values):
            raise EvaluationError(f"{self.place}: {name} is not a list of texts.")
        return tuple(values)

    def only_text(self, name: str) -> str:
        """The string of a list of one."""
        texts = self.texts(name)
        if len(texts) != 1:
            raise EvaluationError(f"{self.place}: {name} has {len(texts)} texts, not 1.")
        return texts[0]

    def rows(self, name: str, *, at_least: int = 0) -> "list[Row]":
        """A list of objects."""
        values = self._get(name, list, "a list of objects")
        if len(values) < at_least:
            raise EvaluationError(f"{self.place}: {name} is empty.")
        return [Row(value, f"{self.place}: {name}[{number}]") for number, value in enumerate(values)]

    def only(self, *names: str) -> None:
        """Raise `EvaluationError` for a field of another name."""
        for name in self._value:
            if name not in names:
                raise EvaluationError(f"{self.place} has {name}; it may have {', '.join(names)}.")

    def _get(self, name: str, kind: type, what: str) -> Any:
        if name not in self._value:
            raise EvaluationError(f"{self.place} lacks {name}.")
        if not isinstance(self._value[name], kind):
            raise EvaluationError(f"{self.place}: {name} is not {what}.")
        return self._value[name]


def read_rows(path: Path) -> Iterator[Row]:
    """The objects of a JSON Lines file, which may be compressed (`.gz`); empty lines are skipped."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _row(line, f"{shown(path)}, line {number}")
    except (OSError, EOFError, zlib.error) as error:
        raise EvaluationError(f"{shown(path)} can't be read: {error}.") from error


def read_object(path: Path) -> Row:
    """The object of a JSON file."""
    try:
        return _row(path.read_bytes(), shown(path))
    except OSError as error:
        raise EvaluationError(f"{shown(path)} can't be read: {error}.") from error


def _row(content: bytes, place: str) -> Row:
    try:
        return Row(json.loads(content.decode("utf-8-sig")), place)
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{place} is not UTF-8 text.") from error
    except (ValueError, RecursionError) as error:
        raise EvaluationError(f"{place} is not JSON: {error}.") from error
