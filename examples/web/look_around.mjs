// SPDX-License-Identifier: Apache-2.0
// NiiVue on the small scan, with one region's evidence upon it.

import { Niivue, NVImage, SHOW_RENDER } from "./node_modules/@niivue/niivue/dist/index.js";

import { CT_DISPLAY_HU } from "./key_slices.mjs";

const EVIDENCE_OPACITY = 0.5;
const OPTIONS = {
  dragAndDropEnabled: false, // the page takes what is dropped
  isRadiologicalConvention: true,
  isOrientCube: false,
  multiplanarShowRender: SHOW_RENDER.NEVER,
  logLevel: "error",
};

export class View {
  #canvas;
  #niivue = null;
  #evidence = [];

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /**
   * @param {ArrayBuffer} scan NIfTI
   * @param {ArrayBuffer[]} evidence NIfTI for each region
   * @throws where the browser has no WebGL 2
   */
  async show({ scan, evidence }) {
    this.#niivue ??= await new Niivue(OPTIONS).attachToCanvas(this.#canvas, false);
    this.#evidence = evidence;
    this.#removeAll();
    const [low, high] = CT_DISPLAY_HU;
    this.#niivue.addVolume(await NVImage.new(scan, "scan.nii", "gray", 1, null, low, high));
  }

  /** Lay a region's evidence upon the scan, and go to its peak slice. */
  async point({ index, peak_slice: peak }) {
    for (const volume of this.#niivue.volumes.slice(1)) this.#niivue.removeVolume(volume);
    const image = await NVImage.new(this.#evidence[index], "evidence.nii", "warm", EVIDENCE_OPACITY);
    const { global_min: lowest, global_max: highest } = image;
    image.cal_min = (lowest + highest) / 2;
    image.cal_max = highest;
    if (highest > lowest) this.#niivue.addVolume(image);
    const [, width, height] = this.#niivue.volumes[0].dims;
    this.#niivue.scene.crosshairPos = this.#niivue.vox2frac([width / 2, height / 2, peak]);
    this.#niivue.drawScene();
  }

  #removeAll() {
    for (const volume of this.#niivue.volumes.toReversed()) this.#niivue.removeVolume(volume);
  }
}
