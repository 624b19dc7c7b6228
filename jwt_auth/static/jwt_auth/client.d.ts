/** The claims of an access token (RFC 9068), and the project's claims. */
export interface Claims {
  readonly iss: string;
  readonly aud: string | readonly string[];
  readonly sub: string;
  /** Seconds since the epoch, by the server's clock. */
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
  readonly jti: string;
  /** The session: the same in all tabs, a new one after each login. */
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
   * Further origins that `fetch` may send the token to, in addition to the origin of `baseUrl`. Each
   * needs its scheme ("https://api.example.com"); otherwise a `TypeError` is thrown.
   */
  origins?: readonly string[];
}

/**
 * Why a session has ended. "logout": the user logged out, in this tab or another. "revoked": the
 * server ended it before it expired, or the cookie was deleted. "expired": the access token had
 * expired as well, so the client can't tell whether the session expired or was revoked.
 */
export type EndReason = "logout" | "expired" | "revoked";

export type AuthClientListener<K extends keyof AuthClientEvents> =
  | ((event: AuthClientEvents[K]) => void)
  | { handleEvent(event: AuthClientEvents[K]): void };

export interface AuthClientEvents {
  /** Logged in, refreshed or logged out, here or in another tab. */
  change: Event;
  /** The session that this page had has ended. */
  sessionend: CustomEvent<{ readonly reason: EndReason }>;
}

/**
 * The server's error, or the reason why there is no usable answer. In the second case, `code` is
 * "network_error"; "busy" if other tabs have held the lock for half a minute to a minute;
 * "session_changed" if another tab has logged in since; "unreadable_answer" if the answer doesn't
 * come from jwt_auth; "closed" after `close()`; "answer_lost" (see `resetPassword`).
 */
export class AuthError extends Error {
  constructor(status: number, code: string, message?: string, retryAfter?: number | null);
  readonly name: "AuthError";
  readonly status: number;
  readonly code: string;
  /** Seconds to wait, if the server asks for it: 1 to 86,400. */
  readonly retryAfter: number | null;
  /** Whether the same call may succeed later; the session may still be valid. */
  readonly temporary: boolean;
  /** The messages for each field, such as those of the password validators. */
  readonly errors?: Readonly<Record<string, readonly string[]>>;
}

export interface LoginOptions {
  /**
   * Whether the user asks to stay logged in on this device. What that means is the server's decision
   * (`JWT_AUTH_SESSION_LIFETIMES`).
   */
  rememberMe?: boolean | undefined;
}

/** The session of all pages of this origin, as one page sees it. It never exposes the token. */
export interface AuthClient extends EventTarget {
  /**
   * True: a session was found. False: log in. Pending for as long as the server can't be reached.
   * Rejects with an `AuthError` if the answer is unusable: a 404 because of a wrong `baseUrl` or from
   * a proxy, or an HTML page ("unreadable_answer"). The client then keeps asking every half minute,
   * and `ready` is a new promise. Rejects with "closed" if `close()` is called before the answer.
   */
  readonly ready: Promise<boolean>;
  /** The claims of the current token; null without a session. */
  readonly claims: Claims | null;
  /** When the current token expires, in milliseconds by this device's clock (`Date.now()`). */
  readonly expiresAt: number | null;
  /**
   * Rejects with an `AuthError`: 401 if the credentials are wrong, 429 to wait `retryAfter` seconds,
   * "session_changed" if another tab has logged in first. If the answer is lost, a refresh finds out
   * whether the login succeeded.
   */
  login(username: string, password: string, options?: LoginOptions): Promise<Claims>;
  /**
   * Ends this page's session in all tabs, but not a session that another tab has opened since.
   * Rejects if the server can't be reached: the session then continues. "session_changed": another
   * tab has logged in, and the token of this page's session has expired.
   */
  logout(): Promise<void>;
  /** Ends every session of the user, on all devices. */
  logoutAll(): Promise<void>;
  /** Ends every other session of the user; this page stays logged in with the new password. */
  changePassword(oldPassword: string, newPassword: string): Promise<Claims>;
  /**
   * Asks for a mail with a link that resets the password. Resolves whether or not an account has that
   * address. Rejects with an `AuthError`: 400 if it isn't an address, 429 to wait `retryAfter` seconds.
   */
  requestPasswordReset(email: string): Promise<void>;
  /**
   * Sets the password with the token of that link, and ends every session of the user. If this page has
   * one of them, it gets "sessionend", and so do the other tabs. Nobody is logged in.
   * Rejects with an `AuthError`: "invalid_token" if the token has expired, was used, or is wrong;
   * `errors` if the password is too weak, which doesn't use the token. If the answer is lost
   * (`temporary`), call it again. "answer_lost" means that the token is refused now, after an answer
   * was lost: most likely the first call has set the password, so have the user log in with it.
   */
  resetPassword(token: string, newPassword: string): Promise<void>;
  /** Asks for a mail to the logged-in user's own address, with a link that confirms it. */
  sendEmailConfirmation(): Promise<void>;
  /** Confirms the address with the token of that link. Rejects like `resetPassword`. */
  confirmEmail(token: string): Promise<void>;
  /** True: a new token. False: no session. Rejects with an `AuthError` if neither is known. */
  refresh(): Promise<boolean>;
  /**
   * Like `window.fetch`, with the token. If the response says that the token was refused, by
   * `WWW-Authenticate` or by the `code` "invalid_token" in its body, the client refreshes once and
   * repeats the request once. Any other 401 is returned to the caller, and so is a 401 for a token
   * that has just replaced a refused one.
   * Rejects with an `AuthError` if a token is needed and can't be fetched now.
   */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /**
   * Stops listening, refreshing and retrying, for example before another client is created. Calls
   * that wait for another try reject with "closed". The session continues.
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

/** Starts the silent refresh at once. Create one client per page, outside of any component. */
export function createAuthClient(options: AuthClientOptions): AuthClient;
