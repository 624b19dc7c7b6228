import { http, HttpResponse } from "msw";
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeEach, vi } from "vitest";

/** The token isn't signed: the client reads its claims, and only the server verifies signatures. */
function accessToken(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "none" })}.${part({ sub: "1", sid: "a session", roles: [], ...claims })}.`;
}

const answer = (claims) =>
  HttpResponse.json({ access_token: accessToken(claims), token_type: "Bearer", expires_in: 900 });

export const loggedIn = (claims) => http.post("*/api/auth/refresh/", () => answer(claims));
export const loggedOut = http.post("*/api/auth/refresh/", () =>
  HttpResponse.json({ detail: "", code: "invalid_refresh_token" }, { status: 401 }),
);

export const server = setupServer(
  loggedOut,
  http.post("*/api/auth/login/", () => answer()),
  http.post("*/api/auth/logout/", () => new HttpResponse(null, { status: 204 })),
);

server.listen({ onUnhandledRequest: "error" }); // before the client keeps window.fetch

beforeEach(() => {
  vi.resetModules(); // each test gets its own client
  localStorage.clear();
});

afterEach(() => server.resetHandlers());
afterAll(() => server.close());
