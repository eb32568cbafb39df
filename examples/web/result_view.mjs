// SPDX-License-Identifier: Apache-2.0
// A result in the words of aminet-run: headline, key slices, table, disclaimer.
// Names come from files, so all text goes in as text, never as HTML.

import { counted, findingWord, flaggedFirst, roundedDown, sliceRuns } from "./finding_text.mjs";
import { CT_DISPLAY_HU } from "./key_slices.mjs";
import { drawPair } from "./picture.mjs";

const MODEL_ID_DIGITS = 12;

const at = (id) => document.getElementById(id);

/** @param answer of the worker's "run" */
export function showResult({ result, exhibits }) {
  const flagged = result.regions.filter((region) => region.affected).length;
  at("headline").textContent = `Patient ${result.patient}: ${counted(flagged, "region")} flagged`;
  at("facts").textContent = factsOf(result);
  at("figures").replaceChildren(...exhibits.map((exhibit) => figureOf(exhibit, result.input)));
  at("regions").replaceChildren(...flaggedFirst(result.regions).map(rowOf));
  at("tally").textContent = tallyOf(result.regions);
  at("warnings").replaceChildren(...result.warnings.map(warningOf));
  at("disclaimer").textContent = result.disclaimer;
  at("region").replaceChildren(...optionsOf(result.regions, exhibits[0]?.finding));
  offerToSave(result);
  at("view").hidden = true; // it may still show an earlier patient
  at("result").hidden = false;
}

function element(name, { text, ...properties }, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...(text === undefined ? children : [text]));
  return made;
}

function factsOf({ input, model }) {
  const voxels = input.shape.join(" x ");
  const spacing = input.spacing_mm.map((mm) => Number(mm.toPrecision(3))).join(" x ");
  const id = model.id.slice(0, MODEL_ID_DIGITS);
  return `${voxels} voxels of ${spacing} mm; ${model.bundle} (${id}), ${model.engine}`;
}

function figureOf({ finding, z, grey, evidence }, { shape, spacing_mm: spacingMm }) {
  const title = `${finding.name}: ${findingWord(finding)}, ${roundedDown(finding.probability)}`;
  const [low, high] = CT_DISPLAY_HU;
  const caption = `Slice ${z}. Window ${high - low}, level ${(low + high) / 2} HU. Orange: evidence.`;
  return element(
    "figure",
    {},
    element("figcaption", { text: `${title} (threshold ${roundedDown(finding.threshold)})` }),
    element("div", { className: "pair" }, ...drawPair(grey, shape, spacingMm, evidence)),
    element("div", { className: "soft", text: caption }),
  );
}

function rowOf(finding) {
  const { index, name, affected, probability, threshold, slices, peak_slice: peak } = finding;
  const kind = affected === null ? "unassessed" : affected ? "flagged" : "";
  const cell = (text, className = "") => element("td", { text: String(text), className });
  return element(
    "tr",
    { className: kind },
    cell(index, "number"),
    cell(name),
    cell(findingWord(finding)),
    cell(roundedDown(probability), "number"),
    cell(roundedDown(threshold), "number"),
    cell(slices.length > 0 ? `${sliceRuns(slices)} (${peak})` : ""),
  );
}

function tallyOf(regions) {
  const count = (kind) => regions.filter((region) => region.affected === kind).length;
  return (
    `${regions.length} regions: ${count(true)} flagged, ${count(false)} not flagged, ` +
    `${count(null)} not assessed. Slices count from 0, the lowest.`
  );
}

function warningOf({ code, message }) {
  return element("li", { text: `warning[${code}]: ${message}` });
}

function optionsOf(regions, selected) {
  const assessed = flaggedFirst(regions).filter((region) => region.affected !== null);
  return assessed.map(({ index, name }) =>
    element("option", { value: index, text: name, selected: index === selected?.index }),
  );
}

function offerToSave(result) {
  URL.revokeObjectURL(at("save").href);
  at("save").href = URL.createObjectURL(
    new Blob([JSON.stringify(result, null, 2)], { type: "application/json" }),
  );
}
