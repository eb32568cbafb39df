# SPDX-License-Identifier: Apache-2.0
"""Checkpoint to bundle, step by step; the bundle appears whole or not at all."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from aminet_export.contents import BundleContents
from aminet_export.finishing import write_card
from aminet_export.full_size import judge_full_size
from aminet_export.judge import (
    Accuracy,
    judge_accuracy,
    judge_instruction_sets,
    judge_parity,
    known_stages,
    parity_patients,
    shipped_stage,
    stage_scorers,
)
from aminet_export.networks import Networks, calibrate_and_quantise, settle_network
from aminet_export.onnx_graph import ONNX_FILE, OPSET, check_onnx, export_onnx, trace
from aminet_export.onnx_int8 import ONNX_INT8_FILE, quantize_onnx
from aminet_export.onnx_int8_judge import OnnxInt8Verdict, judge_onnx_int8
from aminet_export.openvino_ir import convert
from aminet_export.parity import Parity
from aminet_export.plan import Backend, ExportPlan, ExportReport, Listeners, Verdict
from aminet_export.selftest import seal, write_selftest_of
from aminet_export.source import Source, load_source
from aminet_export.spiral_slices import require_float
from aminet_export.steps import StepLog
from aminet_runtime.metadata import Precision
from aminet_runtime.publish import publish_folder
from aminet_train.checkpoint import load_info


def export_bundle(plan: ExportPlan, listeners: Listeners | None = None) -> ExportReport:
    """Export a checkpoint as a bundle.

    Args:
        plan: What to export.
        listeners: Whom to tell how it gets on.

    Raises:
        AminetError: A step failed; its name stands in front of the message, and nothing is left.
        GateFailed: What would ship is not good enough.
    """
    listeners = listeners or Listeners()
    log = StepLog(listeners.on_step)
    with ExitStack() as unpublished:
        folder = unpublished.enter_context(publish_folder(plan.output))
        workshop = _Workshop(plan, folder, log, listeners)
        source, networks = workshop.make_networks()
        verdict = workshop.judge(source, networks)
        workshop.write(source, networks, verdict)
        with log.step("publish") as step:
            step.result = f"the runtime agrees within {seal(folder):.2g}"
            unpublished.close()
    return ExportReport(plan.output, verdict, tuple(log.done))


@dataclass(frozen=True, slots=True)
class _Workshop:
    """The folder that is being filled, and who is told about it."""

    plan: ExportPlan
    folder: Path
    log: StepLog
    listeners: Listeners

    def make_networks(self) -> tuple[Source, Networks]:
        """Go from checkpoint to the network that is to ship."""
        plan, log, onnx_path = self.plan, self.log, self.folder / ONNX_FILE
        with log.step("load checkpoint") as step:
            require_float(load_info(plan.checkpoint).approach, plan.precision)
            source = load_source(plan.checkpoint, plan.data, on_progress=self.listeners.on_progress)
            step.result = _counted(source)
        with log.step("trace") as step:
            traced = trace(source.model, planes=source.planes)
            step.result = f"{traced.node_count} nodes"
        with log.step("ONNX") as step:
            export_onnx(traced, onnx_path)
            step.result = f"opset {OPSET}, {onnx_path.stat().st_size / 1e6:.1f} MB"
        with log.step("check ONNX") as step:
            check_onnx(onnx_path)
            step.result = "as specified, one file"
        with log.step("convert to IR") as step:
            reference = convert(onnx_path)
            step.result = f"{len(reference.get_ops())} operations"
        with log.step("calibrate and quantise") as step:
            candidate = calibrate_and_quantise(plan, source, reference)
            step.result = f"{len(candidate.calibration)} slices of training patients"
        with log.step("restore accuracy") as step:
            networks = settle_network(plan, source, reference, candidate, folder=self.folder)
            step.result = _restored(plan, networks)
        self._write_onnx_int8(source, networks)
        return source, networks

    def judge(self, source: Source, networks: Networks) -> Verdict:
        """Let held-out patients and other instruction sets judge it."""
        with self.log.step("compare") as step:
            accuracy = judge_accuracy(self.plan, source, networks)
            step.result = _compared(accuracy)
        onnx_int8 = self._judge_onnx_int8(source, accuracy)
        with self.log.step("compare stages") as step:
            parity = self._compare_stages(source, networks, accuracy)
            full_size = judge_full_size(self.plan, source, networks, self.folder)
            shipped = parity[shipped_stage(self.plan.precision)]
            step.result = f"largest difference to torch {shipped.max_difference:.2g}"
        with self.log.step("sweep instruction sets") as step:
            swept = judge_instruction_sets(source, networks, self.folder)
            judges = ", ".join(row.isa for row in swept.rows if row.judges)
            step.result = f"{judges}: the same decisions" if judges else "none to play"
        return Verdict(
            metrics=accuracy.metrics,
            drops=accuracy.drops,
            restored_layers=networks.shipped.layers,
            parity=parity,
            full_size=full_size.parity,
            preprocessing_difference=full_size.preprocessing_difference,
            onnx_int8=onnx_int8,
            swept=swept,
            held_out=accuracy.held_out,
        )

    def write(self, source: Source, networks: Networks, verdict: Verdict) -> None:
        """Write what stands beside the networks."""
        contents = BundleContents(self.plan, source, networks, verdict)
        with self.log.step("self-test") as step:
            count = write_selftest_of(self.folder, contents)
            step.result = f"{count} slices with known answers"
        with self.log.step("card") as step:
            write_card(self.folder, contents)
            step.result = "metadata, receipts, card and check sums"

    def _write_onnx_int8(self, source: Source, networks: Networks) -> None:
        if self.plan.precision is Precision.INT8 and self.plan.backend is Backend.BOTH:
            with self.log.step("ONNX INT8") as step:
                quantize_onnx(
                    self.folder / ONNX_FILE,
                    self.folder / ONNX_INT8_FILE,
                    networks.calibration,
                    source.model.preprocessing,
                    float_layers=networks.shipped.layers,
                )
                step.result = f"{(self.folder / ONNX_INT8_FILE).stat().st_size / 1e6:.1f} MB"

    def _judge_onnx_int8(self, source: Source, accuracy: Accuracy) -> OnnxInt8Verdict | None:
        path = self.folder / ONNX_INT8_FILE
        if not path.exists():
            return None
        with self.log.step("judge ONNX INT8") as step:
            max_drop = self.plan.max_drop
            verdict = judge_onnx_int8(source, accuracy.held_out, path, max_drop=max_drop)
            step.result = verdict.summary
        return verdict

    def _compare_stages(
        self, source: Source, networks: Networks, accuracy: Accuracy
    ) -> dict[str, Parity]:
        scorers = stage_scorers(self.plan, source, networks, self.folder, source.cached_shape)
        known = known_stages(self.plan, accuracy.held_out)
        patients = parity_patients(source)
        stages = {
            name: known.get(name) or source.score_patients(scorer, patients)
            for name, scorer in scorers.items()
        }
        return judge_parity(source, networks, stages)


def _counted(source: Source) -> str:
    counts = ", ".join(f"{len(group)} {split}" for split, group in source.patients.items())
    return f"{source.info.approach}; {counts} patients"


def _restored(plan: ExportPlan, networks: Networks) -> str:
    if plan.precision is Precision.FP32:
        return "not needed, float ships"
    drops = "; ".join(f"{level} {drop.drop:+.3f}" for level, drop in networks.shipped.drops.items())
    layers = networks.shipped.layers
    done = f"{len(layers)} layers back in float" if layers else "not needed"
    return f"{done}, F1 drop on validation: {drops}"


def _compared(accuracy: Accuracy) -> str:
    if accuracy.drops is None:
        return "float itself, nothing is lost"
    drops = "; ".join(f"{level} {drop.drop:+.3f}" for level, drop in accuracy.drops.items())
    return f"F1 drop on test: {drops}"
