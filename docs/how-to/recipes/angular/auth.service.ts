import { HttpBackend, HttpClient, HttpErrorResponse, HttpRequest } from "@angular/common/http";
import { Injectable, inject } from "@angular/core";
import { BehaviorSubject, distinctUntilChanged, firstValueFrom, map, retry, timer } from "rxjs";

import { forgetPendingKey, pendingKey } from "./pending-key";

const AUTH = "/api/auth/";

export interface Claims {
  sub: string;
  sid: string;
  roles: string[];
  exp: number;
}

interface TokenResponse {
  access_token: string;
  expires_in: number;
}

@Injectable({ providedIn: "root" })
export class AuthService {
  /** In memory, in a private field: an injected script can read storage and public properties. */
  readonly #token = new BehaviorSubject<string | null>(null);
  /** Bypasses the interceptors: a refresh that is answered with 401 must not start a refresh. */
  readonly #http = new HttpClient(inject(HttpBackend));
  readonly #otherTabs = new BroadcastChannel("auth");
  #refreshing: Promise<boolean> | null = null;

  readonly claims$ = this.#token.pipe(map((token) => token && claimsOf(token)));
  /** The user who is logged in. When it changes, drop everything loaded for the former user. */
  readonly userId$ = this.claims$.pipe(
    map((claims) => claims && claims.sub),
    distinctUntilChanged(),
  );

  constructor() {
    this.#otherTabs.onmessage = ({ data }) => {
      this.#token.next(null);
      if (data === "login") this.refresh().catch(() => {}); // the next request would try again
    };
  }

  /**
   * Resolves to false if the user has to log in. Rejects if the server can't be reached: the
   * session may still be alive then.
   */
  refresh(): Promise<boolean> {
    return (this.#refreshing ??= this.#inTurn(() => this.#exchange()).finally(
      () => (this.#refreshing = null),
    ));
  }

  async login(username: string, password: string): Promise<void> {
    await this.#inTurn(async () => {
      const body = { username, password };
      const answer = await firstValueFrom(this.#http.post<TokenResponse>(`${AUTH}login/`, body));
      await forgetPendingKey(); // it belonged to the cookie of another session
      this.#token.next(answer.access_token);
    });
    this.#otherTabs.postMessage("login");
  }

  async logout(): Promise<void> {
    await this.#inTurn(async () => {
      const request = this.authorize(new HttpRequest("POST", `${AUTH}logout/`, null));
      await firstValueFrom(this.#http.post(request.url, null, { headers: request.headers }));
      this.#token.next(null);
    });
    this.#otherTabs.postMessage("logout");
  }

  /** Returns the request with the token in its header. No method returns the token itself. */
  authorize<T>(request: HttpRequest<T>): HttpRequest<T> {
    const token = this.#token.value;
    return token ? request.clone({ setHeaders: { Authorization: `Bearer ${token}` } }) : request;
  }

  /** After a 401: whether `sent` may be sent again with a new token of the same user. */
  async renew(sent: HttpRequest<unknown>): Promise<boolean> {
    const refused = sent.headers.get("Authorization")?.slice("Bearer ".length) ?? null;
    const current = this.#token.value;
    const renewed = current !== refused || (await this.refresh()); // perhaps renewed already
    if (!renewed || this.#token.value === null) return false;
    return refused === null || claimsOf(refused).sub === claimsOf(this.#token.value).sub;
  }

  /**
   * Runs the work in one tab at a time: two tabs that refreshed simultaneously would present the
   * same cookie under two keys.
   */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    return navigator.locks.request("auth", work) as Promise<T>;
  }

  async #exchange(isRepeated = false): Promise<boolean> {
    const headers = { "Idempotency-Key": await pendingKey() };
    try {
      const options = { headers, timeout: 20_000 }; // ms; the other tabs wait for this one
      const post = this.#http.post<TokenResponse>(`${AUTH}refresh/`, null, options);
      // If the answer is lost, retry soon with the same key: the server repeats it for 60 seconds.
      const answer = await firstValueFrom(post.pipe(retry({ count: 3, delay: backOff })));
      this.#token.next(answer.access_token);
      await forgetPendingKey();
      return true;
    } catch (error) {
      // Judge by the code, because a proxy may answer 401, too. The key is kept in that case, and
      // the next refresh is a retry.
      const code = error instanceof HttpErrorResponse ? error.error?.code : null;
      const isSuperseded = code === "refresh_superseded";
      if (code !== "invalid_refresh_token" && !isSuperseded) throw error;
      await forgetPendingKey();
      if (isSuperseded && !isRepeated) return this.#exchange(true); // now with the newer cookie
      this.#token.next(null);
      return false;
    }
  }
}

function backOff(error: HttpErrorResponse, attempt: number) {
  if (error.status !== 0 && error.status < 500) throw error;
  return timer(500 * 2 ** attempt * (0.5 + Math.random()));
}

function claimsOf(token: string): Claims {
  const part = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(part), (character) => character.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes));
}
