// SPDX-License-Identifier: Apache-2.0
// The worker as functions that can be awaited, one at a time.

export class Host {
  #worker = new Worker(new URL("worker.mjs", import.meta.url), { type: "module" });

  /**
   * @param {Map<string, File>} files the bundle's, by name
   * @returns {Promise<{name: string, channels: string[]}>}
   */
  open(files) {
    return this.#ask({ ask: "open", files });
  }

  /** @returns {Promise<{result, exhibits, scan: ArrayBuffer, evidence: ArrayBuffer[]}>} */
  run(files, patient, onProgress) {
    return this.#ask({ ask: "run", files, patient }, onProgress);
  }

  /** @param {Map<string, File>} files the kit's, by path */
  answerKit(files) {
    return this.#ask({ ask: "answerKit", files });
  }

  #ask(message, onProgress = () => {}) {
    return new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }) => {
        if (data.progress) onProgress(...data.progress);
        else if (data.error) reject(new Error(data.error));
        else resolve(data.answer);
      };
      this.#worker.onerror = (event) => reject(new Error(`error[E7000]: ${event.message}`));
      this.#worker.postMessage(message);
    });
  }
}
