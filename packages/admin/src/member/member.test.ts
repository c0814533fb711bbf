import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runProgram } from '@etcd/host/cli';
import { ETCDADM } from '../root.ts';
import { FakeCluster, Killed } from '../testing/fake-cluster.ts';
import { NotingIo } from '../testing/noting-io.ts';
import { type ReplaceOptions, replaceMember } from './replace.ts';
import { NoteFiles } from './replacement-note.ts';

const root = mkdtempSync(join(tmpdir(), 'member-'));
after(() => rmSync(root, { recursive: true }));

let directories = 0;
const newNotes = (): NoteFiles => new NoteFiles(join(root, `${directories++}`));

function optionsOf(
  cluster: FakeCluster,
  more: Partial<ReplaceOptions> = {},
): ReplaceOptions & { lines: string[] } {
  const lines: string[] = [];
  const { signal } = new AbortController();
  return {
    name: 'm2',
    peerUrls: [],
    endpoints: ['https://m1:2379'],
    timeoutMs: 60_000,
    isDryRun: false,
    signal,
    pollMs: 0,
    lines,
    // Whoever reads what is to be done on the new host does it.
    say: (line) => {
      lines.push(line);
      if (line.startsWith('On its host')) cluster.startLearners('m2');
    },
    ...more,
  };
}

function namesOf(cluster: FakeCluster): string[] {
  return cluster.all.map(({ member }) => `${member.name}${member.isLearner ? ' (learner)' : ''}`).sort();
}

/** Killed at its n-th call and begun again, until it comes to its end; for every n. */
async function everyKill(
  make: () => { cluster: FakeCluster; more?: Partial<ReplaceOptions> },
  check: (cluster: FakeCluster) => void,
): Promise<number> {
  let kills = 0;
  for (const killsAfter of [false, true]) {
    for (let at = 1; ; at++) {
      const { cluster, more } = make();
      const notes = newNotes();
      cluster.killsAfter = killsAfter;
      cluster.killAt = at;
      const options = optionsOf(cluster, more);
      const wasKilled = await replaceMember(cluster, notes, options).then(
        () => false,
        (error: unknown) => {
          if (error instanceof Killed) return true;
          throw error;
        },
      );
      if (!wasKilled) break;
      kills++;
      cluster.killAt = Number.POSITIVE_INFINITY;
      await replaceMember(cluster, notes, options);
      check(cluster);
    }
  }
  return kills;
}

test('a lost member is replaced, killed at every step and begun again, without a quorum ever being lost', async () => {
  const make = (): { cluster: FakeCluster } => {
    const cluster = new FakeCluster(3);
    cluster.at('m2').isUp = false;
    return { cluster };
  };
  const kills = await everyKill(make, (cluster) => {
    assert.deepEqual(namesOf(cluster), ['m1', 'm2', 'm3']);
    assert.ok(cluster.at('m2').member.id >= 100n);
    assert.ok(cluster.leastMargin >= 0, `${cluster.leastMargin}`);
    // Each change is made once, however often it was asked for.
    assert.deepEqual(cluster.changes, ['remove', 'add', 'promote']);
  });
  assert.ok(kills >= 16, `${kills}`);
});

test('a leader that is to move to another place hands over first, whenever the command is killed', async () => {
  const make = (): { cluster: FakeCluster; more: Partial<ReplaceOptions> } => {
    const cluster = new FakeCluster(5);
    cluster.leader = 2n;
    return { cluster, more: { peerUrls: ['https://elsewhere:2380'] } };
  };
  await everyKill(make, (cluster) => {
    assert.deepEqual(cluster.at('m2').member.peerUrls, ['https://elsewhere:2380']);
    assert.notEqual(cluster.leader, 2n);
    assert.deepEqual(cluster.changes, ['move-leader', 'remove', 'add', 'promote']);
    assert.ok(cluster.leastMargin >= 1, `${cluster.leastMargin}`);
  });
});

test('what would lose the quorum, or can not be gone on with, is refused before anything is changed', async () => {
  const refuse = async (
    pattern: RegExp,
    prepare: (cluster: FakeCluster) => void,
    more: Partial<ReplaceOptions> = {},
    voters = 3,
  ): Promise<void> => {
    for (const isDryRun of [true, false]) {
      const cluster = new FakeCluster(voters);
      prepare(cluster);
      const before = namesOf(cluster);
      await assert.rejects(
        replaceMember(cluster, newNotes(), optionsOf(cluster, { ...more, isDryRun })),
        pattern,
      );
      assert.deepEqual(namesOf(cluster), before);
      assert.deepEqual(cluster.changes, []);
    }
  };
  await refuse(/m2 is not replaced: of the other 2 1 are healthy and 2 are needed \(m1 down\)/, (cluster) => {
    cluster.at('m1').isUp = false;
  });
  await refuse(/m1 is not replaced: it is the only voting member/, () => {}, { name: 'm1' }, 1);
  await refuse(/m3 has the alarm CORRUPT/, (cluster) => {
    cluster.at('m3').errors = ['memberID:3 alarm:CORRUPT '];
  });
  await refuse(/m3 is a learner, and a cluster has one at a time/, (cluster) => {
    cluster.at('m3').member.isLearner = true;
  });
  await refuse(/https:\/\/m1:2380 is where m1 is/, () => {}, { peerUrls: ['https://m1:2380'] });
  await refuse(/no member is called m9 \(there are m1, m2, m3\)/, () => {}, { name: 'm9' });
  await refuse(/request timed out/, (cluster) => {
    cluster.at('m1').isUp = false;
    cluster.at('m3').isUp = false;
  });
  const cluster = new FakeCluster(3);
  const options = optionsOf(cluster, { isDryRun: true });
  await replaceMember(cluster, newNotes(), options);
  assert.match(options.lines.join(), /^Would replace m2: remove 2, add https:\/\/m2:2380 as a learner/);
  assert.deepEqual(cluster.changes, []);
});

test('one that was begun on another machine is gone on with by the URLs of the new member', async () => {
  const cluster = new FakeCluster(3);
  await cluster.remove(2n);
  const id = await cluster.addLearner(['https://m2:2380', 'https://also:2380']);
  const peerUrls = ['https://also:2380', 'https://m2:2380'];
  await assert.rejects(
    replaceMember(cluster, newNotes(), optionsOf(cluster)),
    /gone on with by the --peer-urls/,
  );
  const options = optionsOf(cluster, { peerUrls });
  await replaceMember(cluster, newNotes(), options);
  assert.equal(cluster.at('m2').member.id, id);
  assert.ok(!cluster.at('m2').member.isLearner);
  assert.ok(
    options.lines.includes('  etcdadm join https://m1:2379 --name m2 --remove-data'),
    options.lines.join('\n'),
  );
  assert.match(options.lines.join('\n'), /ETCD_INITIAL_CLUSTER=.*m2=https:\/\/m2:2380/);
});

test('a note says what was begun; other URLs, and a note that is none, are refused', async () => {
  const cluster = new FakeCluster(3);
  const notes = newNotes();
  const note = { clusterId: cluster.clusterId, name: 'm2', oldId: 2n, peerUrls: ['https://new:2380'] };
  notes.write(note);
  assert.deepEqual(notes.find(cluster.clusterId, 'm2'), note);
  assert.equal(notes.find(1n, 'm2'), null);
  const other = optionsOf(cluster, { peerUrls: ['https://other:2380'] });
  await assert.rejects(
    replaceMember(cluster, notes, other),
    /by https:\/\/new:2380 is under way: leave --peer-urls out/,
  );
  notes.remove(note);
  assert.equal(notes.find(cluster.clusterId, 'm2'), null);
  const directory = join(root, 'broken');
  const broken = new NoteFiles(directory);
  broken.write({ ...note, name: '../m2' });
  const [file] = readdirSync(directory);
  assert.match(file!, /^replace-c0ffee-\.\.%2Fm2\.json$/);
  for (const text of ['', '{}', '[]', '{"clusterId":"x","name":"../m2","oldId":"1","peerUrls":["a"]}']) {
    writeFileSync(join(directory, file!), text);
    assert.throws(() => broken.find(cluster.clusterId, '../m2'), /is no note of a replacement/);
  }
});

test('a command line that can not be meant is refused in a line', async () => {
  const refused = async (pattern: RegExp, ...words: string[]): Promise<void> => {
    const io = new NotingIo({});
    assert.equal(await runProgram(ETCDADM, ['member', 'replace', ...words], io), 1);
    assert.match(io.errors, pattern);
  };
  await refused(/accepts the name of a member, received 0 arguments/);
  for (const url of ['10.0.0.1:2380', 'https://10.0.0.1', 'https://10.0.0.1:2380/path', 'ftp://a:1']) {
    await refused(/^Error: --peer-urls takes URLs with a port, .*\n$/, 'm', `--peer-urls=${url}`);
  }
  await refused(
    /^Error: .*\n$/,
    'm',
    '--endpoints=127.0.0.1:1',
    '--command-timeout=300ms',
    '--dial-timeout=300ms',
  );
});
