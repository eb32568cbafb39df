// SPDX-License-Identifier: Apache-2.0
// From single slices to the planes of a network: a slice with its neighbours; docs/bundle.md.

/** How many slices apart the neighbours of a window are. */
export function windowStep({ window_spacing_mm: wantedMm }, sliceSpacingMm) {
  if (wantedMm === null) return 1;
  return Math.max(1, halfToEven(wantedMm / sliceSpacingMm));
}

/**
 * Yield { z, planes } with the neighbours' planes, [C x window, H, W], low to high for each channel;
 * one buffer is filled again and again. Slices come in stored order; beyond the ends the last repeats.
 *
 * @param slices as of walk: { z, planes } with planes [C, H, W]
 * @param {{channels: number, window: number, step: number}} wanted
 */
export async function* inWindows(slices, { channels, window, step }) {
  const half = (window - 1) / 2;
  const reach = half * step;
  const ring = []; // the last 2 * reach + 1 slices
  const at = (position) => ring[position % (2 * reach + 1)];
  let planes = null;
  let count = 0;

  function around(centre) {
    const places = Array.from({ length: window }, (_, k) => centre + (k - half) * step);
    const near = places.map((place) => at(Math.min(Math.max(place, 0), count - 1)));
    near.sort((one, other) => one.z - other.z); // stored upward or downward
    const size = near[0].planes.length / channels;
    planes ??= new Float32Array(channels * window * size);
    near.forEach((slice, place) => {
      for (let channel = 0; channel < channels; channel++) {
        const plane = slice.planes.subarray(channel * size, (channel + 1) * size);
        planes.set(plane, (channel * window + place) * size);
      }
    });
    return { z: at(centre).z, planes };
  }

  for await (const { z, planes: read } of slices) {
    const kept = at(count)?.planes ?? new Float32Array(read.length);
    kept.set(read);
    ring[count % (2 * reach + 1)] = { z, planes: kept };
    count += 1;
    if (count > reach) yield around(count - 1 - reach);
  }
  for (let centre = Math.max(0, count - reach); centre < count; centre++) yield around(centre);
}

/** Round as Python does, so that all hosts look at the same neighbours. */
function halfToEven(value) {
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 === 1 ? up - 1 : up;
}
