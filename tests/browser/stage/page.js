// The least page that shows a session. The client is global so that a test can reach it; what no
// script can reach then is still the token.
import { AuthError, createAuthClient } from "/static/jwt_auth/client.js";

window.events = [];
window.AuthError = AuthError;
window.auth = createAuthClient({
  baseUrl: "/api/auth/",
  origins: new URLSearchParams(location.search).getAll("origin"),
});

const state = document.getElementById("state");
function show() {
  state.textContent = auth.claims ? auth.claims.sub : "no";
}
auth.addEventListener("change", () => {
  events.push("change");
  show();
});
auth.addEventListener("sessionend", (event) => {
  events.push(event.detail.reason);
  show();
});
