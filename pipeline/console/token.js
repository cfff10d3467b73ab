// The operator's token. It lives as long as the tab, and no longer: never in localStorage, a cookie or a link.

const NAME = "folio-token";

/** Take a token out of the fragment, which no server sees, and out of the address bar and the history at once. */
export function takeFromAddress(location, history) {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given === null) return;
  history.replaceState(null, "", location.pathname + location.search);
  keep(given);
}

export function keep(token) {
  sessionStorage.setItem(NAME, token.trim());
}

export function kept() {
  return sessionStorage.getItem(NAME) || null;
}

export function forget() {
  sessionStorage.removeItem(NAME);
}
