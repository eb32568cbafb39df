# SPDX-License-Identifier: Apache-2.0
"""What a bundle's network wants to see: channels, a window of slices, and at which scale."""

from dataclasses import dataclass
from typing import Self, TypeVar

from aminet_runtime.patient import Channel
from aminet_runtime.strict_json import JsonObject

ORIENTATION = "LPS"
WINDOWS = (1, 3, 5)
MAX_WINDOW_SPACING_MM = 500.0  # the longest scan that is taken: neighbours lie within it
NO_MARGIN_PX = (0, 0)

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class InputContract:
    """What the network wants to see.

    Attributes:
        channels: Volumes, in the order of the network's planes.
        window: Neighbouring slices that stand for each channel: 1, 3 or 5.
        window_spacing_mm: Distance of neighbours in the window; None for the next stored slice.
        window_hu: Lower and upper bound that the graph clamps each channel to; for information.
        training_spacing_mm: Typical (x, y, z) of the training data.
        training_shape: Typical (x, y, z) voxel counts of the training data.
        network_size_px: Height and width of what the network sees; for information.
        window_counts: In how many windows the graph shows each channel to the network, for
            information; None if in one each.
        network_margin_px: Rows and columns that the graph resizes beyond that size on each side
            and does not show to the network; for information.
    """

    channels: tuple[Channel, ...]
    window: int
    window_spacing_mm: float | None
    window_hu: tuple[tuple[float, float], ...]
    training_spacing_mm: tuple[float, float, float]
    training_shape: tuple[int, int, int]
    network_size_px: tuple[int, int]
    window_counts: tuple[int, ...] | None = None
    network_margin_px: tuple[int, int] = NO_MARGIN_PX

    @property
    def frame_px(self) -> tuple[int, int]:
        """Height and width that the graph resizes the whole slice to."""
        return frame_around(self.network_size_px, self.network_margin_px)

    @property
    def planes(self) -> int:
        """Planes C of the network's input [N, C, H, W]."""
        return len(self.channels) * self.window

    @classmethod
    def from_json(cls, values: JsonObject) -> Self:
        """Read the key `input`."""
        if values.text("orientation") != ORIENTATION:
            raise values.error("orientation", f"is not {ORIENTATION}")
        channels = _channels(values)
        return cls(
            channels=channels,
            window=_window(values),
            window_spacing_mm=_window_spacing(values),
            window_hu=_window_hu(values, len(channels)),
            training_spacing_mm=_three(_positive(values, "training_spacing_mm", 3)),
            training_shape=_three(_positive_counts(values, "training_shape", 3)),
            network_size_px=_two(_positive_counts(values, "network_size_px", 2)),
            window_counts=_window_counts(values, len(channels)),
            network_margin_px=_margin(values),
        )

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        extra: dict[str, object] = {}
        if self.window_counts is not None:
            extra["window_counts"] = list(self.window_counts)
        if self.network_margin_px != NO_MARGIN_PX:
            extra["network_margin_px"] = list(self.network_margin_px)
        return {
            "channels": [channel.value for channel in self.channels],
            "window": self.window,
            "window_spacing_mm": self.window_spacing_mm,
            "window_hu": [list(bounds) for bounds in self.window_hu],
            "orientation": ORIENTATION,
            "training_spacing_mm": list(self.training_spacing_mm),
            "training_shape": list(self.training_shape),
            "network_size_px": list(self.network_size_px),
            **extra,
        }


def frame_around(size_px: tuple[int, int], margin_px: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of a frame, of which the middle is seen but for a margin."""
    (height, width), (rows, columns) = size_px, margin_px
    return height + 2 * rows, width + 2 * columns


def _channels(values: JsonObject) -> tuple[Channel, ...]:
    names = values.texts("channels")
    if not names or len(set(names)) != len(names) or not set(names) <= set(Channel):
        raise values.error("channels", f"must hold different ones of {', '.join(Channel)}")
    return tuple(Channel(name) for name in names)


def _window(values: JsonObject) -> int:
    window = values.count("window")
    if window not in WINDOWS:
        raise values.error("window", "is none of 1, 3, 5")
    return window


def _window_spacing(values: JsonObject) -> float | None:
    spacing = values.number_or_none("window_spacing_mm")
    if spacing is not None and spacing <= 0:
        raise values.error("window_spacing_mm", "is not above 0")
    if spacing is not None and spacing > MAX_WINDOW_SPACING_MM:
        raise values.error("window_spacing_mm", f"is above {MAX_WINDOW_SPACING_MM:g}")
    return spacing


def _window_hu(values: JsonObject, channel_count: int) -> tuple[tuple[float, float], ...]:
    bounds = values.pairs("window_hu", length=channel_count)
    if not all(low < high for low, high in bounds):
        raise values.error("window_hu", "holds a lower bound that is not below its upper one")
    return bounds


def _window_counts(values: JsonObject, channel_count: int) -> tuple[int, ...] | None:
    key = "window_counts"
    return _positive_counts(values, key, channel_count) if values.has(key) else None


def _margin(values: JsonObject) -> tuple[int, int]:
    key = "network_margin_px"
    return _two(values.counts(key, length=2)) if values.has(key) else NO_MARGIN_PX


def _positive(values: JsonObject, key: str, length: int) -> tuple[float, ...]:
    numbers = values.numbers(key, length=length)
    if not all(number > 0 for number in numbers):
        raise values.error(key, "holds a number that is not above 0")
    return numbers


def _positive_counts(values: JsonObject, key: str, length: int) -> tuple[int, ...]:
    counts = values.counts(key, length=length)
    if not all(counts):
        raise values.error(key, "holds a 0")
    return counts


def _three(items: tuple[_Item, ...]) -> tuple[_Item, _Item, _Item]:
    first, second, third = items
    return first, second, third


def _two(items: tuple[_Item, ...]) -> tuple[_Item, _Item]:
    first, second = items
    return first, second
