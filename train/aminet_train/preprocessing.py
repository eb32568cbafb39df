# SPDX-License-Identifier: Apache-2.0
"""Raw HU to network input: the one definition that training caches and the exported graph holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aminet_runtime.patient import Channel

CTA_WINDOW_HU = (-100.0, 500.0)
"""Fat to densely enhanced arteries (250 to 460 HU at the peak); bone saturates, which is wanted."""

SPIRAL_WINDOW = (0.0, 1.0)
"""The SPIRAL map is a probability already."""

NETWORK_SIZE_PX = (224, 224)
"""Height and width at which the ImageNet weights were trained; the report used it too."""

CHANNEL_PRESETS: dict[str, tuple[Channel, ...]] = {
    "cta": (Channel.CTA2,),
    "arterial": (Channel.CTA1,),
    "mcta": (Channel.CTA1, Channel.CTA2, Channel.CTA3),
    "spiral": (Channel.SPIRAL,),
    "cta+spiral": (Channel.CTA2, Channel.SPIRAL),
}


@dataclass(frozen=True, slots=True)
class PreprocessingConfig:
    """What stands between raw HU and the network.

    Attributes:
        channels: Input volumes, in order.
        window_hu: Lower and upper bound of each channel; values outside are clamped.
        size_px: Height and width of the network's input.
    """

    channels: tuple[Channel, ...]
    window_hu: tuple[tuple[float, float], ...]
    size_px: tuple[int, int] = NETWORK_SIZE_PX

    def __post_init__(self) -> None:
        """Refuse a config that cannot be meant."""
        if not self.channels or len(self.channels) != len(self.window_hu):
            raise ValueError(f"{len(self.channels)} channels but {len(self.window_hu)} windows")
        if any(low >= high for low, high in self.window_hu):
            raise ValueError(f"window_hu {self.window_hu}: the lower bound is not below the upper")

    @classmethod
    def from_preset(
        cls, preset: str, *, size_px: tuple[int, int] = NETWORK_SIZE_PX
    ) -> "PreprocessingConfig":
        """Build the config of a channel preset such as `cta` or `arterial`."""
        channels = CHANNEL_PRESETS[preset]
        windows = tuple(
            SPIRAL_WINDOW if channel is Channel.SPIRAL else CTA_WINDOW_HU for channel in channels
        )
        return cls(channels=channels, window_hu=windows, size_px=size_px)

    def to_json(self) -> dict[str, object]:
        """Return the config as plain JSON values."""
        return {
            "channels": [channel.value for channel in self.channels],
            "window_hu": [list(bounds) for bounds in self.window_hu],
            "size_px": list(self.size_px),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "PreprocessingConfig":
        """Read what `to_json` wrote."""
        height, width = values["size_px"]
        return cls(
            channels=tuple(Channel(name) for name in values["channels"]),
            window_hu=tuple((float(low), float(high)) for low, high in values["window_hu"]),
            size_px=(int(height), int(width)),
        )


class Preprocessing(nn.Module):
    """Window and resize: raw HU [N, C, H, W] to values 0..1 [N, C, h, w].

    The window is applied before the resize, so that metal and bone do not bleed into their
    neighbours, and the resize is bilinear, which every engine computes in float.
    """

    low: Tensor
    span: Tensor

    def __init__(self, config: PreprocessingConfig) -> None:
        super().__init__()
        bounds = torch.tensor(config.window_hu, dtype=torch.float32).view(1, -1, 2, 1)
        self.register_buffer("low", bounds[:, :, :1])
        self.register_buffer("span", bounds[:, :, 1:] - bounds[:, :, :1])
        self.size_px = config.size_px

    def forward(self, slices_hu: Tensor) -> Tensor:
        """Map raw HU to the network's input.

        Args:
            slices_hu: float32 [N, C, H, W], any H and W.

        Returns:
            float32 [N, C, h, w] in 0..1.
        """
        windowed = ((slices_hu - self.low) / self.span).clamp(0.0, 1.0)
        return F.interpolate(windowed, size=self.size_px, mode="bilinear", align_corners=False)

    def to_hu(self, network_input: Tensor) -> Tensor:
        """Map network input back to HU, so that cached slices can be fed to an exported graph.

        At the network's own size the resize is the identity, and so is the window on these values.
        """
        return network_input * self.span + self.low
