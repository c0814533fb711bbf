/** A member under systemd, under one of the test's own where that can be had: who is told what and when, sockets that are handed over, limits, the units. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, ROOT, SUBJECT, tool } from '../../support/programs.ts';
import { eventually, Running, run } from '../../support/run.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';

/** An init system that keeps what it is told. */
async function startInit(path: string): Promise<Running> {
  const init = new Running(tool('python3'), [`${ROOT}tests/support/notify-socket.py`, path], {
    timeoutMs: 240_000,
  });
  await init.waitForStdout((text) => text.includes('listening'));
  return init;
}

const told = (init: Running): string[] => init.stdout.split('\n').slice(1, -1);

test('ready is told by who has joined its cluster, not by who waits for it', needs('python3'), async () => {
  const path = join(temporaryDirectory(), 'notify');
  const init = await startInit(path);
  const env = { NOTIFY_SOCKET: path };
  const [firstPeer, secondPeer] = [await freePort(), await freePort()];
  const initialCluster = `a=http://127.0.0.1:${firstPeer},b=http://127.0.0.1:${secondPeer}`;
  const flags = FAST_ELECTION;
  const first = await EtcdServer.launch({ name: 'a', peerPort: firstPeer, initialCluster, flags, env });
  await first.waitForLog('serving peer traffic');
  assert.deepEqual(told(init), []);
  const second = await EtcdServer.launch({ name: 'b', peerPort: secondPeer, initialCluster, flags });
  await init.waitForStdout((text) => text.includes('READY=1'));
  assert.ok(first.log.some(({ msg }) => msg === 'ready to serve client requests'));
  await Promise.all([first.kill(), second.kill()]);
  init.kill();
});

test('signs of life, a reload and a stop are told, to an abstract socket too', needs('python3'), async () => {
  const path = `@etcd-test-${process.pid}`;
  const init = await startInit(path);
  const env = { NOTIFY_SOCKET: path, WATCHDOG_USEC: '200000' };
  const server = await EtcdServer.start({ flags: FAST_ELECTION, env });
  await init.waitForStdout((text) => text.split('WATCHDOG=1').length > 3);
  server.signal('SIGHUP');
  await init.waitForStdout((text) => /RELOADING=1 MONOTONIC_USEC=\d+\n(WATCHDOG=1\n)*READY=1\n/.test(text));
  await server.stop();
  await init.waitForStdout((text) => text.includes('STOPPING=1\n'));
  assert.equal(told(init)[0], 'READY=1');
  init.kill();
});

test('a watchdog of another process is not this one’s', needs('python3'), async () => {
  const path = `@etcd-test-other-${process.pid}`;
  const init = await startInit(path);
  const env = { NOTIFY_SOCKET: path, WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' };
  const server = await EtcdServer.start({ flags: FAST_ELECTION, env });
  await server.stop();
  await init.waitForStdout((text) => text.includes('STOPPING=1\n'));
  assert.deepEqual(told(init), ['READY=1', 'STOPPING=1']);
  init.kill();
});

interface Ports {
  readonly client: number;
  readonly peer: number;
  readonly metrics: number;
}

async function activate(ports: Ports, names: string, dataDir: string): Promise<Running> {
  const listen = [ports.client, ports.peer, ports.metrics].flatMap((port) => ['-l', `127.0.0.1:${port}`]);
  const url = (port: number): string => `http://127.0.0.1:${port}`;
  const flags = [
    `--data-dir=${dataDir}`,
    `--listen-client-urls=${url(ports.client)}`,
    `--advertise-client-urls=${url(ports.client)}`,
    `--listen-peer-urls=${url(ports.peer)}`,
    `--initial-advertise-peer-urls=${url(ports.peer)}`,
    `--initial-cluster=default=${url(ports.peer)}`,
    `--listen-metrics-urls=${url(ports.metrics)}`,
    ...FAST_ELECTION,
  ];
  const activator = new Running(
    tool('systemd-socket-activate'),
    [...listen, `--fdname=${names}`, '-E', 'PATH', SUBJECT, ...flags],
    { timeoutMs: 240_000 },
  );
  // It starts the program for whoever comes first, and waits for him as long as it takes.
  await eventually('somebody listens', async () => {
    const socket = connect(ports.client, '127.0.0.1');
    const isThere = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
    socket.destroy();
    return isThere;
  });
  return activator;
}

async function planPorts(): Promise<Ports> {
  return { client: await freePort(), peer: await freePort(), metrics: await freePort() };
}

test(
  'sockets that systemd listens on serve clients, peers and metrics',
  needs('systemd-socket-activate'),
  async () => {
    const ports = await planPorts();
    const member = await activate(ports, 'client:peer:metrics', join(temporaryDirectory(), 'data'));
    const rpc = new EtcdRpc(`127.0.0.1:${ports.client}`);
    try {
      await rpc.call('KV.Put', { key: 'a', value: 'b' });
      const version = await fetch(`http://127.0.0.1:${ports.peer}/version`);
      assert.equal(version.status, 200);
      const metrics = await fetch(`http://127.0.0.1:${ports.metrics}/metrics`);
      assert.match(await metrics.text(), /^etcd_server_has_leader 1$/m);
    } finally {
      rpc.close();
      member.kill();
      const { stderr } = await member.ended;
      const lines = stderr
        .split('\n')
        .filter((line) => line.includes('listening on a socket of the init system'));
      assert.equal(lines.length, 3, stderr);
    }
  },
);

test('a socket that would serve nobody ends the start', needs('systemd-socket-activate'), async () => {
  const member = await activate(await planPorts(), 'client:peer:etcd', join(temporaryDirectory(), 'data'));
  const { code, stderr } = await member.ended;
  assert.equal(code, 1);
  assert.match(stderr, /socket 5 has the name \\"etcd\\": FileDescriptorName= has to be one of/);
});

test('what is handed over and is no socket ends the start in one line', async () => {
  const script = 'export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=client; exec "$0" "$@" 3</dev/null';
  const server = await EtcdServer.launch({ launcher: ['sh', '-c', script], flags: FAST_ELECTION });
  const { code, stderr } = await server.ended;
  assert.equal(code, 1, stderr);
  assert.match(stderr, /"level":"fatal".*listen socket 3 \(client\): bind: /);
});

test('the limit on descriptors is adopted to its hard bound', async () => {
  const server = await EtcdServer.start({
    launcher: ['prlimit', '--nofile=1024:5000'],
    flags: FAST_ELECTION,
  });
  const { fields } = await server.waitForLog('starting an etcd server');
  assert.equal(fields['descriptor-limit'], 5000);
  assert.match(readFileSync(`/proc/${server.pid}/limits`, 'utf8'), /^Max open files +5000 +5000 /m);
  await server.stop();
});

/** Of ten; what is left is what a server on a network can't do without. */
const MAX_EXPOSURE_PERCENT = 20;

test(
  'the units are units, and leave a member no right that it does not need',
  needs('systemd-analyze'),
  async () => {
    const directory = temporaryDirectory();
    for (const unit of ['etcd.service', 'etcd-client.socket']) {
      const text = readFileSync(`${ROOT}deploy/systemd/${unit}`, 'utf8');
      writeFileSync(join(directory, unit), text.replace('/usr/bin/etcd', SUBJECT));
    }
    const analyze = (...args: string[]) => run(tool('systemd-analyze'), args, { cwd: directory });
    const verified = await analyze('verify', './etcd.service', './etcd-client.socket');
    const complaints = verified.stderr.split('\n').filter((line) => /^(\.\/)?(\S*\/)?etcd/.test(line));
    assert.deepEqual(complaints, [], 'nothing is unknown to systemd');
    const judged = await analyze(
      'security',
      '--offline=true',
      `--threshold=${MAX_EXPOSURE_PERCENT}`,
      '--no-pager',
      join(directory, 'etcd.service'),
    );
    assert.equal(judged.code, 0, judged.stdout + judged.stderr);
  },
);

test('the unit that etcdadm writes is one', needs('systemd-analyze'), async () => {
  const rootfs = temporaryDirectory();
  const args = ['--rootfs', rootfs, '--name=a', '--bind-address=127.0.0.1'];
  const made = await run(`${ROOT}bin/etcdadm`, ['init', 'phase', 'configure', ...args]);
  assert.equal(made.code, 0, made.stderr);
  const unit = join(rootfs, 'etc/systemd/system/etcd.service');
  const text = readFileSync(unit, 'utf8');
  assert.match(text, /^ExecStart=\/opt\/bin\/etcd$/m);
  writeFileSync(unit, text.replace('/opt/bin/etcd', SUBJECT));
  const { stderr } = await run(tool('systemd-analyze'), ['verify', './etcd.service'], { cwd: dirname(unit) });
  const complaints = stderr.split('\n').filter((line) => /^(\.\/)?(\S*\/)?etcd/.test(line));
  assert.deepEqual(complaints, []);
});

const SYSTEMD = '/lib/systemd/systemd';

/** Whether a systemd can be had as process 1 of namespaces of its own. */
function needsOwnSystemd(): { skip?: string } {
  if (process.getuid?.() !== 0) return { skip: 'a systemd of its own needs root' };
  if (!existsSync(SYSTEMD)) return { skip: `missing: ${SYSTEMD}` };
  const script =
    'mount --make-rprivate / && umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup';
  const tried = spawnSync('unshare', ['--pid', '--fork', '--mount', '--cgroup', '--net', 'sh', '-c', script]);
  return tried.status === 0 ? {} : { skip: 'no namespaces in which a systemd could run' };
}

test(
  'a real systemd starts the unit, reloads it, starts it again when it was killed, listens for it and stops it',
  needsOwnSystemd(),
  async (context) => {
    const script = `${ROOT}tests/support/systemd-machine.sh`;
    const args = [script, SYSTEMD, `${ROOT}deploy/systemd`, SUBJECT, `${ROOT}bin/etcdctl`];
    const machine = new Running('/bin/bash', args, { timeoutMs: 240_000 });
    context.after(async () => {
      machine.write('\n');
      await machine.ended;
    });
    await machine.waitForStdout((text) => text.endsWith('done\n'));
    const said = machine.stdout.split('\n').filter((line) => !line.startsWith('log: '));
    const state = (active: string, sub: string, restarts: number): string =>
      `ActiveState=${active} NRestarts=${restarts} Result=success SubState=${sub} `;
    assert.deepEqual(said.slice(0, -1), [
      `start: ${state('active', 'running', 0)}`,
      'put: OK',
      'directory: etcd 700',
      'rights: CapEff: 0000000000000000 CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 ',
      `reload: ${state('active', 'running', 0)}`,
      `killed: ${state('active', 'running', 1)}`,
      'get: value',
      `stop: ${state('inactive', 'dead', 1)}`,
      `sockets: ${state('active', 'running', 0)}`,
      'get: value',
      `stop: ${state('inactive', 'dead', 0)}`,
      'done',
    ]);
    const log = machine.stdout.split('\n').filter((line) => line.startsWith('log: '));
    const count = (message: string): number =>
      log.filter((line) => line.includes(`"msg":"${message}`)).length;
    assert.equal(count('listening on a socket of the init system'), 1);
    assert.equal(count('no page of this process can be swapped out'), 3);
  },
);
