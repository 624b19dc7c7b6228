import axios, { type AxiosInstance } from "axios";
import { createAuthClient } from "django-jwt-sessions-client";

export const auth = createAuthClient({ baseUrl: "/api/auth/" });

/** Axios with the session: the token, its refresh and the repetition are `auth.fetch`'s. */
export const api: AxiosInstance = axios.create({
  baseURL: "/api/",
  adapter: "fetch",
  env: { fetch: auth.fetch },
});

api.interceptors.response.use(undefined, (error: unknown) => {
  // After `auth.fetch` has tried: there is no session, or it has ended while the page was open. With a
  // session, a 401 is your application's own: a wrong PIN, for example.
  if (axios.isAxiosError(error) && error.response?.status === 401 && !auth.claims) {
    document.dispatchEvent(new Event("login-needed"));
  }
  return Promise.reject(error);
});
