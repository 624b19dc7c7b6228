/** All that has to survive a crash. It is one record, so a crash can't separate its two halves. */
export interface Kept {
  refreshToken: string;
  /** The Idempotency-Key of a refresh whose answer has not been stored yet. */
  pendingKey: string | null;
}

/** The platform's secret store: the Keychain, or a file encrypted with a key from the Keystore. */
export interface SecretStore {
  read(): Promise<Kept | null>;
  /** Resolves when neither a crash nor an empty battery can undo the write. */
  write(kept: Kept | null): Promise<void>;
  /**
   * Runs one `work` at a time, across all processes that use this store (widget, share extension).
   */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
}

/** The user has to log in again. After any other error the session may be alive: try later. */
export class SessionEnded extends Error {}

export class Unavailable extends Error {
  readonly status: number | null;
  readonly retryAfter: number | null;

  constructor(status: number | null, retryAfter: number | null = null) {
    super(status === null ? "The server can't be reached." : `The server answered ${status}.`);
    this.status = status;
    this.retryAfter = retryAfter; // seconds
  }
}

const ATTEMPTS = 4;
const TIMEOUT = 15_000; // ms

export class Session {
  readonly #base: string;
  readonly #store: SecretStore;
  readonly #send: typeof fetch;
  #accessToken: string | null = null;
  #refreshing: Promise<string> | null = null;
  /** The owner of the last token: no request is sent with the token of another user. */
  #user: string | null = null;

  constructor(base: string, store: SecretStore, send: typeof fetch = fetch) {
    this.#base = base; // "https://example.com/api/mobile/auth/"
    this.#store = store;
    this.#send = send;
  }

  async login(username: string, password: string): Promise<void> {
    await this.#store.exclusively(async () => {
      const answer = await this.#post("login/", { username, password });
      if (!answer.ok) throw unavailable(answer); // 401: wrong password; 429: too many
      await this.#keep(await answer.json());
    });
  }

  /**
   * Like `fetch`, with the token, so call it for your own API only. If the token is refused, it
   * refreshes once. Rejects with an "AbortError" if another user has logged in meanwhile.
   */
  async fetch(url: string, init: RequestInit = {}): Promise<Response> {
    const user = this.#user;
    const token = this.#accessToken ?? (await this.refresh());
    if (user !== null && user !== this.#user) {
      throw new DOMException("Another user has logged in.", "AbortError");
    }
    const answer = await this.#withToken(url, init, token);
    if (!isTokenRefused(answer)) return answer;
    // Another call may have renewed the token while this one was waiting for its answer.
    const renewed = this.#accessToken !== token ? this.#accessToken : null;
    const next = renewed ?? (await this.refresh());
    return userOf(next) === userOf(token) ? this.#withToken(url, init, next) : answer;
  }

  /** Single flight: one request is made, no matter how many calls need a token. */
  refresh(): Promise<string> {
    return (this.#refreshing ??= this.#store
      .exclusively(() => this.#exchange())
      .finally(() => (this.#refreshing = null)));
  }

  async logout(): Promise<void> {
    await this.#store.exclusively(async () => {
      const kept = await this.#store.read();
      try {
        // Any token of the session will do, even one that a lost refresh has consumed.
        if (kept) await this.#post("logout/", { refresh_token: kept.refreshToken });
      } finally {
        await this.#forget(); // offline, too: the user wants no session left on this device
      }
    });
  }

  async #exchange(): Promise<string> {
    let kept = await this.#store.read();
    if (!kept) throw this.#ended();
    if (!kept.pendingKey) {
      kept = { ...kept, pendingKey: crypto.randomUUID() };
      await this.#store.write(kept); // before the request: after a crash the same key is sent again
    }
    const body = { refresh_token: kept.refreshToken };
    const answer = await this.#post("refresh/", body, { "Idempotency-Key": kept.pendingKey! });
    if (answer.ok) return this.#keep(await answer.json());
    const { code } = await answer.json().catch(() => ({})); // not JSON: a proxy may answer 401, too
    if (code === "invalid_refresh_token" || code === "refresh_superseded") {
      // Superseded: the newer token is in a copy of this store, or with a process that didn't take
      // the lock.
      await this.#forget();
      throw this.#ended();
    }
    throw unavailable(answer); // the token and the key are kept, so the next call is a retry
  }

  /**
   * Stores the new refresh token before anything uses the access token: a crash in between would
   * lose it.
   */
  async #keep(answer: { access_token: string; refresh_token: string }): Promise<string> {
    await this.#store.write({ refreshToken: answer.refresh_token, pendingKey: null });
    this.#user = userOf(answer.access_token);
    return (this.#accessToken = answer.access_token);
  }

  async #forget(): Promise<void> {
    this.#accessToken = null;
    await this.#store.write(null);
  }

  #ended(): SessionEnded {
    this.#accessToken = null;
    return new SessionEnded("Log in again.");
  }

  #withToken(url: string, init: RequestInit, token: string): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set("Authorization", `Bearer ${token}`);
    return this.#send(url, { ...init, headers });
  }

  /** Retries a request with a key if its answer is lost: the server keeps it for 60 seconds. */
  async #post(path: string, body: object, headers: Record<string, string> = {}): Promise<Response> {
    const isRepeatable = "Idempotency-Key" in headers;
    for (let attempt = 1; ; attempt++) {
      const isLast = !isRepeatable || attempt === ATTEMPTS;
      try {
        const answer = await this.#send(this.#base + path, {
          method: "POST",
          headers: { "Content-Type": "application/json", ...headers },
          body: JSON.stringify(body),
          signal: AbortSignal.timeout(TIMEOUT),
        });
        if (answer.status < 500 || isLast) return answer;
      } catch {
        if (isLast) throw new Unavailable(null);
      }
      await sleep(500 * 2 ** attempt * (0.5 + Math.random()));
    }
  }
}

/**
 * Whether the server refused the token, which its challenge says (RFC 6750). Any other 401 comes
 * from your application, for a wrong PIN for example.
 */
function isTokenRefused(answer: Response): boolean {
  const challenge = answer.headers.get("WWW-Authenticate") ?? "";
  return answer.status === 401 && /error="invalid_token"/.test(challenge);
}

function unavailable(answer: Response): Unavailable {
  const seconds = Number(answer.headers.get("Retry-After"));
  return new Unavailable(answer.status, seconds > 0 ? seconds : null); // NaN for an HTTP date
}

function userOf(token: string): string {
  const text = atob(token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/"));
  return JSON.parse(text).sub; // decoded as Latin-1, which is enough for comparing
}

const sleep = (milliseconds: number) => new Promise((wake) => setTimeout(wake, milliseconds));
