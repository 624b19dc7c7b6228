/** What has to outlive a crash, in one record, so that no crash can part its halves. */
export interface Kept {
  refreshToken: string;
  /** The Idempotency-Key of a refresh whose answer has not been stored yet. */
  pendingKey: string | null;
}

/** The platform's secret store: the Keychain, a file encrypted by a key of the Keystore. */
export interface SecretStore {
  read(): Promise<Kept | null>;
  /** Resolves when a crash, or an empty battery, can no longer undo it. */
  write(kept: Kept | null): Promise<void>;
  /** One at a time, also across the processes (widget, share extension) that have this store. */
  exclusively<T>(work: () => Promise<T>): Promise<T>;
}

/** Log in again. Everything else that is thrown says nothing about the session: try later. */
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
  /** Whose token was the last one: no request goes out with another user's. */
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
   * As `fetch`, for your own API only, with the token; refreshes once where it is refused. Rejects
   * with an "AbortError" where somebody else has logged in meanwhile.
   */
  async fetch(url: string, init: RequestInit = {}): Promise<Response> {
    const user = this.#user;
    const token = this.#accessToken ?? (await this.refresh());
    if (user !== null && user !== this.#user) {
      throw new DOMException("Another user has logged in.", "AbortError");
    }
    const answer = await this.#withToken(url, init, token);
    if (!isTokenRefused(answer)) return answer;
    // Another call may have renewed it while this one was under way.
    const renewed = this.#accessToken !== token ? this.#accessToken : null;
    const next = renewed ?? (await this.refresh());
    return userOf(next) === userOf(token) ? this.#withToken(url, init, next) : answer;
  }

  /** Single flight: however many calls need a token, one request is made. */
  refresh(): Promise<string> {
    return (this.#refreshing ??= this.#store
      .exclusively(() => this.#exchange())
      .finally(() => (this.#refreshing = null)));
  }

  async logout(): Promise<void> {
    await this.#store.exclusively(async () => {
      const kept = await this.#store.read();
      try {
        // Any token of the session will do, also one that a lost refresh has consumed.
        if (kept) await this.#post("logout/", { refresh_token: kept.refreshToken });
      } finally {
        await this.#forget(); // offline too: who presses "log out" wants this device clean
      }
    });
  }

  async #exchange(): Promise<string> {
    let kept = await this.#store.read();
    if (!kept) throw this.#ended();
    if (!kept.pendingKey) {
      kept = { ...kept, pendingKey: crypto.randomUUID() };
      await this.#store.write(kept); // before it is sent: after a crash the same key goes out
    }
    const body = { refresh_token: kept.refreshToken };
    const answer = await this.#post("refresh/", body, { "Idempotency-Key": kept.pendingKey! });
    if (answer.ok) return this.#keep(await answer.json());
    const { code } = await answer.json().catch(() => ({})); // a proxy may answer 401, too
    if (code === "invalid_refresh_token" || code === "refresh_superseded") {
      // Superseded: somebody else has the newer token, a copy of this store or a process without
      // the lock.
      await this.#forget();
      throw this.#ended();
    }
    throw unavailable(answer); // token and key stay: the next call is a retry
  }

  /** The new refresh token first: once its access token is used, there is no way back. */
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

  /** Lost answers are asked for again at once: the server keeps them for 60 seconds. */
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

/** By its challenge (RFC 6750): any other 401, for a wrong PIN for example, is your application's own. */
function isTokenRefused(answer: Response): boolean {
  const challenge = answer.headers.get("WWW-Authenticate") ?? "";
  return answer.status === 401 && /error="invalid_token"/.test(challenge);
}

function unavailable(answer: Response): Unavailable {
  const seconds = Number(answer.headers.get("Retry-After"));
  return new Unavailable(answer.status, seconds > 0 ? seconds : null); // NaN for a date
}

function userOf(token: string): string {
  const text = atob(token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/"));
  return JSON.parse(text).sub; // its bytes as Latin-1 will do for comparing
}

const sleep = (milliseconds: number) => new Promise((wake) => setTimeout(wake, milliseconds));
