/** Numbers of requests that are negative, zero or beyond everything: refused, or taken, as real etcd does, by a member that goes on. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import type { MethodName } from '../../support/messages.ts';
import { needs, peer, SUBJECT } from '../../support/programs.ts';

const MAX = (1n << 63n) - 1n;
const MIN = -(1n << 63n);
const MAX_ID = (1n << 64n) - 1n;
const RANGE = { key: 'a', range_end: 'c' };
const LEASE = 77;

type Ask = readonly [method: MethodName, request: object];

function asksWith(number: bigint): Ask[] {
  const compare = { key: 'a', result: 'LESS' };
  return [
    ['KV.Range', { ...RANGE, limit: number }],
    ['KV.Range', { key: 'a', revision: number }],
    ['KV.Range', { ...RANGE, min_mod_revision: number }],
    ['KV.Range', { ...RANGE, max_mod_revision: number }],
    ['KV.Range', { ...RANGE, max_create_revision: number }],
    ['KV.Put', { key: 'x', value: 'v', lease: number }],
    ['KV.Compact', { revision: number }],
    ['Lease.LeaseGrant', { TTL: number, ID: LEASE }],
    ['Lease.LeaseRevoke', { ID: number }],
    ['Lease.LeaseTimeToLive', { ID: number }],
    ['Maintenance.HashKV', { revision: number }],
    ['KV.Txn', { compare: [{ ...compare, target: 'MOD', mod_revision: number }] }],
    ['KV.Txn', { compare: [{ ...compare, target: 'LEASE', lease: number }] }],
  ];
}

function asksAbout(id: bigint): Ask[] {
  return [
    ['Maintenance.MoveLeader', { targetID: id }],
    ['Cluster.MemberRemove', { ID: id }],
    ['Cluster.MemberPromote', { ID: id }],
    ['Cluster.MemberUpdate', { ID: id, peerURLs: ['http://a:1'] }],
  ];
}

const ASKS = [...[-1n, MIN, MAX].flatMap(asksWith), ...[0n, MAX_ID].flatMap(asksAbout)];

/** What is told, without what is each server's own: who it is, and hashes of files. */
function essence(value: object): string {
  const own = new Set(['header', 'hash', 'hash_revision']);
  const replace = (key: string, part: unknown): unknown =>
    own.has(key) ? undefined : typeof part === 'bigint' ? `${part}` : part;
  return JSON.stringify(value, replace);
}

async function answersOf(program: string): Promise<string[]> {
  const server = await EtcdServer.start({ program, flags: FAST_ELECTION });
  const rpc = new EtcdRpc(server.address);
  try {
    for (const key of ['a', 'b']) await rpc.call('KV.Put', { key, value: '1' });
    const answers: string[] = [];
    for (const [method, request] of ASKS) {
      const outcome = await rpc.outcome(method, request);
      const answer = outcome.ok ? essence(outcome.value) : `${outcome.code} ${outcome.details}`;
      answers.push(`${method} ${essence(request)}: ${answer}`);
      if (method === 'Lease.LeaseGrant' && outcome.ok) await rpc.call('Lease.LeaseRevoke', { ID: LEASE });
    }
    assert.equal((await rpc.call('KV.Range', RANGE)).kvs.length, 2);
    return answers;
  } finally {
    rpc.close();
    await server.kill();
  }
}

test(
  'S19 numbers of requests that are negative or beyond everything do what they do at etcd',
  needs('etcd 3.7'),
  async () => {
    const [ours, theirs] = [await answersOf(SUBJECT), await answersOf(peer('3.7', 'etcd'))];
    assert.deepEqual(ours, theirs);
  },
);
