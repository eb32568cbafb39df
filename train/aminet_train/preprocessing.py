# SPDX-License-Identifier: Apache-2.0
"""Raw HU to network input: the one definition that training caches and the exported graph holds."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aminet_runtime.errors import InputInconsistent
from aminet_runtime.input_contract import NO_MARGIN_PX, frame_around
from aminet_runtime.patient import Channel
from aminet_train.slice_window import SINGLE_SLICE, SliceWindow

CTA_WINDOW_HU = (-100.0, 500.0)
"""Fat to densely enhanced arteries (250 to 460 HU at the peak); bone saturates, which is wanted."""

SPIRAL_WINDOW = (0.0, 1.0)
"""The SPIRAL map is a probability already."""

ATLAS_WINDOW = (0.0, 255.0)
"""Regions are whole numbers: the 8 bits of the cache hold them as they are."""

NETWORK_SIZE_PX = (224, 224)
"""Height and width at which the ImageNet weights were trained; the report used it too."""

CELL_PX = 4
"""Edge of the finest cells of clot and evidence: a margin leaves whole ones out."""

CHANNEL_PRESETS: dict[str, tuple[Channel, ...]] = {
    "cta": (Channel.CTA2,),
    "arterial": (Channel.CTA1,),
    "mcta": (Channel.CTA1, Channel.CTA2, Channel.CTA3),
    "spiral": (Channel.SPIRAL,),
    "cta+spiral": (Channel.CTA2, Channel.SPIRAL),
    "arterial+atlas": (Channel.CTA1, Channel.ATLAS),
    "mcta+atlas": (Channel.CTA1, Channel.CTA2, Channel.CTA3, Channel.ATLAS),
}

_OWN_WINDOWS = {Channel.SPIRAL: (SPIRAL_WINDOW,), Channel.ATLAS: (ATLAS_WINDOW,)}

Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class PreprocessingConfig:
    """What stands between raw HU and the network: what the cache of a prepared cohort holds.

    A view is one channel through one of its windows. Most channels have one.

    Attributes:
        channels: Input volumes, in order.
        views_hu: For each channel the lower and upper bound of each of its windows; values outside
            are clamped.
        size_px: Height and width of the network's input.
        margin_px: Rows above and below, and columns on the left and on the right, that are left out
            after the resize: the network sees the middle of the slice, in larger pixels.
    """

    channels: tuple[Channel, ...]
    views_hu: tuple[tuple[Bounds, ...], ...]
    size_px: tuple[int, int] = NETWORK_SIZE_PX
    margin_px: tuple[int, int] = NO_MARGIN_PX

    def __post_init__(self) -> None:
        """Refuse a config that cannot be meant."""
        if not self.channels or len(self.channels) != len(self.views_hu):
            raise ValueError(f"{len(self.channels)} channels but {len(self.views_hu)} windows")
        if not all(self.views_hu):
            raise ValueError("a channel has no window")
        if any(low >= high for windows in self.views_hu for low, high in windows):
            raise ValueError(f"views_hu {self.views_hu}: a lower bound is not below its upper")
        if Channel.ATLAS in self.channels[:-1]:
            raise ValueError("the atlas is a channel, but not the last one")
        if min(self.margin_px) < 0 or any(edge % CELL_PX for edge in self.margin_px):
            raise ValueError(f"a margin of {self.margin_px} pixels is not in steps of {CELL_PX}")

    @property
    def frame_px(self) -> tuple[int, int]:
        """Height and width that the whole slice is resized to."""
        return frame_around(self.size_px, self.margin_px)

    def cell_parts(self, map_height: int) -> int:
        """Return into how many parts the cells of a map are cut along an edge to fit the margin.

        The margin is a whole number of these parts.

        Args:
            map_height: Rows of a map of what is seen.

        Raises:
            InputInconsistent: The cells are no whole number of pixels, and there is a margin.
        """
        if self.margin_px == NO_MARGIN_PX:
            return 1
        if self.size_px[0] % map_height:
            raise InputInconsistent(
                f"the evidence has {map_height} rows of cells for {self.size_px[0]} of pixels: no "
                f"margin of {self.margin_px[0]} x {self.margin_px[1]} can be added to it",
                hint="prepare with another --size, or without --frame",
            )
        cell_px = self.size_px[0] // map_height
        return cell_px // math.gcd(cell_px, *self.margin_px)

    def margin_cells(self, map_height: int) -> tuple[int, int]:
        """Return how many cells of a map the margin has above, and on the left.

        Args:
            map_height: Rows of a map of what is seen, whose cells fit the margin.
        """
        rows, columns = (edge * map_height // self.size_px[0] for edge in self.margin_px)
        return rows, columns

    @property
    def views(self) -> int:
        """V, the number of views of one slice."""
        return sum(map(len, self.views_hu))

    @property
    def has_atlas(self) -> bool:
        """Whether the last plane numbers regions and is no image."""
        return self.channels[-1] is Channel.ATLAS

    @property
    def has_one_view_each(self) -> bool:
        """Whether each channel has one window, so that a view tells the HU of its channel."""
        return self.views == len(self.channels)

    @property
    def window_hu(self) -> tuple[Bounds, ...]:
        """Lowest and highest value of each channel that makes a difference."""
        return tuple(
            (min(low for low, _ in windows), max(high for _, high in windows))
            for windows in self.views_hu
        )

    @classmethod
    def from_preset(
        cls,
        preset: str,
        *,
        size_px: tuple[int, int] = NETWORK_SIZE_PX,
        margin_px: tuple[int, int] = NO_MARGIN_PX,
        windows_hu: tuple[Bounds, ...] = (CTA_WINDOW_HU,),
    ) -> "PreprocessingConfig":
        """Build the config of a channel preset such as `cta` or `arterial`.

        Args:
            preset: Key of `CHANNEL_PRESETS`.
            size_px: Height and width of the network's input.
            margin_px: Left out of the resized slice on each side.
            windows_hu: Windows of each channel in HU.
        """
        channels = CHANNEL_PRESETS[preset]
        views = tuple(_OWN_WINDOWS.get(channel, windows_hu) for channel in channels)
        return cls(channels=channels, views_hu=views, size_px=size_px, margin_px=margin_px)

    def one_plane_a_view(self) -> "PreprocessingConfig":
        """Return the same views as if each had a channel of its own: those with two stand twice.

        The views of such a config tell the HU of its planes, which those of a channel with several
        windows do not.
        """
        channels = (
            channel
            for channel, windows in zip(self.channels, self.views_hu, strict=True)
            for _ in windows
        )
        views_hu = tuple((bounds,) for windows in self.views_hu for bounds in windows)
        return replace(self, channels=tuple(channels), views_hu=views_hu)

    def to_json(self) -> dict[str, object]:
        """Return the config as plain JSON values."""
        margin = {} if self.margin_px == NO_MARGIN_PX else {"margin_px": list(self.margin_px)}
        return {
            "channels": [channel.value for channel in self.channels],
            "views_hu": [[list(bounds) for bounds in windows] for windows in self.views_hu],
            "size_px": list(self.size_px),
            **margin,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "PreprocessingConfig":
        """Read what `to_json` wrote."""
        height, width = values["size_px"]
        rows, columns = values.get("margin_px", NO_MARGIN_PX)
        return cls(
            channels=tuple(Channel(name) for name in values["channels"]),
            views_hu=tuple(
                tuple((float(low), float(high)) for low, high in windows)
                for windows in values["views_hu"]
            ),
            size_px=(int(height), int(width)),
            margin_px=(int(rows), int(columns)),
        )


def in_channels(config: PreprocessingConfig, window: SliceWindow = SINGLE_SLICE) -> int:
    """Return how many channels a network must take for these views and this window."""
    planes = 1 if window.slab else window.size
    regions = int(config.has_atlas)
    return (config.views - regions) * planes * (2 if window.mirrored else 1) + regions


class Preprocessing(nn.Module):
    """Window and resize: raw HU [N, C * size, H, W] to values 0..1 [N, in_channels, h, w].

    The window is applied before the resize, so that metal and bone do not bleed into their
    neighbours, and the resize is bilinear, which every engine computes in float. Of an atlas single
    voxels are taken, since a mean of two regions is a third one.

    Args:
        config: Channels, windows, size.
        window: Neighbours of each slice.
    """

    low: Tensor
    span: Tensor

    def __init__(self, config: PreprocessingConfig, window: SliceWindow = SINGLE_SLICE) -> None:
        super().__init__()
        views = [bounds for windows in config.views_hu for bounds in windows]
        planes = torch.tensor(views, dtype=torch.float32).repeat_interleave(window.size, dim=0)
        bounds = planes.view(1, -1, 2, 1)
        self.register_buffer("low", bounds[:, :, :1])
        self.register_buffer("span", bounds[:, :, 1:] - bounds[:, :, :1])
        self.config = config
        self.window = window
        self._sources = planes_of_views(config, window)

    def forward(self, slices_hu: Tensor) -> Tensor:
        """Map raw HU to the network's input.

        Args:
            slices_hu: float32 [N, C * size, H, W], any H and W; for each channel the slices of the
                window, low to high.

        Returns:
            float32 [N, in_channels, h, w] in 0..1.
        """
        return combine_planes(self.views(slices_hu), self.window, has_atlas=self.config.has_atlas)

    def views(self, slices_hu: Tensor) -> Tensor:
        """Map raw HU to the views of each plane, float32 [N, V * size, h, w]: what is cached."""
        if not self.config.has_one_view_each:
            slices_hu = torch.cat([slices_hu[:, plane : plane + 1] for plane in self._sources], 1)
        if not self.config.has_atlas:
            return self._resize(self._windowed(slices_hu))
        # apart from the start: what reads a few rows of the atlas need not window the images
        images = self._windowed(slices_hu, slice(None, -self.window.size))
        regions = self._windowed(slices_hu, slice(-self.window.size, None))
        voxels = self._middle(F.interpolate(regions, size=self.config.frame_px, mode="nearest"))
        return torch.cat([self._resize(images), voxels], dim=1)

    def _windowed(self, planes_hu: Tensor, planes: slice = slice(None)) -> Tensor:
        """Map some planes from HU to shares of their windows, 0..1."""
        low, span = self.low[:, planes], self.span[:, planes]
        return ((planes_hu[:, planes] - low) / span).clamp(0.0, 1.0)

    def _resize(self, images: Tensor) -> Tensor:
        size_px = self.config.frame_px
        return self._middle(
            F.interpolate(images, size=size_px, mode="bilinear", align_corners=False)
        )

    def _middle(self, frame: Tensor) -> Tensor:
        (height, width), (rows, columns) = self.config.size_px, self.config.margin_px
        return frame[..., rows : rows + height, columns : columns + width]

    def to_hu(self, views: Tensor) -> Tensor:
        """Map the views of planes back to HU, to feed cached slices to an exported graph.

        At the size of the frame the resize is the identity, and so is the window on these values.

        Args:
            views: float32 [N, C * size, h, w] in 0..1.

        Returns:
            float32 [N, C * size, *frame_px]; the margin has the lowest value of its channel.

        Raises:
            ValueError: A channel has several windows, none of which tells its HU.
        """
        if not self.config.has_one_view_each:
            raise ValueError("a channel has several windows: its HU cannot be told from them")
        rows, columns = self.config.margin_px
        return F.pad(views, (columns, columns, rows, rows)) * self.span + self.low


def combine_planes(views: Tensor, window: SliceWindow, *, has_atlas: bool) -> Tensor:
    """Turn the views of a window's planes into the network's input.

    Args:
        views: float32 [N, V * size, h, w]; for each view the planes of the window, low to high.
        window: Which neighbours these are.
        has_atlas: The last view numbers regions: the answer is about those of the middle slice.

    Returns:
        float32 [N, in_channels, h, w].
    """
    if not has_atlas:
        return _combine_images(views, window)
    images, regions = views[:, : -window.size], views[:, -window.size :]
    middle = window.size // 2
    return torch.cat([_combine_images(images, window), regions[:, middle : middle + 1]], dim=1)


def _combine_images(images: Tensor, window: SliceWindow) -> Tensor:
    if window.slab:
        planes = [images[:, place :: window.size] for place in range(window.size)]
        images = functools.reduce(torch.maximum, planes)
    return append_mirrored(images) if window.mirrored else images


def append_mirrored(images: Tensor) -> Tensor:
    """Append the left-right flipped channels: [N, C, h, w] to [N, 2 C, h, w]."""
    return torch.cat([images, images.flip(-1)], dim=1)


def planes_of_views(config: PreprocessingConfig, window: SliceWindow) -> list[int]:
    """List which plane of the graph's input each plane of the views comes from."""
    return [
        channel * window.size + place
        for channel, windows in enumerate(config.views_hu)
        for _ in windows
        for place in range(window.size)
    ]
