/** Entries as another member sends them, fed with bytes: what is not refused is applied, and once more on another member, which has to come to the same. */
import { encode } from '@etcd/api';
import { MESSAGES } from '@etcd/api/descriptors';
import { encodeRequest, Request } from '@etcd/api/etcdserverpb';
import { Entry, EntryType, encodeConfChange, Message, MessageType } from '@etcd/api/raftpb';
import { randomMessage } from '@etcd/api/testing';
import { SeededRandom } from '@etcd/base';
import { addMemberChange, newMember, updateMemberChange } from '@etcd/storage/membership';
import { type FuzzTarget, InputReader } from '@etcd/testing';
import { SingleLog } from '../../apply/testing/single-log.ts';
import { MessageCheck } from '../../consensus/message-check.ts';
import { lastV2Index } from '../../request/index.ts';

const ENVELOPE = 'etcdserverpb.InternalRaftRequest';
const MAX_ENTRIES = 12;
const LONG_MS = 10_000;
const V2_REQUESTS: readonly Partial<Request>[] = [
  { method: 'PUT', path: '/0/version', val: '3.4.0' },
  {
    method: 'PUT',
    path: '/0/members/8e9e05c52164694d/attributes',
    val: '{"name":"m1","clientURLs":["http://a:1"]}',
  },
  { method: 'PUT', path: '/0/members/1/raftAttributes', val: '{"peerURLs":["http://a:1"]}' },
  { method: 'QGET', path: '/1/x', recursive: true },
  { method: 'DELETE', path: '/1/x', prevValue: 'y', prevExist: true },
];

function entry(type: number, data: Uint8Array): Buffer {
  return Buffer.concat([Uint8Array.of(type, data.length & 0xff, data.length >> 8), data]);
}

/** An envelope with one request of each kind. */
function envelopes(): Buffer[] {
  const { codec, fields } = MESSAGES.get(ENVELOPE)!;
  return fields
    .filter(({ kind, property }) => kind === 'message' && property !== 'header')
    .map(({ property, type }, i) => {
      const message = codec.create() as Record<string, unknown>;
      message[property] = randomMessage(new SeededRandom(i), type);
      return entry(1, encode(codec, message));
    })
    .filter(({ length }) => length < 400);
}

function seeds(): Buffer[] {
  const { id } = newMember(7n, { peerUrls: ['http://b:2380'], isLearner: false });
  const changes = [
    addMemberChange(newMember(7n, { peerUrls: ['http://b:2380'], isLearner: true })),
    updateMemberChange(id, ['http://c:2380']),
  ].map((change) => entry(0, encodeConfChange(change)));
  const old = V2_REQUESTS.map((request) => entry(1, encodeRequest(new Request(request))));
  return [
    ...envelopes(),
    ...old,
    Buffer.concat(old),
    Buffer.concat(changes),
    Buffer.concat(envelopes().slice(0, 6)),
  ].map((bytes) => Buffer.concat([Uint8Array.of(0), bytes]));
}

const check = new MessageCheck();

/** Whether it may go into the log. */
function isTaken(entry: Entry): boolean {
  return check.problemOf(new Message({ type: MessageType.MsgApp, entries: [entry] })) === null;
}

function entriesOf(reader: InputReader): Entry[] {
  const entries: Entry[] = [];
  while (!reader.isAtEnd && entries.length < MAX_ENTRIES) {
    const type = reader.byte() % 8 === 0 ? EntryType.EntryConfChange : EntryType.EntryNormal;
    const data = Buffer.from(reader.bytes(reader.number(2)));
    const entry = new Entry({ type, term: 2, index: entries.length + 1, data });
    if (isTaken(entry)) entries.push(entry);
  }
  return entries;
}

function hashOf({ backend, clock }: SingleLog): number {
  let found: number | null = null;
  backend.hashThen(
    () => false,
    (_error, hash) => {
      found = hash;
    },
  );
  clock.advanceUntil(() => found !== null, LONG_MS);
  return found!;
}

/** The first byte says whether users count, and how full the database may be. */
const apply: FuzzTarget = {
  name: 'apply',
  isSlow: true,
  heldBytes: 32 * 1024 * 1024,
  what: 'entries of the log, requests of the v2 API among them; what is not refused is applied by two members, which must agree',
  tokens: [
    '/0/version',
    '/0/members/',
    '/attributes',
    '/raftAttributes',
    '{"name":"',
    '"clientURLs":[',
    'PUT',
    '3.6.0',
  ],
  seeds,
  run: (input) => {
    const reader = new InputReader(input);
    const how = reader.byte();
    const options = { hasUsers: how % 2 === 1, quotaBytes: how > 127 ? 1 : Number.POSITIVE_INFINITY };
    const entries = entriesOf(reader);
    lastV2Index({
      entries: () => entries,
      firstIndex: () => 1,
      lastIndex: () => entries.length,
    });
    const [first, second] = [new SingleLog(options), new SingleLog(options)];
    for (const one of entries) {
      first.applyEntries([one]);
      first.clock.settle();
    }
    second.applyEntries(entries);
    second.clock.settle();
    if (first.store.revision !== second.store.revision) throw new Error('revisions differ');
    if (hashOf(first) !== hashOf(second)) throw new Error('contents differ');
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [apply];
