/** Directories of real etcd in states that a kill, a disk or an operator has left: ours goes on with them, or says why it can't. */
import assert from 'node:assert/strict';
import { copyFileSync, cpSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { type EtcdOptions, EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, type PeerVersion, peer } from '../../support/programs.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';

const KILLS = 2;
/** Snapshots come all the time. */
const FLAGS = [...FAST_ELECTION, '--snapshot-count=7'];
const options = needs('etcd 3.4', 'etcd 3.5', 'etcd 3.6', 'etcd 3.7');

interface Place extends EtcdOptions {
  readonly dataDir: string;
}

async function newPlace(): Promise<Place> {
  const [clientPort, peerPort] = [await freePort(), await freePort()];
  return { dataDir: join(temporaryDirectory(), 'data'), clientPort, peerPort, flags: FLAGS };
}

/** Puts until the server is gone. Returns how many were acknowledged: all of them are `key/<number>` from `first` on. */
async function putUntilKilled(server: EtcdServer, first: number, count: number): Promise<number> {
  const rpc = new EtcdRpc(server.address);
  let acknowledged = first;
  try {
    for (let i = first; ; i++) {
      if (i === first + count) server.signal('SIGKILL');
      await rpc.call('KV.Put', { key: `key/${i}`, value: 'x'.repeat(200) }, 2000);
      acknowledged = i + 1;
    }
  } catch {
    // Killed in the middle of something.
  }
  rpc.close();
  await server.ended;
  return acknowledged;
}

async function assertHolds(server: EtcdServer, count: number): Promise<void> {
  const rpc = new EtcdRpc(server.address);
  const { kvs } = await rpc.call('KV.Range', { key: 'key/', range_end: 'key0', keys_only: true });
  const keys = new Set(kvs.map(({ key }) => key.toString()));
  for (let i = 0; i < count; i++) assert.ok(keys.has(`key/${i}`), `key/${i} of ${count} is lost`);
  await rpc.call('KV.Put', { key: 'accepted', value: 'at once' });
  rpc.close();
}

/** A copy of a directory, opened by ours. */
async function openCopy(
  place: Place,
  count: number,
  change: (snapDir: string) => void = () => {},
): Promise<void> {
  const copy = join(temporaryDirectory(), 'copy');
  cpSync(place.dataDir, copy, { recursive: true });
  change(join(copy, 'member/snap'));
  const server = await EtcdServer.start({ ...place, dataDir: copy });
  try {
    await assertHolds(server, count);
  } finally {
    await server.kill();
  }
}

function newestSnap(snapDir: string): string {
  return readdirSync(snapDir)
    .filter((name) => name.endsWith('.snap'))
    .sort()
    .at(-1)!;
}

for (const version of ['3.4', '3.5', '3.6', '3.7'] as const satisfies readonly PeerVersion[]) {
  test(
    `whatever a kill of etcd ${version} leaves while it makes snapshots is continued`,
    options,
    async () => {
      const place = await newPlace();
      const program = peer(version, 'etcd');
      let count = 0;
      for (let kill = 0; kill < KILLS; kill++) {
        const server = await EtcdServer.start({ ...place, program });
        count = await putUntilKilled(server, count, 17 + 13 * kill);
        await openCopy(place, count);
      }
      // A snapshot file that was written, but that the log does not name; one that is cut off; none at all.
      await openCopy(place, count, (snapDir) => {
        copyFileSync(
          join(snapDir, newestSnap(snapDir)),
          join(snapDir, '0000000000000009-00000000000fffff.snap'),
        );
      });
      await openCopy(place, count, (snapDir) => writeFileSync(join(snapDir, newestSnap(snapDir)), ''));
      await openCopy(place, count, (snapDir) => {
        for (const name of readdirSync(snapDir)) if (name.endsWith('.snap')) rmSync(join(snapDir, name));
      });
      // The database of a leader's snapshot, named by the log, has not taken its place yet.
      await openCopy(place, count, (snapDir) => {
        const [, index] = newestSnap(snapDir).split(/[-.]/);
        renameSync(join(snapDir, 'db'), join(snapDir, `${index}.snap.db`));
      });
    },
  );
}
