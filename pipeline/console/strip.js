// Produced, stored, delivered: said to agree only where every figure is known, and the same.

import { html } from "./preact.js";
import { Figure, Mark, Panel } from "./panel.js";
import * as words from "./words.js";

/** What two sides are to each other: {kind, text}. */
export function relation(apart, unit = "records") {
  if (apart === null || apart === undefined) return { kind: "unknown", text: "unknown" };
  if (apart === 0) return { kind: "good", text: "agree" };
  return { kind: "warn", text: `${words.count(apart)} ${unit} apart` };
}

/** The verdict over all pairs: agreement needs every one of them. `status` is null while the server is away. */
export function verdict(status) {
  if (!status) return { kind: "unknown", text: "Not known whether they agree" };
  const { stored_apart, counted_apart, delivered_apart } = status.strip;
  const apart = [stored_apart, counted_apart, delivered_apart, status.counted?.unpublished_batches];
  if (apart.some((each) => each === null || each === undefined)) {
    return { kind: "unknown", text: "Not known whether all agree" };
  }
  if (apart.every((each) => each === 0)) return { kind: "good", text: "All agree" };
  return { kind: "warn", text: "Apart: what is under way, or went wrong" };
}

export function Strip({ status, current }) {
  const { strip, counted, missing } = status;
  const all = verdict(current ? status : null);
  const known = (apart, unit) => relation(current ? apart : null, unit);
  const why = missing.counted ?? missing.topics;
  return html`<${Panel} id="strip" title="Produced, stored, delivered" wide
      aside=${html`<span data-figure="verdict"><${Mark} kind=${all.kind} /> ${all.text}</span>`}>
    <ol class="strip">
      <li>
        <h3>Produced</h3>
        <dl><${Figure} name="produced" label="Ends of the topics" value=${words.count(strip.produced)} unit="records" /></dl>
      </li>
      <${Link} name="stored-apart" between="produced and stored" is=${known(strip.stored_apart)} why=${why} />
      <li>
        <h3>Stored</h3>
        <dl>
          <${Figure} name="stored" label="Committed positions" value=${words.count(strip.stored)} unit="records" />
          <${Figure} name="counted" label="Start and outcomes" value=${words.count(strip.counted)} unit="records" />
          <${Figure} name="unpublished" label="Not yet published" value=${words.count(counted?.unpublished_batches)} unit="batches" />
        </dl>
        <${Inner} name="counted-apart" is=${known(strip.counted_apart)} />
      </li>
      <${Link} name="delivered-apart" between="published and delivered" is=${known(strip.delivered_apart, "updates")}
        why=${missing.delivered ?? missing.topics} />
      <li>
        <h3>Delivered</h3>
        <dl>
          <${Figure} name="published" label="End of the topic of updates" value=${words.count(strip.published)} unit="updates" />
          <${Figure} name="delivered" label="Read by this server's feed" value=${words.count(strip.delivered)} unit="updates" />
        </dl>
      </li>
    </ol>
  <//>`;
}

function Link({ name, between, is, why }) {
  return html`<li class=${`link ${is.kind}`}>
    <${Mark} kind=${is.kind} /> <span class="sr">${between}: </span><span data-figure=${name}>${is.text}</span>
    ${is.kind === "unknown" && why ? html`<span class="why">${why}</span>` : ""}
  </li>`;
}

function Inner({ name, is }) {
  return html`<p class="inner"><${Mark} kind=${is.kind} /> Positions and counters: <span data-figure=${name}>${is.text}</span></p>`;
}
