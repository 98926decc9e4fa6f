"""Every training behind the papers' rows and ours beside them, by name; light to import."""

from __future__ import annotations

from foveate.recipes import plain_plumage, s3n_plumage
from foveate.reproduction import baselines, cub_slice, full_size
from foveate.reproduction.comparisons import Recipe, comparisons

TRAININGS: dict[str, Recipe] = {
    "plain-slice": cub_slice.plain_slice,
    "plain-slice-448": cub_slice.plain_slice_448,
    "plain-slice-long": cub_slice.plain_slice_long,
    "s3n-slice": cub_slice.s3n_slice,
    "s3n-slice-448": cub_slice.s3n_slice_448,
    "s3n-slice-paper": cub_slice.s3n_slice_paper,
    "s3n-slice-reference": cub_slice.s3n_slice_reference,
    **comparisons(cub_slice.s3n_slice),
    "macnn-slice": cub_slice.macnn_slice,
    "plain-plumage": plain_plumage,
    "s3n-plumage": s3n_plumage,
    **comparisons(s3n_plumage),
    "ft-resnet50-cub": baselines.ft_resnet50_cub,
    "ft-resnet50-aircraft": baselines.ft_resnet50_aircraft,
    "ft-resnet50-cars": baselines.ft_resnet50_cars,
    "ft-resnet101-cub": baselines.ft_resnet101_cub,
    "ft-resnet101-dogs": baselines.ft_resnet101_dogs,
    "ft-resnet101-aircraft": baselines.ft_resnet101_aircraft,
    "s3n-resnet50-cub": full_size.s3n_resnet50_cub,
    **comparisons(full_size.s3n_resnet50_cub),
    "s3n-resnet50-aircraft": full_size.s3n_resnet50_aircraft,
    "s3n-resnet50-cars": full_size.s3n_resnet50_cars,
    "s3n-reference-cub": full_size.s3n_reference_cub,
    "macnn-vgg19-cub": full_size.macnn_vgg19_cub,
    "macnn-vgg19-aircraft": full_size.macnn_vgg19_aircraft,
    "macnn-vgg19-cars": full_size.macnn_vgg19_cars,
    "evidence-resnet101": full_size.evidence_resnet101,
}
