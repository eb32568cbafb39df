// SPDX-License-Identifier: Apache-2.0
// Findings in words, as aminet_runtime.finding_text puts them: never "negative".

const MAX_RUNS_SHOWN = 3;

export function findingWord({ affected }) {
  if (affected === null) return "not assessed";
  return affected ? "FLAGGED" : "not flagged";
}

/** Flagged, not assessed, not flagged; within these by probability, then by index. */
export function flaggedFirst(regions) {
  const rank = ({ affected }) => (affected === null ? 1 : affected ? 0 : 2);
  return regions.toSorted(
    (a, b) => rank(a) - rank(b) || b.probability - a.probability || a.index - b.index,
  );
}

/** Three digits, rounded down, so that 0.4999 does not look like the 0.5 that it misses. */
export function roundedDown(probability) {
  return probability === null ? "-" : (Math.floor(probability * 1000 + 1e-6) / 1000).toFixed(3);
}

/** Runs of slices: `3-7, 12`; long lists are cut. */
export function sliceRuns(slices) {
  const runs = [];
  for (const index of slices)
    if (runs.length > 0 && index === runs.at(-1)[1] + 1) runs.at(-1)[1] = index;
    else runs.push([index, index]);
  const shown = runs.slice(0, MAX_RUNS_SHOWN);
  const words = shown.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  return words.join(", ") + (runs.length > MAX_RUNS_SHOWN ? ", ..." : "");
}

export function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
