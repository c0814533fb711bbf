/**
 * What a backup of a follower does to the writes of its cluster: puts at a fixed rate to the leader of three members, in turns while nothing else goes
 * on, while etcdctl of a real etcd saves snapshots of a follower, and while etcdadm backs one up, one after the other. The rate is open: a put that is
 * late is counted from when it was due. Members, load and backups share one machine; with `--nice 19` what makes copies gets what is left over.
 *
 *     node packages/admin/bench/backup-latency.ts --against DIRECTORY [--megabytes 200] [--rate 100] [--seconds 10] [--rounds 3] [--nice 0]
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { connect } from '@etcd/client/node';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';

const BIN = fileURLToPath(new URL('../../../bin/', import.meta.url));
const FILL_BYTES = 256 * 1024;
const VALUE = randomBytes(256);
const FIRST_PORT = 23_900;

const { values } = parseArgs({
  options: {
    against: { type: 'string', default: '/usr/local/bin' },
    megabytes: { type: 'string', default: '200' },
    rate: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '3' },
    nice: { type: 'string', default: '0' },
  },
});
const root = mkdtempSync(join(tmpdir(), 'backup-latency-'));
const names = ['a', 'b', 'c'];
const client = (i: number): string => `http://127.0.0.1:${FIRST_PORT + 2 * i}`;
const peer = (i: number): string => `http://127.0.0.1:${FIRST_PORT + 2 * i + 1}`;
const cluster = names.map((name, i) => `${name}=${peer(i)}`).join();

function start(name: string, i: number): ChildProcess {
  const flags = {
    name,
    'data-dir': join(root, name),
    'listen-client-urls': client(i),
    'advertise-client-urls': client(i),
    'listen-peer-urls': peer(i),
    'initial-advertise-peer-urls': peer(i),
    'initial-cluster': cluster,
    'quota-backend-bytes': '-1',
  };
  const args = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
  return spawn(`${BIN}etcd`, args, { stdio: 'ignore' });
}

/** Copies one after the other until it is told to stop; says how many there were. */
function copying(command: (count: number) => readonly string[]): () => Promise<number> {
  let isStopping = false;
  let count = 0;
  const done = (async () => {
    for (; !isStopping; count++) {
      const [program, ...args] = ['nice', '-n', values.nice, ...command(count)];
      const child = spawn(program!, args, { stdio: 'ignore' });
      const code = await new Promise((resolve) => child.once('close', resolve));
      assert.equal(code, 0);
    }
  })();
  return async () => {
    isStopping = true;
    await done;
    return count;
  };
}

async function load(kv: ReturnType<typeof connect>['kv'], seconds: number): Promise<number[]> {
  const times: number[] = [];
  const intervalMs = 1000 / Number(values.rate);
  const startMs = performance.now();
  const puts: Promise<unknown>[] = [];
  for (let i = 0; i < seconds * Number(values.rate); i++) {
    const dueMs = startMs + i * intervalMs;
    const waitMs = dueMs - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    puts.push(kv.put(`load/${i % 1000}`, VALUE).then(() => times.push(performance.now() - dueMs)));
  }
  await Promise.all(puts);
  return times;
}

const members = names.map(start);
try {
  const everybody = connect({ endpoints: names.map((_, i) => client(i)) });
  const count = Math.ceil((Number(values.megabytes) * 2 ** 20) / FILL_BYTES);
  for (let i = 0; i < count; i++) {
    const value = Buffer.concat([randomBytes(FILL_BYTES / 2), Buffer.alloc(FILL_BYTES / 2, `value ${i} `)]);
    while (!(await everybody.kv.put(`key/${i}`, value).catch(() => null))) await sleep(100);
  }
  everybody.close();
  const clients = names.map((_, i) => connect({ endpoints: [client(i)] }));
  const statuses = await Promise.all(clients.map(({ maintenance }) => maintenance.status()));
  const leader = statuses.findIndex(({ header, leader: id }) => header?.memberId === id);
  const follower = client((leader + 1) % names.length);
  const recipient = await identityToRecipient(await generateX25519Identity());
  const save = (i: number): string[] => [
    join(values.against, 'etcdctl'),
    `--endpoints=${follower}`,
    '--command-timeout=10m',
    'snapshot',
    'save',
    join(root, `saved-${i % 2}`),
  ];
  const backup = (): string[] => {
    const store = join(root, 'store');
    rmSync(store, { recursive: true, force: true });
    return [`${BIN}etcdadm`, 'backup', '--store', store, '--endpoints', follower, '--recipient', recipient];
  };
  const kinds = { quiet: null, 'etcdctl snapshot save': save, 'etcdadm backup': backup };
  const all: Record<string, number[]> = {};
  const copies: Record<string, number> = {};
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [name, command] of Object.entries(kinds)) {
      const stop = command === null ? async () => 0 : copying(command);
      (all[name] ??= []).push(...(await load(clients[leader]!.kv, Number(values.seconds))));
      copies[name] = (copies[name] ?? 0) + (await stop());
    }
  }
  for (const one of clients) one.close();
  const at = (times: number[], share: number): number =>
    times.toSorted((a, b) => a - b)[Math.floor(times.length * share)] ?? 0;
  for (const [name, times] of Object.entries(all)) {
    const ratio = at(times, 0.99) / at(all['quiet']!, 0.99);
    process.stdout.write(
      `${name.padEnd(24)} p50 ${at(times, 0.5).toFixed(1)} ms, p99 ${at(times, 0.99).toFixed(1)} ms (${ratio.toFixed(2)}×), ${copies[name]} copies\n`,
    );
  }
} finally {
  for (const member of members) {
    if (member.exitCode === null && member.kill('SIGKILL')) {
      await new Promise((resolve) => member.once('exit', resolve));
    }
  }
  rmSync(root, { recursive: true, force: true });
}
