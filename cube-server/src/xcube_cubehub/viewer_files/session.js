// Map images are fetched by the browser without an Authorization header. Whenever the viewer's sign-in changes (new,
// renewed, over) this tells the cube server, which answers with a short-lived cookie for images only.
(() => {
  let last = null;
  const token = () => {
    for (let i = 0; i < sessionStorage.length; i += 1) {
      const key = sessionStorage.key(i);
      if (key && key.startsWith("oidc.user:")) {
        try {
          const user = JSON.parse(sessionStorage.getItem(key));
          if (user.access_token && user.expires_at * 1000 > Date.now()) return user.access_token;
        } catch {
          return null;
        }
      }
    }
    return null;
  };
  // The viewer asks for its list of cubes before it has read who is signed in, and forgets a link to a cube that is not
  // in it. What goes to this cube server carries the sign-in from the start.
  const plain = window.fetch;
  const own = new URL("../", location.href).href;
  window.fetch = (input, init) => {
    const request = new Request(input, init);
    const now = token();
    if (now !== null && request.url.startsWith(own) && !request.headers.has("Authorization")) {
      request.headers.set("Authorization", `Bearer ${now}`);
    }
    return plain(request);
  };
  const tell = async () => {
    const now = token();
    if (now === last) return;
    try {
      const headers = now ? { Authorization: `Bearer ${now}` } : {};
      const answer = await fetch("../session", { method: "POST", headers });
      // 503: the sign-in service could not be asked; the next round tries again
      if (answer.status < 500) last = now;
    } catch {
      // The server is restarting; the next round tries again.
    }
  };
  // The viewer takes code and state out of the address after a sign-in that went well. After one that was refused, a
  // sign-out, or an address from the history they would stay: what has no open sign-in (any more) goes here.
  const tidy = () => {
    const query = new URLSearchParams(location.search);
    const state = query.get("state");
    if (state === null && !query.has("session_state") && !query.has("code")) return;
    const open = query.has("code") || query.has("error") ? localStorage.getItem(`oidc.${state}`) : null;
    if (open !== null) return;
    for (const name of ["state", "session_state", "iss", "code", "error", "error_description"]) query.delete(name);
    const rest = query.toString();
    history.replaceState(history.state, "", location.pathname + (rest ? `?${rest}` : "") + location.hash);
  };
  // A link can name cube and variable, or a shared view. Signing in leads away and back to the bare address: the link is opened again then.
  const LINK = "cubehub.link";
  const arrived = new URLSearchParams(location.search);
  if (arrived.has("dataset") || arrived.has("stateKey")) sessionStorage.setItem(LINK, location.search);
  else if (!arrived.has("state")) sessionStorage.removeItem(LINK);
  const resume = () => {
    const link = sessionStorage.getItem(LINK);
    if (!arrived.has("code") || link === null || location.search !== "" || token() === null) return;
    sessionStorage.removeItem(LINK);
    location.replace(location.pathname + link);
  };
  const round = () => {
    tidy();
    resume();
    tell();
  };
  round();
  setInterval(round, 1000);
})();
