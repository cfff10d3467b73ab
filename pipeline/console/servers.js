// What this server process stands on: its cached balances, the databases that it reads, its realtime subscribers.

import { html } from "./preact.js";
import { Figure, Mark, Missing, Panel, Table } from "./panel.js";
import * as words from "./words.js";

const TIERS = { l1: "This process (L1)", redis: "Redis (L2)", database: "Database" };
const KINDS = { well: "good", late: "warn", unknown: "unknown" };

export function Cache({ status }) {
  const { cache, missing } = status;
  if (!cache) return html`<${Panel} id="cache" title="Cache"><${Missing} reason=${missing.cache} /><//>`;
  const all = cache.l1 + cache.redis + cache.database;
  const rows = Object.entries(TIERS).map(
    ([tier, name]) => html`<tr>
      <th scope="row">${name}</th>
      <td class="number" data-figure=${`cache-${tier}`}>${words.count(cache[tier])}</td>
      <td class="number">${all ? words.share(cache[tier] / all) : "–"}</td>
    </tr>`,
  );
  return html`<${Panel} id="cache" title="Cache" aside="of this process">
    <dl><${Figure} big name="hit-rate" label="Hit rate" value=${all ? words.share(cache.hit_rate) : "nothing read yet"} /></dl>
    <${Table} caption="Balances read, by the tier that answered" head=${[["tier"], ["answers", "number"], ["share", "number"]]} rows=${rows} />
  <//>`;
}

export function Replicas({ status }) {
  const rows = status.servers.map(
    (server) => html`<tr>
      <th scope="row">${server.name}</th>
      <td data-figure=${`server-${server.name}`}><${Mark} kind=${KINDS[server.condition] ?? "bad"} /> ${server.condition}
        ${server.detail ? html`<span class="hint">${server.detail}</span>` : ""}</td>
      <td class="number">${lagOf(server, "lag_seconds", words.seconds)}</td>
      <td class="number">${lagOf(server, "lag_bytes", words.bytes)}</td>
    </tr>`,
  );
  const replicas = status.servers.length - 1;
  const aside = replicas ? `${replicas} ${replicas === 1 ? "replica" : "replicas"}` : "no replica: the primary answers every read";
  const head = [["server"], ["condition"], ["lag", "number"], ["WAL behind", "number"]];
  return html`<${Panel} id="replicas" title="Database and replicas" aside=${aside}>
    <${Table} caption="Servers as reads see them" head=${head} rows=${rows} />
  <//>`;
}

// A primary is never behind itself.
const lagOf = (server, name, said) => (server.name === "primary" ? "–" : said(server[name]));

export function Gateway({ status }) {
  const { gateway, missing } = status;
  if (!gateway) return html`<${Panel} id="gateway" title="Realtime"><${Missing} reason=${missing.gateway} /><//>`;
  return html`<${Panel} id="gateway" title="Realtime" aside="of this process">
    <dl>
      <${Figure} name="subscriptions" label="Subscriptions open" value=${words.count(gateway.subscriptions)} />
      <${Figure} name="deliveries" label="Handed to subscribers" value=${words.count(gateway.deliveries)} unit="updates" />
    </dl>
  <//>`;
}
