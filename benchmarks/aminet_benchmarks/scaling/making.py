# SPDX-License-Identifier: Apache-2.0
"""Training, preparation and export against the size of their task, on one thread.

Time is processor time here, the fastest round counts: these run inside this process, and other work
on the machine does not stretch it.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch

from aminet_benchmarks.data_speed import BATCH_SIZE, fastest_s, prepare_speed, training_step
from aminet_benchmarks.phantom.cohort import CohortPlan, write_cohort
from aminet_benchmarks.phantom.config import preset_config
from aminet_benchmarks.scaling.curve import Curve, Point
from aminet_benchmarks.scaling.plan import OnPoint, ScalingPlan
from aminet_benchmarks.speed_bundle import IN_ALL, SpeedBundlePlan, write_speed_bundle
from aminet_benchmarks.untrained import UntrainedPlan
from aminet_benchmarks.usual_phantom import PHANTOM_SEED
from aminet_train.networks import CONFIG_TYPES, build_network
from aminet_train.preprocessing import PreprocessingConfig, in_channels

PHANTOM_EDGE_PX = 256
EXPORT_SIZE_PX = (96, 96)
CHANNELS = "arterial"


def making_curves(plan: ScalingPlan, scratch: Path, *, on_point: OnPoint) -> Iterator[Curve]:
    """Measure training, preparation and export.

    Args:
        plan: The sizes.
        scratch: Folder for phantoms and bundles.
        on_point: See there.
    """
    torch.set_num_threads(1)
    curves = (
        (f"pixels along an edge, {plan.approach} trained", "slices", plan.input_px, _train),
        ("slices of a patient, prepared", "slices", plan.prepared_slices, _prepare),
        (
            f"calibration slices, {plan.approach} exported",
            "bundles",
            plan.calibration_slices,
            _export,
        ),
    )
    for name, item, sizes, measure in curves:
        points = []
        for size in sizes:
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                points.append(measure(plan, size, Path(folder)))
            on_point(name)
        if points:
            yield Curve(name, item, tuple(points))


def _train(plan: ScalingPlan, size: int, _scratch: Path) -> Point:
    """Time one step of training on a batch."""
    preprocessing = PreprocessingConfig.from_preset(CHANNELS, size_px=(size, size))
    channels = in_channels(preprocessing)
    network = build_network(
        CONFIG_TYPES[plan.approach](), in_channels=channels, size_px=preprocessing.size_px
    )
    images = torch.rand(BATCH_SIZE, channels, size, size)
    taken_s = fastest_s(training_step(network, images), rounds=plan.rounds)
    return Point(size, taken_s, None, BATCH_SIZE)


def _prepare(plan: ScalingPlan, size: int, scratch: Path) -> Point:
    """Time the preparation of a phantom with so many slices."""
    config = preset_config("report", shape=(PHANTOM_EDGE_PX, PHANTOM_EDGE_PX, size))
    cohort = CohortPlan(scratch, patients=1, seed=PHANTOM_SEED, config=config)
    (folder,) = write_cohort(cohort)
    preprocessing = PreprocessingConfig.from_preset(CHANNELS)
    speed = prepare_speed(folder, preprocessing, rounds=plan.rounds)
    return Point(size, speed.prepare, None, size)


def _export(plan: ScalingPlan, size: int, scratch: Path) -> Point:
    """Time an export once: ONNX, IR, quantiser, self-test; without judging patients."""
    preprocessing = PreprocessingConfig.from_preset(CHANNELS, size_px=EXPORT_SIZE_PX)
    network = UntrainedPlan(plan.approach, preprocessing)
    bundle = SpeedBundlePlan(network, scratch / "bundle", size, with_onnx=False)
    return Point(size, write_speed_bundle(bundle)[IN_ALL], None, 1)
