/**
 * What a backup costs beside `etcdctl snapshot save`, and its verification beside `etcdutl snapshot restore`, of a database of some size, in one
 * run on one machine: wall time, processor time, most memory. The other programs are those of a real etcd.
 *
 *     node packages/admin/bench/backup-speed.ts --against DIRECTORY [--megabytes 1024] [--rounds 3]
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { connect } from '@etcd/client/node';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';

const BIN = fileURLToPath(new URL('../../../bin/', import.meta.url));
const VALUE_BYTES = 256 * 1024;
const CLIENT = 'http://127.0.0.1:23790';
const PEER = 'http://127.0.0.1:23800';

const { values } = parseArgs({
  options: {
    against: { type: 'string' },
    megabytes: { type: 'string', default: '1024' },
    rounds: { type: 'string', default: '3' },
  },
});
const against = values.against ?? '/usr/local/bin';
const root = mkdtempSync(join(tmpdir(), 'backup-speed-'));

interface Cost {
  readonly wallSeconds: number;
  readonly processorSeconds: number;
  readonly peakMegabytes: number;
}

/** Runs a program, and has GNU time say what it cost. */
function measure(...command: string[]): Cost {
  const report = join(root, 'time');
  const startMs = performance.now();
  const ended = spawnSync('/usr/bin/time', ['-f', '%U %S %M', '-o', report, ...command], {
    encoding: 'utf8',
  });
  const wallSeconds = (performance.now() - startMs) / 1000;
  assert.equal(ended.status, 0, `${command.join(' ')}\n${ended.stderr}`);
  const text = spawnSync('tail', ['-1', report], { encoding: 'utf8' }).stdout;
  const [user, system, kilobytes] = text.trim().split(' ').map(Number) as [number, number, number];
  return { wallSeconds, processorSeconds: user + system, peakMegabytes: kilobytes / 1024 };
}

const best = (costs: readonly Cost[]): Cost => costs.toSorted((a, b) => a.wallSeconds - b.wallSeconds)[0]!;

const server = spawn(
  `${BIN}etcd`,
  [
    `--data-dir=${join(root, 'data')}`,
    `--listen-client-urls=${CLIENT}`,
    `--advertise-client-urls=${CLIENT}`,
    `--listen-peer-urls=${PEER}`,
    `--initial-advertise-peer-urls=${PEER}`,
    `--initial-cluster=default=${PEER}`,
    '--quota-backend-bytes=-1',
    '--unsafe-no-fsync',
  ],
  { stdio: 'ignore' },
);
try {
  const client = connect({ endpoints: [CLIENT] });
  const count = Math.ceil((Number(values.megabytes) * 2 ** 20) / VALUE_BYTES);
  for (let i = 0; i < count; i++) {
    // Half of it compresses, as what is stored in a cluster does.
    const value = Buffer.concat([randomBytes(VALUE_BYTES / 2), Buffer.alloc(VALUE_BYTES / 2, `value ${i} `)]);
    for (;;) {
      try {
        await client.kv.put(`key/${i}`, value);
        break;
      } catch {
        await sleep(100);
      }
    }
  }
  client.close();
  const identity = await generateX25519Identity();
  const key = join(root, 'key.txt');
  writeFileSync(key, `${identity}\n`);
  const recipient = await identityToRecipient(identity);
  const costs: Record<string, Cost[]> = {
    save: [],
    backup: [],
    'backup, not compressed': [],
    restore: [],
    verify: [],
  };
  let bytes = 0;
  for (let round = 0; round < Number(values.rounds); round++) {
    const snapshot = join(root, 'snapshot.db');
    rmSync(snapshot, { force: true });
    costs['save']!.push(
      measure(
        join(against, 'etcdctl'),
        `--endpoints=${CLIENT}`,
        '--command-timeout=10m',
        'snapshot',
        'save',
        snapshot,
      ),
    );
    bytes = statSync(snapshot).size;
    for (const [name, compression] of [
      ['backup', 'zstd'],
      ['backup, not compressed', 'none'],
    ] as const) {
      const store = join(root, `store-${compression}`);
      rmSync(store, { recursive: true, force: true });
      const options = [
        '--store',
        store,
        '--endpoints',
        CLIENT,
        '--recipient',
        recipient,
        '--compression',
        compression,
      ];
      costs[name]!.push(measure(`${BIN}etcdadm`, 'backup', ...options));
    }
    const dataDir = join(root, 'restored');
    rmSync(dataDir, { recursive: true, force: true });
    costs['restore']!.push(
      measure(join(against, 'etcdutl'), 'snapshot', 'restore', snapshot, '--data-dir', dataDir),
    );
    (costs['status'] ??= []).push(measure(join(against, 'etcdutl'), 'snapshot', 'status', snapshot));
    const verify = [
      'backup',
      'verify',
      '--store',
      join(root, 'store-zstd'),
      '--identity',
      key,
      '--scratch',
      root,
    ];
    costs['verify']!.push(measure(`${BIN}etcdadm`, ...verify));
    (costs['verify, no member'] ??= []).push(measure(`${BIN}etcdadm`, ...verify, '--skip-start'));
    rmSync(dataDir, { recursive: true, force: true });
    const restore = [
      'restore',
      '--store',
      join(root, 'store-none'),
      '--identity',
      key,
      '--data-dir',
      dataDir,
    ];
    (costs['our restore'] ??= []).push(measure(`${BIN}etcdadm`, ...restore));
  }
  process.stdout.write(`${Math.round(bytes / 2 ** 20)} MiB, best of ${values.rounds}\n`);
  for (const [name, all] of Object.entries(costs)) {
    const { wallSeconds, processorSeconds, peakMegabytes } = best(all);
    process.stdout.write(
      `${name.padEnd(24)} ${wallSeconds.toFixed(2)} s, ${processorSeconds.toFixed(2)} s of processor, ${Math.round(peakMegabytes)} MiB\n`,
    );
  }
} finally {
  if (server.exitCode === null && server.kill('SIGKILL')) {
    await new Promise((resolve) => server.once('exit', resolve));
  }
  rmSync(root, { recursive: true, force: true });
}
