/** A member as clients reach it, fed with the bytes of calls: of every method, with a token, and with several messages on a stream. */
import { encode, type Method, type MethodKind, type Service } from '@etcd/api';
import { SERVICES } from '@etcd/api/services';
import { randomMessage } from '@etcd/api/testing';
import { SeededRandom } from '@etcd/base';
import { type FuzzTarget, InputReader } from '@etcd/testing';
import { FakeMember } from './served-member.ts';

type AnyMethod = Method<MethodKind, object, object>;

const MAX_CALLS = 8;
const LONG_MS = 60_000;

function methodsOf({ methods }: Service): AnyMethod[] {
  return Object.values(methods) as unknown as AnyMethod[];
}

/** What a member may have open; those that it does not serve are refused. */
const METHODS: readonly AnyMethod[] = SERVICES.flatMap(methodsOf);

function message(data: Uint8Array): Buffer {
  return Buffer.concat([Uint8Array.of(data.length & 0xff, data.length >> 8), data]);
}

function callBytes(member: FakeMember, reader: InputReader): void {
  const method = METHODS[reader.byte() % METHODS.length]!;
  const how = reader.byte();
  const token = Buffer.from(reader.bytes(how % 4 === 3 ? reader.byte() % 32 : 0)).toString('latin1');
  const stream = member.open(method, token === '' ? [] : [['token', token]]);
  for (let left = how > 127 ? 1 + (how % 4) : 1; left > 0 && stream.isOpen; left--) {
    stream.sendBytes(Buffer.from(reader.bytes(reader.number(2))));
  }
  if (how % 8 > 3) stream.halfClose();
  if (how % 16 > 7) stream.cancel();
}

/** The first byte says whether users count. */
const clientCalls: FuzzTarget = {
  name: 'client-calls',
  isSlow: true,
  heldBytes: 32 * 1024 * 1024,
  what: `calls of the ${METHODS.length} methods, one after the other, with whatever token`,
  tokens: ['token', 'abcdefghijklmnop.1', '\0'],
  seeds: () =>
    METHODS.map(({ request }, i) => {
      const bytes = encode(request, randomMessage(new SeededRandom(i), request.name));
      return Buffer.concat([Uint8Array.of(0, i, 4 + (i % 2) * 128), message(bytes)]);
    }).filter(({ length }) => length < 500),
  run: (input) => {
    const reader = new InputReader(input);
    const member = new FakeMember({ hasUsers: reader.byte() % 2 === 1 });
    for (let calls = 0; !reader.isAtEnd && calls < MAX_CALLS; calls++) callBytes(member, reader);
    member.clock.advance(LONG_MS);
    if (member.isFenced) throw new Error('a client fenced the member');
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [clientCalls];
