// Runs before the page is painted. A reload with a session must not show the login for a moment: if
// this browser has left the page logged in, nothing is shown until page.js knows.

try {
  const left = localStorage.getItem("jwt_auth demo");
  document.documentElement.classList.toggle("waiting", left === "in");
} catch {
  // Without storage, the login is shown until a session is found.
}
