"""Oxford Flowers-102."""

from __future__ import annotations

from pathlib import Path

from foveate.config.data import Split
from foveate.data.datasets.assembly import Row, assemble
from foveate.data.datasets.checks import require_files
from foveate.data.datasets.reading import read_mat
from foveate.data.records import ImageDataset
from foveate.errors import UserError

LABELS, SETS = "imagelabels.mat", "setid.mat"
_SPLITS = {"trnid": Split.TRAIN, "valid": Split.TRAIN, "tstid": Split.TEST}


def load_flowers(root: Path) -> ImageDataset:
    """Read the folder that holds ``jpg``, ``imagelabels.mat`` and ``setid.mat``.

    Train is the archive's train and validation together (2,040 photographs), as published results have it.
    """
    require_files(root, LABELS, SETS)
    labels = read_mat(root / LABELS, "labels").tolist()
    rows: list[Row] = []
    for field, split in _SPLITS.items():
        for number in read_mat(root / SETS, field).tolist():
            if not 1 <= number <= len(labels):
                raise UserError(
                    f"ids in {root / SETS} must be 1 to {len(labels)}, the labels in {LABELS}; got {number}. "
                    "Take both files from one archive"
                )
            path = f"jpg/image_{number:05d}.jpg"
            rows.append(Row(path, root / path, int(labels[number - 1]), split))
    return assemble("Oxford Flowers-102", rows, dict(enumerate(_CLASS_NAMES, start=1)))


# The archive has numbers only; the names are those of the data set's web page, in the order of the numbers.
_CLASS_NAMES = (
    """
pink primrose, hard-leaved pocket orchid, canterbury bells, sweet pea, english marigold, tiger lily, moon
orchid, bird of paradise, monkshood, globe thistle, snapdragon, colt's foot, king protea, spear thistle,
yellow iris, globe-flower, purple coneflower, peruvian lily, balloon flower, giant white arum lily, fire
lily, pincushion flower, fritillary, red ginger, grape hyacinth, corn poppy, prince of wales feathers,
stemless gentian, artichoke, sweet william, carnation, garden phlox, love in the mist, mexican aster,
alpine sea holly, ruby-lipped cattleya, cape flower, great masterwort, siam tulip, lenten rose, barbeton
daisy, daffodil, sword lily, poinsettia, bolero deep blue, wallflower, marigold, buttercup, oxeye daisy,
common dandelion, petunia, wild pansy, primula, sunflower, pelargonium, bishop of llandaff, gaura,
geranium, orange dahlia, pink-yellow dahlia?, cautleya spicata, japanese anemone, black-eyed susan,
silverbush, californian poppy, osteospermum, spring crocus, bearded iris, windflower, tree poppy, gazania,
azalea, water lily, rose, thorn apple, morning glory, passion flower, lotus, toad lily, anthurium,
frangipani, clematis, hibiscus, columbine, desert-rose, tree mallow, magnolia, cyclamen, watercress, canna
lily, hippeastrum, bee balm, ball moss, foxglove, bougainvillea, camellia, mallow, mexican petunia,
bromelia, blanket flower, trumpet creeper, blackberry lily
""".replace("\n", " ")
    .strip()
    .split(", ")
)
