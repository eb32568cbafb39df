// SPDX-License-Identifier: Apache-2.0
// Answer a conformance kit in this browser, by the worker that answers for patients.

import { chosenFiles } from "./chosen_files.mjs";
import { Host } from "./worker_client.mjs";

const at = (id) => document.getElementById(id);
const host = new Host();

async function telling(words, work) {
  at("state").textContent = "working";
  try {
    await work();
    at("state").textContent = words;
  } catch (error) {
    at("state").textContent = error.message;
  }
}

at("bundle").addEventListener("change", ({ target }) =>
  telling("the bundle is open", () => host.open(chosenFiles(target.files).files)),
);
at("kit").addEventListener("change", ({ target }) =>
  telling("the kit is answered", async () => {
    const answers = await host.answerKit(chosenFiles(target.files).files);
    at("save").href = URL.createObjectURL(new Blob([JSON.stringify(answers)]));
    at("save").hidden = false;
  }),
);
