import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INTERNAL_ERRORS } from '@etcd/api';
import {
  compareVersions,
  decideClusterVersion,
  formatClusterVersion,
  formatVersion,
  isCompatibleWithCluster,
  isDowngradeComplete,
  isServerTooOld,
  isValidClusterVersionChange,
  NO_DOWNGRADE,
  parseDowngradeTarget,
  parseVersion,
  type SemanticVersion,
  validateDowngrade,
} from './index.ts';

function v(text: string): SemanticVersion {
  const version = parseVersion(text);
  assert.ok(version !== null, text);
  return version;
}

test('versions are read, compared and printed', () => {
  const ordered = [
    '3.4.0',
    '3.5.0-1',
    '3.5.0-1.0',
    '3.5.0-2',
    '3.5.0-alpha',
    '3.5.0-alpha.1',
    '3.5.0-alpha.1.0',
    '3.5.0-alpha.2',
    '3.5.0-alpha.10',
    '3.5.0-alpha.beta',
    '3.5.0-rc',
    '3.5.0-rc.0',
    '3.5.0',
    '3.5.10',
    '4.0.0',
  ];
  for (const [i, a] of ordered.entries()) {
    for (const [j, b] of ordered.entries()) {
      assert.equal(Math.sign(compareVersions(v(a), v(b))), Math.sign(i - j), `${a} ${b}`);
    }
    assert.equal(formatVersion(v(a)), a);
  }
  assert.equal(formatClusterVersion(v('3.5.9')), '3.5');
  for (const bad of [
    '',
    '3',
    '3.5',
    '3.5.x',
    'v3.5.0',
    '3.5.0.1',
    ' 3.5.0',
    '3.5.0 ',
    '99999999999999999999.0.0',
  ]) {
    assert.equal(parseVersion(bad), null, bad);
  }
});

test('a cluster rises to the version of its oldest member', () => {
  const decide = (cluster: string | null, ...memberVersions: (string | null)[]): string => {
    const clusterVersion = cluster === null ? null : v(cluster);
    const decision = decideClusterVersion({ clusterVersion, memberVersions, downgrade: NO_DOWNGRADE });
    return decision.kind === 'set' ? formatVersion(decision.version) : decision.kind;
  };
  assert.equal(decide(null, '3.5.21', '3.6.1'), '3.5.0');
  assert.equal(decide(null, '3.5.21', null), '3.0.0');
  assert.equal(decide('3.4.0', '3.5.21', '3.6.1'), '3.5.0');
  assert.equal(decide('3.5.0', '3.5.21', '3.6.1'), 'keep');
  assert.equal(decide('3.4.0', '3.5.21', null), 'keep');
  assert.equal(decide('3.4.0', '3.5.21', 'garbage'), 'keep');
  assert.equal(decide('3.6.0', '3.5.21'), 'keep', 'never down without being asked');
  assert.equal(decide('3.6.0', '4.0.0'), 'keep');
});

test('a downgrade lowers the version by one minor, once', () => {
  const decide = (cluster: string, target: string, ...memberVersions: string[]): string => {
    const downgrade = { enabled: true, targetVersion: target };
    const decision = decideClusterVersion({ clusterVersion: v(cluster), memberVersions, downgrade });
    return decision.kind === 'set' ? formatVersion(decision.version) : decision.kind;
  };
  assert.equal(decide('3.6.0', '3.5.0', '3.6.1', '3.6.2'), '3.5.0');
  assert.equal(decide('3.5.0', '3.5.0', '3.5.1', '3.6.2'), 'keep');
  assert.equal(decide('3.6.0', '3.4.0', '3.6.1'), 'invalid-downgrade');
  assert.equal(decide('3.6.0', '3.5.0', '3.5.1'), 'invalid-downgrade');
  assert.equal(decide('3.6.0', '3.5.0', '3.7.3'), '3.5.0', 'members may be ahead of their cluster');
  assert.equal(isDowngradeComplete(['3.5.1', '3.5.9'], v('3.5.0')), true);
  assert.equal(isDowngradeComplete(['3.5.1', '3.6.0'], v('3.5.0')), false);
  assert.equal(isDowngradeComplete(['3.5.1', null], v('3.5.0')), false);
});

test('a downgrade is validated with etcd errors', () => {
  const { ErrInvalidDowngradeTargetVersion, ErrDowngradeInProcess } = INTERNAL_ERRORS.version;
  assert.deepEqual(parseDowngradeTarget('3.6'), v('3.6.0'));
  assert.deepEqual(parseDowngradeTarget('3.6.4'), v('3.6.0'));
  assert.equal(parseDowngradeTarget('3'), null);
  assert.equal(validateDowngrade(v('3.6.0'), v('3.7.0'), NO_DOWNGRADE), null);
  for (const target of ['3.5.0', '3.7.0', '4.6.0']) {
    assert.equal(validateDowngrade(v(target), v('3.7.0'), NO_DOWNGRADE), ErrInvalidDowngradeTargetVersion);
  }
  const running = { enabled: true, targetVersion: '3.6.0' };
  assert.equal(validateDowngrade(v('3.6.0'), v('3.7.0'), running), ErrDowngradeInProcess);
  assert.equal(
    validateDowngrade(v('3.6.0'), null, NO_DOWNGRADE),
    INTERNAL_ERRORS.errors.ErrClusterVersionUnavailable,
  );
});

test('a server stays out of clusters that it can not follow', () => {
  assert.equal(isServerTooOld(v('3.7.3'), v('3.7.0')), false);
  assert.equal(isServerTooOld(v('3.7.3'), v('3.8.0')), true);
  assert.equal(isServerTooOld(v('3.7.3'), null), false);
  assert.equal(isServerTooOld(v('3.8.0-alpha.0'), v('3.8.0')), false);
  const compatible = (isDowngrading: boolean, ...versions: (string | null)[]): boolean =>
    isCompatibleWithCluster(v('3.7.3'), versions, isDowngrading);
  assert.equal(compatible(false, '3.7.0', null), true);
  assert.equal(compatible(false, '3.0.0'), true);
  assert.equal(compatible(false, '2.3.0'), false);
  assert.equal(compatible(false, '3.8.0'), false);
  assert.equal(compatible(false, null, 'not_decided'), false, 'nobody told');
  assert.equal(compatible(true, '3.8.0'), true);
  assert.equal(compatible(true, '3.7.0'), false);
  assert.equal(isValidClusterVersionChange(v('3.4.0'), v('3.7.0')), true);
  assert.equal(isValidClusterVersionChange(v('3.7.0'), v('3.6.0')), true);
  assert.equal(isValidClusterVersionChange(v('3.7.0'), v('3.5.0')), false);
  assert.equal(isValidClusterVersionChange(v('3.7.0'), v('4.0.0')), false);
});
