/** A short round: real members, clients, kills, pauses, cuts; and disks that fail. `npm run robustness` has the long ones. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { EtcdRpc } from '../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../support/etcd-server.ts';
import { needs } from '../support/programs.ts';
import { DISK_FAULTS, FailingDisk, whyNoDiskFaults } from './failing-disk.ts';
import { MemberDisks, whyNoPowerCuts } from './member-disks.ts';
import { runRound } from './round.ts';

const FAULTS_MS = 4000;

test('S22 S24 S25 S28 members are killed, paused and cut off: no answer is wrong, no event is lost, no lease ends early', async (t) => {
  const result = await runRound({
    kinds: ['ours', 'ours', 'ours'],
    seed: 3,
    faultsMs: FAULTS_MS,
    faults: ['kill', 'pause', 'isolate the leader', 'move the leader'],
    print: (line) => t.diagnostic(line),
  });
  t.diagnostic(JSON.stringify(result));
  const { violations, operations, faults, events } = result;
  assert.deepEqual(violations, []);
  assert.ok(Object.keys(faults).length > 0 && events > 0);
  assert.ok(operations['put']! > 0 && operations['range']! > 0 && operations['lease grant']! > 0);
});

const missing = whyNoDiskFaults();
for (const fault of DISK_FAULTS.filter(({ isFatal }) => isFatal)) {
  test(`S22 ${fault.name}: the member ends, its output on that disk or not, and has lost nothing`, {
    ...needs('strace'),
    ...(missing === null ? {} : { skip: missing }),
  }, async (t) => {
    let server = await EtcdServer.start({ flags: FAST_ELECTION });
    const rpc = new EtcdRpc(server.address);
    t.after(async () => {
      rpc.close();
      await server.kill();
    });
    await rpc.call('KV.Put', { key: 'kept', value: 'v' });
    const disk = new FailingDisk(server.pid, fault);
    await disk.attached();
    // Whether it comes to be applied is open, unless it is answered: the log is written durably without a sync of its own.
    const outcome = await rpc.outcome('KV.Put', { key: 'late', value: 'v' });
    const { code } = await server.ended;
    await disk.mend();
    assert.equal(code, 1);
    if (fault.calls.includes('pwrite')) assert.equal(outcome.ok, false);
    server = await server.restart();
    for (const key of outcome.ok ? ['kept', 'late'] : ['kept']) {
      const { kvs } = await rpc.call('KV.Range', { key });
      assert.equal(String(kvs[0]?.value), 'v', key);
    }
  });
}

const noPower = whyNoPowerCuts();
test('S22 a cut of power takes what was not synced, and nothing that was acknowledged', {
  ...(noPower === null ? {} : { skip: noPower }),
}, async (t) => {
  const disks = new MemberDisks();
  const { dataDir } = disks.place(0);
  let server = await EtcdServer.start({ dataDir, flags: FAST_ELECTION });
  const rpc = new EtcdRpc(server.address);
  t.after(async () => {
    rpc.close();
    await server.kill();
    disks.remove();
  });
  const puts = Array.from({ length: 20 }, (_, i) => rpc.call('KV.Put', { key: `k${i}`, value: 'v' }));
  await Promise.all(puts);
  const unsynced = `${dataDir}.unsynced`;
  writeFileSync(unsynced, 'nobody has synced this');
  server.signal('SIGSTOP');
  disks.cut([0]);
  await server.kill();
  await disks.restore(0);
  // Its name may have come with what the member has synced.
  assert.equal(existsSync(unsynced) ? readFileSync(unsynced, 'utf8') : '', '');
  server = await server.restart();
  const { kvs } = await rpc.call('KV.Range', { key: 'k', range_end: 'l' });
  assert.equal(kvs.length, puts.length);
});
