// SPDX-License-Identifier: Apache-2.0
// Run a bundle's model.onnx on a patient folder, in Node. The three forms are in ../README.md.
// Not checked: whether the scan shows a head in HU (aminet_runtime.scan_check); a product must.

import { createHash } from "node:crypto";
import { createReadStream, existsSync, lstatSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { Readable } from "node:stream";
import * as ort from "onnxruntime-node";

import { findRegions } from "../js/decision.mjs";
import { openVolume } from "../js/nifti.mjs";

const STEMS = { cta1: "CTA1", cta2: "CTA2regA", cta3: "CTA3regA" };
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;

/** Verify all files that SHA256SUMS lists; what is parsed later are the bytes that were hashed. */
function readBundle(folder) {
  const files = {};
  for (const line of readFileSync(join(folder, "SHA256SUMS"), "utf8").trimEnd().split("\n")) {
    const [hash, name] = [line.slice(0, 64), line.slice(66)];
    if (!NAME.test(name) || name in files) throw new Error("SHA256SUMS has a bad name");
    if (!lstatSync(join(folder, name)).isFile()) throw new Error(`${name} is no regular file`);
    files[name] = readFileSync(join(folder, name));
    if (createHash("sha256").update(files[name]).digest("hex") !== hash)
      throw new Error(`${name} was changed; get the bundle again`);
  }
  if (!files["model.onnx"]) throw new Error("the bundle has no model.onnx");
  const metadata = JSON.parse(files["metadata.json"]);
  if (metadata.schema !== "aminet.bundle/1") throw new Error(`${metadata.schema} is not known`);
  if (metadata.input.window !== 1) throw new Error("windows of several slices are not run here");
  if (metadata.input.channels.some((channel) => !(channel in STEMS)))
    throw new Error("channels that are not in HU are not run here");
  return { metadata, model: files["model.onnx"] };
}

async function infer(session, planes, shape) {
  const slices = new ort.Tensor("float32", planes, [1, ...shape]);
  const { probabilities } = await session.run({ slices }, ["probabilities"]);
  return Array.from(probabilities.data);
}

function openFile(patient, channel) {
  for (const suffix of [".nii.gz", ".nii"]) {
    const path = join(patient, STEMS[channel] + suffix);
    if (!existsSync(path)) continue;
    const stream = Readable.toWeb(createReadStream(path));
    const isZipped = suffix === ".nii.gz";
    return openVolume(isZipped ? stream.pipeThrough(new DecompressionStream("gzip")) : stream);
  }
  throw new Error(`${STEMS[channel]}.nii.gz is not there`);
}

async function scorePatient(session, volumes) {
  const { width, height, depth } = volumes[0];
  if (volumes.some((v) => v.width !== width || v.height !== height || v.depth !== depth))
    throw new Error("the phases have different sizes");
  const planes = new Float32Array(volumes.length * height * width);
  const walks = volumes.map((volume) => volume.slices());
  const scores = new Array(depth);
  for (let step = 0; step < depth; step++) {
    const together = await Promise.all(walks.map((walk) => walk.next()));
    const z = together[0].value.z;
    if (together.some((one) => one.value.z !== z))
      throw new Error("the phases are stored in different directions");
    together.forEach((one, channel) => planes.set(one.value.hu, channel * height * width));
    scores[z] = await infer(session, planes, [volumes.length, height, width]);
  }
  await Promise.all(walks.map((walk) => walk.next()));
  return scores;
}

async function runPatient(session, metadata, patient) {
  const volumes = await Promise.all(metadata.input.channels.map((name) => openFile(patient, name)));
  const scores = await scorePatient(session, volumes);
  const { width, height, depth, spacingMm } = volumes[0];
  return {
    schema: "aminet.result/1",
    patient: basename(resolve(patient)),
    status: "ok",
    created: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    model: { id: metadata.id, approach: metadata.approach, precision: "fp32", bundle: metadata.name },
    regions: findRegions(scores, metadata.decision, metadata.regions.names),
    min_consecutive_slices: metadata.decision.min_consecutive_slices,
    slices: { count: depth, probabilities: scores },
    input: { shape: [width, height, depth], spacing_mm: spacingMm, orientation: "LPS" },
    threads: 1,
    disclaimer: metadata.disclaimer,
  };
}

function readFloats(path) {
  const data = readFileSync(path);
  return new Float32Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.length));
}

function decide(metadata, path) {
  const { names } = metadata.regions;
  const values = readFloats(path);
  const scores = Array.from({ length: values.length / names.length }, (_, z) =>
    Array.from(values.subarray(z * names.length, (z + 1) * names.length)),
  );
  return { regions: findRegions(scores, metadata.decision, names) };
}

async function main([folder, ...words]) {
  const { metadata, model } = readBundle(folder);
  if (words[0] === "--decide") return decide(metadata, words[1]);
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
  if (words[0] === "--planes") return infer(session, readFloats(words[1]), words.slice(2).map(Number));
  return runPatient(session, metadata, words[0]);
}

try {
  console.log(JSON.stringify(await main(process.argv.slice(2))));
} catch (error) {
  console.error(`aminet_host: error: ${error.message}`);
  process.exitCode = 1;
}
