// What must not compile: each line below a mark has an error, or the mark itself is one.

import type { components, paths } from "./schema.js";

type Body<Path extends "/api/auth/login/" | "/api/auth/password/change/"> =
  paths[Path]["post"]["requestBody"]["content"]["application/json"];

export const login: Body<"/api/auth/login/"> = { username: "alice", password: "secret", remember_me: true };
// @ts-expect-error  the field has another name
export const misnamed: Body<"/api/auth/login/"> = { user: "alice", password: "secret" };
// @ts-expect-error  a field is missing
export const missing: Body<"/api/auth/password/change/"> = { old_password: "secret" };
// @ts-expect-error  a number is not a text
export const mistyped: Body<"/api/auth/login/"> = { username: 7, password: "secret" };

declare const tokens: components["schemas"]["AuthTokens"];
export const token: string = tokens.access_token;
// @ts-expect-error  the cookie's mount has no refresh token in the body
export const refresh: string = tokens.refresh_token;

type Refusal = paths["/api/auth/login/"]["post"]["responses"][401]["content"]["application/json"];
export const code: Refusal["code"] = "invalid_credentials";
// @ts-expect-error  this endpoint never answers that
export const other: Refusal["code"] = "not_found";
// @ts-expect-error  there is no such path
export type None = paths["/api/auth/nothing/"];
