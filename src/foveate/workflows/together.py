"""Several photographs of one object, answered together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from foveate.errors import UserError
from foveate.networks.answers import ranked_classes
from foveate.types import Prediction

FOLDER = "folder"
"""The grouping by which the photographs of one folder show one object."""


class JointAnswer:
    """What several photographs of one object say together: the softmax of the mean of their log probabilities.

    That is the geometric mean, renormalised. Its order of the classes is that of the sum, as for photographs that err
    independently of each other; the sum's certainty, which grows with every photograph, is not taken over, for
    photographs of one object err alike.

    >>> from foveate.types import Prediction, RankedClass
    >>> joint = JointAnswer(("ani", "wren"))
    >>> for number, share in enumerate((0.9, 0.5)):
    ...     joint.add(Prediction(f"{number}.jpg", (RankedClass("ani", share), RankedClass("wren", 1 - share)), 0.0))
    >>> round(joint.prediction("a bird", top=1).best.probability, 6)  # odds 9 and 1: their geometric mean is 3
    0.75

    Args:
        class_names: Of all classes.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self._class_names = tuple(class_names)
        self._index = {name: index for index, name in enumerate(class_names)}
        self._logarithms = np.zeros(len(self._class_names))
        self._count = 0

    def add(self, answer: Prediction) -> None:
        """Add what one photograph says; its answer must rank all classes."""
        labels = [self._index[each.class_name] for each in answer.top]
        shares = np.array([each.probability for each in answer.top])
        self._logarithms[labels] += np.log(shares.clip(min=np.finfo(np.float32).tiny))
        self._count += 1

    def prediction(self, name: str, top: int, entropy_threshold: float | None = None) -> Prediction:
        """Return the answer, after at least one photograph.

        Args:
            name: What the object is called.
            top: How many classes are ranked.
            entropy_threshold: Nats; above it the answer is not sure.
        """
        means = self._logarithms / self._count
        shares = np.exp(means - means.max())
        shares /= shares.sum()
        entropy = float(-(shares * np.log(shares.clip(min=np.finfo(float).tiny))).sum())
        sure = entropy_threshold is None or entropy <= entropy_threshold
        return Prediction(name, ranked_classes(shares, self._class_names, top), entropy, sure)


def joint_answers(
    answers: Iterable[Prediction],
    object_of: Callable[[str], str],
    class_names: Sequence[str],
    top: int,
    entropy_threshold: float | None = None,
) -> Iterator[Prediction]:
    """Yield an answer for each object, in the order in which they are first seen, once all photographs were.

    Args:
        answers: To each photograph, ranking all classes.
        object_of: From a photograph's name to its object's.
        class_names: Of all classes.
        top: As in `JointAnswer.prediction`.
        entropy_threshold: As there.
    """
    objects: dict[str, JointAnswer] = {}
    for answer in answers:
        objects.setdefault(object_of(answer.image), JointAnswer(class_names)).add(answer)
    for name, joint in objects.items():
        yield joint.prediction(name, top, entropy_threshold)


def grouping(group_by: str, paths: Iterable[str]) -> Callable[[str], str]:
    """Return what says of which object a photograph is.

    Args:
        group_by: `folder`: the photographs of one folder show one object. Else a regular expression that is looked for
            in each path: its first group, or all that matches, names the object.
        paths: Of all photographs.

    Raises:
        UserError: It is no regular expression, or some path has no match.
    """
    if group_by == FOLDER:
        return lambda path: str(Path(path).parent)
    try:
        expression = re.compile(group_by)
    except re.error as error:
        raise UserError(
            f"group-by must be `{FOLDER}` or a regular expression; got {group_by!r} ({error}); such as '(plant\\d+)_'"
        ) from None

    def object_of(path: str) -> str:
        match = expression.search(path)
        return "" if match is None else match[1 if expression.groups else 0] or ""

    without = [path for path in paths if not object_of(path)]
    if without:
        raise UserError(
            f"group-by must name the object of every photograph; {group_by!r} finds nothing in {len(without)} of the "
            f"paths, {without[0]!r} first; change it, or leave these photographs out"
        )
    return object_of
