"""The papers' tables: what is published, and that every number of ours can be trained."""

from __future__ import annotations

import pytest

from foveate.reproduction.figures import MAKERS
from foveate.reproduction.tables import FIGURES, TABLES, Quantity, Scale, Training, named_alike
from foveate.reproduction.trainings import TRAININGS
from foveate.s3n.config import S3NConfig


def trainings(scale: Scale) -> set[Training]:
    cells = [cell for table in TABLES.values() for row in table.rows for cell in row.cells]
    return {training for cell in cells if (training := cell.training(scale)) is not None}


@pytest.mark.parametrize("scale", Scale)
def test_every_training_is_a_recipe_of_that_scale(scale: Scale) -> None:
    for training in trainings(scale):
        config = training.config(TRAININGS)
        assert (config.data.root.name == "CUB_200_2011_20") == (scale is Scale.SLICE)


def test_two_trainings_share_no_folder() -> None:
    for scale in Scale:
        folders = [training.folder for training in trainings(scale)]
        assert len(set(folders)) == len(folders)


def test_fields_change_and_show_in_options_and_folder() -> None:
    training = Training("s3n-slice", (("network.entropy_threshold", 0.3), ("epochs", 20), ("keep_epochs", (1, 5, 20))))
    config = training.config(TRAININGS)
    assert isinstance(config.network, S3NConfig)
    assert (config.network.entropy_threshold, config.epochs, config.keep_epochs) == (0.3, 20, (1, 5, 20))
    assert training.options == "s3n-slice --network.entropy-threshold 0.3 --epochs 20 --keep-epochs 1 5 20"
    assert training.folder == "s3n-slice-entropy-threshold-0.3-epochs-20-keep-epochs-1-5-20"


def test_published_numbers_are_the_papers() -> None:
    """Of each table the rows that the two papers claim for their own methods."""
    published = {
        name: {(row.name, cell.column): cell.published for row in table.rows for cell in row.cells}
        for name, table in TABLES.items()
    }
    assert published["s3n-1"][("FGVC-Aircraft", "hit rate")] == 97.22
    assert published["s3n-2"][("S3N O+D+C", "top-1")] == 88.5
    assert published["s3n-2"][("S3N O+D+C", "localisation")] == 65.2
    branches = {"S3N O": 86.0, "S3N O+D": 87.0, "S3N O+C": 86.8, "S3N O+D+C": 87.9}
    assert {row: value for (row, of), value in published["s3n-2"].items() if of == "original"} == branches
    assert published["s3n-3"][("Class response based attention", "CUB-200-2011")] == 87.8
    assert published["s3n-4"][("All", "CUB-200-2011")] == 87.7
    assert published["s3n-5"][("S3N", "Stanford Cars")] == 94.7
    assert published["gz-1"][("Guided Zoom (ResNet-101, k=5)", "CUB-200-2011")] == 85.4
    assert published["gz-2"][("Guided Zoom (ResNet-101, k=3)", "Stanford Dogs")] == 88.4
    assert published["gz-3"][("Guided Zoom (MA-CNN, k=5)", "FGVC-Aircraft")] == 90.7


def test_only_the_dogs_and_aircraft_tables_have_no_slice() -> None:
    assert {name for name, table in TABLES.items() if not table.shown_at(Scale.SLICE)} == {"gz-2", "gz-3"}
    assert all(table.shown_at(Scale.FULL) for table in TABLES.values())


_REFINED = (Quantity.REFINED_3, Quantity.REFINED_5)


def test_refined_numbers_have_their_network_in_the_same_table() -> None:
    for table in TABLES.values():
        cells = [cell for row in table.rows for cell in row.cells]
        plain = {cell.trainings for cell in cells if cell.quantity is Quantity.TOP1}
        refined = {cell.trainings for cell in cells if cell.quantity in _REFINED}
        assert refined <= plain


def test_trainings_that_differ_in_name_only_are_one() -> None:
    base = Training("s3n-slice")
    assert named_alike(Training("s3n-slice-all"), TRAININGS) == base
    assert named_alike(Training("s3n-slice", (("network.entropy_threshold", 0.2),)), TRAININGS) == base
    assert named_alike(Training("s3n-slice-random"), TRAININGS) == Training("s3n-slice-random")
    once = {named_alike(each, TRAININGS) for scale in Scale for each in trainings(scale)}
    configs = [repr(each.config(TRAININGS)) for each in once]
    assert len(set(configs)) == len(configs)


def test_every_figure_that_is_named_is_made() -> None:
    assert list(MAKERS) == list(FIGURES)
