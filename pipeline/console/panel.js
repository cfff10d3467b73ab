// A panel with a heading: a landmark of its own, so that a reader can go from one to the next.

import { html } from "./preact.js";
import { pieces, UNKNOWN } from "./words.js";

export function Panel({ id, title, aside, wide, children }) {
  return html`<section class=${wide ? "panel wide" : "panel"} id=${id} aria-labelledby=${`${id}-title`}>
    <header>
      <h2 id=${`${id}-title`}>${title}</h2>
      ${aside && html`<p class="aside">${aside}</p>`}
    </header>
    ${children}
  </section>`;
}

/** A figure with its name and its unit. `name` is how tests, and whoever scripts the page, find it. */
export function Figure({ name, label, value, unit, big }) {
  return html`<div class=${big ? "figure big" : "figure"}>
    <dt>${label}</dt>
    <dd><span data-figure=${name}>${value}</span>${unit && value !== UNKNOWN ? html` <span class="unit">${unit}</span>` : ""}</dd>
  </div>`;
}

/** Why there is nothing to see; the server says it in its own words. */
export function Missing({ reason }) {
  return html`<p class="missing"><${Mark} kind="unknown" /> Unknown: ${reason ?? "the server does not answer"}</p>`;
}

const SIGNS = { good: "✓", warn: "▲", bad: "✕", unknown: "?" };

/** A sign beside words that say the same: colour alone tells nothing. */
export function Mark({ kind }) {
  return html`<span class=${`mark ${kind}`} aria-hidden="true">${SIGNS[kind]}</span>`;
}

/** A long name, which breaks where its parts meet. */
export function Name({ of }) {
  return pieces(of).map((piece) => html`${piece}<wbr />`);
}

/** A table in a frame that scrolls by itself, by keyboard too: the page never scrolls sideways. */
export function Table({ caption, head, rows, label }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label ?? caption}>
    <table>
      <caption>${caption}</caption>
      <thead>
        <tr>${head.map(([name, kind]) => html`<th scope="col" class=${kind}>${name}</th>`)}</tr>
      </thead>
      <tbody>${rows}</tbody>
    </table>
  </div>`;
}
