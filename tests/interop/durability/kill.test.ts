/**
 * The server is killed again and again under load and started at once on the same directory and ports. No
 * acknowledged write is lost, none happens twice.
 *
 *   ETCD_TEST_KILLS=n    how many times, by default 60
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { assertStillThere, readContents } from '../../support/contents.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { foundedAt, isGo, needs, REFERENCE, SUBJECT, versionOf } from '../../support/programs.ts';
import { sleep } from '../../support/run.ts';
import { Workload } from './workload.ts';

const DEFAULT_KILLS = 60;
const MAX_UPTIME_MS = 500;
/** Small, so that crashes meet snapshots and log segments being released, too. */
const FLAGS = [...FAST_ELECTION, '--snapshot-count=500'];

test('S22 acknowledged writes survive kill -9, again and again', needs('etcd 3.5'), async (t) => {
  const kills = Number(process.env['ETCD_TEST_KILLS'] ?? DEFAULT_KILLS);
  const seed = Number(process.env['ETCD_TEST_SEED'] ?? Date.now() % 1_000_000_000);
  t.diagnostic(`ETCD_TEST_SEED=${seed}`);
  const random = new SeededRandom(seed);
  let server = await EtcdServer.start({ flags: [...FLAGS, ...foundedAt('3.5')], keepLog: false });
  const workload = new Workload(server.address);
  workload.start();
  try {
    for (let round = 0; round < kills; round++) {
      await sleep(random.below(MAX_UPTIME_MS));
      const ended = await server.kill();
      assert.equal(
        ended.signal,
        'SIGKILL',
        `it had ended by itself in round ${round}: ${server.lastLines()}`,
      );
      server = await server.restart();
      await workload.verifyRecent();
    }
    await sleep(200);
    await workload.stop();
    await workload.verifyAll();
    t.diagnostic(`${kills} kills, ${workload.acknowledged} acknowledged writes`);
    assert(workload.acknowledged > kills * 20, 'too little load to say anything');
    await assertReadableByGo(server);
  } finally {
    await workload.stop();
    await server.stop();
  }
});

/** After all that, the directory still means the same to real etcd. */
async function assertReadableByGo(server: EtcdServer): Promise<void> {
  if (isGo(SUBJECT) && versionOf(SUBJECT).minor > versionOf(REFERENCE).minor) return;
  const before = await readContents(server);
  await server.kill();
  const reference = await server.restart({ program: REFERENCE, flags: FLAGS });
  try {
    await assertStillThere(reference, before);
  } finally {
    await reference.stop();
  }
}
