// A service on Node's own HTTP server that accepts access tokens of jwt_auth.
import { createServer } from "node:http";
import { KeysUnavailable, verify } from "./access-tokens.mjs";

async function authenticate(request, response) {
  // Of two Authorization headers, request.headers has the first only.
  const given = request.headersDistinct.authorization ?? [];
  const [, token] = /^Bearer (.*)$/i.exec(given[0] ?? "") ?? [];
  if (token === undefined || given.length > 1) {
    response.writeHead(401, { "WWW-Authenticate": "Bearer" }).end();
    return null;
  }
  try {
    return await verify(token);
  } catch (error) {
    if (error instanceof KeysUnavailable) response.writeHead(503, { "Retry-After": "5" }).end();
    else response.writeHead(401, { "WWW-Authenticate": 'Bearer error="invalid_token"' }).end();
    return null;
  }
}

const server = createServer(async (request, response) => {
  const claims = await authenticate(request, response);
  if (claims === null) return;
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify({ user: claims.sub, roles: claims.roles }));
});

server.listen(Number(process.env.PORT ?? 8080), "127.0.0.1", () => {
  console.log(`Listening on http://127.0.0.1:${server.address().port}`);
});
