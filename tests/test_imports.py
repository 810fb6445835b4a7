"""Packages stand in one order, and each heavy library is imported by one module, when it is needed."""

import ast
import functools
import graphlib
import json
import os
import subprocess
import sys

import pytest

from rag.settings import Settings
from tests.support import ROOT
from tests.support.files import pdf
from tests.support.folders import Folders

HEAVY = {
    "sentence_transformers": {"models/embedder.py", "models/cross_encoder.py"},
    "transformers": {"models/embedder.py"},
    "torch": {"models/embedder.py", "models/reader.py"},
    "openvino": {"models/openvino_runtime.py"},
    "tokenizers": {"models/tokenizer.py"},
    "faiss": {"index/disk/faiss_index.py"},
    "llama_cpp": {"llm/llama.py"},
    "huggingface_hub": {"models/hub.py"},
    "pymilvus": {"index/milvus/client.py"},
    "ray": {"indexing/ray_cluster.py"},
    "gradio": {f"interfaces/chat/{name}.py" for name in ("events", "handlers", "layout")},
    "mcp": {"interfaces/api/mcp_server.py"},
    "pypdfium2": {"documents/parsers/pdf.py"},
    "docx": {"documents/parsers/docx.py"},
    "lxml": {"documents/parsers/html.py"},
    "trafilatura": {"documents/parsers/html.py"},
    "charset_normalizer": {"documents/encoding.py"},
    "markdown_it": {"documents/markdown.py"},
}
LEAVES = {"types", "errors", "settings", "uris", "resources"}
"""Modules at the top that everything uses; they may use each other."""

ORDER = (
    LEAVES,
    ("text",),
    ("models",),
    ("documents",),
    ("llm",),
    ("index",),
    ("index.disk", "index.milvus"),
    ("indexing",),
    ("retrieval",),
    ("answering",),
    ("wiring",),
    ("",),  # rag/__init__.py, the public interface
    ("evaluation",),
    ("training",),
    ("interfaces",),
    ("interfaces.chat", "interfaces.api"),
    ("interfaces.cli",),
    ("__main__",),
)
"""The rooms of the package, lowest first: each imports only from rooms that stand above it in this table.

A room is a module at the top, or a package; a package inside that isn't named is part of the one around it.
"""

TAKE_LONG = {"torch", "transformers", "sentence_transformers", "gradio", "app"}
READING = {"pypdfium2", "docx", "lxml", "trafilatura", "charset_normalizer", "markdown_it"}


def imported(nodes) -> set[str]:
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


@functools.cache
def modules():
    package = ROOT / "rag"
    return {
        path.relative_to(package).as_posix(): ast.parse(path.read_text("utf-8"))
        for path in sorted(package.rglob("*.py"))
        if path.parent.name != "training"
    }


def room_of(name: str) -> str:
    """The room of a module of `rag`, such as index.disk of index.disk.store."""
    rooms = {room for level in ORDER for room in level}
    while name not in rooms:
        name = name.rpartition(".")[0]
    return name


@functools.cache
def arrows() -> set[tuple[str, str]]:
    """(importing, imported) for all modules of `rag`, named without it: type checkers' imports too."""
    files = {
        ".".join(path.relative_to(ROOT / "rag").with_suffix("").parts): path
        for path in (ROOT / "rag").rglob("*.py")
    }
    names = {name.removesuffix("__init__").removesuffix("."): path for name, path in files.items()}
    found = set()
    for name, path in names.items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                targets = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for target in targets:
                if target.partition(".")[0] == "rag":
                    inside = target.partition(".")[2]
                    # What is imported is a module, or a name in one.
                    found.add((name, inside if inside in names else inside.rpartition(".")[0]))
    return {(importing, imported) for importing, imported in found if importing != imported}


def test_each_room_imports_only_from_those_above_it_in_the_table():
    level = {room: number for number, rooms in enumerate(ORDER) for room in rooms}
    wrong = set()
    for importing, imported in arrows():
        rooms = room_of(importing), room_of(imported)
        if len({*rooms}) == 2 and not {*rooms} <= LEAVES and level[rooms[0]] <= level[rooms[1]]:
            wrong.add((importing, imported))
    assert wrong == set()


def test_no_modules_import_each_other():
    order = graphlib.TopologicalSorter[str]()
    for importing, imported in arrows():
        order.add(importing, imported)
    place = {name: number for number, name in enumerate(order.static_order())}  # CycleError names the modules
    assert {pair for pair in arrows() if place[pair[0]] <= place[pair[1]]} == set()


def test_few_arrows_join_the_rooms():
    """One for each room that imports from another one; the leaves count as one room."""
    rooms = [tuple(map(room_of, pair)) for pair in arrows()]
    joined = {tuple("leaves" if room in LEAVES else room for room in pair) for pair in rooms}
    assert len({(importing, imported) for importing, imported in joined if importing != imported}) <= 110


def test_the_top_of_the_package_can_be_taken_in_at_a_glance():
    assert len([path for path in (ROOT / "rag").iterdir() if path.name != "__pycache__"]) <= 22


@pytest.mark.parametrize("library", HEAVY)
def test_one_module_imports_it(library):
    found = {name for name, tree in modules().items() if library in imported(ast.walk(tree))}

    assert found == HEAVY[library]


def test_no_module_imports_a_heavy_library_when_it_is_imported():
    found = {
        (name, library) for name, tree in modules().items() for library in imported(tree.body) & {*HEAVY}
    }

    # What only app.py uses, which needs it at once too.
    assert found == {(name, "gradio") for name in HEAVY["gradio"]}


def test_only_what_is_served_imports_a_web_framework():
    found = {name for name, tree in modules().items() if "starlette" in imported(ast.walk(tree))}

    assert found == {f"interfaces/api/{name}.py" for name in ("openai_api", "security", "mount")}


def test_the_recipe_of_a_reader_is_imported_by_nothing_but_rag_eval_with_its_sets():
    found = set()
    for name, tree in modules().items():
        for node in ast.walk(tree):
            named = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            )
            if isinstance(node, ast.ImportFrom):
                named = [f"{node.module}.{imported}" for imported in named]
            if any(one.startswith("rag.training") for one in named):
                found.add(name)

    assert found == {"interfaces/cli/main.py"}


def test_no_test_imports_a_library_that_takes_long_while_it_is_collected():
    """The fast tests would wait for it."""
    found = set()
    for path in (ROOT / "tests").rglob("*.py"):
        if "benchmarks" not in path.parts and imported(ast.parse(path.read_text("utf-8")).body) & TAKE_LONG:
            found.add(path.name)

    # The processes that tests start.
    assert found == {"page_process.py"}


def loaded(code: str, *arguments: str) -> set[str]:
    """The heavy libraries that a process has loaded at its end, numpy among them."""
    names = json.dumps([*HEAVY, "numpy", "langchain_text_splitters"])
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys\n{code}\nprint([n for n in {names} if n in sys.modules])",
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ast.literal_eval(ran.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy():
    assert (
        loaded(
            "import rag, rag.interfaces.cli.main, rag.models.registry, rag.models.hub\n"
            "import rag.documents.folder, rag.documents.parsers.__main__"
        )
        == set()
    )


def test_an_unchanged_build_loads_no_model(seed_settings: Settings):
    code = "from rag.interfaces.cli.main import main\nassert main(sys.argv[1:]) == 0"
    places = ["--documents", str(seed_settings.documents), "--index", str(seed_settings.index)]

    assert loaded(code, "build", *places) == {"numpy"}


def test_an_unchanged_build_loads_nothing_that_reads_documents(tmp_path):
    folders = Folders(tmp_path)
    folders.write({"a.txt": "War", "b.html": "<p>Bread", "c.eml": "From: a@b\n\nPeace", "f.md": "# Salt"})
    (folders.documents / "d.txt").write_bytes("Café, Zürich".encode("cp1252"))
    (folders.documents / "e.pdf").write_bytes(pdf("River"))
    assert len(folders.build().added) == 6

    code = (
        "from pathlib import Path\nfrom tests.support.folders import Folders\n"
        "report = Folders(Path(sys.argv[1])).build(load_embedder=None)\nassert len(report.unchanged) == 6"
    )
    assert loaded(code, str(tmp_path)) & READING == set()


@pytest.mark.parametrize(("given", "used"), [(None, "10000"), ("7", "7")])
def test_openmp_spins_little_unless_the_user_says_so(given, used):
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    if given is not None:
        environment["GOMP_SPINCOUNT"] = given
    code = "import rag, os; print(os.environ['GOMP_SPINCOUNT'])"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == used
