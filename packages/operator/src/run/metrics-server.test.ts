import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serveMetrics } from './metrics-server.ts';
import { OperatorMetrics } from './operator-metrics.ts';

test('metrics say what was done and how clusters are; other pages are none', async (t) => {
  const metrics = new OperatorMetrics();
  const server = await serveMetrics('127.0.0.1:0', metrics);
  t.after(() => server.stop());
  metrics.handles.actions.labels('promote').inc();
  metrics.setPhase('n/a', 'Available');
  metrics.setPhase('n/b', 'Degraded');
  metrics.setPhase('n/b', null);
  const url = `http://127.0.0.1:${server.port}`;
  const text = await (await fetch(`${url}/metrics`)).text();
  assert.match(text, /^etcd_operator_actions_total\{action="promote"\} 1$/m);
  assert.match(text, /^etcd_operator_clusters\{phase="Available"\} 1$/m);
  assert.match(text, /^etcd_operator_clusters\{phase="Degraded"\} 0$/m);
  assert.match(text, /^process_resident_memory_bytes /m);
  assert.equal(await (await fetch(`${url}/healthz`)).text(), 'ok\n');
  assert.equal((await fetch(`${url}/other`)).status, 404);
  assert.equal((await fetch(`${url}/metrics`, { method: 'POST' })).status, 405);
});

test('an address that is none is refused', async () => {
  for (const address of ['8080', 'host', ':99999', '::1:80'])
    await assert.rejects(serveMetrics(address, new OperatorMetrics()), /is no address/);
});
