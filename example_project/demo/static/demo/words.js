// Put times and errors into words.

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const clockFormat = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const dateFormat = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});

// "14:32" for less than an hour, otherwise as `span`.
export function countdown(seconds) {
  const whole = Math.max(0, Math.ceil(seconds));
  if (whole >= HOUR) return span(whole);
  return `${Math.floor(whole / MINUTE)}:${String(whole % MINUTE).padStart(2, "0")}`;
}

// "6 d 23 h": the two largest units.
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole >= 3 * DAY) return `${Math.floor(whole / DAY)} d ${Math.floor((whole % DAY) / HOUR)} h`;
  if (whole >= HOUR) return `${Math.floor(whole / HOUR)} h ${Math.floor((whole % HOUR) / MINUTE)} min`;
  return whole >= MINUTE ? `${Math.floor(whole / MINUTE)} min` : `${whole} s`;
}

export function ago(date, now) {
  const seconds = (now - date) / 1000;
  return seconds < 10 ? "just now" : `${span(seconds)} ago`;
}

export const clock = (date) => clockFormat.format(date);

export function moment(date, now) {
  return Math.abs(now - date) < (DAY / 2) * 1000 ? clock(date) : dateFormat.format(date);
}

export function summary({ roles, tenant }) {
  const words = roles.length === 1 ? "Role" : "Roles";
  const named = roles.length === 0 ? "No roles" : `${words} ${roles.join(" and ")}`;
  return `${named}, ${tenant === undefined ? "no tenant" : `tenant ${tenant}`}.`;
}

// Why the session has ended, by the reason in the client's "sessionend" event.
export const REASONS = {
  logout: "You have logged out in another tab.",
  expired: "The session has expired. Log in again.",
  revoked: "The session was ended: from another device, by a new password or by an administrator.",
};

// Describe an error, be it the client's AuthError, a response, or an error of fetch.
export function problem(error) {
  switch (error.code) {
    case "invalid_credentials":
      return "The user name or the password is wrong.";
    case "accepted_twice":
      return "The server has accepted the cookie twice: JWT_AUTH_REFRESH_REUSE_LEEWAY allows it.";
    case "cross_site_request":
      return "The browser sent this for another site's page; nothing was done.";
    default:
      return error.status >= 500
        ? "The server can't answer at the moment. Nothing is lost: try again."
        : error.status >= 400
          ? `The server has refused the request (${error.status} ${error.code ?? ""}).`
          : "The server can't be reached. Nothing is lost: try again once you are online.";
  }
}
