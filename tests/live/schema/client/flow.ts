// The whole flow, by a client that knows nothing but the schema. Node has no cookie jar, so the
// refresh cookie is taken out of Set-Cookie here; a browser does that itself.

import assert from "node:assert/strict";

import createClient, { type Middleware } from "openapi-fetch";

import type { paths } from "./schema.js";

const { ADDRESS = "", USERNAME = "", PASSWORD = "", CLIENT_ID = "", CLIENT_SECRET = "" } = process.env;
const NEW_PASSWORD = `${PASSWORD}, another horse`;

let token = "";
let cookie = "";

const session: Middleware = {
  onRequest({ request }) {
    if (token && !request.headers.has("Authorization")) request.headers.set("Authorization", `Bearer ${token}`);
    if (cookie) request.headers.set("Cookie", cookie);
    return request;
  },
  onResponse({ response }) {
    for (const set of response.headers.getSetCookie()) cookie = set.split(";")[0] ?? "";
    return response;
  },
};

const api = createClient<paths>({ baseUrl: ADDRESS });
api.use(session);

const refused = await api.POST("/api/auth/login/", { body: { username: USERNAME, password: "wrong" } });
assert.equal(refused.response.status, 401);
assert.equal(refused.error?.code, "invalid_credentials");

const login = await api.POST("/api/auth/login/", { body: { username: USERNAME, password: PASSWORD } });
assert(login.data);
token = login.data.access_token;
const first = cookie;
assert(first.includes("refresh_token="));

const me = await api.GET("/api/auth/me/");
assert.equal(me.data?.username, USERNAME);

const refresh = await api.POST("/api/auth/refresh/", {
  params: { header: { "Idempotency-Key": crypto.randomUUID() } },
});
assert(refresh.data);
assert.notEqual(cookie, first);
token = refresh.data.access_token;

const other = await api.POST("/api/mobile/auth/login/", { body: { username: USERNAME, password: PASSWORD } });
assert(other.data?.refresh_token);
const sessions = await api.GET("/api/auth/sessions/");
const ending = sessions.data?.find((each) => !each.current);
assert(ending);
const ended = await api.DELETE("/api/auth/sessions/{session_id}/", {
  params: { path: { session_id: ending.id } },
});
assert.equal(ended.response.status, 204);
const again = await api.DELETE("/api/auth/sessions/{session_id}/", {
  params: { path: { session_id: ending.id } },
});
assert.equal(again.error?.code, "not_found");

const former = token;
const change = await api.POST("/api/auth/password/change/", {
  body: { old_password: PASSWORD, new_password: NEW_PASSWORD },
});
assert(change.data);
token = change.data.access_token;

const basic = `Basic ${Buffer.from(`${CLIENT_ID}:${CLIENT_SECRET}`).toString("base64")}`;
const introspect = async (token: string) =>
  api.POST("/api/auth/introspect/", {
    body: { token },
    headers: { "Content-Type": "application/x-www-form-urlencoded", Authorization: basic },
  });
const active = (await introspect(token)).data;
assert(active?.active);
assert.equal(active.token_type, "Bearer");
assert.deepEqual((await introspect(former)).data, { active: false });

const verify = await api.GET("/api/auth/verify/");
assert.equal(verify.response.headers.get("X-Auth-Session"), active.sid);

const logout = await api.POST("/api/auth/logout/");
assert.equal(logout.response.status, 204);
const after = await api.GET("/api/auth/me/");
assert.equal(after.error?.code, "invalid_token");
assert.match(after.response.headers.get("WWW-Authenticate") ?? "", /^Bearer /);

console.log("done");
