// SPDX-License-Identifier: Apache-2.0
// A bundle (docs/bundle.md) for hosts that run model.onnx: every file is hashed before any is parsed.

import { HostError, MODEL_INCOMPATIBLE, MODEL_INVALID, MODEL_UNTRUSTED, about } from "./errors.mjs";
import { STEMS } from "./patient.mjs";

const MODEL = "model.onnx";
const METADATA = "metadata.json";
const MANIFEST = "SHA256SUMS";
const MAX_MANIFEST_BYTES = 64 * 1024;
const MANIFEST_LINE = /^([0-9a-f]{64}) {2}([A-Za-z0-9][A-Za-z0-9._-]{0,99})$/;
const COPY_HINT = "get the bundle again";

/**
 * Verify a bundle, and return what a host needs of it.
 *
 * @param {(name: string) => Promise<Uint8Array | null>} readFile gives the bytes of a regular file
 *     of the bundle's folder, null where there is none
 * @returns {Promise<{metadata: object, model: Uint8Array}>} of the bytes that were hashed
 */
export async function openBundle(readFile) {
  const kept = await readVerified(readFile);
  if (!kept[METADATA]) refuse(MODEL_INVALID, METADATA, "is not there", COPY_HINT);
  if (!kept[MODEL])
    refuse(MODEL_INCOMPATIBLE, MODEL, "is not in the bundle", "use the bundle as it was exported");
  const metadata = await about(METADATA, () => parseMetadata(kept[METADATA]));
  return { metadata, model: kept[MODEL] };
}

async function readVerified(readFile) {
  const kept = {};
  for (const [name, hash] of parseManifest(await readFile(MANIFEST))) {
    const bytes = await readFile(name);
    if (bytes === null) refuse(MODEL_UNTRUSTED, name, "is no regular file", COPY_HINT);
    if ((await sha256(bytes)) !== hash) refuse(MODEL_UNTRUSTED, name, "was changed", COPY_HINT);
    if (name === METADATA || name === MODEL) kept[name] = bytes;
  }
  return kept;
}

function parseManifest(bytes) {
  if (bytes === null)
    refuse(MODEL_INVALID, MANIFEST, "is not there, so this is no bundle", "name a bundle's folder");
  const text = new TextDecoder().decode(bytes.subarray(0, MAX_MANIFEST_BYTES + 1));
  const lines = text.split("\n");
  const entries = lines.slice(0, -1).map((line) => MANIFEST_LINE.exec(line)?.slice(1, 3).reverse());
  const names = new Set(entries.map((entry) => entry?.[0]));
  const isSound = text.length <= MAX_MANIFEST_BYTES && lines.at(-1) === "" && entries.every(Boolean);
  if (!isSound || names.size !== entries.length)
    refuse(MODEL_UNTRUSTED, MANIFEST, "is not what sha256sum writes", COPY_HINT);
  return entries;
}

async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function parseMetadata(bytes) {
  let metadata;
  try {
    metadata = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new HostError(MODEL_INVALID, `it is no JSON (${cause.message})`, COPY_HINT);
  }
  const otherHost = "use aminet-run, or another bundle";
  if (metadata.schema !== "aminet.bundle/1")
    throw new HostError(MODEL_INCOMPATIBLE, `schema ${metadata.schema} is not known`, otherHost);
  if (![1, 3, 5].includes(metadata.input.window))
    throw new HostError(MODEL_INCOMPATIBLE, "its window of slices is not known", otherHost);
  if (metadata.input.channels.some((channel) => !(channel in STEMS)))
    throw new HostError(MODEL_INCOMPATIBLE, "it reads channels that are not read here", otherHost);
  return metadata;
}

function refuse(exitCode, file, message, hint) {
  throw Object.assign(new HostError(exitCode, message, hint), { file });
}
