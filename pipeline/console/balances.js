// Balances of a chosen organisation, as they change.

import { Component, createRef, html } from "./preact.js";
import { Mark, Panel, Table } from "./panel.js";
import { BalanceStream, keyOf } from "./realtime.js";
import * as words from "./words.js";

// What a person can take in; who needs more asks the API. The newest days are those that move.
const SHOWN = 50;
// Drawn at most four times a second, however many updates come.
const DRAW_MS = 250;
const ORG_MAX = 2 ** 53 - 1;

// What is looked for comes first: a phone shows so much of a row.
const FIGURES = [
  ["closing", "closing_balance_cents"],
  ["discrepancy", "balance_discrepancy_cents"],
  ["opening", "opening_balance_cents"],
  ["cash in", "cash_received_cents"],
  ["cash out", "cash_expenses_cents"],
  ["calculated", "calculated_closing_balance_cents"],
  ["counted", "declared_closing_cents"],
  ["bank in", "bank_received_cents"],
  ["bank out", "bank_expenses_cents"],
];

const SAID = {
  connecting: { kind: "unknown", text: "Connecting" },
  live: { kind: "good", text: "Live" },
  resync: { kind: "warn", text: "Reading all anew" },
  waiting: { kind: "warn", text: "Not connected, trying again" },
  refused: { kind: "bad", text: "Refused" },
  stopped: { kind: "unknown", text: "Not followed" },
};

export class Balances extends Component {
  field = createRef();
  state = { org: null, balances: new Map(), ticked: new Set(), stream: null, properties: new Map() };

  componentDidUpdate(before) {
    // The server is back: nobody need sit out the pause of the stream.
    if (before.away && !this.props.away) this.stream?.hurry();
  }

  componentWillUnmount() {
    this.stream?.stop();
    clearTimeout(this.drawing);
  }

  follow = (event) => {
    event.preventDefault();
    const org = Number(this.field.current.value);
    if (!Number.isInteger(org) || org < 1 || org > ORG_MAX) return;
    this.stream?.stop();
    this.setState({ org, balances: new Map(), ticked: new Set(), properties: new Map() });
    this.stream = new BalanceStream({
      org,
      token: async () => this.props.token,
      changed: this.changed,
      state: (stream) => this.setState({ stream }),
    });
    this.stream.start();
    this.name(org);
  };

  changed = (balances, keys) => {
    this.pending ??= new Set();
    for (const key of keys ?? []) this.pending.add(key);
    this.drawing ??= setTimeout(() => {
      this.drawing = null;
      this.setState({ balances, ticked: this.pending });
      this.pending = null;
    }, DRAW_MS);
  };

  /** Names and currencies, which updates do not carry. Without them figures are shown as minor units. */
  async name(org) {
    try {
      const headers = { Authorization: `Bearer ${this.props.token}` };
      const response = await fetch(`/v1/orgs/${org}/overview?day=9999-12-31&limit=1000`, { headers });
      if (!response.ok || org !== this.state.org) return;
      const { items } = await response.json();
      this.setState({ properties: new Map(items.map((item) => [item.property.property_id, item.property])) });
    } catch {
      // The table says what it shows.
    }
  }

  render({}, { org, balances, stream }) {
    return html`<${Panel} id="balances" title="Balances, live" wide aside=${this.heading()}>
      <form class="inline" onSubmit=${this.follow}>
        <label for="org">Organisation</label>
        <input id="org" ref=${this.field} type="number" inputmode="numeric" min="1" max=${ORG_MAX} step="1" required />
        <button type="submit">Follow</button>
      </form>
      <p class="sr" role="status">${org && stream ? `Organisation ${org}: ${SAID[stream.kind].text}` : ""}</p>
      ${org !== null && (balances.size ? this.table() : stream?.kind === "live" ? html`<p>It has no balance yet.</p>` : "")}
    <//>`;
  }

  heading() {
    const { stream } = this.state;
    if (!stream) return "choose an organisation";
    const { kind, text } = SAID[stream.kind];
    const why = stream.reason ? `: ${stream.reason}` : "";
    return html`<span data-figure="stream"><${Mark} kind=${kind} /> ${text}${why}, since ${words.clock(stream.since)}</span>`;
  }

  table() {
    const { balances, properties, org } = this.state;
    const newest = [...balances.values()].sort(
      (one, other) => other.balance_date.localeCompare(one.balance_date) || one.property_id - other.property_id,
    );
    const of = newest.length > SHOWN ? `the newest ${SHOWN} of ${words.count(newest.length)} days` : `${words.count(newest.length)} days`;
    const unit = properties.size ? "in units of each property's currency" : "in minor units of its currency";
    const head = [["property"], ["date"], ["currency"], ...FIGURES.map(([name]) => [name, "number"]), ["version", "number"]];
    return html`<${Table} caption=${`Organisation ${org}, ${of}, ${unit}`} label=${`Balances of organisation ${org}`}
      head=${head} rows=${newest.slice(0, SHOWN).map((balance) => this.row(balance))} />`;
  }

  row(balance) {
    const key = keyOf(balance);
    const property = this.state.properties.get(balance.property_id);
    // Another key is another element: the mark of a change begins anew with each version.
    const moved = this.state.ticked.has(key) ? "ticked" : "";
    return html`<tr key=${`${key}/${balance.version}`} class=${moved} data-balance=${key}>
      <th scope="row" class="name">${balance.property_id}${property?.name ? html`<span class="hint">${property.name}</span>` : ""}</th>
      <td class="day">${balance.balance_date}</td>
      <td>${property?.currency ?? "–"}</td>
      ${FIGURES.map(
        ([, column]) => html`<td class="number" data-column=${column}>${words.money(balance[column], property?.currency)}</td>`,
      )}
      <td class="number" data-column="version">${words.count(balance.version)}</td>
    </tr>`;
  }
}
