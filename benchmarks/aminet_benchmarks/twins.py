# SPDX-License-Identifier: Apache-2.0
"""The networks that the alternatives run: float twins of a bundle's network.

Where the checkpoint of the bundle is at hand, all of them have its weights, and their answers can
be compared. Where it is not, the torch ways run a network of the same architecture that was never
trained, at the size that the source report gives it: its answers mean nothing and are not compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from aminet_benchmarks.untrained import UntrainedPlan, write_untrained_checkpoint
from aminet_export.onnx_graph import ONNX_FILE, export_onnx, trace
from aminet_export.onnx_int8 import ONNX_INT8_FILE
from aminet_runtime.bundle import Bundle
from aminet_runtime.engines.openvino_import import shared_core
from aminet_runtime.errors import ModelIncompatible
from aminet_runtime.input_contract import NO_MARGIN_PX
from aminet_train.checkpoint import load_info, load_model
from aminet_train.networks import CONFIG_TYPES, Approach, build_network, config_from_json
from aminet_train.networks.atlas_head import COARSE_STRIDE, FINE_STRIDE
from aminet_train.networks.heads import HeadConfig
from aminet_train.preprocessing import PreprocessingConfig, in_channels

REPORT_SIZE_PX: Mapping[Approach, tuple[int, int]] = {
    Approach.MOBILENETV2: (224, 224),
    Approach.EFFICIENTFORMERV2: (224, 224),
}
"""What the source report resizes whole slices to, before its networks of these kinds."""

Settings = Mapping[str, str | int]

HEADS: Sequence[Settings] = ({"head": "gap"}, {"head": "dense"})
ATLAS_HEADS: Sequence[Settings] = tuple(
    {"head": "atlas", "map_stride": stride} for stride in (COARSE_STRIDE, FINE_STRIDE)
)
CONVOLUTIONS = frozenset({"Convolution", "GroupConvolution"})


@dataclass(frozen=True, slots=True)
class Twins:
    """Files for the alternatives.

    Attributes:
        checkpoint: For torch.
        onnx: Float network for ONNX Runtime and OpenVINO; None if it was not asked for.
        onnx_int8: Its INT8 twin; None if the bundle holds none.
        trained_torch: Whether the checkpoint has the bundle's weights.
        trained_onnx: Whether the float ONNX file has.
    """

    checkpoint: Path
    onnx: Path | None
    onnx_int8: Path | None
    trained_torch: bool
    trained_onnx: bool


def make_twins(
    bundle: Bundle, checkpoint: Path | None, scratch: Path, *, with_onnx: bool = True
) -> Twins:
    """Find or make the float twins of a bundle.

    Args:
        bundle: Whose network.
        checkpoint: What the bundle was exported from, if it is at hand.
        scratch: Folder for what has to be made.
        with_onnx: Whether a float ONNX file that the bundle lacks is made.

    Raises:
        ModelIncompatible: Bundle and checkpoint do not belong together, or no network of the
            bundle's approach can be made.
    """
    preprocessing = _preprocessing_of(bundle)
    if checkpoint is not None:
        _require_same_input(bundle, checkpoint)
    held = bundle.path / ONNX_FILE
    onnx_path = held if held.exists() else None
    if onnx_path is None and with_onnx:
        source = checkpoint or _untrained(bundle, preprocessing, scratch / "untrained")
        onnx_path = _export(source, bundle, scratch / ONNX_FILE)
    int8 = bundle.path / ONNX_INT8_FILE
    as_in_report = _as_in_report(preprocessing, Approach(bundle.metadata.approach.value))
    return Twins(
        checkpoint=checkpoint or _untrained(bundle, as_in_report, scratch / "report"),
        onnx=onnx_path,
        onnx_int8=int8 if int8.exists() else None,
        trained_torch=checkpoint is not None,
        trained_onnx=held.exists() or checkpoint is not None,
    )


def _export(checkpoint: Path, bundle: Bundle, path: Path) -> Path:
    model = load_model(checkpoint)[1]
    export_onnx(trace(model, planes=bundle.metadata.input.planes), path)
    return path


def _preprocessing_of(bundle: Bundle) -> PreprocessingConfig:
    contract = bundle.metadata.input
    return PreprocessingConfig(
        channels=contract.channels,
        views_hu=tuple((bounds,) for bounds in contract.window_hu),
        size_px=contract.network_size_px,
        margin_px=contract.network_margin_px,
    )


def _as_in_report(preprocessing: PreprocessingConfig, approach: Approach) -> PreprocessingConfig:
    if approach not in REPORT_SIZE_PX:
        return preprocessing
    return replace(preprocessing, size_px=REPORT_SIZE_PX[approach], margin_px=NO_MARGIN_PX)


def _untrained(bundle: Bundle, preprocessing: PreprocessingConfig, folder: Path) -> Path:
    """Write a checkpoint of the bundle's architecture, and return its folder."""
    approach = Approach(bundle.metadata.approach.value)
    if approach not in CONFIG_TYPES:
        raise ModelIncompatible(
            f"{approach} has no network that torch could run", path=bundle.path, hint="name another"
        )
    has_choice = issubclass(CONFIG_TYPES[approach], HeadConfig)
    settings = _head_of(bundle, approach, preprocessing) if has_choice else {}
    plan = UntrainedPlan(approach, preprocessing, bundle.metadata.regions, settings)
    write_untrained_checkpoint(plan, folder)
    return folder


def _head_of(bundle: Bundle, approach: Approach, preprocessing: PreprocessingConfig) -> Settings:
    """Tell the head by how many convolutions the network has with each of them."""
    model = shared_core().read_model(model=bundle.model_xml, weights=bundle.model_bin)
    found = sum(node.get_type_name() in CONVOLUTIONS for node in model.get_ordered_ops())

    def difference(settings: Settings) -> int:
        network = build_network(
            config_from_json(approach, dict(settings)),
            in_channels=in_channels(preprocessing),
            size_px=preprocessing.size_px,
        )
        return abs(found - sum(isinstance(part, nn.Conv2d) for part in network.modules()))

    return min(ATLAS_HEADS if preprocessing.has_atlas else HEADS, key=difference)


def _require_same_input(bundle: Bundle, checkpoint: Path) -> None:
    info, contract = load_info(checkpoint), bundle.metadata.input
    seen = info.preprocessing
    found = (info.approach.value, seen.channels, seen.size_px, seen.margin_px)
    wanted = (
        *(bundle.metadata.approach.value, contract.channels),
        *(contract.network_size_px, contract.network_margin_px),
    )
    if found != wanted:
        raise ModelIncompatible(
            f"it is of another network than {bundle.name}",
            path=checkpoint,
            hint="name what the bundle was exported from",
        )
