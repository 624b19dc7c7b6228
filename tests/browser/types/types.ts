// What tsc has to take and, under "@ts-expect-error", what it has to refuse.
import { AuthError, createAuthClient } from "django-jwt-sessions-client";
import type { AuthClient, Claims, EndReason } from "django-jwt-sessions-client";

const auth: AuthClient = createAuthClient({ baseUrl: "/api/auth/", origins: ["https://api.example"] });

export async function all(): Promise<void> {
  const found: boolean = await auth.ready;
  if (!found) await auth.login("alice", "secret");
  const claims: Claims = await auth.changePassword("secret", "another");
  const roles: readonly string[] = claims.roles;
  const own: unknown = claims["tenant"];
  const response: Response = await auth.fetch(new URL("https://api.example/"), { method: "POST" });
  const mailed: void = await auth.requestPasswordReset("alice@example.com");
  await auth.resetPassword("token", "another");
  await auth.sendEmailConfirmation();
  await auth.confirmEmail("token");
  const remembered: Claims = await auth.login("alice", "secret", { rememberMe: true });
  const { fetch }: { fetch: typeof globalThis.fetch } = auth;
  const refreshed: boolean = await auth.refresh();
  await auth.logout();
  await auth.logoutAll();
  auth.close();
  void [roles, own, response, fetch, refreshed, mailed, remembered];
}

auth.addEventListener("change", () => {
  const sub: string | undefined = auth.claims?.sub;
  const end: number | null = auth.expiresAt;
  void [sub, end];
});
auth.addEventListener("sessionend", (event) => {
  const reason: EndReason = event.detail.reason;
  // @ts-expect-error  there is no such reason
  void (reason === "bored");
});

auth.addEventListener("sessionend", { handleEvent: (event) => void event.detail.reason });
const listener = { handleEvent: (event: Event) => void event.type };
auth.addEventListener("change", listener);
auth.removeEventListener("change", listener);
// @ts-expect-error  neither a function nor an object with handleEvent
auth.addEventListener("change", {});

export function explain(error: unknown): string {
  if (!(error instanceof AuthError)) throw error;
  if (error.temporary) return `Try again in ${error.retryAfter ?? 5} s.`;
  return `${error.status}: ${error.code}`;
}

// @ts-expect-error  not the endpoint's spelling
void auth.login("alice", "secret", { remember_me: true });
// @ts-expect-error  whose account it is says the token
void auth.resetPassword("another");
// @ts-expect-error  the token is no property
void auth.token;
// @ts-expect-error  there is no session without an address
createAuthClient({});
// @ts-expect-error  the claims are the server's to change
if (auth.claims) auth.claims.sub = "2";
