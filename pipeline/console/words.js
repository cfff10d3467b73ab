// Figures as text, each with its unit. One language and one form of numbers: an operator reads them aloud to another.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
export const UNKNOWN = "unknown";

const known = (value, said) => (value === null || value === undefined ? UNKNOWN : said(value));

export const count = (value) => known(value, (number) => whole.format(number));
export const share = (value) => known(value, (part) => `${tenths.format(part * 100)}%`);
export const rate = (value) => known(value, (number) => (number < 10 && number > 0 ? tenths : whole).format(number));

/** Seconds, as short as they can be said. */
export function seconds(value) {
  return known(value, (number) => {
    if (number === 0) return "0 s";
    if (number < 1) return `${whole.format(number * 1000)} ms`;
    if (number < 120) return `${tenths.format(number)} s`;
    if (number < 7200) return `${whole.format(number / 60)} min`;
    return `${tenths.format(number / 3600)} h`;
  });
}

export function bytes(value) {
  return known(value, (number) => (number < 1024 ? `${number} B` : `${tenths.format(number / 1024)} KiB`));
}

export const days = (value) => known(value, (number) => `${tenths.format(number)} days`);

/** "1 record", "2 records". */
export const records = (number) => `${count(number)} ${number === 1 ? "record" : "records"}`;

export const clock = (at) => new Date(at).toLocaleTimeString("en-GB", { hour12: false });

/** An instant of some day, in UTC, which the heading says: the logs and SQL have it so, too. */
export const instant = (text) => `${text.slice(0, 10)} ${text.slice(11, 19)}`;

/** The pieces of a long name, between which a line may break. */
export const pieces = (name) => name.split(/(?<=[_./-])/);

const formats = new Map();

/** Minor units as an amount, with as many decimals as its currency has; plainly as minor units where none is known. */
export function money(cents, currency) {
  if (cents === null || cents === undefined) return "–";
  if (!currency) return whole.format(cents);
  if (!formats.has(currency)) {
    const digits = new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;
    const fixed = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    formats.set(currency, { scale: 10 ** digits, format: new Intl.NumberFormat("en", fixed) });
  }
  const { scale, format } = formats.get(currency);
  return format.format(cents / scale);
}
