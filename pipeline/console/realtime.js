// Daily balances of an organisation, live in a browser. A module by itself: copy it, there is nothing to build.
//
//     import { BalanceStream } from "./realtime.js";
//     const stream = new BalanceStream({
//       server: "https://folio.example",           // "" for the page's own
//       org: 7,
//       token: async (renew) => myToken(renew),     // renew: the one before was not accepted, or is about to expire
//       changed: (balances, keys) => draw(balances), // Map of "property/date" to a balance; keys: null means all
//       state: (state) => say(state),               // {kind, reason?, since}
//     });
//     stream.start();  …  stream.stop();
//
// What it keeps to (docs/realtime.md): of each day the newest state by (epoch, version); a snapshot replaces all; the
// cursor is kept, and the stream goes on from it after whatever broke it; what is missing is asked for, never guessed.

const PROTOCOL = "folio.realtime.v1";
const SUBSCRIPTION = "balances";
const BACKOFF_MS = [500, 30_000];
// The server says how often it beats; after two beats that did not come the connection is dead, whatever TCP believes.
const BEATS = 2.5;
const OPENING_MS = 15_000;
// A token is renewed so long before its end, in band: the subscription never notices.
const RENEW_MS = 30_000;
const TIMER_MAX_MS = 2 ** 31 - 1;

// Trying again as one is cannot help: the state says why, and `start` begins anew.
const FINAL_REFUSALS = new Set(["forbidden", "malformed", "too_many"]);
const FINAL_CLOSES = new Set([4400, 4403]);
const TOKEN_CLOSE = 4401;

export const keyOf = (balance) => `${balance.property_id}/${balance.balance_date}`;

/** How an epoch follows another one: "same", "newer", "older", or "foreign" for another system, which has no order. */
export function step(held, told) {
  if (held === told) return "same";
  const [heldSystem, heldTimeline] = split(held);
  const [toldSystem, toldTimeline] = split(told);
  if (heldSystem !== toldSystem) return "foreign";
  return toldTimeline > heldTimeline ? "newer" : "older";
}

function split(epoch) {
  const at = epoch.lastIndexOf("-");
  return [epoch.slice(0, at), Number(epoch.slice(at + 1))];
}

/** What is to be done with an update, given the state that is held of its day: "take", "drop" or "resync". */
export function judge(held, update, previousVersion) {
  if (!held) return previousVersion === null ? "take" : "resync";
  const epochs = step(held.epoch, update.epoch);
  if (epochs === "older") return "drop";
  if (epochs !== "same") return "resync";
  if (previousVersion !== null && previousVersion > held.version) return "resync";
  return update.version > held.version ? "take" : "drop";
}

/** Milliseconds before the attempt after so many failures: doubled each time, and never the same for two browsers. */
export function backoff(failures, random = Math.random) {
  const [least, most] = BACKOFF_MS;
  return Math.min(most, least * 2 ** Math.min(failures, 10)) * (0.5 + random() / 2);
}

export class BalanceStream {
  constructor({ server = "", org, properties, first, last, token, changed, state = () => {} }) {
    this.server = server;
    this.asked = { org_id: org, ...(properties && { properties }), ...(first && { first }), ...(last && { last }) };
    this.token = token;
    this.changed = changed;
    this.tell = state;
    this.balances = new Map();
    this.cursor = null;
    this.failures = 0;
    this.attempt = 0;
    this.running = false;
    this.ticketless = false;
  }

  start() {
    if (this.running) return;
    this.running = true;
    // A laptop that wakes up, or leaves a tunnel, need not wait for its turn.
    globalThis.addEventListener?.("online", this.hurry);
    this.connect(false);
  }

  stop() {
    this.running = false;
    globalThis.removeEventListener?.("online", this.hurry);
    this.drop();
    this.say("stopped");
  }

  hurry = () => {
    if (this.retry) this.connect(false);
  };

  say(kind, reason = null) {
    this.tell({ kind, reason, since: Date.now() });
  }

  /** Ends whatever is under way. An answer to it that still comes is no longer heard: it is of another attempt. */
  drop() {
    this.attempt += 1;
    clearTimeout(this.retry);
    clearTimeout(this.silence);
    clearTimeout(this.renewal);
    this.retry = null;
    this.pages = null;
    this.socket?.close();
    this.socket = null;
  }

  async connect(renew) {
    this.drop();
    const attempt = this.attempt;
    this.renewing = renew;
    this.say("connecting");
    try {
      const token = await this.token(renew);
      const ticket = await this.ticket(token);
      if (attempt !== this.attempt) return;
      this.renewLater(token);
      this.open(ticket, token, attempt);
    } catch (error) {
      if (attempt !== this.attempt) return;
      if (error instanceof NotAccepted) this.renewed(error.message);
      else if (error instanceof Refused) this.end(error.message);
      else this.again(error instanceof TypeError ? "no connection" : error.message); // of fetch, it says no more
    }
  }

  /**
   * A ticket of one use: a browser can send no header with a WebSocket, and a token in an address is in every log.
   * Null where a server gives none, or cannot at the moment: it takes the token in the first message instead.
   */
  async ticket(token) {
    if (this.ticketless) return null;
    const response = await fetch(`${this.server}/v2/realtime/tickets`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(OPENING_MS),
    });
    if (response.status === 404 || response.status === 503) return null;
    if (response.status === 401) throw new NotAccepted(await reason(response));
    if (response.status === 403) throw new Refused(await reason(response));
    if (!response.ok) throw new Error(await reason(response));
    return (await response.json()).ticket;
  }

  open(ticket, token, attempt) {
    const address = new URL(`${this.server}/v2/realtime/ws`, globalThis.location?.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    if (ticket !== null) address.searchParams.set("ticket", ticket);
    const socket = new WebSocket(address, PROTOCOL);
    const ours = (hear) => (event) => attempt === this.attempt && hear(event);
    this.socket = socket;
    this.listen(OPENING_MS);
    socket.addEventListener("open", ours(() => this.subscribe(ticket === null ? token : null)));
    socket.addEventListener("message", ours((event) => this.hear(JSON.parse(event.data))));
    socket.addEventListener("close", ours((event) => this.closed(event.code, event.reason)));
  }

  subscribe(token) {
    if (token !== null) this.send({ type: "token", token });
    const cursor = this.cursor === null ? {} : { cursor: this.cursor };
    this.send({ type: "subscribe", id: SUBSCRIPTION, ...this.asked, ...cursor });
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  hear(message) {
    this.listen(this.beatMs ?? OPENING_MS);
    switch (message.type) {
      case "subscribed":
        this.beatMs = message.heartbeat_seconds * 1000 * BEATS;
        // With a cursor what is held stands, and what came since follows; without one a snapshot does.
        if (this.cursor !== null) this.live();
        break;
      case "snapshot":
        this.page(message);
        break;
      case "update":
        this.update(message);
        break;
      case "heartbeat":
        this.cursor = message.cursor ?? this.cursor;
        this.live();
        break;
      case "resync":
        // The snapshot that follows replaces what is held; until then that is shown, and said to be old.
        this.pages = null;
        this.cursor = null;
        this.say("resync", message.reason);
        break;
      case "refused":
        if (FINAL_REFUSALS.has(message.reason)) this.end(message.detail ?? message.reason);
        else this.again(message.detail ?? message.reason);
        break;
      case "closed":
        this.closedBy(message.reason);
        break;
      default: // token_accepted, pong, and what a later version of the protocol adds
    }
  }

  /** A page of a snapshot. What is held is replaced with the last one: half a snapshot is none. */
  page({ epoch, balances, last, cursor }) {
    this.pages ??= new Map();
    for (const balance of balances) this.pages.set(keyOf(balance), { ...balance, epoch });
    if (!last) return;
    this.balances = this.pages;
    this.pages = null;
    this.cursor = cursor ?? null;
    this.live();
    this.changed(this.balances, null);
  }

  update({ balance, previous_version: previousVersion, cursor }) {
    const key = keyOf(balance);
    const is = judge(this.balances.get(key), balance, previousVersion ?? null);
    if (is === "resync") {
      // Not at once: a server that made the same gap each time would be asked for snapshots without a pause.
      this.cursor = null;
      this.again("something was lost on the way");
      return;
    }
    this.cursor = cursor ?? this.cursor;
    if (is === "drop") return;
    this.balances.set(key, balance);
    this.changed(this.balances, [key]);
  }

  live() {
    if (this.failures === 0 && this.isLive === this.attempt) return;
    this.failures = 0;
    this.renewing = false;
    this.isLive = this.attempt;
    this.say("live");
  }

  closedBy(why) {
    if (why === "token_expired") this.renewed(why);
    else if (why === "forbidden") this.end("the token gives no right to it any more");
    else this.again(why);
  }

  closed(code, why) {
    // A ticket that was not taken is not tried again: the token itself goes first in the next attempt.
    this.ticketless = code === TOKEN_CLOSE;
    if (code === TOKEN_CLOSE) this.renewed(why || "the token was not accepted");
    else if (FINAL_CLOSES.has(code)) this.end(why || `closed with ${code}`);
    else this.again(why || "the connection broke");
  }

  /** Come back with another token, once: who is given the same one again has no other. */
  renewed(why) {
    if (this.renewing) this.end(why);
    else this.connect(true);
  }

  again(why) {
    this.drop();
    if (!this.running) return;
    this.say("waiting", why);
    this.retry = setTimeout(() => this.connect(false), backoff(this.failures));
    this.failures += 1;
  }

  end(why) {
    this.running = false;
    this.drop();
    this.say("refused", why);
  }

  listen(forMs) {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.again("the server fell silent"), forMs);
  }

  renewLater(token) {
    const expires = expiry(token);
    if (expires === null) return;
    const attempt = this.attempt;
    const wait = Math.min(Math.max(expires - Date.now() - RENEW_MS, 1000), TIMER_MAX_MS);
    this.renewal = setTimeout(async () => {
      const renewed = await this.token(true);
      if (attempt !== this.attempt || !renewed || renewed === token) return;
      this.send({ type: "token", token: renewed });
      this.renewLater(renewed);
    }, wait);
  }
}

class Refused extends Error {}
class NotAccepted extends Refused {}

async function reason(response) {
  try {
    return (await response.json()).detail ?? `the server answers ${response.status}`;
  } catch {
    return `the server answers ${response.status}`;
  }
}

/** When a token expires, in milliseconds since 1970, as it says itself; null where it does not. Nothing is verified here. */
function expiry(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const { exp } = JSON.parse(atob(payload));
    return Number.isFinite(exp) ? exp * 1000 : null;
  } catch {
    return null;
  }
}
