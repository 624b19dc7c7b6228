/** The claims of an access token (RFC 9068), and the project's own. */
export interface Claims {
  readonly iss: string;
  readonly aud: string | readonly string[];
  readonly sub: string;
  /** Seconds since the epoch, by the server's clock. */
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
  readonly jti: string;
  /** The session: the same in all tabs, another one after each log-in. */
  readonly sid: string;
  readonly token_version: number;
  readonly client_id: string;
  readonly roles: readonly string[];
  readonly [name: string]: unknown;
}

export interface AuthClientOptions {
  /** Where `jwt_auth.urls` is mounted, for example "/api/auth/". */
  baseUrl: string;
  /**
   * Origins besides `baseUrl`'s that `fetch` may send the token to, with their scheme:
   * "https://api.example.com". A `TypeError` where one has none.
   */
  origins?: readonly string[];
}

/**
 * Why a session is over. "logout": somebody logged out, in whichever tab. "revoked": the server
 * ended it before its time, or the cookie was deleted. "expired": the access token had run out by
 * then, so that there is no telling.
 */
export type EndReason = "logout" | "expired" | "revoked";

export type AuthClientListener<K extends keyof AuthClientEvents> =
  | ((event: AuthClientEvents[K]) => void)
  | { handleEvent(event: AuthClientEvents[K]): void };

export interface AuthClientEvents {
  /** Logged in, refreshed or logged out, here or in another tab. */
  change: Event;
  /** The session that this page has shown is over. */
  sessionend: CustomEvent<{ readonly reason: EndReason }>;
}

/**
 * What the server answered, or why there is no answer: `code` is "network_error"; "busy", where other
 * tabs have been at it for half a minute to a minute; "session_changed", where another tab has logged in since;
 * "unreadable_answer", where it is not our server's; "closed" after `close()`.
 */
export class AuthError extends Error {
  constructor(status: number, code: string, message?: string, retryAfter?: number | null);
  readonly name: "AuthError";
  readonly status: number;
  readonly code: string;
  /** Seconds to wait, where the server said so: 1 to 86,400. */
  readonly retryAfter: number | null;
  /** The same may succeed later; it says nothing against the session. */
  readonly temporary: boolean;
  /** What is wrong with which field, where the server said so: the password validators' messages. */
  readonly errors?: Readonly<Record<string, readonly string[]>>;
}

/** The session of all pages of this origin, as one page sees it. It never gives the token away. */
export interface AuthClient extends EventTarget {
  /**
   * True: a session was found. False: log in. Pending for as long as the server can't be reached.
   * Rejects with an `AuthError` where its answer makes no sense: a 404 of a wrong `baseUrl` or of a
   * proxy, a page ("unreadable_answer"). The client goes on asking then, every half minute, and
   * `ready` is another promise from there on. Rejects as "closed" where `close()` comes first.
   */
  readonly ready: Promise<boolean>;
  /** Of the current token; null where there is no session. */
  readonly claims: Claims | null;
  /** When the current token runs out, in milliseconds by this device's clock (`Date.now()`). */
  readonly expiresAt: number | null;
  /**
   * Rejects with an `AuthError`: 401 wrong, 429 wait `retryAfter` seconds, "session_changed" where
   * another tab was faster. Where the answer is lost, a refresh tells whether it was a log-in.
   */
  login(username: string, password: string): Promise<Claims>;
  /**
   * Ends the session that this page has, in all tabs, and none that another tab has opened meanwhile.
   * Rejects where the server can't be told: then it goes on. "session_changed": another tab has logged
   * in, and the token of this page's session has expired.
   */
  logout(): Promise<void>;
  /** Ends every session of the user, on all devices. */
  logoutAll(): Promise<void>;
  /** Ends every other session of the user; this one goes on under the new password. */
  changePassword(oldPassword: string, newPassword: string): Promise<Claims>;
  /** True: a new token. False: no session. Rejects with an `AuthError` where there's no telling. */
  refresh(): Promise<boolean>;
  /**
   * As `window.fetch`, with the token. Where the answer says that the token was refused, by
   * `WWW-Authenticate` or by the `code` "invalid_token" of its body, one refresh and one repetition
   * follow. Any other 401 is given to the caller, and so is one for a token that has just followed
   * another refused one.
   * Rejects with an `AuthError` where a token is needed and can't be had now.
   */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /**
   * Stop listening, refreshing and trying again, as before another client is made. What waits for
   * another try rejects as "closed". The session goes on.
   */
  close(): void;
  addEventListener<K extends keyof AuthClientEvents>(
    type: K,
    listener: AuthClientListener<K> | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof AuthClientEvents>(
    type: K,
    listener: AuthClientListener<K> | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** Starts the silent refresh at once. One for a page, outside of any component. */
export function createAuthClient(options: AuthClientOptions): AuthClient;
