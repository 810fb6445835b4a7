"""The name to install by is not that of the import: `rag` is somebody else's on the package index."""

import re
import tomllib

import pytest

import rag
from rag.errors import how_to_install
from tests.support import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def test_what_the_package_is_installed_by():
    assert PROJECT["name"] == "quote-only"
    assert PROJECT["scripts"] == {"rag": "rag.interfaces.cli.main:main"}
    assert "quote-only[milvus,ray]" in PROJECT["optional-dependencies"]["test"]


def test_the_version_stands_in_the_package_alone():
    assert PROJECT["dynamic"] == ["version"]
    assert rag.__version__ == "0.2.0"


@pytest.mark.parametrize("extra", ["embedded", "milvus", "ray"])
def test_an_extra_is_installed_from_the_checkout(extra):
    assert extra in PROJECT["optional-dependencies"]
    assert how_to_install(extra) == (
        f'Install the extra {extra}: pip install -e ".[{extra}]" in the checkout of quote-only'
    )


def test_nothing_tells_to_install_what_somebody_else_publishes():
    texts = [*ROOT.glob("*.md"), *ROOT.glob("*.py"), *ROOT.glob(".ci/*"), *(ROOT / "rag").rglob("*.py")]
    found = [path.name for path in texts if re.search(r"pip install\W+rag\b", path.read_text("utf-8"))]
    assert found == []
