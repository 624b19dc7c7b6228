import { QueryClientProvider } from "@tanstack/react-query";
import { type ReactNode, Suspense, use } from "react";

import { auth, useSession } from "./session";

export function SessionProvider({ children }: { children: ReactNode }) {
  return (
    <Suspense fallback={<p role="status">One moment …</p>}>
      <KnownSession>{children}</KnownSession>
    </Suspense>
  );
}

function KnownSession({ children }: { children: ReactNode }) {
  // If the server's answer makes no sense, `ready` becomes a new promise, and the fallback stays.
  use(auth.ready); // neither the login form nor the content appears before the session is known
  const { id, queryClient } = useSession();
  // A new key drops the former user's component state, and queries that still use the former cache.
  return (
    <QueryClientProvider key={id} client={queryClient}>
      {children}
    </QueryClientProvider>
  );
}
