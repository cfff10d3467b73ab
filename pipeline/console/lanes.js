// Lane by lane: whose it is, how far behind, and what holds it up.

import { html } from "./preact.js";
import { Mark, Missing, Name, Panel, Table } from "./panel.js";
import * as words from "./words.js";

export function Lanes({ status }) {
  const { counted, lag, missing } = status;
  if (!counted) return html`<${Panel} id="lanes" title="Lanes"><${Missing} reason=${missing.counted} /><//>`;
  const behind = new Map((lag?.lanes ?? []).map((each) => [each.lane, each]));
  const rows = counted.lanes.map((lane) => {
    const is = condition(lane);
    return html`<tr>
      <th scope="row" class="number">${lane.lane}</th>
      <td class="state"><${Mark} kind=${is.kind} /> ${is.text}</td>
      <td class="number">${words.count(behind.get(lane.lane)?.records)}</td>
      <td class="number">${words.seconds(behind.get(lane.lane)?.oldest_seconds)}</td>
      <td class="number">${words.count(lane.last_batch_rows)}</td>
      <td class="name"><${Name} of=${lane.owner ?? "nobody"} /></td>
    </tr>`;
  });
  const aside = counted.paused_orgs ? `${words.count(counted.paused_orgs)} organisations paused` : null;
  const head = [["lane", "number"], ["state"], ["lag, records", "number"], ["oldest", "number"], ["last batch", "number"], ["owner"]];
  return html`<${Panel} id="lanes" title="Lanes" aside=${aside}><${Table} caption="Each lane, its lag and its owner" head=${head} rows=${rows} /><//>`;
}

function condition(lane) {
  if (lane.stopped_reason) return { kind: "bad", text: `stopped: ${lane.stopped_reason}` };
  if (lane.paused_by) return { kind: "warn", text: `paused by ${lane.paused_by}: ${lane.pause_reason}` };
  return lane.owner ? { kind: "good", text: "runs" } : { kind: "warn", text: "not claimed" };
}
