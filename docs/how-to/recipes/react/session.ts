import { QueryClient } from "@tanstack/react-query";
import { createAuthClient } from "django-jwt-sessions-client";
import { useSyncExternalStore } from "react";

/** One for a page. In a component it would be made again for each mount, twice in StrictMode. */
export const auth = createAuthClient({ baseUrl: "/api/auth/" });

// A wrong baseUrl, or a proxy's page: the client goes on asking, and you should know.
auth.ready.catch((error) => console.error("The session can't be asked for:", error));

export class ApiError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`The server answered ${status}.`);
    this.status = status;
  }
}

/** For `queryFn`: TanStack Query takes an error only where something is thrown. */
export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await auth.fetch(path, { signal });
  if (!response.ok) throw new ApiError(response.status);
  return response.json();
}

/** No 4xx becomes better by repetition, and for a token `auth` has already tried six times. */
function isWorthAnotherTry(error: Error): boolean {
  return error instanceof ApiError ? error.status >= 500 : error instanceof TypeError;
}

function newQueryClient(): QueryClient {
  const retry = (failures: number, error: Error) => failures < 3 && isWorthAnotherTry(error);
  return new QueryClient({ defaultOptions: { queries: { retry } } });
}

interface Session {
  readonly id: string | null;
  readonly queryClient: QueryClient;
}

let session: Session = { id: null, queryClient: newQueryClient() };

/** Each session has a cache of its own: what is still under way ends up in the old one. */
auth.addEventListener("change", () => {
  const id = auth.claims?.sid ?? null;
  if (id === session.id) return;
  session.queryClient.clear();
  session = { id, queryClient: newQueryClient() };
});

function subscribe(listener: () => void): () => void {
  auth.addEventListener("change", listener);
  return () => auth.removeEventListener("change", listener);
}

export const useSession = () => useSyncExternalStore(subscribe, () => session);
export const useClaims = () => useSyncExternalStore(subscribe, () => auth.claims);
