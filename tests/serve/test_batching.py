"""What waits is answered together, in order, each for itself."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Hashable, Sequence
from functools import partial

import pytest

from foveate.errors import UserError
from foveate.serve.batching import Batcher


class Large:
    """A photograph that was decoded."""


class Network:
    """Doubles numbers; the first pass waits until it is let go."""

    def __init__(self) -> None:
        self.passes: list[tuple[Hashable, list[int]]] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self, key: Hashable, items: Sequence[int]) -> list[int]:
        self.passes.append((key, list(items)))
        self.begun.set()
        assert self.go.wait(10)
        if 13 in items:
            raise UserError("13 is no number")
        if 99 in items:
            raise ZeroDivisionError
        return [2 * item for item in items]


@pytest.fixture
def network() -> Network:
    return Network()


def test_what_waits_is_answered_in_one_pass_as_far_as_it_is_alike(network: Network) -> None:
    counts: list[int] = []
    batcher = Batcher(network, 3, counts.append)
    futures = [batcher.submit(True, 0)]
    assert network.begun.wait(10)
    futures += [batcher.submit(True, number) for number in (1, 2, 3, 4)] + [batcher.submit(False, 5)]
    called = batcher.call(lambda: "alone")
    network.go.set()
    assert [each.result(10) for each in futures] == [0, 2, 4, 6, 8, 10]
    assert called.result(10) == "alone"
    assert network.passes == [(True, [0]), (True, [1, 2, 3]), (True, [4]), (False, [5])]
    assert counts == [1, 3, 1, 1]
    batcher.close()


def test_who_left_is_passed_over(network: Network) -> None:
    batcher = Batcher(network, 4)
    first = batcher.submit(True, 0)
    assert network.begun.wait(10)
    left, stayed, called = batcher.submit(True, 1), batcher.submit(True, 2), batcher.call(lambda: 3)
    assert left.cancel()
    assert called.cancel()
    network.go.set()
    assert (first.result(10), stayed.result(10)) == (0, 4)
    batcher.close()
    assert network.passes[1:] == [(True, [2])]


def test_what_who_left_had_sent_is_let_go_at_once() -> None:
    begun, go = threading.Event(), threading.Event()

    def answer(key: Hashable, items: Sequence[Large]) -> Sequence[int]:
        begun.set()
        assert go.wait(10)
        return [1] * len(items)

    batcher, photographs = Batcher(answer, 4), [Large() for _ in range(3)]
    first = batcher.submit(True, photographs[0])
    assert begun.wait(10)
    leaving = [batcher.submit(True, photographs[1]), batcher.call(partial(id, photographs[2]))]
    held = [weakref.ref(each) for each in photographs[1:]]
    assert all(each.cancel() for each in leaving)
    del photographs
    assert [each() for each in held] == [None, None], "while they wait in the queue"
    go.set()
    assert first.result(10) == 1
    batcher.close()


def test_the_fault_of_one_is_not_the_others(network: Network) -> None:
    batcher = Batcher(network, 4)
    first = batcher.submit(True, 0)
    assert network.begun.wait(10)
    good, bad = batcher.submit(True, 1), batcher.submit(True, 13)
    network.go.set()
    assert (first.result(10), good.result(10)) == (0, 2)
    with pytest.raises(UserError, match="13"):
        bad.result(10)
    with pytest.raises(ZeroDivisionError):
        batcher.submit(True, 99).result(10)
    assert batcher.submit(True, 4).result(10) == 8, "the thread lives on"
    batcher.close()


def test_what_was_taken_on_is_answered_before_it_closes(network: Network) -> None:
    batcher = Batcher(network, 2)
    futures = [batcher.submit(True, number) for number in range(5)]
    assert batcher.ready
    closing = threading.Thread(target=batcher.close)
    closing.start()
    network.go.set()
    closing.join(10)
    assert not closing.is_alive()
    assert [each.result(0) for each in futures] == [0, 2, 4, 6, 8]
    assert not batcher.ready
