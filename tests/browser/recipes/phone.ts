/**
 * A phone: reads a command a line, answers a line of JSON. Its network can be told to lose answers
 * or to answer by itself, and its battery to be empty after an answer has arrived and before it is stored.
 */
import { createInterface } from "node:readline";

import { FileStore } from "./mobile/file-store.ts";
import { Session, SessionEnded } from "./mobile/session.ts";

const [, , address, path] = process.argv as [string, string, string, string];
let fault = "";
let keys: string[] = [];

const send: typeof fetch = async (url, init) => {
  if (!String(url).endsWith("/refresh/")) return fetch(url, init);
  keys.push(new Headers(init?.headers).get("Idempotency-Key") ?? "");
  if (fault === "proxy") return new Response("<html>Log in to this network</html>", { status: 401 });
  const answer = await fetch(url, init);
  if (fault === "die") process.exit(9);
  if (fault === "lose") {
    fault = "";
    throw new TypeError("lost");
  }
  return answer;
};

const session = new Session(`${address}/api/mobile/auth/`, new FileStore(path), send);

async function one(): Promise<number | string> {
  try {
    return (await session.fetch(`${address}/api/hello/`)).status;
  } catch (error) {
    return error instanceof SessionEnded ? "ended" : String(error);
  }
}

const commands: Record<string, (...words: string[]) => Promise<unknown>> = {
  login: (name, ...word) => session.login(name!, word.join(" ")),
  logout: () => session.logout(),
  call: async (times) => Promise.all(Array.from({ length: Number(times) }, one)),
  /** One user logs in while a call of the one before still waits. */
  hand: (name, ...word) => Promise.all([session.login(name!, word.join(" ")), one()]),
  fault: async (name) => void (fault = name!),
};

for await (const line of createInterface(process.stdin)) {
  const [name, ...words] = line.split(" ");
  keys = [];
  let answer: unknown;
  try {
    answer = (await commands[name!]!(...words)) ?? null;
  } catch (error) {
    answer = String(error);
  }
  console.log(JSON.stringify({ answer, keys }));
}
