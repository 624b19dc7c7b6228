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
  // Where the server's answer makes no sense, `ready` is another promise, and the fallback stays.
  use(auth.ready); // neither the log-in nor the content flashes up before it is known
  const { id, queryClient } = useSession();
  // The key drops the former user's component state, and queries that hold the former cache.
  return (
    <QueryClientProvider key={id} client={queryClient}>
      {children}
    </QueryClientProvider>
  );
}
