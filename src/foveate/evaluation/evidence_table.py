"""The evidence of a whole split, kept once, so that every way to weigh it is arithmetic and no network runs again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int, Int64
from torch import Tensor

from foveate.data.records import ImageRecord
from foveate.guided_zoom.algorithm_1 import Refined, decide
from foveate.guided_zoom.config import RefinementConfig
from foveate.types import Evidence


def evidence_schema(classes: int, top_k: int, rounds: int) -> pa.Schema:
    """Return the columns: one row for each photograph; lists run over classes asked for, then rounds, then edges."""

    def listed(kind: pa.DataType, count: int) -> pa.DataType:
        return pa.list_(kind, count)

    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("label", pa.int32(), nullable=False),
            pa.field("logits", listed(pa.float32(), classes), nullable=False),
            pa.field("classes", listed(pa.int32(), top_k), nullable=False),
            pa.field("places", listed(pa.float32(), top_k * rounds * 2), nullable=False),
            pa.field("found", listed(pa.bool_(), top_k * rounds), nullable=False),
            pa.field("boxes", listed(pa.int32(), top_k * rounds * 4), nullable=False),
            pa.field("scores", listed(pa.float32(), top_k * rounds), nullable=False),
            pa.field("forwards", pa.int32(), nullable=False),
            pa.field("patches", pa.int32(), nullable=False),
        ]
    )


def evidence_rows(records: Sequence[ImageRecord], evidence: Evidence, schema: pa.Schema) -> pa.Table:
    """Return the rows of a batch."""
    columns: dict[str, pa.Array] = {
        "id": pa.array([record.id for record in records]),
        "label": pa.array([record.label for record in records], pa.int32()),
    }
    for name, values in evidence._asdict().items():
        kind = schema.field(name).type
        flat = pa.array(values.detach().cpu().numpy().ravel())
        if pa.types.is_fixed_size_list(kind):
            columns[name] = pa.FixedSizeListArray.from_arrays(flat.cast(kind.value_type), type=kind)
        else:
            columns[name] = flat.cast(kind)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceTable:
    """The evidence of n photographs for k classes in r rounds, on the CPU."""

    ids: tuple[str, ...]
    labels: Int[np.ndarray, " n"]
    evidence: Evidence
    precision: str = "float32"
    """That the conventional network answered in: `float32` or `bfloat16`."""
    groups: Int64[np.ndarray, " n"] | None = None
    """The number of each photograph's group; None: each stands for itself."""

    @classmethod
    def of(
        cls,
        table: pa.Table,
        rounds: int,
        precision: str = "float32",
        groups: Int64[np.ndarray, " n"] | None = None,
    ) -> EvidenceTable:
        """Read it from the rows of `evidence_rows`, found in a precision."""
        n = table.num_rows

        def column(name: str, *shape: int) -> Tensor:
            chunk = table.column(name).combine_chunks()
            values = chunk.flatten() if pa.types.is_fixed_size_list(chunk.type) else chunk
            return torch.from_numpy(np.array(values.to_numpy(zero_copy_only=False))).view(n, *shape)

        k = table.schema.field("classes").type.list_size
        evidence = Evidence(
            logits=column("logits", -1),
            classes=column("classes", k).long(),
            places=column("places", k, rounds, 2),
            found=column("found", k, rounds),
            boxes=column("boxes", k, rounds, 4).long(),
            scores=column("scores", k, rounds),
            forwards=column("forwards").long(),
            patches=column("patches").long(),
        )
        labels = np.array(table.column("label").to_numpy())
        return cls(tuple(table.column("id").to_pylist()), labels, evidence, precision, groups)

    @property
    def probabilities(self) -> Float[Tensor, "n c"]:
        """The conventional network's."""
        return self.evidence.logits.softmax(1)

    @property
    def right_before(self) -> Bool[np.ndarray, " n"]:
        """Whether the network's own answer is right."""
        return np.asarray(self.evidence.classes[:, 0].numpy() == self.labels)

    def refined(self, config: RefinementConfig) -> Refined:
        """Decide again, as `refine` does; `config.scores` must be what the table holds."""
        return decide(self.evidence, config)

    def right_after(self, config: RefinementConfig) -> Bool[np.ndarray, " n"]:
        """Whether the refined answer is right."""
        return np.asarray(self.refined(config).classes.numpy() == self.labels)
