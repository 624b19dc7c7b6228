// An Express service that accepts access tokens of jwt_auth, verified by express-oauth2-jwt-bearer.
import express from "express";
import { auth } from "express-oauth2-jwt-bearer";

const { ISSUER, AUDIENCE, JWKS_URL, PORT = "8080" } = process.env;
const ALGORITHMS = ["ES256", "EdDSA", "PS256", "RS256"];
const isPast = (time) => typeof time === "number" && time <= Date.now() / 1000;

const verify = auth({
  issuer: ISSUER,
  audience: AUDIENCE,
  jwksUri: JWKS_URL,
  strict: true, // `typ` must be at+jwt, and sub, client_id, iat and jti must be there
  clockTolerance: 0,
  cacheMaxAge: 300_000, // the issuer's max-age
  cooldownDuration: 30_000,
  validators: {
    alg: (alg) => ALGORITHMS.includes(alg),
    iat: isPast,
    nbf: isPast,
    sid: (sid) => typeof sid === "string",
    token_use: "access",
  },
});

// Without this, the middleware would also take a token from the query or from a form.
function requireHeader(request, response, next) {
  const given = request.headersDistinct.authorization ?? [];
  if (given.length === 1 && given[0].length <= 8200) return next();
  response.status(401).set("WWW-Authenticate", "Bearer").end();
}

// The middleware's own texts may tell how the key set is reached.
function refuse(error, request, response, next) {
  if (!error.headers?.["WWW-Authenticate"]) return next(error);
  const reason = error.code ? ` error="${error.code}"` : "";
  response.status(error.status).set("WWW-Authenticate", `Bearer${reason}`).end();
}

const app = express();
app.use(requireHeader, verify);
app.get("/", (request, response) => {
  const { sub, roles } = request.auth.payload;
  response.json({ user: sub, roles });
});
app.use(refuse);

const server = app.listen(Number(PORT), "127.0.0.1", () => {
  console.log(`Listening on http://127.0.0.1:${server.address().port}`);
});
