// What the charts show: figures by the server's own clock, and rates between two readings of one process.

const KEPT_SECONDS = 180;
// A second's rate jumps by whole batches: what is said as a number is of some seconds, what is drawn is each second's.
const SAID_SECONDS = 5;

/** How much a counter rose each second between two readings; null where they cannot be compared. */
export function perSecond(before, after, name) {
  if (!before || before.process !== after.process) return null;
  const elapsed = after.read_at_seconds - before.read_at_seconds;
  const rise = after[name] - before[name];
  // A counter that fell belongs to books that were restored: there is no rate between the two.
  return elapsed > 0 && rise >= 0 ? rise / elapsed : null;
}

/** Records of a batch, over the batches between two readings; null where there was none. */
export function rowsOfBatch(before, after) {
  if (!before || before.process !== after.process) return null;
  const batches = after.batches - before.batches;
  return batches > 0 ? (after.consumed - before.consumed) / batches : null;
}

export class History {
  constructor() {
    this.readings = [];
    this.points = [];
  }

  /** Take a document in; one that the server had told before changes nothing. */
  add(status) {
    const last = this.readings.at(-1);
    if (status.counted === null) {
      this.point(status, null);
      return;
    }
    const reading = { ...status.counted, process: status.process };
    if (last && last.process === reading.process && last.read_at_seconds === reading.read_at_seconds) return;
    if (last && last.process !== reading.process) this.readings = [];
    this.readings.push(reading);
    while (reading.read_at_seconds - this.readings[0].read_at_seconds > KEPT_SECONDS) this.readings.shift();
    this.point(status, this.readings.length > 1 ? this.readings.at(-2) : null);
  }

  /** A moment of the charts; a figure that is unknown is a gap in its line, never a zero. */
  point(status, before) {
    const at = Date.parse(status.at) / 1000;
    if (this.points.length && at <= this.points.at(-1).at) return;
    const after = status.counted && { ...status.counted, process: status.process };
    this.points.push({
      at,
      throughput: after && perSecond(before, after, "consumed"),
      lag: status.lag && status.lag.records,
      oldest: status.lag && status.lag.oldest_seconds,
      batch: after && rowsOfBatch(before, after),
    });
    while (at - this.points[0].at > KEPT_SECONDS) this.points.shift();
  }

  /** The server is away: the lines have a gap from here. */
  gap() {
    const last = this.points.at(-1);
    if (last && last.throughput !== null) {
      this.points.push({ at: last.at + 0.001, throughput: null, lag: null, oldest: null, batch: null });
    }
  }

  /** The reading against which the newest one is said as a rate. */
  earlier() {
    const last = this.readings.at(-1);
    if (!last) return null;
    return this.readings.find((each) => last.read_at_seconds - each.read_at_seconds <= SAID_SECONDS + 0.5) ?? null;
  }

  said(name) {
    return this.readings.length ? perSecond(this.earlier(), this.readings.at(-1), name) : null;
  }

  saidBatch() {
    return this.readings.length ? rowsOfBatch(this.earlier(), this.readings.at(-1)) : null;
  }

  series(name) {
    return [this.points.map((point) => point.at), this.points.map((point) => point[name])];
  }
}
