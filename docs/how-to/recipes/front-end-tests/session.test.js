import { http, HttpResponse } from "msw";
import { afterEach, expect, test } from "vitest";

import { loggedIn, server } from "./setup.js";

let auth;
afterEach(() => auth.close());

async function start() {
  ({ auth } = await import("./session.js"));
  return auth.ready;
}

test("nobody is logged in at first", async () => {
  expect(await start()).toBe(false);
  await auth.login("alice", "secret");
  expect(auth.claims.sub).toBe("1");
  await auth.logout();
  expect(auth.claims).toBe(null);
});

test("a session is found, and requests carry its token", async () => {
  server.use(
    loggedIn({ roles: ["editor"] }),
    http.get("*/api/hello/", ({ request }) =>
      HttpResponse.json({ token: request.headers.get("Authorization") }),
    ),
  );
  expect(await start()).toBe(true);
  expect(auth.claims.roles).toEqual(["editor"]);
  const response = await auth.fetch("/api/hello/");
  expect((await response.json()).token).toMatch(/^Bearer /);
});
