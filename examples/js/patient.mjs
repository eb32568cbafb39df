// SPDX-License-Identifier: Apache-2.0
// The phases and the atlas of one patient, read in step: planes [C, H, W], slice by slice.

import { HostError, INPUT_INCONSISTENT, INPUT_MISSING, about } from "./errors.mjs";
import { inflated, openVolume } from "./nifti.mjs";

/** The files of the channels that are read here: the phases, in HU, and the region of each voxel. */
export const STEMS = { cta1: "CTA1", cta2: "CTA2regA", cta3: "CTA3regA", atlas: "ATLASMASKregA" };
const REGION_COUNT = 15;

/**
 * Open the file of each channel.
 *
 * @param {string[]} channels in the order of the planes
 * @param {(name: string) => ReadableStream | null} openFile gives a file's bytes, null where there
 *     is none
 */
export async function openScan(channels, openFile) {
  const phases = [];
  for (const channel of channels) {
    const { name, stream } = findFile(STEMS[channel], openFile);
    const phase = await about(name, async () => openPhase(name, await inflated(stream)));
    phases.push({ ...phase, isAtlas: channel === "atlas" });
  }
  const [first] = phases;
  for (const phase of phases)
    if (["width", "height", "depth"].some((side) => phase.volume[side] !== first.volume[side]))
      refuse(phase.name, `its size is not that of ${first.name}`, "export all phases on one grid");
  return { phases, ...first.volume };
}

function findFile(stem, openFile) {
  for (const name of [`${stem}.nii.gz`, `${stem}.nii`]) {
    const stream = openFile(name);
    if (stream !== null) return { name, stream };
  }
  const missing = new HostError(INPUT_MISSING, "there is no such file", "the bundle reads it; add it");
  throw Object.assign(missing, { file: `${stem}.nii.gz` });
}

async function openPhase(name, stream) {
  const volume = await openVolume(stream);
  return { name, volume, slices: volume.slices() };
}

/** Yield { z, planes }, in stored order; one buffer of planes is filled again and again. */
export async function* walk({ phases, width, height, depth }) {
  const planes = new Float32Array(phases.length * height * width);
  for (let step = 0; step < depth; step++) {
    const together = await Promise.all(phases.map(nextSlice));
    const z = together[0].z;
    together.forEach((slice, channel) => {
      if (slice.z !== z)
        refuse(phases[channel].name, "it is stored in another direction", "export all phases alike");
      if (phases[channel].isAtlas) requireRegions(phases[channel].name, slice.hu);
      planes.set(slice.hu, channel * height * width);
    });
    yield { z, planes };
  }
}

/** An atlas that is no atlas would give wrong regions without a word. */
function requireRegions(name, values) {
  const isRegion = (value) => Number.isInteger(value) && value >= 0 && value < REGION_COUNT;
  if (!values.every(isRegion))
    refuse(name, "it holds values that are no regions", "export the regions as whole numbers 0 to 14");
}

function nextSlice({ name, slices }) {
  return about(name, async () => (await slices.next()).value);
}

function refuse(file, message, hint) {
  throw Object.assign(new HostError(INPUT_INCONSISTENT, message, hint), { file });
}
