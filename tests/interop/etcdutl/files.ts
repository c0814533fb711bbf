/** Files of a real etcd for the tests of etcdutl: a member with some history, its snapshot, and damaged copies of it. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { type PeerVersion, peer } from '../../support/programs.ts';
import { run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

export const KEYS = 20;

export interface Files {
  /** Holds `snapshot.db` and its damaged copies, and `member`, a data directory. */
  readonly directory: string;
  readonly snapshot: string;
}

/** Makes a member with puts, deletes, a lease and a compaction; `program` is run for the server, with `flags` of its own. */
export async function makeFiles(program: string, flags: readonly string[] = []): Promise<Files> {
  const directory = temporaryDirectory();
  const dataDir = join(directory, 'member');
  const snapshot = join(directory, 'snapshot.db');
  const server = await EtcdServer.start({ program, dataDir, flags: [...FAST_ELECTION, ...flags] });
  try {
    const ctl = async (...args: string[]): Promise<void> => {
      const tool = peer('3.5', 'etcdctl');
      const ended = await run(tool, [`--endpoints=${server.address}`, ...args], {
        env: { ETCDCTL_API: '3' },
      });
      assert.equal(ended.code, 0, ended.stderr);
    };
    for (let round = 0; round < 2; round++) {
      const puts = Array.from({ length: KEYS }, (_, i) => `put key/${i} "value ${round} of ${i}"`);
      const transaction = `\n${puts.join('\n')}\n\n\n`;
      const ended = await run(peer('3.5', 'etcdctl'), [`--endpoints=${server.address}`, 'txn'], {
        stdin: transaction,
      });
      assert.equal(ended.code, 0, ended.stderr);
    }
    await ctl('del', 'key/3');
    await ctl('lease', 'grant', '10000');
    await ctl('put', 'last', 'one');
    await ctl('compaction', '4');
    await ctl('put', 'really', 'last');
    await ctl('snapshot', 'save', snapshot);
  } finally {
    await server.stop();
  }
  damage(directory, snapshot);
  return { directory, snapshot };
}

export function goTool(version: PeerVersion): string {
  return peer(version, 'etcdutl');
}

function damage(directory: string, snapshot: string): void {
  const bytes = readFileSync(snapshot);
  const write = (name: string, content: Uint8Array): void => writeFileSync(join(directory, name), content);
  write('truncated.db', bytes.subarray(0, 10_000));
  write('without-hash.db', bytes.subarray(0, bytes.length - 32));
  write('tiny.db', bytes.subarray(0, 20));
  write('empty.db', bytes.subarray(0, 0));
  const flipped = Buffer.from(bytes);
  flipped[9000] = (flipped[9000] ?? 0) ^ 0xff;
  write('flipped.db', flipped);
}
