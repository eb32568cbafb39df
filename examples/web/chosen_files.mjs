// SPDX-License-Identifier: Apache-2.0
// What a person chose or dropped: { name: of the folder or null, files: Map of path to File }.
// Paths are those below the folder.

/** @param {FileList} list of an <input type="file"> */
export function chosenFiles(list) {
  const files = new Map();
  let name = null;
  for (const file of list) {
    const [folder, ...below] = file.webkitRelativePath.split("/");
    if (below.length > 0) name = folder;
    files.set(below.length > 0 ? below.join("/") : file.name, file);
  }
  return { name, files };
}

/** @param {DataTransfer} transfer of a drop: files, or one folder of files */
export async function droppedFiles(transfer) {
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry()).filter(Boolean);
  const folder = entries.length === 1 && entries[0].isDirectory ? entries[0] : null;
  const found = folder ? await entriesOf(folder) : entries;
  const files = new Map();
  for (const entry of found.filter((one) => one.isFile)) files.set(entry.name, await fileOf(entry));
  return { name: folder?.name ?? null, files };
}

async function entriesOf(folder) {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
  }
}

function fileOf(entry) {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}
