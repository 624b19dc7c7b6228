import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { renderToPipeableStream } from "react-dom/server";

import { Document } from "./Document";

const SCRIPT = new URL("./page.js", import.meta.url);

/** Renders without a user: its pages are the same for all visitors, and any cache may keep them. */
const server = createServer(async (request, response) => {
  if (request.url === "/page.js") {
    response.setHeader("Content-Type", "text/javascript");
    return response.end(await readFile(SCRIPT));
  }
  response.setHeader("Content-Type", "text/html; charset=utf-8");
  response.setHeader("Cache-Control", "public, max-age=60");
  renderToPipeableStream(<Document />).pipe(response);
});

server.listen(Number(process.env.PORT), "127.0.0.1", () => console.log("listening"));
