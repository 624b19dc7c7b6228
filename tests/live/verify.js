// Verify tokens as a Node service would: with `jose`, from the published JWK Set.
// In: {"jwks": …, "issuer": …, "audience": …, "tokens": […]}. Out: the subjects, in order.
import { createLocalJWKSet, jwtVerify } from "jose";
import { readFileSync } from "node:fs";

const { jwks, issuer, audience, tokens } = JSON.parse(readFileSync(0, "utf8"));
const keys = createLocalJWKSet(jwks);
const subjects = [];
for (const token of tokens) {
  const { payload } = await jwtVerify(token, keys, { issuer, audience, typ: "at+jwt" });
  subjects.push(payload.sub);
}
console.log(JSON.stringify(subjects));
