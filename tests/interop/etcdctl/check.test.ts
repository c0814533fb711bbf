/** `etcdctl check`: its own small load tests, which must find nothing to complain about. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer } from '../../support/programs.ts';
import { run } from '../../support/run.ts';

test('etcdctl check datascale passes', needs('etcd 3.5'), async () => {
  const server = await EtcdServer.start({ flags: FAST_ELECTION });
  try {
    const args = [`--endpoints=${server.address}`, 'check', 'datascale', '--load=s'];
    const ended = await run(peer('3.5', 'etcdctl'), args, { timeoutMs: 120_000 });
    assert.match(ended.stdout, /PASS: Approximate system memory used : [\d.]+ MB/, ended.stderr);
    assert.equal(ended.code, 0);
    // It deletes what it wrote.
    const rpc = new EtcdRpc(server.address);
    const range = await rpc.call('KV.Range', { key: '\0', range_end: '\0', count_only: true });
    assert.equal(range.count, 0n);
    assert(range.header!.revision > 10_000n, 'ten thousand writes happened');
    rpc.close();
  } finally {
    await server.stop();
  }
});

test('etcdctl check perf reaches its rate', needs('etcd 3.5'), async () => {
  const server = await EtcdServer.start({ flags: FAST_ELECTION });
  try {
    const args = [`--endpoints=${server.address}`, 'check', 'perf', '--load=s'];
    const ended = await run(peer('3.5', 'etcdctl'), args, { timeoutMs: 120_000 });
    // Its limits on the slowest request and the deviation are about the machine, too, and other tests run beside it.
    assert.match(ended.stdout, /PASS: Throughput is 1[3-9]\d writes\/s/, ended.stdout + ended.stderr);
  } finally {
    await server.stop();
  }
});
