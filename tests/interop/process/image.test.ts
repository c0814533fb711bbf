/** What an image holds, run as a container would: as a user without rights, on a root that nobody can write to. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { makeImageRoot } from '../../../tools/image.ts';
import { needsNamespaces } from '../../support/namespaces.ts';
import { adopt, eventually } from '../../support/run.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';

/** That of the image; 65,532 is nobody's here. */
const USER = 65_532;
const DATA = '/var/lib/etcd';
/** Runs the rest of the command in the directory `$0`. */
const ENTER = `set -e
mount --bind "$0" "$0"
mount --bind /dev "$0/dev"
mount --bind /proc "$0/proc"
mount --bind "$1" "$0${DATA}"
mount -o remount,bind,ro "$0"
root=$0
shift
exec chroot --userspec=${USER}:${USER} "$root" "$@"`;

/** What the image's base brings: the shell, and the libraries of Node. */
function addBase(root: string): void {
  const programs = { '/bin/sh': '/bin/sh', '/bin/readlink': '/usr/bin/readlink' };
  const libraries = new Set<string>();
  const addLibraries = (file: string): void => {
    const text = execFileSync('ldd', [file], { encoding: 'utf8' });
    for (const [path] of text.matchAll(/\/\S+(?= \(0x)/g)) libraries.add(path);
  };
  const add = (from: string, to: string): void => {
    mkdirSync(dirname(join(root, to)), { recursive: true });
    copyFileSync(from, join(root, to));
  };
  for (const [to, from] of Object.entries(programs)) {
    add(from, to);
    addLibraries(from);
  }
  addLibraries(join(root, 'opt/etcd/node_modules/node/bin/node'));
  for (const library of libraries) add(library, library);
  for (const each of ['dev', 'proc']) mkdirSync(join(root, each));
}

class Container {
  readonly #root = mkdtempSync(join(temporaryDirectory(), 'root-'));
  /** A volume. */
  readonly #data = temporaryDirectory();

  constructor() {
    makeImageRoot(this.#root);
    addBase(this.#root);
    chmodSync(this.#root, 0o755);
    chownSync(this.#data, USER, USER);
  }

  get programs(): readonly string[] {
    return readdirSync(join(this.#root, 'usr/local/bin'));
  }

  run(...command: string[]): SpawnSyncReturns<string> {
    return spawnSync('unshare', this.#args(command), { ...this.#options, encoding: 'utf8' });
  }

  start(...command: string[]): ChildProcess {
    const child = spawn('unshare', this.#args(command), { ...this.#options, stdio: 'ignore' });
    adopt(child);
    return child;
  }

  #args(command: readonly string[]): string[] {
    return ['--mount', 'sh', '-c', ENTER, this.#root, this.#data, ...command];
  }

  get #options() {
    const PATH = '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin';
    const keys = { AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'x', AWS_REGION: 'x' };
    return { env: { PATH, TMPDIR: DATA, HOME: DATA, ...keys } };
  }
}

test('the programs of an image run without rights, on a root that can not be written to', {
  ...needsNamespaces(),
}, async (t) => {
  const container = new Container();
  assert.deepEqual(container.programs, [
    'etcd',
    'etcd-defrag',
    'etcd-operator',
    'etcdadm',
    'etcdctl',
    'etcdutl',
  ]);
  const succeed = (...command: string[]): string => {
    const { status, stdout, stderr } = container.run(...command);
    assert.equal(status, 0, `${command.join(' ')}: ${stderr}`);
    return stdout;
  };
  assert.notEqual(container.run('/bin/sh', '-c', ': > /opt/etcd/x').status, 0);
  for (const program of container.programs) assert.match(succeed(program, '--help'), /Usage|etcd/);
  assert.match(succeed('etcd-operator', 'definitions'), /kind: EtcdCluster/);

  // As the pod of a first member does.
  const gate = ['etcd-operator', 'gate', `--data-dir=${DATA}/data`, '--member=c-0'];
  assert.equal(container.run(...gate).status, 1, 'the gate opens for whom nobody named');
  const endpoint = `http://127.0.0.1:${await freePort()}`;
  const member = container.start(
    '/usr/local/bin/etcd',
    `--data-dir=${DATA}/data`,
    `--listen-client-urls=${endpoint}`,
    `--advertise-client-urls=${endpoint}`,
    `--listen-peer-urls=http://127.0.0.1:${await freePort()}`,
  );
  t.after(() => member.kill());
  const isHealthy = async (): Promise<boolean> => {
    try {
      return (await fetch(`${endpoint}/health`)).ok;
    } catch {
      return false;
    }
  };
  await eventually('a member that serves', isHealthy);
  succeed('etcdctl', `--endpoints=${endpoint}`, 'put', 'a', '1');
  succeed(...gate);

  // As a worker does. The client for S3 is in no bundle: that nobody listens there shows that it was found.
  succeed('etcdadm', 'backup', `--endpoints=${endpoint}`, '--unencrypted', `--store=${DATA}/backups`);
  succeed('etcdadm', 'backup', 'verify', `--store=${DATA}/backups`);
  const s3 = container.run('etcdadm', 'backup', 'list', '--store=s3://b/p?endpoint=http://127.0.0.1:1');
  assert.match(s3.stderr, /ECONNREFUSED/);
});
