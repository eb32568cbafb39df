// SPDX-License-Identifier: Apache-2.0
// Run a bundle's model.onnx on a patient folder, in Node. The forms are in ../README.md.
// Not checked: whether the scan shows a head in HU (aminet_runtime.scan_check); a product must.

import { createReadStream, existsSync, lstatSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { Readable } from "node:stream";
import * as ort from "onnxruntime-node";

import { openBundle } from "../js/bundle.mjs";
import { answerKit } from "../js/conformance.mjs";
import { asHostError } from "../js/errors.mjs";
import { openScan } from "../js/patient.mjs";
import { makeInfer, runPatient } from "../js/run.mjs";

/** A folder's files, by name; null where there is no regular file. */
function filesOf(folder) {
  const isFile = (path) => existsSync(path) && lstatSync(path).isFile();
  const find = (name) => [join(folder, name)].find(isFile);
  return {
    readFile: async (name) => (find(name) ? new Uint8Array(readFileSync(find(name))) : null),
    openFile: (name) => (find(name) ? Readable.toWeb(createReadStream(find(name))) : null),
  };
}

async function openHost(folder) {
  const { metadata, model } = await openBundle(filesOf(folder).readFile);
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1 });
  const engine = `onnxruntime-node ${ort.env.versions.node}`;
  return { metadata, infer: makeInfer(ort, session), engine };
}

async function main([bundle, ...words]) {
  const host = await openHost(bundle);
  if (words[0] === "--kit") return answerKit(host, filesOf(words[1]));
  const scan = await openScan(host.metadata.input.channels, filesOf(words[0]).openFile);
  return runPatient(host, scan, basename(resolve(words[0])));
}

try {
  console.log(JSON.stringify(await main(process.argv.slice(2))));
} catch (thrown) {
  const error = asHostError(thrown);
  console.error(`aminet_host: ${error.line}`);
  process.exitCode = error.exitCode;
}
