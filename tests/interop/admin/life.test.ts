/**
 * The life of a cluster by `etcdadm`: founded on one host, joined from two others, one of which runs Go's etcd, and left again. Hosts are
 * namespaces; what systemd and a kubelet do, which is to run the member, is done here.
 */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { Host } from '../../support/host.ts';
import { Namespaces, needsNamespaces } from '../../support/namespaces.ts';
import { needs, peer, ROOT, SUBJECT } from '../../support/programs.ts';
import { Running, run, sleep } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

const HOSTS = 3;
const INSTALL = '--install-dir=/etc/opt/bin';

function newHosts(namespaces: Namespaces, count: number): Host[] {
  const programs = temporaryDirectory();
  symlinkSync(`${ROOT}bin/etcdadm`, join(programs, 'etcdadm'));
  symlinkSync(`${ROOT}tests/support/systemctl.sh`, join(programs, 'systemctl'));
  return Array.from({ length: count }, (_, i) => {
    const { host, launcher } = namespaces.place(i);
    return new Host(host!, launcher!, programs);
  });
}

function flagsOf(host: Host, index: number): string {
  return `--name=infra${index} --bind-address=${host.address} ${INSTALL}`;
}

async function stopMember(host: Host): Promise<void> {
  const file = host.path('lib/unit.pid');
  if (existsSync(file)) await run('kill', ['-9', readFileSync(file, 'utf8').trim()]);
}

function bringAuthority(from: Host, to: Host): void {
  mkdirSync(to.path('etc/etcd/pki'), { recursive: true });
  for (const name of ['ca.crt', 'ca.key'])
    cpSync(from.path(`etc/etcd/pki/${name}`), to.path(`etc/etcd/pki/${name}`));
}

function logTail(host: Host): string {
  const path = host.path('lib/unit.log');
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(-15).join('\n') : '';
}

const requirements = { ...needs('etcd 3.7', 'iproute2'), ...needsNamespaces() };

describe('a cluster that etcdadm sets up', requirements, () => {
  test('is founded, joined, left and joined again, with a member of Go in it', async () => {
    const namespaces = new Namespaces(HOSTS);
    const hosts = newHosts(namespaces, HOSTS);
    try {
      await assertLife(hosts as [Host, Host, Host]);
    } catch (error) {
      for (const host of hosts) console.error(logTail(host));
      throw error;
    } finally {
      for (const host of hosts) await stopMember(host);
      namespaces.remove();
    }
  });
});

interface Pod {
  readonly spec: {
    readonly containers: readonly {
      readonly command: readonly string[];
      readonly env: readonly { name: string; value: string }[];
    }[];
  };
}

/** Does what a kubelet does with the manifest of a static pod: the process lives as long as the file is there. */
class Kubelet {
  readonly #host: Host;
  #pod: Running | null = null;
  #isOver = false;
  readonly #loop: Promise<void>;

  constructor(host: Host) {
    this.#host = host;
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#loop;
  }

  async #run(): Promise<void> {
    const path = this.#host.path('etc/kubernetes/manifests/etcd.manifest');
    while (!this.#isOver) {
      const isWanted = existsSync(path);
      if (isWanted && this.#pod === null) this.#pod = this.#start(readFileSync(path, 'utf8'));
      if (!isWanted) await this.#end();
      await sleep(50);
    }
    await this.#end();
  }

  #start(manifest: string): Running {
    const { command, env } = (parse(manifest) as Pod).spec.containers[0]!;
    assert.deepEqual(command, ['etcd']);
    const words = env.map(({ name, value }) => `${name}=${value}`);
    return new Running(...this.#host.command('env', ...words, SUBJECT), { timeoutMs: 600_000 });
  }

  async #end(): Promise<void> {
    this.#pod?.kill();
    await this.#pod?.ended;
    this.#pod = null;
  }
}

test(
  'a kubelet runs a member from the pod that is made for it, until the host is reset',
  requirements,
  async () => {
    const namespaces = new Namespaces(1);
    const [host] = newHosts(namespaces, 1);
    const kubelet = new Kubelet(host!);
    const flags = `${flagsOf(host!, 0)} --init-system=kubelet`;
    try {
      const founded = await host!.run(`etcdadm init ${flags}`);
      assert.match(founded, /\[start\] Starting static pod \/etc\/kubernetes\/manifests\/etcd\.manifest\n/);
      assert.match(await host!.run(`etcdadm info ${flags}`), /"name": "infra0"/);
      const left = await host!.run(`etcdadm reset ${flags} --remove-data`);
      assert.match(left, /It is the last member: there is nobody to tell\n\[reset\] Stopped static pod/);
      assert.ok(!existsSync(host!.path('lib/etcd/member')) && existsSync(host!.path('etc/etcd/pki/ca.key')));
    } finally {
      await kubelet.stop();
      namespaces.remove();
    }
  },
);

async function assertLife(hosts: readonly [Host, Host, Host]): Promise<void> {
  const [first, second, third] = hosts;
  const url = `https://${first.address}:2379`;
  const founded = await first.run(`etcdadm init ${flagsOf(first, 0)}`);
  assert.match(founded, new RegExp(`\\n {2}ssh HOST etcdadm join ${url}\\n`));
  assert.equal(statSync(first.path('etc/etcd/etcd.env')).mode & 0o777, 0o600);
  assert.equal(statSync(first.path('lib/etcd')).mode & 0o777, 0o700);
  // Whoever runs it again changes nothing.
  assert.match(
    await first.run(`etcdadm init ${flagsOf(first, 0)}`),
    /Going on with what an earlier run has begun/,
  );
  const ctl = (host: Host, words: string): Promise<string> => host.run(`/etc/opt/bin/etcdctl.sh ${words}`);
  assert.equal(await ctl(first, 'put greeting hello'), 'OK\n');

  const withoutAuthority = await second.end(`etcdadm join ${url} ${flagsOf(second, 1)}`);
  assert.equal(withoutAuthority.code, 1);
  assert.match(
    withoutAuthority.stderr,
    /^Error: \[certificates\] there is no .*ca\.crt: copy ca\.crt and ca\.key/,
  );
  bringAuthority(first, second);
  const joined = await second.run(`etcdadm join ${url} ${flagsOf(second, 1)}`);
  assert.match(joined, /\[promote\] infra1 has a vote\n/);
  assert.match(joined, /The cluster has 2 members with a vote and survives the loss of 0\.\n/);
  assert.match(
    await second.run(`etcdadm join ${url} ${flagsOf(second, 1)}`),
    /The cluster knows this host as/,
  );

  bringAuthority(first, third);
  mkdirSync(third.path('etc/opt/bin'), { recursive: true });
  for (const name of ['etcd', 'etcdctl'] as const)
    symlinkSync(peer('3.7', name), third.path(`etc/opt/bin/${name}`));
  assert.match(await third.run(`etcdadm join ${url} ${flagsOf(third, 2)}`), /survives the loss of 1\.\n/);
  for (const host of hosts) assert.equal(await ctl(host, 'get greeting --print-value-only'), 'hello\n');
  const members = await ctl(third, 'member list');
  assert.equal(members.match(/, started, infra[012], .*, false\n/g)?.length, HOSTS, members);
  const own = JSON.parse(await third.run(`etcdadm info ${flagsOf(third, 2)}`)) as {
    name: string;
    peerURLs: string[];
  };
  assert.deepEqual([own.name, own.peerURLs], ['infra2', [`https://${third.address}:2380`]]);

  const left = await second.run(`etcdadm reset ${flagsOf(second, 1)}`);
  assert.match(left, /\[reset\] Removed member [0-9a-f]+ from the cluster\n/);
  assert.match(left, /The data stay in \/var\/lib\/etcd; --remove-data has them deleted/);
  assert.ok(
    existsSync(second.path('lib/etcd/member/snap/db')) && existsSync(second.path('etc/etcd/pki/server.key')),
  );
  assert.ok(
    !existsSync(second.path('etc/systemd/system/etcd.service')) &&
      !existsSync(second.path('etc/opt/bin/etcd')),
  );
  assert.equal((await ctl(first, 'member list')).split('\n').length, 3);
  const refused = await second.end(`etcdadm join ${url} ${flagsOf(second, 1)}`);
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    /^Error: \[membership\] \/var\/lib\/etcd has the data of member [0-9a-f]+ of cluster [0-9a-f]+: .*--remove-data/,
  );
  await second.run(`etcdadm join ${url} ${flagsOf(second, 1)} --remove-data`);
  assert.equal(await ctl(second, 'get greeting --print-value-only'), 'hello\n');
  // What runs is not deleted by whoever has the wrong host.
  const occupied = await second.end(`etcdadm init ${flagsOf(second, 1)} --remove-data`);
  assert.match(occupied.stderr, /^Error: \[data\] \/var\/lib\/etcd is in use: unit etcd\.service is running/);
  await assertReplaced(first, third, url);
  await assertFoundedAgain(first, second);
}

/** A host loses its disk; whoever replaces the member is killed on the way, and begins again. */
async function assertReplaced(first: Host, third: Host, url: string): Promise<void> {
  await stopMember(third);
  rmSync(third.path('lib/etcd'), { recursive: true });
  const join2 = `etcdadm join ${url} ${flagsOf(third, 2)}`;
  const refused = await third.end(join2);
  assert.match(refused.stderr, /its data are not here: etcdadm member replace infra2 first/);
  const replace = (): Running =>
    new Running(...first.command('etcdadm', 'member', 'replace', 'infra2'), { timeoutMs: 180_000 });
  const killed = replace();
  await killed.waitForStdout((text) => text.includes('On its host'));
  killed.kill('SIGKILL');
  await killed.ended;
  const again = replace();
  await third.run(join2);
  const { code, stdout, stderr } = await again.ended;
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /^Going on with the replacement of infra2\n(.*\n)*infra2 is replaced\./);
  assert.equal(await third.run('/etc/opt/bin/etcdctl.sh get greeting --print-value-only'), 'hello\n');
  const healthy = await third.run('/etc/opt/bin/etcdctl.sh endpoint health --cluster');
  assert.equal(healthy.match(/ is healthy/g)?.length, HOSTS);
}

/** A host leaves, and founds a cluster of its own with what the other had. */
async function assertFoundedAgain(first: Host, second: Host): Promise<void> {
  await first.run('/etc/opt/bin/etcdctl.sh snapshot save /var/lib/snapshot.db');
  cpSync(first.path('lib/snapshot.db'), second.path('lib/snapshot.db'));
  const lost = await second.end(`etcdadm reset ${flagsOf(second, 1)} && etcdadm init ${flagsOf(second, 1)}`);
  assert.match(lost.stderr, /^Error: \[data\] \/var\/lib\/etcd is not empty: a new cluster needs/);
  const init = `etcdadm init ${flagsOf(second, 1)} --snapshot /var/lib/snapshot.db --remove-data`;
  assert.match(
    await second.run(init),
    /\[snapshot\] \/var\/lib\/etcd has what is in \/var\/lib\/snapshot\.db\n/,
  );
  assert.equal(await second.run('/etc/opt/bin/etcdctl.sh get greeting --print-value-only'), 'hello\n');
  assert.equal((await second.run('/etc/opt/bin/etcdctl.sh member list')).split('\n').length, 2);
}
