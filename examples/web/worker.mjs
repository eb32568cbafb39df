// SPDX-License-Identifier: Apache-2.0
// All that takes time: verify the bundle, unzip, score, decide. The page only asks and shows.
//
// Messages in: { ask: "open" | "run" | "answerKit", .. }, one at a time; out: any number of
// { progress: [done, total] }, then { answer } or { error: one line }.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
import { openBundle } from "../js/bundle.mjs";
import { answerKit } from "../js/conformance.mjs";
import { asHostError } from "../js/errors.mjs";
import { openScan } from "../js/patient.mjs";
import { makeInfer, runPatient } from "../js/run.mjs";
import { KeySliceKeeper } from "./key_slices.mjs";
import { EvidenceVolumes, SmallScan } from "./small_volume.mjs";

ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("./node_modules/onnxruntime-web/dist/", import.meta.url).href;

const MAX_FLAGGED_SHOWN = 6;
const NEAREST_SHOWN = 3; // where nothing is flagged, the regions nearest to their thresholds

let host = null;

const ANSWERS = {
  async open({ files }) {
    host = null;
    const { metadata, model } = await openBundle(filesOf(files).readFile);
    const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    const engine = `onnxruntime-web ${ort.env.versions.web}`;
    host = { metadata, infer: makeInfer(ort, session), engine };
    return { name: metadata.name, channels: metadata.input.channels };
  },

  async run({ files, patient }) {
    const scan = await openScan(host.metadata.input.channels, filesOf(files).openFile);
    const keeper = new KeySliceKeeper(host.metadata.decision);
    const small = new SmallScan(scan);
    const evidence = new EvidenceVolumes(scan);
    const result = await runPatient(host, scan, patient, (slice) => {
      const size = scan.width * scan.height;
      const middle = (host.metadata.input.window - 1) / 2; // of the window of the first phase
      const hu = slice.planes.subarray(middle * size, (middle + 1) * size);
      keeper.see(slice, hu);
      small.add(slice.z, hu);
      evidence.add(slice.z, slice.evidence);
      postMessage({ progress: [slice.done, slice.total] });
    });
    const exhibits = worthAPicture(result.regions).map((finding) => ({
      finding,
      ...keeper.forFinding(finding),
    }));
    return { result, exhibits, scan: small.toNifti(), evidence: evidence.toNifti() };
  },

  answerKit: ({ files }) => answerKit(host, filesOf(files)),
};

/** Files that the person chose, by path; a path is that below the folder that was chosen. */
function filesOf(files) {
  return {
    readFile: async (path) => files.get(path)?.arrayBuffer().then((b) => new Uint8Array(b)) ?? null,
    openFile: (path) => files.get(path)?.stream() ?? null,
  };
}

function worthAPicture(regions) {
  const byProbability = regions.toSorted((a, b) => b.probability - a.probability);
  const flagged = byProbability.filter((region) => region.affected);
  if (flagged.length > 0) return flagged.slice(0, MAX_FLAGGED_SHOWN);
  const below = ({ probability, threshold }) => 1 - probability / threshold;
  const assessed = regions.filter((region) => region.affected !== null);
  return assessed.toSorted((a, b) => below(a) - below(b)).slice(0, NEAREST_SHOWN);
}

self.onmessage = async ({ data }) => {
  try {
    const answer = await ANSWERS[data.ask](data);
    postMessage({ answer }, [answer.scan, ...(answer.evidence ?? [])].filter(Boolean));
  } catch (error) {
    postMessage({ error: asHostError(error).line });
  }
};
