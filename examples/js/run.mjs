// SPDX-License-Identifier: Apache-2.0
// A patient's scan through a bundle's network, to the JSON of docs/result.md.

import { findRegions } from "./decision.mjs";
import { HostError, MODEL_INVALID } from "./errors.mjs";
import { walk } from "./patient.mjs";
import { inWindows, windowStep } from "./slice_window.mjs";

const FLOAT_TWIN = {
  code: "W2202",
  message:
    "ONNX Runtime ran the float network; thresholds and figures of the bundle are those of " +
    "OpenVINO, so a decision near its threshold may differ",
};

/**
 * Make a function that answers for planes [C, H, W].
 *
 * @param ort the module of onnxruntime-node or onnxruntime-web
 * @param session made of the bundle's model.onnx
 */
export function makeInfer(ort, session) {
  return async (planes, shape) => {
    const slices = new ort.Tensor("float32", planes, [1, ...shape]);
    const { probabilities, evidence } = await session.run({ slices });
    if (!probabilities.data.every((value) => value >= 0 && value <= 1))
      throw new HostError(MODEL_INVALID, "the network says what is no probability", "report the scan");
    return { probabilities: Array.from(probabilities.data), evidence };
  };
}

/**
 * Score all slices of a scan and decide.
 *
 * @param {{metadata, infer, engine: string}} host an opened bundle; `engine` is name and version
 * @param scan of openScan
 * @param {string} patient what the patient is called in the result
 * @param onSlice sees { z, planes, probabilities, evidence, done, total } of each slice; the planes
 *     [C x window, H, W] are filled again for the next one
 */
export async function runPatient(host, scan, patient, onSlice = () => {}) {
  const { phases, width, height, depth } = scan;
  const { input } = host.metadata;
  const channels = phases.length;
  const step = windowStep(input, scan.spacingMm[2]);
  const scores = new Array(depth);
  let done = 0;
  for await (const { z, planes } of inWindows(walk(scan), { channels, window: input.window, step })) {
    const answer = await host.infer(planes, [channels * input.window, height, width]);
    scores[z] = answer.probabilities;
    done += 1;
    onSlice({ z, planes, ...answer, done, total: depth });
  }
  return describe(host, scan, patient, scores);
}

/** Apply the bundle's rule to scores [Z][R]. */
export function decide({ decision, regions }, scores) {
  return findRegions(scores, decision, regions.names);
}

function describe({ metadata, engine }, scan, patient, scores) {
  const { width, height, depth, spacingMm } = scan;
  const { id, approach, name } = metadata;
  return {
    schema: "aminet.result/1",
    patient,
    status: "ok",
    created: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    model: { id, approach, precision: "fp32", bundle: name, engine },
    regions: decide(metadata, scores),
    min_consecutive_slices: metadata.decision.min_consecutive_slices,
    slices: { count: depth, probabilities: scores },
    input: { shape: [width, height, depth], spacing_mm: spacingMm, orientation: "LPS" },
    warnings: [FLOAT_TWIN],
    threads: 1,
    disclaimer: metadata.disclaimer,
  };
}
