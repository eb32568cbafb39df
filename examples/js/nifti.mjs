// SPDX-License-Identifier: Apache-2.0
// A NIfTI-1 stream as canonical axial slices in HU: [H, W] in LPS, as docs/architecture.md says.
// For Node and for browsers: only web streams are used.

import { HostError, INPUT_DAMAGED, INPUT_UNSUPPORTED } from "./errors.mjs";

const READERS = {
  2: [1, (view, at) => view.getUint8(at)],
  4: [2, (view, at) => view.getInt16(at, true)],
  8: [4, (view, at) => view.getInt32(at, true)],
  16: [4, (view, at) => view.getFloat32(at, true)],
  64: [8, (view, at) => view.getFloat64(at, true)],
  256: [1, (view, at) => view.getInt8(at)],
  512: [2, (view, at) => view.getUint16(at, true)],
};
const HEADER_BYTES = 352;
const MAX_AXIS_VOXELS = 4096;
const MIN_COSINE = 0.819; // of 35 degrees; beyond them an axis has no name

function refuse(why) {
  throw new HostError(INPUT_UNSUPPORTED, why, "convert it from DICOM again");
}

function damaged(why) {
  return new HostError(INPUT_DAMAGED, why, "copy the file again");
}

/** Read exact numbers of bytes from a stream of chunks of any size. */
class ByteReader {
  #source;
  #chunk = new Uint8Array(0);

  constructor(stream) {
    this.#source = stream.getReader();
  }

  async read(out) {
    for (let at = 0; at < out.length; ) {
      if (this.#chunk.length === 0) {
        const { done, value } = await this.#next();
        if (done) throw damaged("the file ends early");
        this.#chunk = value;
      }
      const part = this.#chunk.subarray(0, out.length - at);
      out.set(part, at);
      at += part.length;
      this.#chunk = this.#chunk.subarray(part.length);
    }
  }

  /** Meet the end, where the check sum is compared. */
  async finish() {
    if (this.#chunk.length > 0) throw damaged("the file goes on behind its end");
    for (;;) {
      const { done, value } = await this.#next();
      if (done) return;
      if (value.length > 0) throw damaged("the file goes on behind its end");
    }
  }

  /** Browsers and Node have words of their own for a stream that is cut or changed. */
  async #next() {
    try {
      return await this.#source.read();
    } catch (cause) {
      throw damaged(`the file cannot be read to its end (${cause.message})`);
    }
  }
}

/** Check the header; `axes` and `flipped` say how the stored axes lie along x, y, z of LPS. */
function parseHeader(view) {
  if (view.getInt32(0, true) !== 348 || view.getUint32(344, true) !== 0x00312b6e)
    refuse("it is no little-endian NIfTI-1 file");
  const dim = Array.from({ length: 8 }, (_, i) => view.getInt16(40 + 2 * i, true));
  const count = dim.slice(1, 4);
  if (dim[0] < 3 || dim[0] > 7 || dim.slice(4, dim[0] + 1).some((n) => n !== 1))
    refuse("it is no single volume");
  if (count.some((n) => n < 1 || n > MAX_AXIS_VOXELS)) refuse("an axis is empty or too long");
  const spacing = [0, 1, 2].map((i) => view.getFloat32(80 + 4 * i, true));
  if (!spacing.every((mm) => mm >= 0.01 && mm <= 100)) refuse("bad voxel size");
  if (![0, 2].includes(view.getUint8(123) & 7)) refuse("it does not count in millimetres");
  const reader = READERS[view.getInt16(70, true)];
  if (!reader || view.getInt16(72, true) !== 8 * reader[0]) refuse("its datatype");
  const offset = view.getFloat32(108, true);
  if (!(offset >= HEADER_BYTES && offset <= 2 ** 24)) refuse("its voxels start at a bad place");
  const stated = view.getFloat32(112, true);
  const isScaled = stated !== 0 && !Number.isNaN(stated);
  const slope = isScaled ? stated : 1;
  const intercept = isScaled ? view.getFloat32(116, true) : 0;
  if (!Number.isFinite(slope) || !Number.isFinite(intercept)) refuse("its scaling");
  return { count, spacing, reader, offset, slope, intercept, ...place(view) };
}

/** Name the stored axes by sform or qform; where both are there, they must agree. */
function place(view) {
  const known = [];
  if (view.getInt16(254, true) > 0)
    known.push([0, 1, 2].map((r) => [0, 1, 2].map((c) => view.getFloat32(280 + 16 * r + 4 * c, true))));
  if (view.getInt16(252, true) > 0) known.push(rotation(view));
  if (known.length === 0) refuse("its header does not say how the patient lies");
  const named = known.map(nameAxes);
  if (named.length === 2 && JSON.stringify(named[0]) !== JSON.stringify(named[1]))
    refuse("qform and sform contradict each other");
  return named[0];
}

function rotation(view) { // nifti1.h, method 2
  const [b, c, d] = [256, 260, 264].map((at) => view.getFloat32(at, true));
  const a = Math.sqrt(Math.max(0, 1 - b * b - c * c - d * d));
  const side = view.getFloat32(76, true) < 0 ? -1 : 1;
  return [
    [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), side * 2 * (b * d + a * c)],
    [2 * (b * c + a * d), a * a + c * c - b * b - d * d, side * 2 * (c * d - a * b)],
    [2 * (b * d - a * c), 2 * (c * d + a * b), side * (a * a + d * d - b * b - c * c)],
  ];
}

function nameAxes(matrix) {
  const axes = [-1, -1, -1];
  const flipped = [false, false, false];
  for (let stored = 0; stored < 3; stored++) {
    const column = matrix.map((row) => row[stored]);
    const sizes = column.map(Math.abs);
    const world = sizes.indexOf(Math.max(...sizes));
    if (!(sizes[world] >= MIN_COSINE * Math.hypot(...column)) || axes[world] !== -1)
      refuse("its slices are oblique");
    axes[world] = stored;
    flipped[world] = (column[world] > 0) === (world !== 2); // x and y of LPS run against RAS
  }
  return { axes, flipped };
}

/** Unzip a stream if its first bytes say that it is gzipped, whatever the file is called. */
export async function inflated(stream) {
  const source = stream.getReader();
  const first = await source.read();
  const whole = new ReadableStream({
    start: (out) => (first.done ? out.close() : out.enqueue(first.value)),
    pull: async (out) => {
      const { done, value } = await source.read();
      if (done) out.close();
      else out.enqueue(value);
    },
    cancel: (why) => source.cancel(why),
  });
  const isGzipped = first.value?.[0] === 0x1f && first.value?.[1] === 0x8b;
  return isGzipped ? whole.pipeThrough(new DecompressionStream("gzip")) : whole;
}

/** Open one volume: its canonical shape, and its slices in the order in which they come. */
export async function openVolume(stream) {
  const bytes = new ByteReader(stream);
  const head = new Uint8Array(HEADER_BYTES);
  await bytes.read(head);
  const header = parseHeader(new DataView(head.buffer));
  await bytes.read(new Uint8Array(header.offset - HEADER_BYTES));
  const [width, height, depth] = header.axes.map((stored) => header.count[stored]);
  const spacingMm = header.axes.map((stored) => header.spacing[stored]);
  return { width, height, depth, spacingMm, slices: () => slices(bytes, header) };
}

/** Yield { z, hu }: axial scans stream through one buffer, others are held as a whole. */
async function* slices(bytes, header) {
  const { count, axes, flipped, reader } = header;
  const isAxial = axes[2] === 2;
  const depth = count[axes[2]];
  const stored = new Uint8Array(count[0] * count[1] * (isAxial ? 1 : count[2]) * reader[0]);
  const hu = new Float32Array(count[axes[0]] * count[axes[1]]);
  for (let step = 0; step < depth; step++) {
    if (isAxial || step === 0) await bytes.read(stored);
    if (step === (isAxial ? depth - 1 : 0)) await bytes.finish();
    const z = isAxial && flipped[2] ? depth - 1 - step : step;
    writeHu(stored, header, isAxial ? null : z, hu);
    yield { z, hu };
  }
}

function writeHu(stored, { count, axes, flipped, reader, slope, intercept }, z, out) {
  const [voxelBytes, read] = reader;
  const jump = [1, count[0], count[0] * count[1]].map((voxels) => voxels * voxelBytes);
  const offset = (world, index) =>
    jump[axes[world]] * (flipped[world] ? count[axes[world]] - 1 - index : index);
  const view = new DataView(stored.buffer);
  const step = flipped[0] ? -jump[axes[0]] : jump[axes[0]];
  const base = offset(0, 0) + (z === null ? 0 : offset(2, z));
  const [width, height] = [count[axes[0]], count[axes[1]]];
  for (let row = 0, to = 0; row < height; row++)
    for (let column = 0, at = base + offset(1, row); column < width; column++, at += step)
      out[to++] = Math.fround(Math.fround(read(view, at)) * slope) + intercept; // float32, as Python
}
