/**
 * A drill: a cluster of three under load, which backs itself up, loses two disks at once, and comes back from what is in the store. Prints how long
 * clients were without it, and how much of what they had been acknowledged was lost.
 *
 *     node packages/admin/bench/disaster-drill.ts [--seconds 10] [--interval 1s] [--alone 0]
 *
 * With `--alone` the third is left to itself for so many seconds before it is stopped, which counts as time without a cluster.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { connect } from '@etcd/client/node';
import { freePort } from '@etcd/testing/free-port';

const BIN = fileURLToPath(new URL('../../../bin/', import.meta.url));
const PAUSE_MS = 20;
const KEYS = 1000;

interface Place {
  readonly name: string;
  readonly client: string;
  readonly peer: string;
}

/** What a client was told. */
interface Acknowledged {
  readonly count: number;
  readonly atMs: number;
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    interval: { type: 'string', default: '1s' },
    alone: { type: 'string', default: '0' },
  },
});
const root = mkdtempSync(join(tmpdir(), 'drill-'));
const store = join(root, 'store');
const running: ChildProcess[] = [];

const places: Place[] = [];
for (const name of ['a', 'b', 'c']) {
  const [client, peer] = [await freePort(), await freePort()];
  places.push({ name, client: `http://127.0.0.1:${client}`, peer: `http://127.0.0.1:${peer}` });
}
const endpoints = places.map(({ client }) => client);
const initialCluster = places.map(({ name, peer }) => `${name}=${peer}`).join();

function start(place: Place, dataDir: string, token: string): ChildProcess {
  const { name, client, peer } = place;
  const flags = {
    name,
    'data-dir': dataDir,
    'listen-client-urls': client,
    'advertise-client-urls': client,
    'listen-peer-urls': peer,
    'initial-advertise-peer-urls': peer,
    'initial-cluster': initialCluster,
    'initial-cluster-token': token,
    'backup-store': store,
    'backup-unencrypted': 'true',
    'backup-schedule': '1h',
    'backup-changes-interval': values.interval,
  };
  const log = openSync(join(root, `${name}.log`), 'a');
  const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
  const member = spawn(`${BIN}etcd`, args, { stdio: ['ignore', log, log] });
  closeSync(log);
  running.push(member);
  return member;
}

const isRunning = ({ exitCode, signalCode }: ChildProcess): boolean =>
  exitCode === null && signalCode === null;

/** Resolves when every member serves: two of three would do for all that comes next but the loss of two. */
async function serving(members: readonly ChildProcess[]): Promise<void> {
  for (const { client: endpoint } of places) {
    const client = connect({ endpoints: [endpoint] });
    try {
      for (;;) {
        assert.ok(members.every(isRunning), 'a member ended by itself');
        const { leader } = await client.maintenance.status({ timeoutMs: 1000 }).catch(() => ({ leader: 0n }));
        if (leader !== 0n) break;
        await sleep(PAUSE_MS);
      }
    } finally {
      client.close();
    }
  }
}

async function killed(member: ChildProcess): Promise<void> {
  assert.ok(isRunning(member), 'a member ended by itself');
  const ended = new Promise((resolve) => member.once('exit', resolve));
  member.kill('SIGKILL');
  await ended;
}

/** Writes counters until told to stop, and says of each what was acknowledged. */
async function load(acknowledged: Acknowledged[], signal: AbortSignal): Promise<void> {
  const client = connect({ endpoints });
  try {
    for (let count = 1; !signal.aborted; count++) {
      try {
        await client.kv.put(`counter/${count % KEYS}`, String(count), { timeoutMs: 2000, signal });
        acknowledged.push({ count, atMs: Date.now() });
      } catch {
        // It may be written and it may not: nobody was told.
      }
    }
  } finally {
    client.close();
  }
}

const backedUp = (): boolean => {
  try {
    return readdirSync(store).some((name) => name.endsWith('.json'));
  } catch {
    return false;
  }
};

try {
  const members = places.map((place) => start(place, join(root, place.name), 'before'));
  await serving(members);
  const controller = new AbortController();
  const acknowledged: Acknowledged[] = [];
  const loading = load(acknowledged, controller.signal);
  while (!backedUp()) {
    assert.ok(members.every(isRunning), 'a member ended by itself');
    await sleep(PAUSE_MS);
  }
  await sleep(Number(values.seconds) * 1000);

  const lostMs = Date.now();
  await Promise.all(members.slice(0, 2).map(killed));
  for (const { name } of places.slice(0, 2)) rmSync(join(root, name), { recursive: true });
  controller.abort();
  await loading;
  await sleep(Number(values.alone) * 1000);

  // What docs/backup.md says: the last member stops, all are made from the same backup, with a new token.
  await killed(members[2]!);
  for (const { name, peer } of places) {
    const flags = {
      store,
      name,
      'to-time': 'newest',
      'data-dir': join(root, `${name}-restored`),
      'initial-cluster': initialCluster,
      'initial-cluster-token': 'after',
      'initial-advertise-peer-urls': peer,
    };
    const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    const restored = spawnSync(`${BIN}etcdadm`, ['restore', ...args], { encoding: 'utf8' });
    assert.equal(restored.status, 0, restored.stderr);
  }
  for (const place of places) start(place, join(root, `${place.name}-restored`), 'after');
  const client = connect({ endpoints });
  for (;;) {
    try {
      await client.kv.put('back', 'again', { timeoutMs: 1000 });
      break;
    } catch {
      await sleep(PAUSE_MS);
    }
  }
  const backMs = Date.now();

  const { kvs } = await client.kv.get('counter/', { prefix: true });
  client.close();
  const found = Math.max(...kvs.map(({ value }) => Number(Buffer.from(value).toString())));
  const before = acknowledged.filter(({ atMs }) => atMs <= lostMs);
  const lost = before.filter(({ count }) => count > found);
  const figures = {
    acknowledgedWrites: before.length,
    writesPerSecond: Math.round(before.length / ((lostMs - before[0]!.atMs) / 1000)),
    recoveryTimeSeconds: (backMs - lostMs) / 1000,
    lostWrites: lost.length,
    recoveryPointSeconds: lost.length === 0 ? 0 : (lostMs - lost[0]!.atMs) / 1000,
  };
  process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
} catch (error) {
  for (const { name } of places)
    process.stderr.write(readFileSync(join(root, `${name}.log`), 'utf8').slice(-2000));
  throw error;
} finally {
  for (const member of running) if (isRunning(member)) member.kill('SIGKILL');
  rmSync(root, { recursive: true, force: true, maxRetries: 10 });
}
