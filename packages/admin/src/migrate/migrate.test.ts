import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { StatusResponse } from '@etcd/api/etcdserverpb';
import { runProgram } from '@etcd/host/cli';
import { ClusterError } from '../cluster/cluster-error.ts';
import { ETCDADM } from '../root.ts';
import { FakeCluster, Killed } from '../testing/fake-cluster.ts';
import { NotingIo } from '../testing/noting-io.ts';
import { imageOf, KubeletHost, withImage } from './kubelet-host.ts';
import type { Exchange, MemberHost, Program } from './member-host.ts';
import {
  type ComparedHash,
  type MigrateOptions,
  type MigrationAccess,
  migrateMember,
  versionProblem,
} from './migrate.ts';
import { dropInText, execStart, parseDropIn } from './systemd-host.ts';

const root = mkdtempSync(join(tmpdir(), 'migrate-'));
after(() => rmSync(root, { recursive: true }));

const GO = '/usr/bin/etcd';
const OURS = '/opt/bin/etcd';
const BROKEN = '/opt/broken/etcd';
const PROGRAMS: Readonly<Record<string, Program>> = {
  [GO]: { name: GO, version: '3.5.21', isOurs: false },
  [OURS]: { name: OURS, version: '3.7.3', isOurs: true },
  [BROKEN]: { name: BROKEN, version: '3.7.3', isOurs: true },
};

/** A cluster of Go's etcd, in which programs come and go. */
class MigratingCluster extends FakeCluster implements MigrationAccess {
  readonly running = new Map<string, string>();
  version = '3.5';
  /** Of members whose data are other than the rest's. */
  readonly strange = new Set<string>();
  /** Of members that do not say what they run on. */
  readonly silent = new Set<string>();

  override async status(endpoint: string): Promise<StatusResponse | null> {
    const status = await super.status(endpoint);
    if (status !== null) status.version = PROGRAMS[this.#program(endpoint)]!.version!;
    return status;
  }

  hashAt(endpoint: string): Promise<ComparedHash | null> {
    return Promise.resolve({ hash: this.strange.has(endpoint) ? 2 : 1, compactRevision: 0 });
  }

  clusterVersion(): Promise<string> {
    return Promise.resolve(this.version);
  }

  runtime(endpoint: string): Promise<string | null> {
    if (this.silent.has(endpoint)) return Promise.resolve(null);
    return Promise.resolve(
      PROGRAMS[this.#program(endpoint)]!.isOurs === true ? 'none (Node.js v24)' : 'go1.25',
    );
  }

  #program(endpoint: string): string {
    return this.running.get(endpoint) ?? GO;
  }
}

/** The host of m2. Each of its steps counts as a call of the cluster: there, too, the command may be killed. */
class FakeHost implements MemberHost {
  readonly title = 'unit etcd.service';
  readonly #cluster: MigratingCluster;
  #exchange: Exchange | null = null;

  constructor(cluster: MigratingCluster) {
    this.#cluster = cluster;
  }

  original(): Promise<string> {
    return Promise.resolve(GO);
  }

  exchange(): Exchange | null {
    return this.#exchange;
  }

  async setExchange(exchange: Exchange | null): Promise<void> {
    await this.#step(() => {
      this.#exchange = exchange;
    });
  }

  describe(program: string): Promise<Program> {
    const known = PROGRAMS[program];
    if (known === undefined) throw new ClusterError(`there is no ${program}`);
    return Promise.resolve(known);
  }

  isActive(): Promise<boolean> {
    return Promise.resolve(this.#cluster.at('m2').isUp);
  }

  async stop(): Promise<void> {
    await this.#step(() => {
      this.#cluster.at('m2').isUp = false;
    });
  }

  async start(): Promise<void> {
    await this.#step(() => {
      const program = this.#exchange?.program ?? GO;
      this.#cluster.at('m2').isUp = program !== BROKEN;
      this.#cluster.running.set('https://m2:2379', program);
    });
  }

  async #step(effect: () => void): Promise<void> {
    const { killAt, killsAfter } = this.#cluster;
    const isLast = ++this.#cluster.calls === killAt;
    await Promise.resolve();
    if (isLast && !killsAfter) throw new Killed();
    effect();
    this.#cluster.leastMargin = Math.min(this.#cluster.leastMargin, this.#cluster.margin);
    if (isLast) throw new Killed();
  }
}

function optionsOf(more: Partial<MigrateOptions> = {}): MigrateOptions & { lines: string[] } {
  const lines: string[] = [];
  return {
    endpoint: 'https://m2:2379',
    to: OURS,
    acceptsDowntime: false,
    isDryRun: false,
    timeoutMs: 0,
    signal: new AbortController().signal,
    pollMs: 0,
    lines,
    say: (line) => lines.push(line),
    ...more,
  };
}

test('a member becomes another program and goes back, killed at every step and begun again', async () => {
  let kills = 0;
  for (const killsAfter of [false, true]) {
    for (let at = 1; ; at++) {
      const cluster = new MigratingCluster(3);
      cluster.leader = 2n;
      const host = new FakeHost(cluster);
      cluster.killsAfter = killsAfter;
      cluster.killAt = at;
      const wasKilled = await migrateMember(cluster, host, optionsOf()).then(
        () => false,
        (error: unknown) => {
          if (error instanceof Killed) return true;
          throw error;
        },
      );
      cluster.killAt = Number.POSITIVE_INFINITY;
      const options = optionsOf();
      await migrateMember(cluster, host, options);
      assert.equal(cluster.running.get('https://m2:2379'), OURS);
      assert.ok(cluster.at('m2').isUp && cluster.leastMargin >= 0);
      assert.notEqual(cluster.leader, 2n);
      assert.match(
        options.lines.join('\n'),
        / {2}m2: 3\.7\.3 on none \(Node\.js v24\)\n {2}m3: 3\.5\.21 on go1\.25\nNext, on one of the others: etcdadm migrate$/,
      );
      const back = optionsOf({ to: null });
      await migrateMember(cluster, host, back);
      assert.equal(cluster.running.get('https://m2:2379'), GO);
      assert.equal(host.exchange(), null);
      assert.match(back.lines.at(-1)!, /^All members run the same kind of program/);
      if (!wasKilled) break;
      kills++;
    }
  }
  assert.ok(kills >= 20, `${kills}`);
});

test('a program that does not come up is exchanged for the one before', async () => {
  const cluster = new MigratingCluster(3);
  const host = new FakeHost(cluster);
  await assert.rejects(
    migrateMember(cluster, host, optionsOf({ to: BROKEN })),
    /it does not answer; \/usr\/bin\/etcd runs again, and the cluster is as before/,
  );
  assert.ok(cluster.at('m2').isUp);
  assert.equal(host.exchange(), null);
  await migrateMember(cluster, host, optionsOf());
  await assert.rejects(
    migrateMember(cluster, host, optionsOf({ to: BROKEN })),
    /\/opt\/bin\/etcd runs again/,
  );
  assert.equal(host.exchange()?.program, OURS);
  assert.equal(cluster.running.get('https://m2:2379'), OURS);
});

test('that all run the same is only said when all say so', async () => {
  const cluster = new MigratingCluster(3);
  for (const name of ['m1', 'm3']) cluster.silent.add(`https://${name}:2379`);
  const options = optionsOf();
  await migrateMember(cluster, new FakeHost(cluster), options);
  assert.ok(options.lines.includes('  m3: 3.5.21 on unknown'), options.lines.join('\n'));
  assert.match(options.lines.at(-1)!, /^Next, on one of the others/);
});

test('what would cost the service, or mixes what does not go together, is refused before anything is stopped', async () => {
  const refuse = async (
    pattern: RegExp,
    prepare: (cluster: MigratingCluster) => void,
    more: Partial<MigrateOptions> = {},
    voters = 3,
  ): Promise<void> => {
    for (const isDryRun of [true, false]) {
      const cluster = new MigratingCluster(voters);
      prepare(cluster);
      const host = new FakeHost(cluster);
      const wasUp = cluster.at('m1').isUp;
      await assert.rejects(migrateMember(cluster, host, optionsOf({ ...more, isDryRun })), pattern);
      assert.equal(cluster.running.size, 0);
      assert.equal(cluster.at('m1').isUp, wasUp);
      assert.equal(host.exchange(), null);
    }
  };
  await refuse(/m2 is not exchanged: without it 1 of 3 would be healthy, and 2 are needed/, (cluster) => {
    cluster.at('m3').isUp = false;
  });
  await refuse(/without it 1 of 2 would be healthy/, () => {}, {}, 2);
  await refuse(/m3 has the alarm CORRUPT/, (cluster) => {
    cluster.at('m3').errors = ['memberID:3 alarm:CORRUPT '];
  });
  await refuse(/m1, m2, m3 have different data at revision/, (cluster) =>
    cluster.strange.add('https://m1:2379'),
  );
  await refuse(
    /is of release 3\.7\.3, and the cluster has version 3\.8: etcdctl downgrade enable 3\.7\.0 first/,
    (cluster) => {
      cluster.version = '3.8';
    },
  );
  await refuse(/there is no \/nowhere/, () => {}, { to: '/nowhere' });
  await refuse(/the member on this host does not answer at https:\/\/elsewhere:2379/, () => {}, {
    endpoint: 'https://elsewhere:2379',
  });
  const lone = new MigratingCluster(1);
  await assert.rejects(
    migrateMember(lone, new FakeHost(lone), optionsOf({ endpoint: 'https://m1:2379' })),
    /it is the only member, and clients would have nobody: --accept-downtime/,
  );
  const cluster = new MigratingCluster(3);
  const options = optionsOf({ isDryRun: true });
  await migrateMember(cluster, new FakeHost(cluster), options);
  assert.deepEqual(options.lines, ['Would exchange /usr/bin/etcd for /opt/bin/etcd on m2']);
});

test('Go’s releases are taken one after the other, ours from any', () => {
  const go = (version: string | null): Program => ({ name: 'etcd', version, isOurs: false });
  assert.equal(versionProblem(go('3.6.1'), '3.5'), null);
  assert.match(versionProblem(go('3.7.0'), '3.5') ?? '', /more than one above/);
  assert.match(versionProblem(go('3.4.30'), '3.5') ?? '', /downgrade enable 3\.4\.0 first/);
  assert.equal(versionProblem({ ...go('3.7.3'), isOurs: true }, '3.4'), null);
  assert.equal(versionProblem(go(null), '3.5'), null);
  assert.equal(versionProblem(go('3.5.1'), null), null);
});

test('a unit keeps its arguments, whatever its lines look like, and a drop-in says whose it is', () => {
  const unit = `# /etc/systemd/system/etcd.service
[Service]
ExecStart=-/usr/bin/etcd --name a \\
  --data-dir=/var/lib/etcd
# /etc/systemd/system/etcd.service.d/50-etcdadm-migrate.conf
[Service]
ExecStart=
ExecStart=/opt/bin/etcd
`;
  const dropIn = '/etc/systemd/system/etcd.service.d/50-etcdadm-migrate.conf';
  assert.deepEqual(execStart(unit, dropIn), { program: GO, words: '--name a --data-dir=/var/lib/etcd' });
  assert.deepEqual(execStart(unit, ''), { program: OURS, words: '' });
  assert.deepEqual(execStart('ExecStart="/a b/etcd" --x', ''), { program: '/a b/etcd', words: '--x' });
  assert.equal(execStart('[Unit]\nDescription=nothing', ''), null);
  for (const program of [OURS, '/a b/etcd']) {
    const exchange = { program, memberId: 0xabcn, others: ['https://b:2379', 'https://c:2379'] };
    const text = dropInText(exchange, '--name a');
    assert.deepEqual(parseDropIn(text), exchange);
    assert.match(text, /\nExecStart=\nExecStart=.* --name a\n$/);
  }
  assert.equal(parseDropIn('nonsense'), null);
});

const MANIFEST = `apiVersion: v1
kind: Pod
spec:
  containers:
  - command: [etcd]
    image: registry.k8s.io/etcd:3.5.21-0 # pinned
    name: etcd
  - image: other:1.0
    name: other
`;

test('a pod is stopped, gets another image and nothing else, and gets its own back', async () => {
  assert.equal(imageOf(MANIFEST), 'registry.k8s.io/etcd:3.5.21-0');
  assert.equal(
    withImage(MANIFEST, 'example.org/etcd:v3.7.3'),
    MANIFEST.replace('registry.k8s.io/etcd:3.5.21-0 # pinned', 'example.org/etcd:v3.7.3'),
  );
  for (const text of ['', '{', 'spec: {containers: [{name: other, image: x}]}'])
    assert.throws(() => imageOf(text), ClusterError);
  const manifest = join(root, 'etcd.yaml');
  writeFileSync(manifest, MANIFEST);
  const newHost = (): KubeletHost => new KubeletHost(manifest, 'http://127.0.0.1:1', join(root, 'state'));
  const { signal } = new AbortController();
  const image = 'example.org/etcd:v3.7.3';
  assert.equal((await newHost().describe(image)).version, '3.7.3');
  assert.throws(() => newHost().describe('/opt/bin/etcd'), /a pod wants an image with its tag/);
  await newHost().setExchange({ program: image, memberId: 7n, others: ['https://b:2379'] });
  assert.equal(readFileSync(manifest, 'utf8'), MANIFEST);
  await newHost().stop(signal);
  assert.ok(!existsSync(manifest));
  // Whoever was killed here finds everything again.
  assert.deepEqual(newHost().exchange(), { program: image, memberId: 7n, others: ['https://b:2379'] });
  assert.equal(await newHost().original(), 'registry.k8s.io/etcd:3.5.21-0');
  await newHost().start();
  assert.equal(imageOf(readFileSync(manifest, 'utf8')), image);
  await newHost().setExchange(null);
  await newHost().stop(signal);
  await newHost().start();
  assert.equal(imageOf(readFileSync(manifest, 'utf8')), 'registry.k8s.io/etcd:3.5.21-0');
  assert.equal(newHost().exchange(), null);
});

test('a command line that can not be meant is refused in a line', async () => {
  for (const [pattern, ...words] of [
    [/give --to or --back/, '--to=/a', '--back'],
    [/--endpoints takes the member on this host, and no other/, '--endpoints=a:1,b:1'],
    [/"etcd" is no name of a service/, '--unit=etcd'],
    [/a pod needs an image: --to/, '--manifest=/nowhere/etcd.yaml'],
    [/accepts no arguments/, 'extra'],
  ] as const) {
    const io = new NotingIo({});
    assert.equal(await runProgram(ETCDADM, ['migrate', `--certs-dir=${root}`, ...words], io), 1);
    assert.match(io.errors, pattern);
  }
});
