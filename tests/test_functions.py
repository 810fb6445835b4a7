"""No function is longer than what can be read at a glance; ruff (C901) limits how tangled it is."""

import ast

from tests.support import ROOT

MAX_LINES = 60


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """From its first decorator to its last line."""
    first = min(node.lineno for node in (function, *function.decorator_list))
    assert function.end_lineno is not None
    return function.end_lineno - first + 1


def test_no_function_is_longer_than_60_lines():
    found = set()
    for path in (ROOT / "app.py", *(ROOT / "rag").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of(node) > MAX_LINES:
                found.add((path.relative_to(ROOT).as_posix(), node.name))
    assert found == set()
