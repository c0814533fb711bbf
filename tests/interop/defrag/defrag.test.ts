/** `etcd-defrag` on clusters of real etcd and ours. What it prints was compared with the tool of that name. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Cluster, type ClusterMember, type Kind, QUICK_ELECTION } from '../../support/cluster.ts';
import { needs, ROOT } from '../../support/programs.ts';
import { type Ended, eventually, run } from '../../support/run.ts';

const PROGRAM = `${ROOT}bin/etcd-defrag`;
const MIXES: readonly (readonly Kind[])[] = [
  ['3.7', '3.7', '3.7'],
  ['ours', 'ours', 'ours'],
  ['ours', '3.5', 'ours'],
];

function defrag(...args: string[]): Promise<Ended> {
  return run(PROGRAM, args);
}

/** The lines without what differs from run to run. */
function linesOf({ stderr }: Ended): string[] {
  return stderr
    .trimEnd()
    .split('\n')
    .map((line) => line.slice('2026/01/01 00:00:00 '.length).replace(/took:? [^ ,]+(?=,|$)/, 'took TIME'));
}

async function fill({ rpc }: ClusterMember): Promise<void> {
  const value = 'x'.repeat(10_000);
  for (let i = 0; i < 300; i++) await rpc.call('KV.Put', { key: `key/${i % 10}`, value });
}

const numbered = (line: string, name: string): number => Number(new RegExp(`${name}: (\\d+)`).exec(line)![1]);

for (const kinds of MIXES) {
  describe(`a cluster of ${kinds.join(', ')}`, needs('etcd 3.5', 'etcd 3.7'), () => {
    test('is compacted and defragmented, the leader last', async () => {
      const cluster = await Cluster.start(kinds, { flags: () => QUICK_ELECTION });
      try {
        await fill(cluster.at(0));
        const leader = await cluster.leader();
        const ended = await defrag('--endpoints', leader.address, '--cluster');
        const lines = linesOf(ended);
        assert.equal(ended.code, 0, ended.stderr);
        assert.equal(ended.stdout, '');
        assert.deepEqual(lines.slice(0, 4), [
          'Validating configuration.',
          'No defragmentation rule provided',
          'Performing health check.',
          'Health check will be performed on all cluster member endpoints',
        ]);
        assert.equal(lines.filter((line) => line.endsWith('health: true, took TIME, error: ')).length, 3);
        const done = lines.filter((line) => line.startsWith('Finished defragmenting'));
        assert.equal(done.length, 3);
        assert.equal(done[2], `Finished defragmenting etcd endpoint "http://${leader.address}". took TIME`);
        assert.ok(lines.includes('successful'));
        assert.equal(lines.at(-1), 'The defragmentation is successful.');
        for (const [i, line] of lines.entries()) {
          if (line !== '[Post defragmentation] ') continue;
          const after = lines[i + 1]!;
          assert.ok(numbered(after, 'dbSize') < 2_000_000, after);
        }
      } finally {
        await cluster.stop();
      }
    });
  });
}

describe('a cluster', needs('etcd 3.7'), () => {
  const started = Cluster.start(['3.7', '3.7', '3.7'], { flags: () => QUICK_ELECTION });

  test('of which the rule is not true is left as it is; so is one that is only looked at', async () => {
    const cluster = await started;
    const endpoints = `--endpoints=${cluster.addresses.join()}`;
    const skipped = await defrag(endpoints, '--defrag-rule=dbQuotaUsage > 0.8', '--compaction=false');
    assert.equal(skipped.code, 0, skipped.stderr);
    const skips = linesOf(skipped).filter((line) =>
      line.startsWith('Evaluation result is false, so skipping'),
    );
    assert.equal(skips.length, 3);
    assert.ok(linesOf(skipped).includes('Skip compaction.'));
    const dry = await defrag(endpoints, '--dry-run', '--defrag-rule=dbSize > 0');
    assert.equal(dry.code, 0, dry.stderr);
    assert.equal(linesOf(dry).filter((line) => line.startsWith('[Dry run] skip defragmenting')).length, 3);
    for (const { stderr } of [skipped, dry]) assert.doesNotMatch(stderr, /Defragmenting endpoint/);
  });

  test('hands leadership over before its leader is defragmented, and a member without a vote gets neither', async () => {
    const cluster = await started;
    const learner = await cluster.add('3.7', { isLearner: true });
    const leader = await cluster.leader(() => cluster.members.slice(0, 3));
    const ended = await defrag(
      '--endpoints',
      leader.address,
      '--cluster',
      '--move-leader',
      '--wait-between-defrags=1ms',
    );
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stderr, /Transferring the leadership from [0-9a-f]+ to [0-9a-f]+\n/);
    assert.match(
      ended.stderr,
      /Transferred the leadership successfully! Waiting for 1ms for next operation\n/,
    );
    assert.equal(ended.stderr.match(/Finished defragmenting/g)?.length, 3);
    assert.ok(!ended.stderr.includes(learner.address));
    const next = await cluster.leader(() => cluster.members.slice(0, 3));
    assert.notEqual(next, leader);
  });

  test('with a member that does not answer is left alone, unless only the given ones count', async () => {
    const cluster = await started;
    const victim = cluster.at(2);
    await victim.kill();
    const alive = cluster.at(0).address;
    await eventually('the others have a leader', async () => {
      const { code } = await defrag(
        '--endpoints',
        alive,
        '--skip-healthcheck-cluster-endpoints',
        '--dry-run',
      );
      return code === 0 ? true : null;
    });
    const refused = await defrag('--endpoints', alive, '--command-timeout=2s');
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /health: false/);
    assert.doesNotMatch(refused.stderr, /Getting members status/);
    const given = await defrag('--endpoints', alive, '--skip-healthcheck-cluster-endpoints');
    assert.equal(given.code, 0, given.stderr);
    const none = await defrag('--endpoints', victim.address, '--command-timeout=1s');
    assert.equal(none.code, 1);
    assert.match(none.stderr, /Failed to get members' health info: /);
    await cluster.stop();
  });
});

for (const kind of ['3.7', 'ours'] as const) {
  test(
    `the alarm NOSPACE of ${kind} is ended when there is room again, and not before`,
    needs('etcd 3.7'),
    async () => {
      const quotaBytes = 8 * 1024 * 1024;
      const cluster = await Cluster.start([kind], {
        flags: () => [...QUICK_ELECTION, `--quota-backend-bytes=${quotaBytes}`],
      });
      try {
        const { rpc, address } = cluster.at(0);
        const value = 'x'.repeat(500_000);
        await eventually('there is no room left', async () => {
          const { ok } = await rpc.outcome('KV.Put', { key: 'big', value });
          return ok ? null : true;
        });
        const flags = [
          `--endpoints=${address}`,
          '--auto-disalarm',
          `--etcd-storage-quota-bytes=${quotaBytes}`,
        ];
        const early = await defrag(...flags, '--defrag-rule=false', '--compaction=false');
        assert.equal(early.code, 0, early.stderr);
        assert.match(early.stderr, /health: true, took: [^ ]+, error: Active Alarm\(s\): NOSPACE \n/);
        assert.match(early.stderr, /DB size is still above threshold \(0\.90\), skipping auto-disalarm\n$/);
        const ended = await defrag(...flags);
        assert.equal(ended.code, 0, ended.stderr);
        assert.match(ended.stderr, /Auto-disalarm operation completed successfully\n$/);
        await rpc.call('KV.Put', { key: 'small', value: 'x' });
        const again = await defrag(...flags);
        assert.match(again.stderr, /No NOSPACE alarms found, skipping auto-disalarm\n$/);
      } finally {
        await cluster.stop();
      }
    },
  );
}
