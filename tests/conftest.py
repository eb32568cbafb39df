# SPDX-License-Identifier: Apache-2.0
"""A real little bundle, whose answers are known by construction, and head-like patients.

The network of the bundle asks one question: how bright are the columns? Region r's probability is
the mean of HU / 400, clamped to 0..1, over the r-th of 15 bands of columns. A region is affected
where such a band is filled with 400 HU.

These tests also run on the built wheel in an environment without torch, so this file needs NumPy
and OpenVINO only.
"""

import errno
import gzip
import io
import json
import shutil
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from aminet_runtime.bundle import default_bundle_path, model_id, write_checksums
from aminet_runtime.decision import DecisionRule
from aminet_runtime.engines.openvino_import import import_openvino
from aminet_runtime.input_contract import InputContract
from aminet_runtime.metadata import Approach, Metadata, Precision
from aminet_runtime.patient import Channel
from aminet_runtime.regions import REGION_COUNT, Regions
from aminet_runtime.track_record import DataSummary, PatientSet

settings.register_profile("any machine", deadline=None)  # a busy one takes its time
settings.load_profile("any machine")

FULL_HU = 400.0
SPACING_MM = (4.0, 4.0, 5.0)
SHAPE = (12, 60, 60)  # (Z, H, W): 240 mm across, 60 mm long, bands of 4 columns
PLANE_WEIGHTS = {1: (1.0,), 2: (0.7, 0.3), 3: (0.5, 0.3, 0.2)}
"""How much each plane of the input counts: all different, so that a swap would show."""

CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def plane_weights(planes: int) -> NDArray[np.float32]:
    """Return a weight for each plane of the network's input; they add up to 1."""
    weights = PLANE_WEIGHTS.get(planes, tuple(range(planes, 0, -1)))
    return np.asarray(weights, np.float32) / np.float32(sum(weights))


def band_probabilities(planes_hu: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute what the network must answer for planes [C, H, W], W a multiple of 15: [15]."""
    brightness = np.clip(planes_hu.astype(np.float64), 0.0, FULL_HU) / FULL_HU
    weighted = np.tensordot(plane_weights(len(planes_hu)), brightness, axes=1)  # [H, W]
    return weighted.reshape(weighted.shape[0], REGION_COUNT, -1).mean(axis=(0, 2))


@dataclass(frozen=True)
class BundleRecipe:
    """What differs between the bundles of the tests."""

    channels: tuple[Channel, ...] = (Channel.CTA2,)
    window: int = 1
    window_spacing_mm: float | None = None
    thresholds: tuple[float | None, ...] = (0.5,) * REGION_COUNT
    min_consecutive_slices: int = 2
    training_spacing_mm: tuple[float, float, float] = SPACING_MM
    names: tuple[str, ...] = tuple(f"Territory {letter}" for letter in "ABCDEFGHIJKLMNO")
    training: tuple[str, ...] = ()
    disclaimer: str = "Made for tests. Not a medical device."
    with_onnx: bool = False
    margin_px: tuple[int, int] = (0, 0)
    late_fusion: bool = False

    @property
    def planes(self) -> int:
        return len(self.channels) * self.window


@pytest.fixture
def no_process_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system refuse every further process, as it does at a limit."""

    def refuse(_process: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr("multiprocessing.context.SpawnProcess._Popen", staticmethod(refuse))


@pytest.fixture(scope="session")
def bundle_recipe() -> type[BundleRecipe]:
    return BundleRecipe


@pytest.fixture(scope="session")
def build_bundle(tmp_path_factory) -> Callable[..., Path]:
    """Build a bundle once for each recipe; tests that change one copy it first."""
    built: dict[BundleRecipe, Path] = {}

    def build(**changes: object) -> Path:
        recipe = replace(BundleRecipe(), **changes)
        if recipe not in built:
            built[recipe] = write_bundle(tmp_path_factory.mktemp("bundles") / "bands-fp32", recipe)
        return built[recipe]

    return build


@pytest.fixture(scope="session")
def bundle_path(build_bundle) -> Path:
    """The bundle for one channel and single slices; not to be changed."""
    return build_bundle()


@pytest.fixture(scope="session")
def kit(tmp_path_factory) -> Path:
    """The conformance kit of the shipped bundle; not to be changed."""
    from aminet_benchmarks.conformance.kit import write_kit  # noqa: PLC0415 - not in the wheel's test

    return write_kit(default_bundle_path(), tmp_path_factory.mktemp("conformance") / "kit").parent


@pytest.fixture(scope="session")
def chromium() -> list[str]:
    """The command of a Chromium without a window, which asks nobody for anything by itself."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    return [path, *CHROMIUM_FLAGS]


def write_bundle(folder: Path, recipe: BundleRecipe) -> Path:
    """Write a whole bundle: network, metadata, self-test, card, checksums."""
    folder.mkdir()
    if recipe.late_fusion:
        write_late_network(folder, channels=len(recipe.channels), window=recipe.window)
    else:
        write_network(folder, recipe.planes)
    identity = model_id(*((folder / name).read_bytes() for name in ("model.xml", "model.bin")))
    metadata = metadata_of(recipe, model_id=identity)
    (folder / "metadata.json").write_bytes(metadata.to_bytes())
    (folder / "selftest.npz").write_bytes(selftest_bytes(recipe.planes))
    (folder / "README.md").write_text("# bands-fp32\nAnswers how bright the columns are.\n")
    if recipe.with_onnx:
        (folder / "model.onnx").write_bytes(onnx_network(recipe.planes))
    (folder / "calibration.json").write_text(json.dumps({"subset_size": 0}))
    write_checksums(folder)
    return folder


def write_network(folder: Path, planes: int) -> None:
    """Write model.xml and model.bin of the network that averages bands of columns."""
    openvino = import_openvino()
    from openvino import opset13 as ops  # noqa: PLC0415 - after the import above

    slices = ops.parameter([-1, planes, -1, -1], np.float32, name="slices")
    brightness = ops.divide(ops.clamp(slices, 0.0, FULL_HU), np.float32(FULL_HU))
    weighted = ops.multiply(brightness, plane_weights(planes).reshape(1, -1, 1, 1))
    image = ops.reduce_sum(weighted, np.array([1]), keep_dims=True)  # [N, 1, H, W]
    bands = ops.adaptive_avg_pool(image, np.array([1, REGION_COUNT]))  # [N, 1, 1, 15]
    probabilities = ops.clamp(ops.reshape(bands, np.array([0, REGION_COUNT]), True), 0.0, 1.0)
    column = ops.reshape(probabilities, np.array([0, REGION_COUNT, 1, 1]), True)
    evidence = ops.multiply(column, ops.adaptive_avg_pool(image, np.array([4, 4])))
    for node, name in (
        (slices, "slices"),
        (probabilities, "probabilities"),
        (evidence, "evidence"),
    ):
        node.output(0).set_names({name})
    model = openvino.Model([probabilities, evidence], [slices], "bands")
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)


EVIDENCE_CELLS = 16


def write_late_network(folder: Path, *, channels: int, window: int) -> None:
    """Write a network of the same answers, which sees each slice alone: bands of each channel."""
    openvino = import_openvino()
    from openvino import opset13 as ops  # noqa: PLC0415 - after the import above

    def named(node: object, name: str) -> object:
        node.output(0).set_names({name})
        return node

    slices = named(ops.parameter([-1, channels * window, -1, -1], np.float32), "slices")
    places = [np.arange(channels) * window + place for place in range(window)]
    apart = [ops.gather(slices, of_place, np.int64(1)) for of_place in places]
    alone = named(ops.concat(apart, 0), "slices_alone")  # [window x N, C, H, W]
    brightness = ops.divide(ops.clamp(alone, 0.0, FULL_HU), np.float32(FULL_HU))
    bands = ops.adaptive_avg_pool(brightness, np.array([1, REGION_COUNT]))
    cells = ops.adaptive_avg_pool(brightness, np.array([4, 4]))
    flat = [
        ops.reshape(maps, np.array([0, channels * count]), True)
        for maps, count in ((bands, REGION_COUNT), (cells, EVIDENCE_CELLS))
    ]
    features = named(ops.concat(flat, 1), "features")  # [window x N, L]
    length = channels * (REGION_COUNT + EVIDENCE_CELLS)
    windows = ops.transpose(
        ops.reshape(features, np.array([window, -1, length]), False), np.array([1, 0, 2])
    )
    weights = plane_weights(channels * window).reshape(channels, window).T  # [window, C]
    sums = []
    for start, count in ((0, REGION_COUNT), (channels * REGION_COUNT, EVIDENCE_CELLS)):
        numbers = np.arange(start, start + channels * count)
        part = ops.reshape(
            ops.gather(windows, numbers, np.int64(2)),
            np.array([-1, window, channels, count]),
            False,
        )
        weighted = ops.multiply(part, weights.reshape(1, window, channels, 1))
        sums.append(ops.reduce_sum(weighted, np.array([1, 2])))
    probabilities = named(ops.clamp(sums[0], 0.0, 1.0), "probabilities")
    column = ops.reshape(probabilities, np.array([-1, REGION_COUNT, 1, 1]), False)
    evidence = ops.multiply(column, ops.reshape(sums[1], np.array([-1, 1, 4, 4]), False))
    named(evidence, "evidence")
    model = openvino.Model([probabilities, evidence], [slices], "bands")
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)


FINE_COLUMNS = 480
"""Columns of any width are first repeated to so many, a multiple of 60 and of 15."""


def onnx_network(planes: int) -> bytes:
    """Return model.onnx of the same network; its evidence has one cell."""
    import onnx  # noqa: PLC0415 - not there where the runtime is tested alone
    from onnx import TensorProto, helper, numpy_helper  # noqa: PLC0415

    def constant(name: str, values: object, dtype: str = "f4") -> onnx.TensorProto:
        return numpy_helper.from_array(np.asarray(values, dtype), name)

    nodes = [
        helper.make_node("Shape", ["slices"], ["batch"], start=0, end=1),
        helper.make_node("Concat", ["batch", "one_by", "columns_wanted"], ["columns"], axis=0),
        helper.make_node("Clip", ["slices", "zero", "full"], ["clamped"]),
        helper.make_node("Mul", ["clamped", "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "planes"], ["image"], keepdims=0),
        helper.make_node("ReduceMean", ["image", "rows"], ["row"]),  # [N, 1, W]
        helper.make_node("Resize", ["row", "", "", "columns"], ["fine"], mode="nearest"),
        helper.make_node("Reshape", ["fine", "by_band"], ["bands"]),
        helper.make_node("ReduceMean", ["bands", "within"], ["means"], keepdims=0),
        helper.make_node("Clip", ["means", "zero", "one"], ["probabilities"]),
        helper.make_node("Reshape", ["probabilities", "as_map"], ["evidence"]),
    ]
    weights = plane_weights(planes).reshape(1, -1, 1, 1) / np.float32(FULL_HU)
    constants = [
        constant("zero", 0.0),
        constant("one", 1.0),
        constant("full", FULL_HU),
        constant("weights", weights),
        *(constant(name, [axis], "i8") for name, axis in (("planes", 1), ("rows", 1))),
        constant("within", [2], "i8"),
        constant("one_by", [1], "i8"),
        constant("columns_wanted", [FINE_COLUMNS], "i8"),
        constant("by_band", [0, REGION_COUNT, -1], "i8"),
        constant("as_map", [0, REGION_COUNT, 1, 1], "i8"),
    ]
    slices = helper.make_tensor_value_info("slices", TensorProto.FLOAT, ["N", planes, "H", "W"])
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", REGION_COUNT]),
        helper.make_tensor_value_info("evidence", TensorProto.FLOAT, ["N", REGION_COUNT, 1, 1]),
    ]
    graph = helper.make_graph(nodes, "bands", [slices], outputs, constants)
    opset = [helper.make_opsetid("", 20)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString())


def metadata_of(recipe: BundleRecipe, *, model_id: str) -> Metadata:
    nobody = PatientSet(fingerprints=())
    return Metadata(
        model_id=model_id,
        name="bands-fp32",
        approach=Approach.SIMPLE_CNN,
        precision=Precision.FP32,
        input=InputContract(
            channels=recipe.channels,
            window=recipe.window,
            window_spacing_mm=recipe.window_spacing_mm,
            window_hu=((0.0, FULL_HU),) * len(recipe.channels),
            training_spacing_mm=recipe.training_spacing_mm,
            training_shape=SHAPE[::-1],
            network_size_px=SHAPE[1:],
            network_margin_px=recipe.margin_px,
        ),
        regions=Regions(names=recipe.names),
        decision=DecisionRule(recipe.thresholds, recipe.min_consecutive_slices),
        metrics=None,
        data=DataSummary(PatientSet(recipe.training), nobody, nobody, nobody),
        versions={"aminet": "0.1.0"},
        intended_use="Tests.",
        disclaimer=recipe.disclaimer,
    )


def selftest_bytes(planes: int) -> bytes:
    rng = np.random.default_rng(0)
    slices = rng.integers(-1000, 1000, (2, planes, *SHAPE[1:]), dtype=np.int16)
    answers = [band_probabilities(one.astype(np.float32)) for one in slices]
    buffer = io.BytesIO()
    np.savez_compressed(buffer, slices_hu=slices, probabilities=np.array(answers, dtype=np.float32))
    return buffer.getvalue()


def head_hu(
    *, affected: Sequence[int] = (), between: tuple[int, int] = (4, 8), seed: int = 0
) -> NDArray[np.int16]:
    """Make a head: air, a skull, brain with noise, and bands of 400 HU in some slices.

    Args:
        affected: Regions whose band is filled.
        between: First slice that is filled, and the first above that is not.
        seed: Of the noise.

    Returns:
        int16 [Z, H, W], canonical.
    """
    _depth, height, width = SHAPE
    rows, columns = np.mgrid[:height, :width]
    radius = np.hypot((rows - height / 2 + 0.5) / 23.0, (columns - width / 2 + 0.5) / 19.0)
    brain = np.random.default_rng(seed).normal(35.0, 8.0, SHAPE)
    volume = np.where(radius < 0.9, brain, np.where(radius < 1.0, 900.0, -1000.0))
    for region in affected:
        band = (columns // (width // REGION_COUNT) == region) & (radius < 1.0)
        volume[between[0] : between[1], band] = FULL_HU
    return volume.astype(np.int16)


def nifti_bytes(
    voxels: NDArray[np.generic],
    *,
    spacing_mm: tuple[float, float, float] = SPACING_MM,
    slope: float = 1.0,
    upside_down: bool = False,
) -> bytes:
    """Return a NIfTI-1 file of canonical voxels [Z, H, W], int16 or uint8.

    Args:
        voxels: What is stored, unscaled.
        spacing_mm: (x, y, z).
        slope: The file's scl_slope.
        upside_down: Store the highest slice first.
    """
    stored = voxels[::-1] if upside_down else voxels
    x_mm, y_mm, z_mm = spacing_mm
    shape = voxels.shape[::-1]
    up = -z_mm if upside_down else z_mm
    top_mm = z_mm * (shape[2] - 1) if upside_down else 0.0
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, *shape, 1, 1, 1, 1)
    datatype = {"int16": 4, "uint8": 2}[voxels.dtype.name]
    struct.pack_into("<2h", header, 70, datatype, voxels.dtype.itemsize * 8)
    struct.pack_into("<8f", header, 76, 1.0, x_mm, y_mm, z_mm, 0.0, 0.0, 0.0, 0.0)
    struct.pack_into("<3f", header, 108, 352.0, slope, 0.0)
    struct.pack_into("<B", header, 123, 2)  # millimetres
    struct.pack_into("<2h", header, 252, 0, 1)  # no qform, sform of the scanner
    struct.pack_into("<4f", header, 280, -x_mm, 0.0, 0.0, 0.0)  # LPS columns in RAS mm
    struct.pack_into("<4f", header, 296, 0.0, -y_mm, 0.0, 0.0)
    struct.pack_into("<4f", header, 312, 0.0, 0.0, up, top_mm)
    header[344:348] = b"n+1\0"
    return bytes(header) + np.ascontiguousarray(stored).tobytes()


@pytest.fixture
def write_patient(tmp_path) -> Callable[..., Path]:
    """Write a patient folder below tmp_path/cohort and return it."""

    def write(
        name: str = "379",
        *,
        channels: Sequence[Channel] = (Channel.CTA2,),
        affected: Sequence[int] = (4, 7),
        upside_down: Sequence[Channel] = (),
        **head: object,
    ) -> Path:
        folder = tmp_path / "cohort" / name
        folder.mkdir(parents=True)
        for number, channel in enumerate(channels):
            voxels = head_hu(affected=affected, seed=number, **head)
            stored = nifti_bytes(voxels, upside_down=channel in upside_down)
            path = folder / f"{channel.file_stem}.nii.gz"
            path.write_bytes(gzip.compress(stored, compresslevel=1))
        return folder

    return write


@pytest.fixture(scope="session")
def make_head() -> Callable[..., NDArray[np.int16]]:
    return head_hu


@pytest.fixture(scope="session")
def make_nifti() -> Callable[..., bytes]:
    return nifti_bytes


@pytest.fixture(scope="session")
def expected_probabilities() -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    return band_probabilities
