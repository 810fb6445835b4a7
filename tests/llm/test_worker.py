import threading

import pytest

from rag.errors import ModelError
from rag.llm.worker import Worker
from rag.types import Waiting
from tests.support import PATIENCE_S, wait_until
from tests.support.fakes import QueuedModel


class Gate:
    """Work that says a word, waits until it is let go, and says whether it was stopped."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.running = threading.Event()
        self.go = threading.Event()
        self.closed = threading.Event()
        self.saw_cancelled = False

    def __call__(self, model, cancelled):
        self.running.set()
        try:
            yield self.word
            self.go.wait()
            self.saw_cancelled = cancelled()
            yield self.word.upper()
        finally:
            self.closed.set()


@pytest.fixture
def model():
    return QueuedModel()


@pytest.fixture
def worker(model):
    return Worker(lambda: model)


def name(model, cancelled):
    yield model.name


def say(*words):
    return lambda model, cancelled: iter_of(words)


def iter_of(words):
    yield from words


def begun(worker, gate):
    """The iterator of work that is running."""
    running = worker.run(gate)
    assert next(running) == gate.word
    return running


def test_work_is_done_with_the_loaded_model(worker, model):
    def work(given, cancelled):
        yield given
        yield cancelled()

    assert list(worker.run(work)) == [model, False]
    assert list(worker.run(say())) == []


def test_the_model_is_loaded_once_at_the_first_use():
    loads = []

    def load():
        loads.append(threading.current_thread().name)
        return QueuedModel()

    worker = Worker(load)
    assert loads == []
    assert list(worker.run(say(1))) == [1]
    assert list(worker.run(say(2))) == [2]
    assert loads == ["language-model"]


def test_the_second_waits_for_the_first(worker):
    gate = Gate("a")
    first = begun(worker, gate)
    second = worker.run(say("b"))
    assert next(second) == Waiting(1)
    gate.go.set()
    assert list(first) == ["A"]
    assert list(second) == ["b"]


def test_each_is_told_its_place_once_as_it_changes(worker):
    gates = [Gate("a"), Gate("b")]
    first, second, third = begun(worker, gates[0]), worker.run(gates[1]), worker.run(say("c"))
    assert next(second) == Waiting(1)
    assert next(third) == Waiting(2)
    gates[0].go.set()
    gates[1].go.set()
    assert list(first) == ["A"]
    assert list(second) == ["b", "B"]
    assert list(third) == [Waiting(1), "c"]


def test_results_go_to_their_owner(worker):
    found = {}

    def ask(name):
        events = worker.run(say(*(f"{name}{n}" for n in range(50))))
        found[name] = [event for event in events if not isinstance(event, Waiting)]

    threads = [threading.Thread(target=ask, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {name: [f"{name}{n}" for n in range(50)] for name in "abcd"}


def test_one_piece_of_work_runs_at_a_time(worker):
    inside = []

    def work(model, cancelled):
        inside.append(True)
        yield len(inside)
        inside.pop()

    counts = []
    threads = [threading.Thread(target=lambda: counts.extend(worker.run(work))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [count for count in counts if not isinstance(count, Waiting)] == [1] * 8


def test_closing_stops_work_that_runs(worker):
    gate = Gate("a")
    running = begun(worker, gate)
    running.close()
    gate.go.set()
    assert list(worker.run(say("b")))[-1] == "b"
    assert gate.closed.is_set()
    assert gate.saw_cancelled is True


def test_closing_ends_work_that_never_looks():
    worker = Worker(QueuedModel)
    said = []

    def endless(model, cancelled):
        number = 0
        while True:
            said.append(number)
            yield number
            number += 1

    running = worker.run(endless)
    assert next(running) == 0
    running.close()  # type: ignore[attr-defined]  # a generator
    assert list(worker.run(say("b")))[-1] == "b"
    count = len(said)
    assert list(worker.run(say("c"))) == ["c"]
    assert len(said) == count


def test_cancelled_work_that_waits_never_starts(worker):
    gate, unwanted = Gate("a"), Gate("b")
    first, second, third = begun(worker, gate), worker.run(unwanted), worker.run(say("c"))
    assert [next(second), next(third)] == [Waiting(1), Waiting(2)]
    second.close()
    assert next(third) == Waiting(1)
    gate.go.set()
    assert list(first) == ["A"]
    assert list(third) == ["c"]
    assert not unwanted.running.is_set()


def test_another_thread_stops_work_that_runs_and_work_that_waits(worker):
    running, waiting, gate, unwanted = threading.Event(), threading.Event(), Gate("a"), Gate("b")
    first = worker.run(gate, stop=running)
    assert next(first) == "a"
    second = worker.run(unwanted, stop=waiting)
    assert next(second) == Waiting(1)
    waiting.set()
    running.set()
    gate.go.set()
    assert list(first) == ["A"]
    assert gate.saw_cancelled is True
    assert list(second) == []
    assert not unwanted.running.is_set()


def test_who_is_ahead_of_the_cancelled_is_told_nothing(worker):
    gate = Gate("a")
    first, second, third = begun(worker, gate), worker.run(say("b")), worker.run(say("c"))
    assert [next(second), next(third)] == [Waiting(1), Waiting(2)]
    third.close()
    gate.go.set()
    assert list(first) == ["A"]
    assert list(second) == ["b"]


def test_an_error_goes_to_its_owner_only(worker):
    def bad(model, cancelled):
        yield "x"
        raise LookupError("mine")

    gate = Gate("a")
    first, second, third = begun(worker, gate), worker.run(bad), worker.run(say("c"))
    assert [next(second), next(third)] == [Waiting(1), Waiting(2)]
    gate.go.set()
    assert next(second) == "x"
    with pytest.raises(LookupError, match=r"^mine$"):
        next(second)
    assert list(first) == ["A"]
    assert list(third) == [Waiting(1), "c"]


def test_a_model_that_fails_to_load_is_tried_again():
    loads = [OSError("no memory"), QueuedModel()]

    def load():
        loaded = loads.pop(0)
        if isinstance(loaded, OSError):
            raise loaded
        return loaded

    worker = Worker(load)
    with pytest.raises(OSError, match=r"^no memory$"):
        list(worker.run(say("a")))
    assert list(worker.run(say("b"))) == ["b"]
    assert loads == []


def test_who_waits_for_a_model_that_fails_to_load_is_told_without_a_second_try():
    loading, fail = threading.Event(), threading.Event()
    loads = []

    def load():
        loads.append(1)
        loading.set()
        assert fail.wait(PATIENCE_S)
        raise OSError("no memory")

    worker = Worker(load, at_once=4)
    told = []

    def ask():
        with pytest.raises(OSError, match=r"^no memory$"):
            list(worker.run(say("a")))
        told.append(1)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert loading.wait(PATIENCE_S)
    wait_until(lambda: len(worker._jobs) == 4, "all four wait")
    fail.set()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(told) == 4
    assert len(loads) == 1


def test_a_question_that_waits_for_the_model_to_load_is_behind_no_other():
    loading, loaded = threading.Event(), threading.Event()

    def load():
        loading.set()
        assert loaded.wait(PATIENCE_S)
        return QueuedModel()

    worker = Worker(load)
    worker.warm()
    assert loading.wait(PATIENCE_S)
    threading.Timer(0.05, loaded.set).start()

    assert list(worker.run(name)) == ["queued"]


def test_a_model_that_could_not_be_warmed_is_loaded_by_the_question():
    failed = threading.Event()
    outcomes = [ModelError("not yet"), QueuedModel()]

    def load():
        outcome = outcomes.pop(0)
        if isinstance(outcome, ModelError):
            failed.set()
            raise outcome
        return outcome

    worker = Worker(load)
    worker.warm()
    assert failed.wait(PATIENCE_S)
    # Asked while the failure is still under way, the question is told of it; else it loads anew.
    try:
        found = list(worker.run(name))
    except ModelError:
        found = list(worker.run(name))
    assert found == ["queued"]
