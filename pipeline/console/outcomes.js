// What became of every record: consumed = applied + duplicate + stale + conflict + quarantined.

import { html } from "./preact.js";
import { Missing, Panel, Table } from "./panel.js";
import * as words from "./words.js";

const MEANINGS = {
  applied: "changed the books",
  duplicate: "known already",
  stale: "older than what is known",
  conflict: "one version, two contents",
  quarantined: "broke a rule: a dead letter",
};

export function Outcomes({ status, history }) {
  const { counted, missing } = status;
  if (!counted) return html`<${Panel} id="outcomes" title="Outcomes"><${Missing} reason=${missing.counted} /><//>`;
  const rows = Object.entries(MEANINGS).map(
    ([name, meaning]) => html`<tr>
      <th scope="row">${name}<span class="hint">${meaning}</span></th>
      <td class="number" data-figure=${name}>${words.count(counted[name])}</td>
      <td class="number">${counted.consumed ? words.share(counted[name] / counted.consumed) : "–"}</td>
      <td class="number">${words.rate(history.said(name))}</td>
    </tr>`,
  );
  const head = [["outcome"], ["records", "number"], ["share", "number"], ["records/s", "number"]];
  return html`<${Panel} id="outcomes" title="Outcomes"><${Table} caption="Records by what became of them" head=${head} rows=${rows} /><//>`;
}
