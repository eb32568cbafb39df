// SPDX-License-Identifier: Apache-2.0
// What NiiVue shows: the scan made smaller, and the evidence, as NIfTI in memory.
// Collected in the worker while the slices stream by, so that the page reads no file a second time.

const HEADER_BYTES = 352;
const MAX_SIDE = 128; // voxels; NiiVue works in the page's thread, so 512 would make it wait
const INT16 = { code: 4, bits: 16, Array: Int16Array };
const FLOAT32 = { code: 16, bits: 32, Array: Float32Array };

/** The mean of each step x step voxels of a slice, for all slices. */
export class SmallScan {
  #voxels;

  constructor({ width, height, depth, spacingMm }) {
    this.step = Math.ceil(Math.max(width, height) / MAX_SIDE);
    this.source = { width, height };
    this.grid = { width: Math.floor(width / this.step), height: Math.floor(height / this.step), depth };
    this.spacingMm = spacingMm;
    this.#voxels = new Int16Array(this.grid.width * this.grid.height * depth);
  }

  add(z, hu) {
    const { width, height } = this.grid;
    for (let row = 0, to = z * width * height; row < height; row++)
      for (let column = 0; column < width; column++) this.#voxels[to++] = this.#mean(row, column, hu);
  }

  toNifti() {
    const [x, y, z] = this.spacingMm;
    return writeNifti(this.#voxels, INT16, this.grid, [this.step * x, this.step * y, z]);
  }

  #mean(row, column, hu) {
    const { step, source } = this;
    const first = row * step * source.width + column * step;
    let sum = 0;
    for (let down = 0; down < step; down++)
      for (let right = 0; right < step; right++) sum += hu[first + down * source.width + right];
    return sum / step ** 2;
  }
}

/** The evidence of all regions in all slices. */
export class EvidenceVolumes {
  #scan;
  #slices = [];

  constructor(scan) {
    this.#scan = scan;
  }

  add(z, { dims, data }) {
    this.#slices[z] = { dims, data: data.slice() };
  }

  /** A volume for each region, as NIfTI. */
  toNifti() {
    const [, regions, height, width] = this.#slices[0].dims;
    const [x, y, z] = this.#scan.spacingMm;
    const spacingMm = [(x * this.#scan.width) / width, (y * this.#scan.height) / height, z];
    const grid = { width, height, depth: this.#slices.length };
    const cells = width * height;
    return Array.from({ length: regions }, (_, region) => {
      const voxels = new Float32Array(cells * grid.depth);
      this.#slices.forEach(({ data }, index) =>
        voxels.set(data.subarray(region * cells, (region + 1) * cells), index * cells),
      );
      return writeNifti(voxels, FLOAT32, grid, spacingMm);
    });
  }
}

/** A NIfTI-1 file of voxels [Z, H, W] in LPS; the first voxel's corner lies at 0, 0, 0 mm. */
function writeNifti(voxels, type, { width, height, depth }, [x, y, z]) {
  const file = new ArrayBuffer(HEADER_BYTES + voxels.byteLength);
  const view = new DataView(file);
  const put = (method, at, values) =>
    values.forEach((value, i) => view[method](at + i * (method === "setInt16" ? 2 : 4), value, true));
  put("setInt32", 0, [348]);
  put("setInt16", 40, [3, width, height, depth, 1, 1, 1, 1]);
  put("setInt16", 70, [type.code, type.bits]);
  put("setFloat32", 76, [1, x, y, z]);
  put("setFloat32", 108, [HEADER_BYTES, 1, 0]); // vox_offset, scl_slope, scl_inter
  view.setUint8(123, 2); // millimetres
  put("setInt16", 252, [0, 1]); // no qform, an sform of the scanner
  put("setFloat32", 280, [-x, 0, 0, -x / 2, 0, -y, 0, -y / 2, 0, 0, z, z / 2]); // to RAS
  put("setInt32", 344, [0x00312b6e]); // n+1
  new type.Array(file, HEADER_BYTES).set(voxels);
  return file;
}
