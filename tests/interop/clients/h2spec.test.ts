/** The HTTP/2 conformance suite in full. Real etcd fails about a fifth of it, which is no excuse. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { isGo, needs, SUBJECT, tool } from '../../support/programs.ts';
import { run } from '../../support/run.ts';

/** Of each case. Long enough for a busy machine; few cases wait for its end. */
const ANSWER_TIMEOUT_S = 5;
/** What Go etcd passes at the least, so that the suite itself can be tried. */
const GO_PASSES = 100;

test('h2spec: generic, http2 and hpack', needs('h2spec'), async (t) => {
  const server = await EtcdServer.start({ flags: FAST_ELECTION });
  try {
    const args = [
      '--host',
      '127.0.0.1',
      '--port',
      String(server.clientPort),
      '--path',
      '/version',
      '--timeout',
      String(ANSWER_TIMEOUT_S),
    ];
    const { stdout } = await run(tool('h2spec'), args, { timeoutMs: 300_000 });
    const summary = /(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed/.exec(stdout);
    assert(summary !== null, stdout);
    t.diagnostic(summary[0]);
    const [, passed, , failed] = summary.slice(1).map(Number);
    if (isGo(SUBJECT)) assert(passed! > GO_PASSES, stdout);
    else assert.equal(failed, 0, stdout.slice(stdout.indexOf('Failures:')));
    const rpc = new EtcdRpc(server.address);
    await rpc.call('KV.Put', { key: 'still', value: 'here' });
    rpc.close();
  } finally {
    await server.stop();
  }
});
