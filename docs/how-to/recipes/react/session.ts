import { QueryClient } from "@tanstack/react-query";
import { createAuthClient } from "django-jwt-sessions-client";
import { useSyncExternalStore } from "react";

/** One client per page. In a component, each mount would make another; StrictMode mounts twice. */
export const auth = createAuthClient({ baseUrl: "/api/auth/" });

// The baseUrl is wrong, or a proxy answered with a page. The client keeps retrying, so log it.
auth.ready.catch((error) => console.error("The session can't be asked for:", error));

export class ApiError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`The server answered ${status}.`);
    this.status = status;
  }
}

/** For `queryFn`: TanStack Query sees an error only if the function throws. */
export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  const response = await auth.fetch(path, { signal });
  if (!response.ok) throw new ApiError(response.status);
  return response.json();
}

/** A 4xx won't change if it is repeated, and `auth` has already tried six times to get a token. */
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

/** Each session has its own cache: responses that are still on their way go into the old one. */
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
