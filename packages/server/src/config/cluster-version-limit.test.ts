import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type ClusterVersion,
  compareClusterVersions,
  MAX_CLUSTER_VERSION_VALUES,
  newClusterVersion,
  raisedClusterVersion,
} from './cluster-version-limit.ts';

test('unless told, a new cluster starts at the version of its members', () => {
  assert.equal(newClusterVersion('keep', '3.7'), '3.7');
  assert.equal(newClusterVersion('3.7', '3.7'), '3.7');
  assert.equal(newClusterVersion('3.5', '3.7'), '3.5');
});

test('a new cluster is never newer than its oldest member', () => {
  assert.equal(newClusterVersion('keep', '3.4'), '3.4');
  assert.equal(newClusterVersion('3.7', '3.6'), '3.6');
});

test('unless told, the version of a cluster stays what it is', () => {
  for (const version of ['3.4', '3.5', '3.6', '3.7'] as const) {
    assert.equal(raisedClusterVersion('keep', version, '3.7'), version);
  }
});

test('a cluster is raised as far as the limit and all members allow', () => {
  assert.equal(raisedClusterVersion('3.7', '3.5', '3.7'), '3.7');
  assert.equal(raisedClusterVersion('3.6', '3.5', '3.7'), '3.6');
  assert.equal(raisedClusterVersion('3.7', '3.5', '3.6'), '3.6');
});

test('no limit ever lowers a version', () => {
  const version = fc
    .integer({ min: 0, max: 12 })
    .map((minor): ClusterVersion => `3.${minor}` as ClusterVersion);
  fc.assert(
    fc.property(
      fc.constantFrom(...MAX_CLUSTER_VERSION_VALUES),
      version,
      version,
      (limit, current, lowest) => {
        assert.ok(compareClusterVersions(raisedClusterVersion(limit, current, lowest), current) >= 0);
      },
    ),
  );
});

test('versions are compared by number', () => {
  assert.ok(compareClusterVersions('3.10', '3.9') > 0);
  assert.equal(compareClusterVersions('3.5', '3.5'), 0);
});
