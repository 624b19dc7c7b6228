import type { AuthClient, Claims } from "django-jwt-sessions-client";
import { useEffect, useState, useSyncExternalStore } from "react";

/** The whole page. The server renders it without `auth`, as for a visitor without a session. */
export function Document({ auth }: { auth?: AuthClient }) {
  return (
    <html lang="en">
      <head>
        <title>Shop</title>
      </head>
      <body>
        <h1>Offers</h1>
        <p>What everybody may see stands in the HTML, for readers and for search engines.</p>
        <Account auth={auth} />
        <script type="module" src="/page.js" async />
      </body>
    </html>
  );
}

function Account({ auth }: { auth?: AuthClient }) {
  const claims = useClaims(auth);
  const [greeting, setGreeting] = useState("");
  const session = claims?.sid;
  useEffect(() => {
    if (!auth || !session) return setGreeting("");
    const stop = new AbortController();
    auth
      .fetch("/api/auth/me/", { signal: stop.signal })
      .then((answer) => answer.json())
      .then((me) => setGreeting(`Hello, ${me.username}`))
      .catch(() => {});
    return () => stop.abort();
  }, [auth, session]);
  if (claims === undefined) return <aside aria-busy="true">One moment …</aside>;
  return <aside>{claims ? greeting : <a href="/login">Log in</a>}</aside>;
}

/** Undefined: not known yet; always so on the server. Null: no user is logged in. */
function useClaims(auth?: AuthClient): Claims | null | undefined {
  const [isReady, setReady] = useState(false);
  useEffect(() => {
    auth?.ready.then(() => setReady(true));
  }, [auth]);
  const claims = useSyncExternalStore(
    (listener) => {
      auth?.addEventListener("change", listener);
      return () => auth?.removeEventListener("change", listener);
    },
    () => auth?.claims ?? null,
    () => null,
  );
  return isReady ? claims : undefined;
}
