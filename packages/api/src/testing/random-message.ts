/**
 * Messages with random content, for tests. Integers come from the edges of their encodings: where a varint grows by a
 * byte, where a word ends, where a double stops being exact (counters stay below that, so that they compare equal).
 */
import { assert, EMPTY_BYTES, type SeededRandom } from '@etcd/base';
import type { FieldDescriptor } from '../descriptor.ts';
import { ENUMS, MESSAGES } from '../gen/descriptors.ts';

const MAX_DEPTH = 4;
const MAX_REPEATED = 3;
const MAX_BYTES = 300;
const UNSIGNED = [0, 1, 127, 128, 2 ** 14 - 1, 2 ** 14, 2 ** 28 - 1, 2 ** 28, 2 ** 31, 2 ** 32, 2 ** 35];
const TEXTS = [
  '',
  'a',
  'node-1',
  'http://127.0.0.1:2380',
  'schlüssel',
  '日本語',
  '🗝️ 𝒳',
  '\u0000\u007f\u0080\uffff',
];

/** A random message of the type `name`; sub-messages are nested a few levels deep. */
export function randomMessage(random: SeededRandom, name: string, depth = 0): object {
  const descriptor = MESSAGES.get(name);
  assert(descriptor !== undefined, 'a message type that exists');
  const message = descriptor.codec.create() as Record<string, unknown>;
  for (const field of descriptor.fields) {
    if (field.oneof === null && random.chance(0.7))
      message[field.property] = randomField(random, field, depth);
  }
  for (const oneof of new Set(descriptor.fields.map((field) => field.oneof))) {
    if (oneof === null || random.chance(0.1)) continue;
    const member = random.pick(descriptor.fields.filter((field) => field.oneof === oneof));
    message[member.property] = randomField(random, member, depth);
    const tag = oneof.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
    if (tag in message) message[tag] = member.number;
  }
  return message;
}

function randomField(random: SeededRandom, field: FieldDescriptor, depth: number): unknown {
  const mayNest = field.kind !== 'message' || depth < MAX_DEPTH;
  if (field.isRepeated) {
    const count = mayNest ? random.below(MAX_REPEATED + 1) : 0;
    return Array.from({ length: count }, () => randomValue(random, field, depth));
  }
  if (!mayNest && !field.alwaysEncoded) return null;
  return randomValue(random, field, depth);
}

function randomValue(random: SeededRandom, field: FieldDescriptor, depth: number): unknown {
  switch (field.kind) {
    case 'message':
      return randomMessage(random, field.type, depth + 1);
    case 'enum':
      return random.pick(ENUMS.get(field.type)!.values).number;
    case 'bool':
      return random.chance(0.5);
    case 'bytes':
      return randomBytes(random);
    case 'string':
    case 'lossyString':
      return random.pick(TEXTS);
    case 'int32':
      return random.uint32() | 0;
    case 'uint32':
      return random.uint32() >>> random.below(32);
    case 'uint64':
      return randomCounter(random);
    case 'int64':
      return random.chance(0.3) ? -1 - randomCounter(random) : randomCounter(random);
    case 'bigUint64':
      return randomBits(random);
    case 'bigInt64':
      return BigInt.asIntN(64, randomBits(random));
  }
}

function randomCounter(random: SeededRandom): number {
  if (random.chance(0.5)) return random.pick(UNSIGNED);
  return (random.uint32() >>> random.below(32)) * 2 ** random.below(21);
}

function randomBits(random: SeededRandom): bigint {
  const bits = (BigInt(random.uint32()) << 32n) | BigInt(random.uint32());
  return bits >> BigInt(random.below(64));
}

function randomBytes(random: SeededRandom): Uint8Array {
  const length = random.chance(0.1) ? random.below(MAX_BYTES) : random.below(8);
  if (length === 0) return EMPTY_BYTES;
  return Uint8Array.from({ length }, () => random.below(256));
}
