/** Decoders of messages, fed with bytes: protobuf and JSON. */

import { DecodeError, encode } from '@etcd/api';
import { MESSAGES } from '@etcd/api/descriptors';
import { JsonError, messageFromJson, messageToJson, parseWholeJson } from '@etcd/api/json';
import { randomMessage } from '@etcd/api/testing';
import { SeededRandom, utf8ToBytes } from '@etcd/base';
import { type FuzzTarget, InputReader } from '@etcd/testing';

const ALL = [...MESSAGES.values()];
/** What the gateway reads. */
const REQUESTS = ALL.filter(({ name }) => /^etcdserverpb\..*Request$/.test(name));
const SEEDS = 3;

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** The first two bytes say which message it is. */
const protobuf: FuzzTarget = {
  name: 'protobuf',
  what: `each of the ${ALL.length} messages`,
  seeds: () =>
    ALL.flatMap(({ name, codec }, i) =>
      Array.from({ length: SEEDS }, (_, seed) =>
        Buffer.concat([
          Uint8Array.of(i & 0xff, i >> 8),
          encode(codec, randomMessage(new SeededRandom(seed), name)),
        ]),
      ),
    ).filter(({ length }) => length < 1500),
  run: (input) => {
    const reader = new InputReader(input);
    const { name, codec } = ALL[reader.number(2) % ALL.length]!;
    let message: object;
    try {
      message = codec.decode(reader.rest());
    } catch (error) {
      if (error instanceof DecodeError) return;
      throw error;
    }
    // What came out is an ordinary message: it encodes, and that decodes to the same.
    const bytes = encode(codec, message);
    if (!sameBytes(encode(codec, codec.decode(bytes)), bytes))
      throw new Error(`${name} does not come through`);
  },
};

/** The first byte says which request it is. */
const json: FuzzTarget = {
  name: 'json',
  what: `each of the ${REQUESTS.length} requests of the gateway, as JSON`,
  tokens: [
    '{',
    '}',
    '[',
    ']',
    '"',
    ':',
    ',',
    'null',
    'true',
    '\\u00e4',
    '\\ud800',
    '1e5',
    '-0',
    '"key":',
    '==',
    '9223372036854775808',
  ],
  seeds: () =>
    REQUESTS.map(({ name }, i) =>
      Buffer.concat([
        Uint8Array.of(i),
        utf8ToBytes(messageToJson(name, randomMessage(new SeededRandom(i), name))),
      ]),
    ),
  run: (input) => {
    const { name } = REQUESTS[(input[0] ?? 0) % REQUESTS.length]!;
    const text = Buffer.from(input.subarray(1)).toString('utf8');
    try {
      parseWholeJson(text);
      const message = messageFromJson(name, text);
      messageFromJson(name, messageToJson(name, message));
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
    }
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [protobuf, json];
