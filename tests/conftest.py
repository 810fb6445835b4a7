"""What tests share: the seed articles, an index of them, and fakes whose arithmetic can be done by hand."""

import shutil

import hypothesis
import pytest

from rag import settings, wiring
from rag.answering.engine import Engine
from tests.support import SEEDS
from tests.support.fakes import WordEmbedder

# A machine may be slow, or busy.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

MARKED = {
    **dict.fromkeys(("seed_settings", "seed_engine", "small_model", "llama", "embedder", "reader"), "model"),
    **dict.fromkeys(("url", "locked", "server"), "server"),
}
"""Names of fixtures, here and in test modules, that load models or start a server; with their marker."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses one of these, before tests are chosen by their markers."""
    for item in items:
        for name in MARKED.keys() & {*getattr(item, "fixturenames", ())}:
            item.add_marker(MARKED[name])


@pytest.fixture
def word_embedder() -> WordEmbedder:
    return WordEmbedder()


@pytest.fixture(scope="session")
def seed_settings(tmp_path_factory: pytest.TempPathFactory) -> settings.Settings:
    """The settings of an index of the seed articles, made once with the embedded embedder."""
    folder = tmp_path_factory.mktemp("seeds")
    shutil.copytree(SEEDS, folder / "seeds")
    made = settings.resolve(documents=folder / "seeds", index=folder / "index")
    wiring.build(made)
    return made


@pytest.fixture(scope="session")
def seed_engine(seed_settings: settings.Settings) -> Engine:
    """The engine over the seed articles with the embedded models."""
    return wiring.engine(seed_settings)
