// SPDX-License-Identifier: Apache-2.0
// Serve the examples' folder to this machine only: node serve.mjs [PORT], 0 for any that is free.
// The headers keep page and worker from talking to anybody else; a product sends them, too.

import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const HOST = "127.0.0.1";
const DEFAULT_PORT = 8000;
const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".mjs": "text/javascript",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
};
const HEADERS = {
  "Content-Security-Policy": [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'", // WebAssembly, no eval of JavaScript
    "worker-src 'self'",
    "connect-src 'self'", // the engine's own .wasm
    "style-src 'self'",
    "img-src 'self' data: blob:", // NiiVue's letters are a picture within its script
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "Cross-Origin-Opener-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "Cache-Control": "no-cache",
};

function answer(request, response) {
  const path = fileOf(request);
  if (path === null) {
    response.writeHead(404, HEADERS).end();
    return;
  }
  response.writeHead(200, { ...HEADERS, "Content-Type": TYPES[extname(path)] });
  createReadStream(path).pipe(response);
}

/** The file below ROOT that is asked for; null where there is none of a type that pages need. */
function fileOf({ method, url }) {
  const { pathname } = new URL(url, "http://localhost");
  const path = normalize(join(ROOT, pathname.endsWith("/") ? `${pathname}index.html` : pathname));
  const isFile = statSync(path, { throwIfNoEntry: false })?.isFile();
  return method === "GET" && path.startsWith(ROOT) && isFile && extname(path) in TYPES ? path : null;
}

const server = createServer(answer);
server.listen(Number(process.argv[2] ?? DEFAULT_PORT), HOST, () =>
  console.log(`http://${HOST}:${server.address().port}/web/`),
);
