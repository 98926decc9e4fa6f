"""What people call the splits of a data set: one rule for folders, lists, shards and a list's ``split`` column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum

from foveate.config.data import Split
from foveate.data.datasets.checks import first_few
from foveate.errors import UserError


class _Word(StrEnum):
    """What a name says; `EITHER` is the test, or where there is one the validation."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    EITHER = "eval"


_WORDS = {
    **dict.fromkeys(("train", "training", "trn", "trainval", "learn", "learning"), _Word.TRAIN),
    **dict.fromkeys(("val", "vali", "valid", "validation", "validate", "validating"), _Word.VALIDATION),
    **dict.fromkeys(("dev", "devel", "development"), _Word.VALIDATION),
    **dict.fromkeys(("test", "testing", "tests", "tst"), _Word.TEST),
    **dict.fromkeys(("eval", "evaluation", "evaluate", "holdout"), _Word.EITHER),
}
_FILLERS = [
    "images",
    "image",
    "imgs",
    "img",
    "photographs",
    "photos",
    "photo",
    "pictures",
    "pics",
    "jpegs",
    "jpeg",
    "jpg",
]
_FILLERS += ["files", "data", "dataset", "set", "split"]
_ANY_FILLER = f"(?:{'|'.join(_FILLERS)})?"
_GLUED = re.compile(f"{_ANY_FILLER}({'|'.join(sorted(_WORDS, key=len, reverse=True))}){_ANY_FILLER}")
_TOKENS = re.compile(r"[^\W_]+")


def splits_of(names: Iterable[str]) -> dict[str, Split]:
    """Return the split of each name that tells of one; all of them belong together.

    ``train``, ``Training``, ``train_images``, ``images-train``, ``trainset`` and ``train2017`` are one word, and so are
    ``birds_train`` and ``birds_test``. ``val``, ``valid``, ``validation`` and ``dev`` are the validation split;
    ``eval`` is the test split, or where there is one the validation split.
    """
    words: dict[str, tuple[_Word, str]] = {name: word for name in names if (word := _word(name)) is not None}
    kinds = {word for word, _ in words.values()}
    either = Split.VALIDATION if _Word.TEST in kinds else Split.TEST
    return {name: either if word is _Word.EITHER else Split(word.value) for name, (word, _) in words.items()}


def tells_of_split(name: str) -> bool:
    """Whether a name is that of a split, alone or with other words."""
    return _word(name) is not None


def divisions(names: Iterable[str], where: str) -> dict[Split, str]:
    """Return the folder of each split among the names of sibling folders; empty: they are no splits, but classes.

    They are splits where two of them are, which share what else their names say, or where there is only one folder. A
    ``train`` may also be a class, beside a bus and a car.

    Raises:
        UserError: Two folders are the same split.
    """
    names = list(names)
    families: dict[str, list[str]] = {}
    for name in names:
        if (word := _word(name)) is not None:
            families.setdefault(word[1], []).append(name)
    for rest in sorted(families):
        splits = splits_of(families[rest])
        whole = len(names) == len(splits)
        if len(set(splits.values())) > 1 and (Split.TRAIN in splits.values() or whole):
            return _one_each(splits, where)
        if whole and len(splits) == 1 and not rest:
            return {split: name for name, split in splits.items()}
    return {}


def used_splits(splits: Iterable[Split]) -> dict[Split, Split]:
    """Return as what each split of a data set is used: a validation split is the test split where there is none."""
    present = set(splits)
    return {
        split: Split.TEST if split is Split.VALIDATION and Split.TEST not in present else split for split in present
    }


def splits_line(named: Mapping[Split, str]) -> str:
    """Return one line that says which split is made of what, such as ``train from training, test from val``."""
    used = used_splits(named)
    parts = ", ".join(f"{used[split]} from {named[split]}" for split in Split if split in named)
    return f"splits: {parts}" + (" (there is no test split)" if used.get(Split.VALIDATION) is Split.TEST else "")


def file_splits(stems: Iterable[str]) -> dict[str, Split]:
    """Return the split of each file of one data set by its name without ending, such as ``train-00000-of-00002``.

    Empty: one tells of no split, or they do not belong together.
    """
    stems = set(stems)
    words = [_word(stem) for stem in stems]
    if None in words or len({word[1] for word in words if word}) > 1:
        return {}
    return splits_of(stems)


def shard_splits(stems: Iterable[str]) -> dict[str, Split]:
    """Return the split of each shard by its name without ending; one that tells of none is for training.

    The first word that tells of a split counts, as in ``imagenet-val-0001``.
    """
    words = {
        stem: next((each for each in _TOKENS.findall(stem.casefold()) if _meaning(each)), "train") for stem in stems
    }
    splits = splits_of(set(words.values()))
    return {stem: splits[word] for stem, word in words.items()}


def _one_each(splits: Mapping[str, Split], where: str) -> dict[Split, str]:
    by_split: dict[Split, list[str]] = {}
    for name, split in splits.items():
        by_split.setdefault(split, []).append(name)
    for split, same in by_split.items():
        if len(same) > 1:
            raise UserError(
                f"each split must be one folder; {where} has {first_few(sorted(same))} for {split}. Put them together, "
                "rename one, or leave one out (--data.exclude NAME; with `foveate data` --exclude NAME)"
            )
    return {split: same[0] for split, same in by_split.items()}


def _word(name: str) -> tuple[_Word, str] | None:
    """Return what a name says of a split, and what else it says."""
    tokens = [token for token in _TOKENS.findall(name.casefold()) if token not in _FILLERS and not token.isdecimal()]
    meanings = [meaning for token in tokens if (meaning := _meaning(token)) is not None]
    if len(meanings) != 1:
        return None
    return meanings[0], " ".join(token for token in tokens if _meaning(token) is None)


def _meaning(token: str) -> _Word | None:
    glued = _GLUED.fullmatch(token.rstrip("0123456789"))
    return _WORDS[glued.group(1)] if glued else None
