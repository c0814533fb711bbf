import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hexFromBytes, SeededRandom } from '@etcd/base';
import { type Codec, encode } from '../codec.ts';
import { MESSAGES } from '../gen/descriptors.ts';
import { randomMessage } from '../testing/index.ts';
import { DecodeError } from './decode-error.ts';

const SEEDS = 4;
const MUTATIONS = 40;
const MARGIN = 16;

/** Decodes `input` alone and again inside a larger array; null if it is malformed, which both must agree on. */
function decodeBoth(codec: Codec<object>, input: Uint8Array, random: SeededRandom): object | null {
  const outer = Uint8Array.from({ length: input.length + 2 * MARGIN }, () => random.below(256));
  outer.set(input, MARGIN);
  const alone = attempt(codec, input, 0, input.length);
  const within = attempt(codec, outer, MARGIN, MARGIN + input.length);
  if (alone instanceof DecodeError) {
    assert.ok(within instanceof DecodeError);
    assert.equal(within.message, alone.message);
    assert.ok(alone.offset >= 0 && alone.offset <= input.length);
    return null;
  }
  assert.deepEqual(within, alone);
  return alone;
}

function attempt(codec: Codec<object>, bytes: Uint8Array, start: number, end: number): object {
  try {
    return codec.decode(bytes, start, end);
  } catch (error) {
    assert.ok(error instanceof DecodeError, String(error));
    return error;
  }
}

/** What came out of hostile input is an ordinary message: it encodes, and that decodes to the same. */
function checkRoundTrip(codec: Codec<object>, message: object): void {
  const bytes = encode(codec, message);
  assert.equal(hexFromBytes(encode(codec, codec.decode(bytes))), hexFromBytes(bytes));
}

function mutate(input: Uint8Array, random: SeededRandom): Uint8Array {
  const output = Uint8Array.from(input);
  for (let i = 1 + random.below(3); i > 0 && output.length > 0; i--) {
    const at = random.below(output.length);
    if (random.chance(0.5)) output[at]! ^= 1 << random.below(8);
    else output[at] = random.pick([0, 1, 0x7f, 0x80, 0xff]);
  }
  const cut = random.below(output.length + 1);
  if (random.chance(0.2)) return output.subarray(0, cut);
  if (random.chance(0.2)) return Uint8Array.from([...output.subarray(0, cut), ...output]);
  return output;
}

for (const { name, codec } of MESSAGES.values()) {
  test(`S17 ${name}: truncated and damaged input is an error or a message, and nothing outside is read`, () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const random = new SeededRandom(seed);
      const bytes = encode(codec, randomMessage(random, name));
      for (let length = 0; length < Math.min(bytes.length, 100); length++) {
        const message = decodeBoth(codec, bytes.subarray(0, length), random);
        if (message !== null) checkRoundTrip(codec, message);
      }
      for (let i = 0; i < MUTATIONS; i++) {
        const message = decodeBoth(codec, mutate(bytes, random), random);
        if (message !== null) checkRoundTrip(codec, message);
      }
      const noise = Uint8Array.from({ length: random.below(60) }, () => random.below(256));
      const message = decodeBoth(codec, noise, random);
      if (message !== null) checkRoundTrip(codec, message);
    }
  });
}

test('S17 no length in the input makes the decoder allocate more than the input has', () => {
  const before = process.memoryUsage();
  const lengths = [0x7fff_ffff, 0xffff_ffff, 2 ** 40];
  for (const { codec } of MESSAGES.values()) {
    for (let number = 1; number <= 15; number++) {
      for (const length of lengths) {
        const input = [number * 8 + 2];
        for (let rest = length; rest > 0; rest = Math.floor(rest / 128)) input.push((rest % 128) | 0x80);
        input[input.length - 1]! &= 0x7f;
        assert.throws(() => codec.decode(Uint8Array.from(input)), { name: 'DecodeError', code: 'truncated' });
      }
    }
  }
  const after = process.memoryUsage();
  assert.ok(after.arrayBuffers - before.arrayBuffers < 1024 * 1024);
});
