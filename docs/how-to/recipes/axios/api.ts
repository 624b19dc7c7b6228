import axios, { type AxiosInstance } from "axios";
import { createAuthClient } from "django-jwt-sessions-client";

export const auth = createAuthClient({ baseUrl: "/api/auth/" });

/** Axios with the session: `auth.fetch` adds the token, refreshes it and repeats the request. */
export const api: AxiosInstance = axios.create({
  baseURL: "/api/",
  adapter: "fetch",
  env: { fetch: auth.fetch },
});

api.interceptors.response.use(undefined, (error: unknown) => {
  // `auth.fetch` has already tried to refresh: there was no session, or it ended while the page was
  // open. If there is a session, your application sent the 401: for a wrong PIN, for example.
  if (axios.isAxiosError(error) && error.response?.status === 401 && !auth.claims) {
    document.dispatchEvent(new Event("login-needed"));
  }
  return Promise.reject(error);
});
