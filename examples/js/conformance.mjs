// SPDX-License-Identifier: Apache-2.0
// Answer a conformance kit, as docs/embedding.md says, by what answers for patients.

import { HostError, INPUT_MISSING } from "./errors.mjs";
import { openScan } from "./patient.mjs";
import { decide, runPatient } from "./run.mjs";

/**
 * @param host as for runPatient
 * @param kit { readFile, openFile }: a file of the kit as bytes or as a stream, by its path in the
 *     kit; null where there is none
 */
export async function answerKit(host, kit) {
  const expected = await readJson(kit, "conformance.json");
  const answers = { schema: "aminet.conformance-answers/1", slices: [], patients: {}, decisions: [] };
  for (const { file, shape } of expected.slices)
    answers.slices.push((await host.infer(await readFloats(kit, file), shape)).probabilities);
  for (const { name, folder } of expected.patients) {
    const scan = await openScan(host.metadata.input.channels, (file) =>
      kit.openFile(`${folder}/${file}`),
    );
    answers.patients[name] = await runPatient(host, scan, name);
  }
  for (const { scores } of expected.decisions)
    answers.decisions.push({ regions: decide(host.metadata, scores) });
  return answers;
}

async function readJson(kit, path) {
  return JSON.parse(new TextDecoder().decode(await read(kit, path)));
}

async function readFloats(kit, path) {
  const bytes = await read(kit, path);
  return new Float32Array(bytes.slice().buffer); // little-endian, as all hosts of today
}

async function read(kit, path) {
  const bytes = await kit.readFile(path);
  if (bytes === null)
    throw Object.assign(new HostError(INPUT_MISSING, "is not there", "name a kit"), { file: path });
  return bytes;
}
