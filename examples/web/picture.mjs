// SPDX-License-Identifier: Apache-2.0
// A key slice on canvases. Patient right is on the left, as in radiology.

const EVIDENCE_RGB = [255, 150, 0];
const MAX_OPACITY = 0.6;
const EVIDENCE_SHARE = 0.5; // shown from half of the way between its lowest and highest value
const LETTER_SHARE = 0.05; // of the width
const MARGIN_SHARE = 0.01;

/**
 * Draw a slice twice: plain, and with the evidence upon it.
 *
 * @param {Uint8ClampedArray} grey [H, W], windowed
 * @param {number[]} shape [width, height] in voxels
 * @param {number[]} spacingMm along x and y
 * @param evidence { values, height, width }; its cells cover the whole slice
 * @returns {HTMLCanvasElement[]}
 */
export function drawPair(grey, [width, height], [xMm, yMm], evidence) {
  const slice = paintGrey(grey, width, height);
  const cells = paintEvidence(evidence);
  return [[slice], [slice, cells]].map((layers) => {
    const canvas = makeCanvas(width, Math.round((height * yMm) / xMm));
    const pen = canvas.getContext("2d");
    for (const layer of layers) pen.drawImage(layer, 0, 0, canvas.width, canvas.height); // smoothed
    writeSides(pen, canvas);
    return canvas;
  });
}

function makeCanvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

function paintGrey(grey, width, height) {
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer); // alpha is the highest byte, little-endian
  grey.forEach((value, at) => (pixels[at] = 0xff000000 | (value * 0x010101)));
  return putOnCanvas(image);
}

function paintEvidence({ values, width, height }) {
  const [lowest, highest] = [Math.min(...values), Math.max(...values)];
  const from = lowest + EVIDENCE_SHARE * (highest - lowest);
  const scale = highest > from ? (255 * MAX_OPACITY) / (highest - from) : 0; // all alike says nothing
  const image = new ImageData(width, height);
  values.forEach((value, at) =>
    image.data.set([...EVIDENCE_RGB, Math.max(0, (value - from) * scale)], 4 * at),
  );
  return putOnCanvas(image);
}

function putOnCanvas(image) {
  const canvas = makeCanvas(image.width, image.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function writeSides(pen, { width, height }) {
  pen.font = `${LETTER_SHARE * width}px system-ui, sans-serif`;
  pen.fillStyle = "#fff";
  pen.textAlign = "left";
  pen.fillText("R", MARGIN_SHARE * width, height / 2);
  pen.textAlign = "right";
  pen.fillText("L", (1 - MARGIN_SHARE) * width, height / 2);
}
