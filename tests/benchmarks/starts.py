"""From the shell to the help, to an answer and to the page, beside the imports and loads that these need."""

import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from pathlib import Path

import rag
from tests.benchmarks.measuring import Row, run_code
from tests.support import ROOT, SEEDS

REPEATS = 5
QUESTION = "Until when did the EU extend its curbs on Syria?"
IMPORTS = {
    "torch + transformers": "import torch, transformers",
    "llama_cpp": "import llama_cpp",
    "gradio": "import os\nos.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'\nimport gradio",
}
LOADS = """
import threading
from rag import wiring
from rag.models.hub import download
from rag.llm.llama import LlamaModel
from rag.models.registry import find_language_model
from rag.settings import resolve
def load():
    found = find_language_model("embedded", download)
    LlamaModel(found.path, found.name)
loading = threading.Thread(target=load)
loading.start()
import faiss
wiring.embedder(resolve())
wiring.reader("embedded")
loading.join()
"""


def rows() -> list[Row]:
    """Seconds, medians of `REPEATS` runs."""
    with tempfile.TemporaryDirectory() as place:
        shutil.copytree(SEEDS, Path(place, "seeds"))
        index = Path(place, "index")
        rag.build(Path(place, "seeds"), index=index)
        command = [sys.executable, "-m", "rag"]
        timings: defaultdict[str, list[float]] = defaultdict(list)

        for _ in range(REPEATS):
            for name, code in IMPORTS.items():
                timings[name].append(run_code(code)["seconds"])
            timings["loads"].append(run_code(LOADS)["seconds"])
            for name, arguments in {
                "help": ["--help"],
                "ask": ["ask", "--index", str(index), QUESTION],
            }.items():
                began = time.perf_counter()
                subprocess.run([*command, *arguments], capture_output=True, check=True, cwd=ROOT)
                timings[name].append(time.perf_counter() - began)
            timings["page"].append(_page(command, place))
    median = {name: statistics.median(seconds) for name, seconds in timings.items()}
    bare = ", ".join(f"{name} {median[name]:.2f} s" for name in IMPORTS)
    return [
        Row(
            "rag --help",
            f"{median['help']:.2f} s",
            f"bare imports: {bare}",
            "",
            "0.3 s",
            median["help"] < 0.3,
        ),
        _row("rag ask, from cold to the answer", median["ask"], median["loads"], "imports and model loads"),
        _row("the page, from start to served", median["page"], median["gradio"], "import gradio"),
    ]


def _row(work: str, ours: float, other: float, what: str) -> Row:
    ratio = f"{ours / other:.2f} times"
    return Row(work, f"{ours:.2f} s", f"{other:.2f} s ({what})", ratio, "1.3 times", ours <= 1.3 * other)


def _page(command: list[str], place: str) -> float:
    """Seconds from the start of the server until the page is delivered."""
    began = time.perf_counter()
    arguments = ["serve", "--documents", f"{place}/seeds", "--index", f"{place}/index"]
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as server:
        assert server.stdout is not None
        try:
            address = re.search(r"http://\S+", server.stdout.readline())
            assert address is not None, "the server says where the page is"
            with urllib.request.urlopen(address[0], timeout=60) as answer:
                assert answer.status == 200
            return time.perf_counter() - began
        finally:
            server.terminate()
