// What somebody must look after in time: months that run out, and records that were set aside.

import { html } from "./preact.js";
import { Mark, Missing, Name, Panel, Table } from "./panel.js";
import * as words from "./words.js";

// Below this the next month is due within the week: the clean-up's own check is on the first.
const SHORT_DAYS = 7;

export function Partitions({ status }) {
  const { partitions, missing } = status;
  if (!partitions) {
    return html`<${Panel} id="partitions" title="Partition runway"><${Missing} reason=${missing.partitions} /><//>`;
  }
  const rows = partitions.map((each) => {
    const kind = each.problems.length ? "bad" : each.days < SHORT_DAYS ? "warn" : "good";
    return html`<tr>
      <th scope="row" class="name"><${Name} of=${each.table} /></th>
      <td class="number" data-figure=${`runway-${each.table}`}>${words.days(each.days)}</td>
      <td class="state"><${Mark} kind=${kind} /> ${each.problems.length ? each.problems.join("; ") : kind === "warn" ? "short" : "well"}</td>
    </tr>`;
  });
  const head = [["table"], ["lasts", "number"], ["state"]];
  return html`<${Panel} id="partitions" title="Partition runway" aside="as of the last minute">
    <${Table} caption="Days until rows of now find no month of their own" head=${head} rows=${rows} />
  <//>`;
}

export function DeadLetters({ status }) {
  const { dead_letters: letters, missing } = status;
  if (!letters) {
    return html`<${Panel} id="dead-letters" title="Dead letters"><${Missing} reason=${missing.dead_letters} /><//>`;
  }
  const aside = `of the last ${letters.days} days`;
  if (!letters.newest.length) {
    return html`<${Panel} id="dead-letters" title="Dead letters" aside=${aside}>
      <p data-figure="letters-none"><${Mark} kind="good" /> None.</p>
    <//>`;
  }
  const reasons = letters.reasons.map(
    (each) => html`<tr>
      <th scope="row" class="name"><${Name} of=${each.reason} /></th>
      <td class="number" data-figure=${`letters-${each.reason}`}>${words.count(each.letters)}</td>
      <td class="number instant">${words.instant(each.last_at)}</td>
    </tr>`,
  );
  const newest = letters.newest.map(
    (each) => html`<tr>
      <th scope="row" class="name"><${Name} of=${each.place} /></th>
      <td class="name"><${Name} of=${each.reason} /></td>
      <td class="number instant">${words.instant(each.recorded_at)}</td>
    </tr>`,
  );
  return html`<${Panel} id="dead-letters" title="Dead letters" aside=${aside}>
    <${Table} caption="By reason" head=${[["reason"], ["letters", "number"], ["newest, UTC", "number"]]} rows=${reasons} label="Dead letters by reason" />
    <${Table} caption="The newest" head=${[["topic/lane/offset"], ["reason"], ["recorded, UTC", "number"]]} rows=${newest} label="The newest dead letters" />
  <//>`;
}
