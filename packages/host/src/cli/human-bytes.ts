/** Sizes for people, as etcd's tools print them. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'];

/** A size as people read it, in powers of 1000. */
export function humanBytes(byteCount: number): string {
  if (byteCount < 10) return `${byteCount} B`;
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log10(byteCount) / 3 + 1e-12));
  const value = Math.floor((byteCount / 1000 ** power) * 10 + 0.5) / 10;
  return `${value < 10 ? value.toFixed(1) : halfToEven(value)} ${UNITS[power]}`;
}

/** As Go rounds: what lies in the middle goes to the even side. */
function halfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
