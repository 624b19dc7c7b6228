// Verify access tokens of jwt_auth with jose and a key set that is cached.
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

const { ISSUER, AUDIENCE, JWKS_URL } = process.env;

// Kept for 5 minutes, the issuer's max-age. An unknown kid has it fetched anew, once in 30 seconds.
const keySet = createRemoteJWKSet(new URL(JWKS_URL), {
  cacheMaxAge: 300_000,
  cooldownDuration: 30_000,
  timeoutDuration: 5_000,
});

export class InvalidToken extends Error {}
export class KeysUnavailable extends Error {}

async function findKey(header, token) {
  if (typeof header.kid !== "string") throw new InvalidToken("The token doesn't name its key.");
  try {
    return await keySet(header, token);
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) throw error; // the kid, or the key's algorithm
    throw new KeysUnavailable("The key set can't be fetched.", { cause: error });
  }
}

// Gives the claims, or rejects with InvalidToken or KeysUnavailable.
export async function verify(token) {
  if (token.length > 8192) throw new InvalidToken("The token is too long.");
  try {
    const { payload } = await jwtVerify(token, findKey, {
      algorithms: ["ES256", "EdDSA", "PS256", "RS256"],
      issuer: ISSUER,
      audience: AUDIENCE,
      typ: "at+jwt",
      requiredClaims: ["exp", "nbf", "iat", "sub", "jti", "sid", "token_use"],
    });
    const now = Date.now() / 1000;
    const texts = [payload.sub, payload.jti, payload.sid];
    if (payload.iat > now || payload.token_use !== "access" || texts.some((text) => typeof text !== "string"))
      throw new InvalidToken("This is not an access token.");
    return payload;
  } catch (error) {
    if (error instanceof KeysUnavailable || error instanceof InvalidToken) throw error;
    throw new InvalidToken("The token isn't valid.", { cause: error });
  }
}
