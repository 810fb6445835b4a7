"""The README's table of settings: `python -m tests.support.settings_table` prints it."""

import sys

from rag import settings
from rag.settings import Declaration


def settings_table() -> str:
    """One row for each setting; those without a flag have no name, as only their variable can be given."""
    declared = [
        one
        for kind in (settings.Settings, settings.Serving, settings.Secrets)
        for one in settings.declarations(kind)
    ]
    rows = "".join(map(_row, declared))
    return f"| keyword, flag | variable | default | what it is |\n| --- | --- | --- | --- |\n{rows}"


def _row(one: Declaration) -> str:
    name = f"`{one.name}`" if one.commands else ""
    default = f"`{one.default}`" if one.default else ""
    return f"| {name} | `{one.variable}` | {default} | {one.help} |\n"


if __name__ == "__main__":
    sys.stdout.write(settings_table())
