/** A short round: real members, clients, kills, pauses, cuts; and disks that fail. `npm run robustness` has the long ones. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EtcdRpc } from '../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../support/etcd-server.ts';
import { needs } from '../support/programs.ts';
import { DISK_FAULTS, FailingDisk, whyNoDiskFaults } from './failing-disk.ts';
import { runRound } from './round.ts';

const FAULTS_MS = 4000;

test('S22 S25 members are killed, paused and cut off: no answer is wrong, no event is lost, no lease ends early', async (t) => {
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
