import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OwnObject } from './backup-objects.ts';
import { observedFrom, type Parts } from './parts.ts';

const NONE = {
  services: [],
  budget: null,
  workload: null,
  record: null,
  pods: [],
  volumes: [],
  secrets: [],
  certificates: [],
  schedules: [],
  restores: [],
  workers: [],
};

function backup(name: string, clusterName: string, finishedAt: string | undefined): OwnObject {
  const status = finishedAt === undefined ? undefined : { phase: 'Succeeded', finishedAt };
  return { metadata: { name, namespace: 'n' }, spec: { clusterName }, status };
}

test('backups of a cluster are those since it was made: one of that name from before had other data', () => {
  const parts: Parts = {
    ...NONE,
    cluster: {
      metadata: { name: 'c', namespace: 'n', creationTimestamp: new Date('2026-05-01T00:00:00Z') },
      spec: { size: 3, version: 'v3.6.4' },
    },
    backups: [
      backup('of-the-one-before', 'c', '2026-04-30T23:59:59Z'),
      backup('own', 'c', '2026-05-01T01:00:00Z'),
      backup('under-way', 'c', undefined),
      backup('other', 'd', '2026-05-01T01:00:00Z'),
    ],
  };
  const { backups } = observedFrom(parts, null, null, Date.UTC(2026, 4, 2), 'operator:1');
  assert.deepEqual(
    backups.map(({ name }) => name),
    ['own', 'under-way'],
  );
});
