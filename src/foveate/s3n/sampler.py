"""Sampling maps to grids, images seen through them, and the way back (S3N Eq. 6 to 8).

Grids hold (x, y) for each pixel of the view: where in the image it is taken from, in `grid_sample`'s convention with
``align_corners=True``: -1 is the centre of the first pixel, +1 that of the last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from scipy.fft import next_fast_len
from torch import Tensor, nn
from torch.nn import functional

from foveate.networks.first_view import lattice
from foveate.s3n.config import S3NConfig

_FLOOR = 1e-3  # least value of a sampling map


def sum_attention(rows: Float[Tensor, "b p g"], columns: Float[Tensor, "b p g"]) -> Float[Tensor, "b g g"]:
    """Return Q without its floor: the attention of all p peaks, summed (S3N Eq. 6).

    Each peak's is a product of values along the rows and along the columns, so that the sum is a matrix product.
    """
    summed: Float[Tensor, "b g g"] = rows.mT @ columns
    return summed


def floored(sampling_map: Float[Tensor, "b g g"], floor: float) -> Float[Tensor, "b g g"]:
    """Return Q with what every cell gets beside the attention, and at least a thousandth."""
    return (sampling_map + floor).clamp(min=_FLOOR)


class Inverse(NamedTuple):
    """Where in the view each place of the image is seen: ``grid`` (x, y); ``covered`` is False where it is not."""

    grid: Float[Tensor, "b h w 2"]
    covered: Bool[Tensor, "b h w"]


class Sampler(nn.Module):
    """Sampling map to grid, with the regulariser k of Eq. 7 and 8, fixed or learned."""

    def __init__(self, config: S3NConfig) -> None:
        super().__init__()
        self.width = config.regulariser_width
        self.kernel: nn.Parameter | None = None
        if config.regulariser_rate > 0 and config.response_grid is not None:
            profile = gaussian(config.response_grid, config.regulariser_width)
            self.kernel = nn.Parameter(profile[:, None] * profile)

    def forward(self, sampling_map: Float[Tensor, "b g g"], size: int) -> Float[Tensor, "b H W 2"]:
        """Return the grid of a view of `size` pixels a side; a flat map gives the identity."""
        if self.kernel is None:
            places = separable_places(sampling_map, gaussian(sampling_map.shape[1], self.width, sampling_map))
        else:
            places = convolved_places(sampling_map, self.kernel.clamp(min=0))
        return dense_grid(places, size)


def gaussian(cells: int, width: float, like: Tensor | None = None) -> Float[Tensor, " m"]:
    """Return k along one axis for every distance on a grid, from -(g - 1) to g - 1 cells; 1 at distance 0.

    Args:
        cells: g, cells a side.
        width: Full width at half maximum, a fraction of the grid.
        like: A tensor whose device and type the profile takes; None: float32 on the CPU.
    """
    deviation = width * cells / (2 * math.sqrt(2 * math.log(2)))
    device, dtype = (None, torch.float32) if like is None else (like.device, like.dtype)
    distance = torch.arange(1.0 - cells, cells, device=device, dtype=dtype)
    return torch.exp(-((distance / deviation) ** 2) / 2)


def separable_places(sampling_map: Float[Tensor, "b g g"], profile: Float[Tensor, " m"]) -> Float[Tensor, "b g g 2"]:
    """Return f and g of Eq. 7 and 8 at the cells: where to look, in [0, 1], x before y.

    The map is continued beyond its border by its outermost cells. With a Gaussian, which is a product along the two
    axes, the sums over the continued map are products with two small matrices: the border's share is added up once.
    """
    weight, step = _folded(profile)
    total = weight @ sampling_map @ weight.T
    across = weight @ sampling_map @ step.T
    down = step @ sampling_map @ weight.T
    return torch.stack([across, down], dim=-1) / total[..., None]


def _folded(profile: Float[Tensor, " m"]) -> tuple[Float[Tensor, "g g"], Float[Tensor, "g g"]]:
    """Return sum k(v', v) and sum k(v', v) v' over the continued cells v' that repeat each cell of the grid."""
    cells = (len(profile) + 1) // 2
    index = torch.arange(cells, device=profile.device)
    continued = torch.arange(1 - cells, 2 * cells - 1, device=profile.device)
    distance = continued - index[:, None]
    inside = distance.abs() < cells
    kernel = torch.where(inside, profile[(distance + cells - 1).clamp(0, 2 * cells - 2)], 0.0)
    repeats = (continued.clamp(0, cells - 1)[:, None] == index).to(kernel)
    return kernel @ repeats, kernel * (continued / (cells - 1)) @ repeats


def convolved_places(sampling_map: Float[Tensor, "b g g"], kernel: Float[Tensor, "m m"]) -> Float[Tensor, "b g g 2"]:
    """Return the same for any kernel k, which may be learned.

    As wide as the map, the kernel is cheaper to convolve with by Fourier transforms: a hundredth of the time.
    """
    cells = sampling_map.shape[1]
    border = cells - 1
    continued = functional.pad(sampling_map[:, None], (border,) * 4, mode="replicate")
    place = torch.arange(-border, cells + border, device=kernel.device) / border
    moments = torch.cat([continued, continued * place, continued * place[:, None]], dim=1)
    side = next_fast_len(continued.shape[-1], real=True)
    spectrum = torch.fft.rfft2(moments, s=(side, side)) * torch.fft.rfft2(kernel, s=(side, side)).conj()
    total, across, down = torch.fft.irfft2(spectrum, s=(side, side))[..., :cells, :cells].unbind(1)
    places: Tensor = torch.stack([across, down], dim=-1) / total[..., None]
    return places


def dense_grid(places: Float[Tensor, "b g g 2"], size: int) -> Float[Tensor, "b H W 2"]:
    """Interpolate places in [0, 1] at the cells to a grid for `size` pixels a side; what is outside is held in.

    Bilinear interpolation of a square is a product with one matrix of hat functions on either side.
    """
    cells = places.shape[1]
    at = torch.linspace(0, cells - 1, size, device=places.device, dtype=places.dtype)
    hats = (1 - (at[:, None] - torch.arange(cells, device=places.device)).abs()).clamp(min=0)
    corners = (places.permute(0, 3, 1, 2).clamp(0, 1) * 2 - 1).contiguous()
    return (hats @ (corners @ hats.T)).permute(0, 2, 3, 1)


def resample(images: Float[Tensor, "b n Hs Ws"], grid: Float[Tensor, "b H W 2"]) -> Float[Tensor, "b n H W"]:
    """Look at images through a grid, bilinearly; the image may be larger than the view."""
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=True)


def resample_views(
    images: Float[Tensor, "b n Hs Ws"], grids: Sequence[Float[Tensor, "b H W 2"]]
) -> Float[Tensor, "v b n H W"]:
    """Look at each image through several grids.

    On a processor where nothing is learned as many images at a time as there are threads, so that what is read and
    written stays in the caches: in half of the time, and laid out as the images are.
    """
    if not grids:
        return images.new_empty(0, *images.shape)
    if images.device.type != "cpu" or torch.is_grad_enabled() or torch.compiler.is_compiling():
        return torch.stack([resample(images, grid) for grid in grids])
    count, height, width = grids[0].shape[:-1]
    views = images.new_empty(len(grids), count, height, width, images.shape[1]).permute(0, 1, 4, 2, 3)
    if not images.is_contiguous(memory_format=torch.channels_last):
        views = views.contiguous()
    step = torch.get_num_threads()
    for start in range(0, count, step):
        part = slice(start, start + step)
        some = images[part].contiguous()
        for view, grid in zip(views, grids, strict=True):
            view[part] = resample(some, grid[part])
    return views


def invert(grid: Float[Tensor, "b H W 2"], size: int, *, steps: int = 8) -> Inverse:
    """Return where in the view each of `size` x `size` places of the image is seen.

    Newton's method at all places together, from the nearest place of a coarse lattice. The image's places have the
    same convention as the grid's values.

    Args:
        grid: Of the view, as `Sampler` returns it: x grows along its rows, y along its columns.
        size: Places along each side of the image; its corners are the centres of the corner pixels.
        steps: Most of Newton's steps.
    """
    forward = grid.permute(0, 3, 1, 2)
    slopes = torch.cat([_slope(forward, 3), _slope(forward, 2)], dim=1)
    targets = lattice(size, grid).expand(len(grid), -1, -1, -1)
    places = functional.interpolate(
        _nearest(grid, _COARSE).permute(0, 3, 1, 2), size=(size, size), mode="bilinear", align_corners=True
    ).permute(0, 2, 3, 1)
    for _ in range(steps):
        error = _sampled(forward, places) - targets
        places = (places - _step(_sampled(slopes, places), error).clamp(-_LONGEST, _LONGEST)).clamp(-1, 1)
    residual = (_sampled(forward, places) - targets).abs().amax(-1)
    return Inverse(places, residual < 1 / size)


_COARSE = 33  # cells a side of the lattice on which the search starts
_DAMPING = 1e-3  # of a step: where the grid is held in at a border it stands still in one direction
_LONGEST = 0.25  # longest step, an eighth of the view


def _step(slopes: Float[Tensor, "b h w 4"], error: Float[Tensor, "b h w 2"]) -> Float[Tensor, "b h w 2"]:
    """Return the damped least squares solution of Newton's equation at each place."""
    xx, yx, xy, yy = slopes.unbind(-1)  # yx: how y changes along x
    x, y = error.unbind(-1)
    across, down = xx * x + yx * y, xy * x + yy * y
    a, b, c = xx**2 + yx**2 + _DAMPING, xx * xy + yx * yy, xy**2 + yy**2 + _DAMPING
    return torch.stack([c * across - b * down, a * down - b * across], dim=-1) / (a * c - b**2)[..., None]


def _nearest(grid: Float[Tensor, "b H W 2"], size: int) -> Float[Tensor, "b size size 2"]:
    places = lattice(size, grid)
    values = _sampled(grid.permute(0, 3, 1, 2), places.expand(len(grid), -1, -1, -1)).flatten(1, 2)
    nearest = torch.cdist(places.flatten(0, 1).expand(len(grid), -1, -1), values).argmin(-1)
    return places.flatten(0, 1)[nearest].view(len(grid), size, size, 2)


def _slope(forward: Float[Tensor, "b 2 H W"], axis: int) -> Float[Tensor, "b 2 H W"]:
    return torch.gradient(forward, spacing=2 / (forward.shape[axis] - 1), dim=axis)[0]


def _sampled(maps: Float[Tensor, "b n H W"], places: Float[Tensor, "b h w 2"]) -> Float[Tensor, "b h w n"]:
    return resample(maps, places).permute(0, 2, 3, 1)
