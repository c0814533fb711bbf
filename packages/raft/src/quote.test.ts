import assert from 'node:assert/strict';
import { test } from 'node:test';
import { quoteBytes } from './quote.ts';

/** Bytes in hex, and what Go makes of them. */
const QUOTES: readonly (readonly [hex: string, quoted: string])[] = [
  ['', '""'],
  ['20', '" "'],
  ['617a3039', '"az09"'],
  ['00011f', '"\\x00\\x01\\x1f"'],
  ['07080c0a0d090b225c2760', '"\\a\\b\\f\\n\\r\\t\\v\\"\\\\\'`"'],
  ['7e7f', '"~\\x7f"'],
  ['c280c2a0c2adc3bf', '"\\u0080\\u00a0\\u00adÿ"'],
  ['dfbfe0a080e0a081', '"߿ࠀࠁ"'],
  ['ed9fbfee8080efbfbdefbbbfefbfbf', '"\\ud7ff\\ue000�\\ufeff\\uffff"'],
  ['f0908080f09f9880f48fbfbf', '"𐀀😀\\U0010ffff"'],
  ['e280a8e38080cc81', '"\\u2028\\u3000́"'],
  ['80', '"\\x80"'],
  ['bf', '"\\xbf"'],
  ['c080', '"\\xc0\\x80"'],
  ['c1bf', '"\\xc1\\xbf"'],
  ['c2', '"\\xc2"'],
  ['c27f', '"\\xc2\\x7f"'],
  ['c280', '"\\u0080"'],
  ['dfbf', '"߿"'],
  ['e08080', '"\\xe0\\x80\\x80"'],
  ['e09fbf', '"\\xe0\\x9f\\xbf"'],
  ['e0a080', '"ࠀ"'],
  ['e180', '"\\xe1\\x80"'],
  ['e18041', '"\\xe1\\x80A"'],
  ['ed9fbf', '"\\ud7ff"'],
  ['eda080', '"\\xed\\xa0\\x80"'],
  ['edbfbf', '"\\xed\\xbf\\xbf"'],
  ['ee8080', '"\\ue000"'],
  ['efbfbf', '"\\uffff"'],
  ['f0808080', '"\\xf0\\x80\\x80\\x80"'],
  ['f08fbfbf', '"\\xf0\\x8f\\xbf\\xbf"'],
  ['f0908080', '"𐀀"'],
  ['f09080', '"\\xf0\\x90\\x80"'],
  ['f48fbfbf', '"\\U0010ffff"'],
  ['f4908080', '"\\xf4\\x90\\x80\\x80"'],
  ['f5808080', '"\\xf5\\x80\\x80\\x80"'],
  ['ff', '"\\xff"'],
  ['61f09f988062f0', '"a😀b\\xf0"'],
  ['f18080c0', '"\\xf1\\x80\\x80\\xc0"'],
  ['e1c080', '"\\xe1\\xc0\\x80"'],
  ['e17f80', '"\\xe1\\x7f\\x80"'],
];

test('bytes are quoted as Go quotes them, at every limit of a sequence of UTF-8', () => {
  for (const [hex, quoted] of QUOTES) assert.equal(quoteBytes(Buffer.from(hex, 'hex')), quoted, hex);
});
