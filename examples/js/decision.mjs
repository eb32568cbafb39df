// SPDX-License-Identifier: Apache-2.0
// From slice scores to regions: the rule of docs/result.md. Scores are [Z][R], lowest slice first.

/** @param decision, names: as in the bundle's metadata.json */
export function findRegions(scores, decision, names) {
  return names.map((name, index) => {
    const threshold = decision.thresholds[index];
    const column = scores.map((row) => row[index]);
    return { index, name, ...assess(column, threshold, decision.min_consecutive_slices) };
  });
}

function assess(column, threshold, minConsecutive) {
  if (threshold === null)
    return { affected: null, probability: null, threshold, slices: [], peak_slice: null };
  const run = Math.min(minConsecutive, column.length);
  const kept = new Set();
  let probability = 0;
  for (let start = 0; start + run <= column.length; start++) {
    const lowest = Math.min(...column.slice(start, start + run));
    probability = Math.max(probability, lowest);
    if (lowest >= threshold) for (let z = start; z < start + run; z++) kept.add(z);
  }
  const slices = [...kept].sort((a, b) => a - b);
  const candidates = slices.length > 0 ? slices : [...column.keys()];
  const peak = candidates.reduce((best, z) => (column[z] > column[best] ? z : best));
  return { affected: probability >= threshold, probability, threshold, slices, peak_slice: peak };
}
