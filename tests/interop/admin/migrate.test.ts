/**
 * `etcdadm migrate`: a cluster of Go's etcd becomes one of ours and goes back, host by host, while somebody writes. Hosts are namespaces; what
 * systemd does, which is to run the unit, is done by a script.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Host } from '../../support/host.ts';
import { Namespaces, needsNamespaces } from '../../support/namespaces.ts';
import { needs, type PeerVersion, peer, ROOT } from '../../support/programs.ts';
import { eventually, run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const HOSTS = 3;

class Migration {
  readonly hosts: readonly Host[];
  readonly #release: PeerVersion;
  readonly #namespaces = new Namespaces(HOSTS);
  #writes = 0;

  constructor(release: PeerVersion) {
    this.#release = release;
    const programs = temporaryDirectory();
    symlinkSync(`${ROOT}bin/etcdadm`, join(programs, 'etcdadm'));
    symlinkSync(`${ROOT}tests/support/systemctl.sh`, join(programs, 'systemctl'));
    this.hosts = Array.from({ length: HOSTS }, (_, i) => {
      const { host, launcher } = this.#namespaces.place(i);
      return new Host(host!, launcher!, programs);
    });
  }

  /** Each host has a unit that somebody wrote long ago. */
  async start(): Promise<void> {
    const cluster = this.hosts.map(({ address }, i) => `m${i}=http://${address}:2380`).join();
    for (const [i, host] of this.hosts.entries()) {
      const { address } = host;
      mkdirSync(host.path('etc/systemd/system'), { recursive: true });
      writeFileSync(
        host.path('etc/systemd/system/etcd.service'),
        `[Service]
Type=notify
ExecStart=${peer(this.#release, 'etcd')} --name m${i} --data-dir=/var/lib/etcd \\
  --listen-client-urls=http://${address}:2379 --advertise-client-urls=http://${address}:2379 \\
  --listen-peer-urls=http://${address}:2380 --initial-advertise-peer-urls=http://${address}:2380 \\
  --initial-cluster=${cluster} --heartbeat-interval=50 --election-timeout=500
`,
      );
      await host.run('systemctl start etcd.service');
    }
    await eventually('the cluster serves', async () => (await this.#ctl('put', 'begin', '0')).code === 0);
  }

  /** Returns what the command says. */
  async migrate(index: number, ...more: string[]): Promise<string> {
    const { address } = this.hosts[index]!;
    const words = [
      'etcdadm',
      'migrate',
      `--endpoints=http://${address}:2379`,
      '--certs-dir=/nonexistent',
      ...more,
    ];
    const output = await this.hosts[index]!.run(words.join(' '));
    await this.write();
    return output;
  }

  async write(): Promise<void> {
    const key = `key/${this.#writes++}`;
    const { code, stderr } = await this.#ctl('put', key, 'value');
    assert.equal(code, 0, stderr);
  }

  /** All that was written, and the same at every member. */
  async assertWhole(): Promise<void> {
    const { stdout } = await this.#ctl('get', 'key/', '--prefix', '--count-only', '-w', 'fields');
    assert.match(stdout, new RegExp(`"Count" : ${this.#writes}\n`));
    const { stdout: hashes } = await this.#ctl('endpoint', 'hashkv', '--cluster');
    assert.equal(
      new Set(
        hashes
          .trim()
          .split('\n')
          .map((line) => line.split(', ')[1]),
      ).size,
      1,
      hashes,
    );
  }

  logs(): string {
    const paths = this.hosts.map((host) => host.path('lib/unit.log')).filter((path) => existsSync(path));
    return paths.map((path) => readFileSync(path, 'utf8').split('\n').slice(-15).join('\n')).join('\n\n');
  }

  async stop(): Promise<void> {
    for (const host of this.hosts) {
      const file = host.path('lib/unit.pid');
      if (existsSync(file)) await run('kill', ['-9', readFileSync(file, 'utf8').trim()]);
    }
    this.#namespaces.remove();
  }

  #ctl(...args: string[]): ReturnType<typeof run> {
    const endpoints = this.hosts.map(({ address }) => `http://${address}:2379`).join();
    return run(peer('3.5', 'etcdctl'), [`--endpoints=${endpoints}`, '--command-timeout=20s', ...args]);
  }
}

async function withMigration(
  release: PeerVersion,
  body: (migration: Migration) => Promise<void>,
): Promise<void> {
  const migration = new Migration(release);
  try {
    await migration.start();
    await body(migration);
  } catch (error) {
    console.error(migration.logs());
    throw error;
  } finally {
    await migration.stop();
  }
}

const requirements = { ...needs('etcd 3.5', 'etcd 3.7', 'iproute2'), ...needsNamespaces() };

test('a cluster of etcd 3.5 becomes ours and goes back, host by host', requirements, () =>
  withMigration('3.5', async (migration) => {
    for (let i = 0; i < HOSTS; i++) {
      const output = await migration.migrate(i);
      assert.match(output, new RegExp(`\nm${i} has caught up, with the same data as the others\n`));
      const rest = HOSTS - 1 - i;
      assert.equal(output.match(/: 3\.5\.\d+ on go/g)?.length ?? 0, rest, output);
      assert.match(
        output,
        rest === 0 ? /\nAll members run the same kind of program\.\n$/ : /etcdadm migrate\n$/,
      );
    }
    assert.match(await migration.migrate(0), /^m0 runs .*bin\/etcd already\n/);
    await migration.assertWhole();
    for (let i = 0; i < HOSTS; i++) await migration.migrate(i, '--back');
    await migration.assertWhole();
    for (const host of migration.hosts) {
      assert.ok(!existsSync(host.path('etc/systemd/system/etcd.service.d/50-etcdadm-migrate.conf')));
    }
  }),
);

test(
  'a member of etcd 3.7 becomes ours and goes back; one that does not come up is as before',
  requirements,
  () =>
    withMigration('3.7', async (migration) => {
      await migration.migrate(1);
      await migration.assertWhole();
      const broken = join(temporaryDirectory(), 'etcd');
      writeFileSync(broken, '#!/bin/sh\n[ "$1" = --version ] || exit 1\necho "etcd Version: 3.7.3"\n', {
        mode: 0o755,
      });
      const { address } = migration.hosts[1]!;
      const words = `etcdadm migrate --endpoints=http://${address}:2379 --certs-dir=/nonexistent --to=${broken} --timeout=1s`;
      const failed = await migration.hosts[1]!.end(words);
      assert.equal(failed.code, 1);
      assert.match(
        failed.stderr,
        /^Error: it does not answer; .*bin\/etcd runs again, and the cluster is as before\n$/,
      );
      assert.match(await migration.migrate(1, '--back'), /All members run the same kind of program/);
      await migration.assertWhole();
    }),
);
