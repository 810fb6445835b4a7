"""The errors a user can put right.

RagError
├── DocumentsError   the documents folder is missing, empty or unreadable
├── EvaluationError  an evaluation set or question file can't be read
├── IndexFileError   the index is missing, damaged, locked, of another embedder, or its server is away
├── ModelError       model weights are missing, damaged or not downloadable, or no server answers
├── PromptError      a prompt template is missing or lacks a placeholder
├── QuestionError    the question or its history can't be answered as it is
└── SettingsError    a setting has a value that can't be used

Each message says what is wrong, with the values, and what to do. It may be shown to the user as it
is; anything else that is raised is a defect. `UnreadableError` stays inside the package: it is the reason
of one file's `Failure`.
"""

from pathlib import Path


class RagError(Exception):
    """Something a user can put right; the message says how."""


class DocumentsError(RagError):
    """The documents folder is missing, empty or unreadable."""


class EvaluationError(RagError):
    """An evaluation set or question file can't be read."""


class IndexFileError(RagError):
    """The index is missing, damaged, locked by another build, or of another embedder."""


class ModelError(RagError):
    """Model weights are missing, damaged or not downloadable."""


class PromptError(RagError):
    """A prompt template is missing or lacks a placeholder."""


class QuestionError(RagError):
    """The question or its history can't be answered as it is."""


class SettingsError(RagError):
    """A setting has a value that can't be used."""


class UnreadableError(Exception):
    """Why a file can't be read: the rest of a sentence that begins with its name."""


def shown(path: Path) -> str:
    """The path as the user knows it: relative when it is inside the working folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def how_to_install(extra: str) -> str:
    """How to install an extra: from the checkout, as long as the package is on no index."""
    return f'Install the extra {extra}: pip install -e ".[{extra}]" in the checkout of quote-only'
