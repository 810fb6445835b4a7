import pytest

import rag
from rag.interfaces.cli.arguments import given, parsed
from rag.settings import Serving


def test_the_tools_on_stdin_and_stdout_take_no_port(capsys):
    with pytest.raises(SystemExit) as stopped:
        parsed(["serve", "--mcp", "--port", "7860"])
    out, err = capsys.readouterr()
    assert (stopped.value.code, out) == (2, "")
    assert err.splitlines()[-1] == (
        "rag: error: serve --mcp speaks on stdin and stdout and opens no page, so it takes no --port. "
        "Without --mcp, the page's server speaks MCP at /mcp."
    )
    assert parsed(["serve", "--mcp"]).mcp
    assert parsed(["serve", "--port", "7860"]).port == 7860


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as stopped:
        parsed(["--version"])
    assert (stopped.value.code, capsys.readouterr().out) == (0, "rag 0.2.0\n")
    assert rag.__version__ == "0.2.0"


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (["build"], {"documents", "index", "embedder", "precision", "retrieval"}),
        (["doctor"], {"documents", "index", "embedder", "precision"}),
        (["search", "war", "--documents=a"], {"index", "embedder", "precision", "retrieval", "reranker"}),
        (["models"], set()),
    ],
)
def test_a_command_is_given_the_settings_that_it_takes(command, names):
    assert set(given(parsed(command))) == names


@pytest.mark.parametrize("command", [["ask", "war"], ["chat"], ["serve"], ["eval"]])
def test_what_answers_takes_the_settings_of_answers(command):
    names = {
        "index",
        "embedder",
        "precision",
        "retrieval",
        "reranker",
        "reader",
        "model",
        "mode",
        "threshold",
    }
    assert set(given(parsed(command))) - {"documents"} == names


def test_the_page_is_given_its_own_settings():
    arguments = parsed(["serve", "--host", "localhost", "--read-only", "--model", "big.gguf"])
    assert given(arguments, Serving) == {"host": "localhost", "port": None, "user": None, "read_only": True}
    assert given(arguments)["model"] == "big.gguf"
    assert given(parsed(["serve"]), Serving)["read_only"] is None
