// How fast the stream flows, and how far it is behind: four figures, each with its line.

import { Chart } from "./chart.js";
import { html } from "./preact.js";
import { Figure, Missing, Panel } from "./panel.js";
import * as words from "./words.js";

export function Flow({ status, history }) {
  const { counted, lag, missing } = status;
  const last = counted && Math.max(0, ...counted.lanes.map((lane) => lane.last_batch_rows));
  return html`
    <${Tile} id="throughput" title="Throughput" data=${history.series("throughput")} said=${words.rate} unit="records/s">
      <${Figure} big name="throughput" label="Now, mean of 5 s" value=${words.rate(history.said("consumed"))} unit="records/s" />
      <${Figure} name="consumed" label="Consumed in all" value=${words.count(counted?.consumed)} unit="records" />
    <//>
    <${Tile} id="lag" title="Lag" data=${history.series("lag")} said=${words.rate} unit="records" reason=${lag ? null : missing.lag}>
      <${Figure} big name="lag-records" label="Records that wait" value=${words.count(lag?.records)} unit="records" />
      <${Figure} name="lag-seconds" label="Behind by" value=${words.seconds(lag?.oldest_seconds)} />
    <//>
    <${Tile} id="freshness" title="Freshness" data=${history.series("oldest")} said=${words.seconds} unit="" reason=${lag ? null : missing.lag}>
      <${Figure} big name="oldest-seconds" label="Oldest record that waits" value=${words.seconds(lag?.oldest_seconds)} />
      <${Figure} name="delivery-p95" label="Delivered, p95" value=${delivery(status.gateway)} />
    <//>
    <${Tile} id="batch" title="Batch size" data=${history.series("batch")} said=${words.rate} unit="records">
      <${Figure} big name="batch-rows" label="Mean of 5 s" value=${batch(history, counted)} unit="records" />
      <${Figure} name="last-batch-rows" label="Last batch, largest lane" value=${words.count(last)} unit="records" />
    <//>
  `;
}

function Tile({ id, title, data, said, unit, reason, children }) {
  return html`<${Panel} id=${id} title=${title}>
    <dl>${children}</dl>
    ${reason ? html`<${Missing} reason=${reason} />` : ""}
    <${Chart} label=${title} data=${data} said=${said} unit=${unit} />
  <//>`;
}

// No batch in five seconds is no batch of no records.
const batch = (history, counted) => (counted ? words.rate(history.saidBatch() ?? 0) : words.UNKNOWN);

function delivery(gateway) {
  if (!gateway) return words.UNKNOWN;
  return gateway.delivery_seconds_p95 === null ? "none yet" : words.seconds(gateway.delivery_seconds_p95);
}
