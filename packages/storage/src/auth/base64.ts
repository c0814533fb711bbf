/** Base64 with padding, as Go's standard encoding reads it: line ends are skipped, anything else must be of the alphabet. */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Map(Array.from(ALPHABET, (letter, value) => [letter, value]));

/** The bytes of `text`; null when it is no base64. */
export function bytesFromBase64(text: string): Uint8Array | null {
  const letters = text.replace(/[\r\n]/g, '');
  if (letters.length % 4 !== 0) return null;
  const padding = letters.endsWith('==') ? 2 : letters.endsWith('=') ? 1 : 0;
  const bytes = new Uint8Array((letters.length / 4) * 3 - padding);
  let bits = 0;
  let count = 0;
  let position = 0;
  for (const letter of letters.slice(0, letters.length - padding)) {
    const value = VALUES.get(letter);
    if (value === undefined) return null;
    bits = ((bits << 6) | value) & 0xffff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes[position++] = (bits >>> count) & 0xff;
  }
  return bytes;
}
