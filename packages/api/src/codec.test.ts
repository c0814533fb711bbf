import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { hexFromBytes, SeededRandom } from '@etcd/base';
import protobuf from 'protobufjs';
import { encode } from './codec.ts';
import type { FieldDescriptor, MessageDescriptor } from './descriptor.ts';
import { MESSAGES } from './gen/descriptors.ts';
import { randomMessage } from './testing/index.ts';

const ROUNDS = 40;
const reference = loadReference();

for (const descriptor of MESSAGES.values()) {
  if (descriptor.name.endsWith('.StatusesEntry')) continue;
  test(`${descriptor.name}: another protobuf implementation reads what we write and the reverse`, () => {
    const type = reference.lookupType(descriptor.name);
    for (let seed = 0; seed < ROUNDS; seed++) {
      const message = randomMessage(new SeededRandom(seed), descriptor.name);
      const expected = canonical(descriptor, message);

      const bytes = encode(descriptor.codec, message);
      assert.equal(bytes.length, descriptor.codec.size(message));
      const theirs = type.toObject(type.decode(bytes), { longs: String });
      assert.deepEqual(canonicalOfReference(descriptor, theirs), expected);
      assert.deepEqual(canonical(descriptor, descriptor.codec.decode(bytes)), expected);

      const foreign = type.encode(type.fromObject(forReference(descriptor, message))).finish();
      const decoded = descriptor.codec.decode(foreign);
      assert.deepEqual(canonical(descriptor, decoded), expected);
      assert.equal((decoded as { unknown: unknown }).unknown, null);
    }
  });
}

test('what Go etcd 3.5 marshals is written back byte for byte', () => {
  const text = readFileSync(new URL('../testdata/go-etcd-3.5.txt', import.meta.url), 'utf8');
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  assert.ok(lines.length > 100);
  const seen = new Set<string>();
  for (const line of lines) {
    const [name, hex] = line.split(' ') as [string, string];
    const { codec } = MESSAGES.get(name)!;
    const bytes = hex === '-' ? new Uint8Array(0) : Buffer.from(hex, 'hex');
    assert.equal(hexFromBytes(encode(codec, codec.decode(bytes))), hexFromBytes(bytes), line);
    // A fresh message has what Go's zero value has; a snapshot in a raft message is a pointer since 3.6.
    if (!seen.has(name) && name !== 'raftpb.Message') {
      assert.equal(hexFromBytes(encode(codec, codec.create())), hexFromBytes(bytes), line);
    }
    seen.add(name);
  }
});

test('byte strings of a decoded message are views of the input, Buffers if it is one', () => {
  const { codec } = MESSAGES.get('etcdserverpb.PutRequest')!;
  const buffer = Buffer.from('xx\x0a\x03key\x12\x05valuexx', 'latin1');
  const put = codec.decode(buffer, 2, buffer.length - 2) as { key: Uint8Array; value: Uint8Array };
  assert.ok(Buffer.isBuffer(put.key));
  assert.equal(put.key.toString(), 'key');
  buffer[4] = 'K'.charCodeAt(0);
  assert.equal(put.key.toString(), 'Key');
  assert.equal(put.value.buffer, buffer.buffer);
});

/** The .proto files as protobufjs understands them. */
function loadReference(): protobuf.Root {
  const proto = new URL('../proto', import.meta.url).pathname;
  const wellKnown = new URL('../../../node_modules/protobufjs', import.meta.url).pathname;
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => `${target.startsWith('google/') ? wellKnown : proto}/${target}`;
  root.loadSync(globSync('**/*.proto', { cwd: proto }), { keepCase: true });
  return root;
}

type Plain = Record<string, unknown>;

/** What a message says, by proto names, without defaults: bytes in hex, integers as strings. */
function canonical(descriptor: MessageDescriptor, message: object): Plain {
  const values = message as Plain;
  const result: Plain = {};
  for (const field of descriptor.fields) {
    const value = values[field.property];
    if (isAbsent(field, values, value)) continue;
    const said = canonicalField(field, value, canonical);
    if (said !== undefined) result[field.name] = said;
  }
  return result;
}

function canonicalOfReference(descriptor: MessageDescriptor, values: Plain): Plain {
  const result: Plain = {};
  for (const field of descriptor.fields) {
    const value = values[field.name];
    if (value === undefined) continue;
    const list = field.isMap
      ? Object.entries(value as Plain).map(([key, item]) => ({ key, value: item }))
      : value;
    const said = canonicalField(field, list, canonicalOfReference);
    if (said !== undefined) result[field.name] = said;
  }
  return result;
}

function canonicalField(
  field: FieldDescriptor,
  value: unknown,
  nested: (descriptor: MessageDescriptor, message: Plain) => Plain,
): unknown {
  const one = (item: unknown): unknown => {
    if (field.kind === 'message') return nested(MESSAGES.get(field.type)!, item as Plain);
    return item instanceof Uint8Array ? hexFromBytes(item) : String(item);
  };
  if (field.isMap) {
    const entries = (value as unknown[]).map((item) => one(item) as { key?: string; value?: unknown });
    return nonEmpty(Object.fromEntries(entries.map((entry) => [entry.key ?? '', entry.value ?? {}])));
  }
  if (field.isRepeated) return nonEmpty((value as unknown[]).map(one));
  const said = one(value);
  if (field.oneof !== null || field.explicitPresence) return said;
  if (field.kind === 'message') return field.alwaysEncoded ? nonEmpty(said as object) : said;
  return said === '' || said === '0' || said === 'false' ? undefined : said;
}

function nonEmpty(value: object): object | undefined {
  return Object.keys(value).length === 0 ? undefined : value;
}

function isAbsent(field: FieldDescriptor, message: Plain, value: unknown): boolean {
  if (value === null) return true;
  if (field.oneof === null || field.kind === 'message') return false;
  return message['targetUnion'] !== field.number;
}

/** The message as protobufjs takes it. */
function forReference(descriptor: MessageDescriptor, message: object): Plain {
  const values = message as Plain;
  const result: Plain = {};
  for (const field of descriptor.fields) {
    const value = values[field.property];
    if (isAbsent(field, values, value)) continue;
    const one = (item: unknown): unknown => {
      if (field.kind === 'message') return forReference(MESSAGES.get(field.type)!, item as Plain);
      return typeof item === 'bigint' || field.kind.endsWith('int64') ? String(item) : item;
    };
    if (field.isMap) {
      const entries = (value as unknown[]).map((item) => one(item) as { key?: string; value?: unknown });
      result[field.name] = Object.fromEntries(entries.map(({ key, value: item }) => [key ?? '', item ?? {}]));
    } else {
      result[field.name] = field.isRepeated ? (value as unknown[]).map(one) : one(value);
    }
  }
  return result;
}
