/** Gives the test what a page has. */
import { api, auth } from "./axios/api";

const statusOf = (promise: Promise<{ status: number }>) =>
  promise.then(
    (answer) => answer.status,
    (error) => error.response?.status ?? error.code,
  );

Object.assign(window, {
  auth,
  loginNeeded: 0,
  get: (path: string) => statusOf(api.get(path)),
  post: (path: string, data: unknown) => statusOf(api.post(path, data)),
});
document.addEventListener("login-needed", () => {
  (window as unknown as { loginNeeded: number }).loginNeeded += 1;
});
