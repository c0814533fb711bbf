import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SeededRandom } from '@etcd/base';
import { wait } from '../cluster/action.ts';
import { ModelCluster } from '../testing/model-cluster.ts';
import { statusOf } from './status.ts';

test('conditions keep the time at which they last changed', () => {
  const cluster = new ModelCluster(new SeededRandom(1), { size: 3, version: 'v3.6.4' });
  const first = statusOf(cluster.observe(), wait('Creating', 'Creating', 'it begins'), 1, undefined);
  assert.deepEqual(
    first.conditions.map(({ type, status }) => `${type} ${status}`),
    ['Available Unknown', 'Progressing True', 'Degraded False'],
  );
  cluster.nowMs = 60_000;
  const second = statusOf(cluster.observe(), wait('Degraded', 'NoLeader', 'nobody leads'), 2, first);
  assert.deepEqual(
    second.conditions.map(
      ({ status, lastTransitionTime }) => `${status} ${lastTransitionTime.slice(11, 19)}`,
    ),
    ['Unknown 00:00:00', 'False 00:01:00', 'True 00:01:00'],
  );
  assert.equal(second.observedGeneration, 2);
  assert.equal(second.conditions[2]!.message, 'nobody leads');
});
