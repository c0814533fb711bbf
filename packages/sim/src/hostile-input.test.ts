/**
 * S17 S21: whatever other members and clients send to a member, its process does not end. What they send here is what they might
 * send, made of parts that are there or not; or that, with some of its bytes changed.
 */
import { strict as assert } from 'node:assert';
import { test } from 'node:test';
import { DecodeError, encode, type Service } from '@etcd/api';
import { MESSAGES } from '@etcd/api/descriptors';
import {
  type ConfChange,
  decodeMessage,
  Entry,
  EntryType,
  encodeMessage,
  type Message,
  MessageType,
} from '@etcd/api/raftpb';
import { SERVICES } from '@etcd/api/services';
import { randomMessage } from '@etcd/api/testing';
import { DiskError, SeededRandom } from '@etcd/base';
import { hasWholeSnapshot } from '@etcd/raft';
import type { PeerHost } from '@etcd/server';
import { newMember, updateMemberChange } from '@etcd/storage/membership';
import { GrpcChannel } from '@etcd/transport';
import { QuietCluster } from './quiet-cluster.ts';

const WORLDS = 40;
const INPUTS_PER_WORLD = 60;
/** As long as a member takes to act on what has come. */
const SETTLE_MS = 20;
/** A follower that hears nothing campaigns. */
const CAMPAIGN_MS = 3000;
const STRANGERS = [7n, 8n, 0xffff_ffff_ffff_fffdn];

function random<T extends object>(source: SeededRandom, name: string): T {
  return randomMessage(source, name) as T;
}

/** Changes, removes or adds some bytes. */
function mutated(source: SeededRandom, bytes: Uint8Array): Uint8Array {
  let result = Buffer.from(bytes);
  for (let changes = source.below(4); changes >= 0; changes--) {
    const at = source.below(result.length + 1);
    const kind = source.below(3);
    if (kind === 0 && at < result.length) result[at] = source.below(256);
    else if (kind === 1) result = Buffer.concat([result.subarray(0, at), result.subarray(at + 1)]);
    else result = Buffer.concat([result.subarray(0, at), Buffer.of(source.below(256)), result.subarray(at)]);
  }
  return result;
}

function encoded(name: string, message: object): Uint8Array {
  return encode(MESSAGES.get(name)!.codec, message);
}

/** A request in the log, as a member proposes it: one kind of it, whose parts are there or not. */
function requestData(source: SeededRandom, memberId: bigint): Uint8Array {
  const name = 'etcdserverpb.InternalRaftRequest';
  const { codec, fields } = MESSAGES.get(name)!;
  const request = codec.create() as Record<string, unknown>;
  const kinds = fields.filter(({ kind, property }) => kind === 'message' && property !== 'header');
  for (let count = source.below(3); count >= 0; count--) {
    const { property, type } = source.pick(kinds);
    // Authentication, which is refused as a whole.
    if (property.startsWith('auth')) continue;
    const content = random<Record<string, unknown>>(source, type);
    if ('memberId' in content && source.chance(0.7)) content.memberId = memberId;
    if ('ver' in content && source.chance(0.7)) content.ver = source.pick(['3.5.0', '3.6.0', '3', 'x']);
    if (property === 'v2') content.path = source.pick(['/0/version', '/0/members/8/attributes', '/1', '']);
    request[property] = content;
  }
  const bytes = encoded(name, request);
  return source.chance(0.3) ? mutated(source, bytes) : bytes;
}

function confChangeData(source: SeededRandom): Uint8Array {
  if (source.chance(0.2)) return encoded('raftpb.ConfChange', random(source, 'raftpb.ConfChange'));
  const { id } = newMember(source.pick(STRANGERS), { peerUrls: ['http://x:2380'], isLearner: false });
  const change: ConfChange = updateMemberChange(id, [source.pick(['http://x:2380', 'x', ''])]);
  change.type = source.below(5);
  if (source.chance(0.3)) change.context = mutated(source, change.context);
  return encoded('raftpb.ConfChange', change);
}

function entry(source: SeededRandom, memberId: bigint): Entry {
  if (source.chance(0.1)) return random(source, 'raftpb.Entry');
  const result = new Entry();
  if (source.chance(0.3)) {
    result.type = EntryType.EntryConfChange;
    result.data = confChangeData(source);
  } else if (source.chance(0.1)) {
    result.type = EntryType.EntryConfChangeV2;
    result.data = encoded('raftpb.ConfChangeV2', random(source, 'raftpb.ConfChangeV2'));
  } else result.data = requestData(source, memberId);
  return result;
}

/** Where the member's log stands: messages that fit to it get furthest. */
interface LogPosition {
  readonly term: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
}

function peerMessage(
  source: SeededRandom,
  memberId: bigint,
  { term, lastIndex, lastTerm }: LogPosition,
): Message {
  const message = random<Message>(source, 'raftpb.Message');
  message.type = source.pick(Object.values(MessageType));
  if (source.chance(0.3))
    message.type = source.pick([MessageType.MsgApp, MessageType.MsgSnap, MessageType.MsgProp]);
  message.to = memberId;
  message.from = source.pick(STRANGERS);
  if (source.chance(0.8)) message.term = message.type === MessageType.MsgProp ? 0 : term + source.below(2);
  if (source.chance(0.8)) {
    message.index = lastIndex;
    message.logTerm = lastTerm;
    message.commit = lastIndex + source.below(3);
  }
  message.entries = Array.from({ length: source.below(3) }, (_, i) => {
    const result = entry(source, memberId);
    if (message.type === MessageType.MsgApp && source.chance(0.9)) {
      result.term = message.term;
      result.index = message.index + i + 1;
    }
    return result;
  });
  if (message.snapshot !== null && source.chance(0.8)) {
    const { metadata } = message.snapshot;
    metadata.index = lastIndex + source.below(3);
    metadata.term = term;
    metadata.confState.voters = source.chance(0.8) ? [memberId] : [memberId, 7n];
    metadata.confState.learners = [];
    metadata.confState.votersOutgoing = [];
    metadata.confState.learnersNext = [];
    metadata.confState.autoLeave = false;
  }
  return message;
}

/** Lets the member work on what has come. A liar in a cluster breaks what the world checks of the log: only an end counts here. */
async function settle({ world }: QuietCluster, durationMs: number, seed: number): Promise<void> {
  const untilMs = world.clock.now() + durationMs;
  while (world.clock.now() < untilMs) {
    await world.run(untilMs - world.clock.now());
    if (world.violation === null) return;
    assert.notEqual(world.violation.property, 'no failure', `seed ${seed}: ${world.violation.details}`);
    world.violation = null;
  }
}

/** What a network does with a message that has come. */
function deliver(host: PeerHost, message: Message, database: Uint8Array): void {
  if (message.type !== MessageType.MsgSnap || !hasWholeSnapshot(message)) return host.receive(message);
  const receiver = host.receiveSnapshot(message);
  if (receiver instanceof DiskError) return;
  receiver.write(database, (error) => {
    if (error !== null) return;
    receiver.finish((failed) => {
      if (failed === null) host.receive(message);
    });
  });
}

test('S17 S21 no message of another member ends the process', async () => {
  for (let seed = 1; seed <= WORLDS; seed++) {
    const source = new SeededRandom(seed);
    const cluster = await QuietCluster.start({ size: 1 });
    const { world } = cluster;
    const [machine] = world.machines;
    const { host } = world.fabric.at('http://m1:2380')!.network;
    const { parts, process } = machine!.run!;
    for (let i = 0; i < INPUTS_PER_WORLD; i++) {
      const { node, raftStorage } = parts!;
      const lastIndex = raftStorage.lastIndex();
      const position = { term: node.term, lastIndex, lastTerm: raftStorage.term(lastIndex) };
      let bytes = encodeMessage(peerMessage(source, parts!.memberId, position));
      if (source.chance(0.2)) bytes = mutated(source, bytes);
      const whole = machine!.disk.readFile('/data/member/snap/db');
      const database = source.chance(0.5) ? whole : mutated(source, whole.subarray(0, source.below(8192)));
      let message: Message;
      try {
        message = decodeMessage(bytes);
      } catch (error) {
        assert.ok(error instanceof DecodeError);
        continue;
      }
      process.run(() => deliver(host!, message, database));
      await settle(cluster, source.chance(0.1) ? CAMPAIGN_MS : SETTLE_MS, seed);
    }
    assert.ok(machine!.isServing || machine!.isRetired, `seed ${seed}`);
  }
});

const SERVED: readonly Service[] = SERVICES.filter(({ name }) => !/Auth|Election|Lock/.test(name));

test('S17 no request of a client ends the process', async () => {
  for (let seed = 1; seed <= WORLDS; seed++) {
    const source = new SeededRandom(seed);
    const cluster = await QuietCluster.start({ size: 1 });
    const { world } = cluster;
    const machine = world.machines[0]!;
    let channel: GrpcChannel | null = null;
    for (let i = 0; i < INPUTS_PER_WORLD; i++) {
      if (channel?.isOpen !== true) {
        channel = new GrpcChannel(machine.run!.connect()!, { clock: world.clock, authority: 'm1' });
      }
      const { path, request, kind } = source.pick(Object.values(source.pick(SERVED).methods));
      const call = channel.call(path, { onMessage: () => {}, onEnd: () => {} });
      for (let count = kind === 'bidi-stream' ? source.below(5) : 1; count > 0; count--) {
        const bytes = encode(request, random<object>(source, request.name));
        const sent = source.chance(0.3) ? mutated(source, bytes) : bytes;
        call.write(sent, 0, sent.length);
      }
      if (source.chance(0.7)) call.halfClose();
      await settle(cluster, SETTLE_MS, seed);
    }
    assert.ok(machine.isServing || machine.isRetired, `seed ${seed}`);
  }
});
