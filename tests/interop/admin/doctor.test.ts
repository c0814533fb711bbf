/** `etcdadm doctor` looks at members of Go's etcd and ours, at a cluster that loses one, and at the data of the one that was lost. */
import assert from 'node:assert/strict';
import { copyFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Cluster, QUICK_ELECTION } from '../../support/cluster.ts';
import { needs, ROOT } from '../../support/programs.ts';
import { run } from '../../support/run.ts';

interface Finding {
  readonly severity: string;
  readonly check: string;
  readonly member: string | null;
  readonly message: string;
  readonly fix: string | null;
}

async function doctor(...args: string[]): Promise<{ code: number | null; findings: Finding[] }> {
  const ended = await run(`${ROOT}bin/etcdadm`, [
    'doctor',
    '--certs-dir=/nonexistent',
    '-w',
    'json',
    ...args,
  ]);
  assert.equal(ended.stderr, '');
  return { code: ended.code, findings: (JSON.parse(ended.stdout) as { findings: Finding[] }).findings };
}

/** How fast the disk is, and how far apart clocks are, is the machine's business. */
function told(findings: readonly Finding[]): string[] {
  return findings
    .filter(({ check }) => !['disk', 'clock', 'lag'].includes(check))
    .map(({ severity, check, member }) => `${severity} ${check} ${member ?? '-'}`);
}

test('a mixed cluster, a lost member and its data are judged', needs('etcd 3.7', 'etcd 3.6'), async () => {
  const cluster = await Cluster.start(['ours', '3.7', '3.6'], {
    flags: (kind) => [...QUICK_ELECTION, ...(kind === '3.6' ? ['--max-txn-ops=200'] : [])],
  });
  const endpoints = `--endpoints=${cluster.addresses.join()}`;
  try {
    await cluster.leader();
    await cluster.at(0).rpc.call('KV.Put', { key: 'key', value: 'value' });
    const whole = await doctor(endpoints);
    assert.deepEqual(told(whole.findings), ['warning versions -', 'warning flags -']);
    assert.equal(whole.code, 2);
    assert.match(
      whole.findings.find(({ check }) => check === 'versions')!.message,
      /3\.6: m2; 3\.7: m[01], m[01]\)$/,
    );
    assert.match(
      whole.findings.find(({ check }) => check === 'flags')!.message,
      /^--max-txn-ops differs .*not given: m[01], m[01]/,
    );
    await cluster.at(1).kill();
    const lost = await doctor(endpoints);
    assert.deepEqual(told(lost.findings), [
      'error quorum -',
      'error members m1',
      'warning versions -',
      'warning flags -',
    ]);
    assert.equal(lost.code, 3);
    assert.match(lost.findings.find(({ check }) => check === 'members')!.fix!, /etcdadm member replace m1$/);
    // The data of the one that was killed are whole, as long as nobody cuts them.
    const { dataDir } = cluster.at(1).server;
    const data = await doctor(endpoints, `--data-dir=${dataDir}`);
    assert.ok(
      data.findings.some(
        ({ check, message }) => check === 'data' && /is whole; no member runs on it$/.test(message),
      ),
    );
    const running = await doctor('--only-data', `--data-dir=${cluster.at(0).server.dataDir}`);
    assert.deepEqual(told(running.findings), []);
    const database = join(dataDir, 'member/snap/db');
    copyFileSync(database, `${database}.whole`);
    truncateSync(database, 9_000);
    const damaged = await doctor('--only-data', `--data-dir=${dataDir}`);
    assert.equal(damaged.code, 3);
    assert.ok(
      damaged.findings.some(({ check, message }) => check === 'data' && /is damaged: /.test(message)),
    );
    // Of another cluster.
    const stranger = await Cluster.start(['ours'], { flags: () => QUICK_ELECTION });
    try {
      const { findings } = await doctor(endpoints, `--data-dir=${stranger.at(0).server.dataDir}`);
      assert.ok(
        findings.some(({ message }) =>
          /has the data of member [0-9a-f]+ of cluster [0-9a-f]+, which is another cluster$/.test(message),
        ),
      );
    } finally {
      await stranger.stop();
    }
  } finally {
    await cluster.stop();
  }
});
