// SPDX-License-Identifier: Apache-2.0
// The page: what was chosen goes to the worker, what comes back is shown.

import { chosenFiles, droppedFiles } from "./chosen_files.mjs";
import { View } from "./look_around.mjs";
import { showResult } from "./result_view.mjs";
import { Host } from "./worker_client.mjs";
import { STEMS } from "../js/patient.mjs";

const at = (id) => document.getElementById(id);
const host = new Host();
const view = new View(at("around"));

let isOpen = false;

/** Do one thing at a time; what goes wrong is one line. */
async function alone(words, work) {
  at("error").hidden = true;
  at("bar").removeAttribute("value");
  at("step").textContent = words;
  setBusy(true);
  try {
    await work();
  } catch (error) {
    at("error").textContent = error.message;
    at("error").hidden = false;
  }
  setBusy(false);
}

function setBusy(isBusy) {
  at("running").hidden = !isBusy;
  at("bundle").disabled = at("look").disabled = at("region").disabled = isBusy;
  at("scan").disabled = isBusy || !isOpen;
}

function openBundle({ files }) {
  return alone("checking the bundle", async () => {
    at("result").hidden = true;
    at("bundle-name").textContent = "";
    isOpen = false;
    const { name, channels } = await host.open(files);
    const wanted = channels.map((channel) => `${STEMS[channel]}.nii.gz`).join(", ");
    at("bundle-name").textContent = name;
    at("wanted").textContent = `${wanted}; the files or their folder may be dropped here`;
    isOpen = true;
  });
}

function runPatient({ name, files }) {
  return alone("opening the scan", async () => {
    at("result").hidden = true; // an earlier one is no answer about this scan
    const answer = await host.run(files, name ?? "patient", (done, total) => {
      at("bar").value = done / total;
      at("step").textContent = `slice ${done} of ${total}`;
    });
    showResult(answer);
    at("look").onclick = () => lookAround(answer);
  });
}

/** NiiVue starts when it is asked for: on a machine without a graphics card it takes a while. */
function lookAround(answer) {
  return alone("drawing the volume", async () => {
    at("view").hidden = false;
    await nextFrame();
    await view.show(answer);
    at("region").onchange = () => view.point(answer.result.regions[at("region").value]);
    await at("region").onchange();
  });
}

function nextFrame() {
  return new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
}

at("bundle").addEventListener("change", (event) => openBundle(chosenFiles(event.target.files)));
at("scan").addEventListener("change", (event) => runPatient(chosenFiles(event.target.files)));
for (const kind of ["dragover", "dragleave", "drop"])
  document.addEventListener(kind, (event) => {
    event.preventDefault(); // else the browser would open what is dropped beside the field
    at("drop").classList.toggle("over", kind === "dragover");
  });
at("drop").addEventListener("drop", async (event) => {
  if (!at("scan").disabled) runPatient(await droppedFiles(event.dataTransfer));
});
