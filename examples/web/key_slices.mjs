// SPDX-License-Identifier: Apache-2.0
// The slices that the page shows, kept while all stream by once; aminet_runtime.report.key_slices.
//
// Which slice is a region's peak is known only at the end: for a flagged region it is the best slice
// of those runs that are long enough. So each region keeps the best of all, of the run that is going
// on, and of the finished runs.

export const CT_DISPLAY_HU = [-100, 500]; // width 600, level 200: vessels bright, brain grey

export class KeySliceKeeper {
  #rule;
  #best = new Map();
  #bestOfRun = new Map();
  #bestOfRuns = new Map();
  #runLengths;

  /** @param decision of the bundle's metadata.json */
  constructor(decision) {
    this.#rule = decision;
    this.#runLengths = decision.thresholds.map(() => 0);
  }

  /** Look at one slice, in stored order. `hu` is the plane to be shown. */
  see({ z, probabilities, evidence }, hu) {
    const picture = lazily(() => windowed(hu));
    this.#rule.thresholds.forEach((threshold, region) => {
      if (threshold === null) return;
      const seen = { z, score: probabilities[region], region, evidence, picture };
      this.#compare(region, threshold, seen);
    });
  }

  /** The peak slice of a region, { z, grey, evidence }; undefined if it was not assessed. */
  forFinding({ index, affected }) {
    const run = this.#bestOfRuns.get(index) ?? this.#bestOfRun.get(index);
    return (affected && run) || this.#best.get(index);
  }

  #compare(region, threshold, seen) {
    keepBetter(this.#best, region, seen);
    if (seen.score < threshold) {
      this.#runLengths[region] = 0;
      this.#bestOfRun.delete(region);
      return;
    }
    this.#runLengths[region] += 1;
    keepBetter(this.#bestOfRun, region, seen);
    if (this.#runLengths[region] < this.#rule.min_consecutive_slices) return;
    const run = this.#bestOfRun.get(region);
    if (isBetter(run, this.#bestOfRuns.get(region))) this.#bestOfRuns.set(region, run);
  }
}

/** Of equal scores the lowest slice wins. */
function isBetter(one, other) {
  return !other || one.score > other.score || (one.score === other.score && one.z < other.z);
}

function keepBetter(kept, region, { z, score, evidence, picture }) {
  if (!isBetter({ z, score }, kept.get(region))) return;
  kept.set(region, { z, score, grey: picture(), evidence: evidenceOf(evidence, region) });
}

/** The network's map of one region: { values, height, width }; its cells cover the whole slice. */
export function evidenceOf(tensor, region) {
  const [, , height, width] = tensor.dims;
  const cells = height * width;
  return { values: tensor.data.slice(region * cells, (region + 1) * cells), height, width };
}

function windowed(hu) {
  const [low, high] = CT_DISPLAY_HU;
  return Uint8ClampedArray.from(hu, (value) => ((value - low) * 255) / (high - low));
}

function lazily(make) {
  let made;
  return () => (made ??= make());
}
