// The links in mails: "#reset=TOKEN" and "#confirm=TOKEN". A token is taken out of the address bar and
// the history at once, and kept in a variable. Nothing is sent until a person presses a button,
// because mail scanners open links, and some of them run scripts.

const LINK = /^#(reset|confirm)=([\w.-]+)$/;

// Call `open(purpose, token)` for the link that has opened the page, and for one that is opened in the
// same tab later.
export function followLinks(open) {
  const follow = () => {
    const [, purpose, token] = LINK.exec(location.hash) ?? [];
    if (purpose === undefined) return;
    history.replaceState(history.state, "", location.pathname + location.search);
    open(purpose, token);
  };
  addEventListener("hashchange", follow);
  follow();
}
