/**
 * What bad input gets: the exit code that etcd's tools give, one clear line on standard error, and nothing on the disk. A full disk and
 * whoever presses ^C get no less.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TestAuthority } from '@etcd/host/testing';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { needs, peer, ROOT } from '../../support/programs.ts';
import { type Ended, eventually, Running, run } from '../../support/run.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';
import { type Files, makeFiles } from '../etcdutl/files.ts';

const ETCDCTL = `${ROOT}bin/etcdctl`;
const ETCDUTL = `${ROOT}bin/etcdutl`;

interface Bad {
  readonly what: string;
  readonly args: readonly string[];
  readonly stdin?: string;
  /** How to call it is shown behind the line. */
  readonly hasUsage?: boolean;
}

const BAD: readonly Bad[] = [
  { what: 'an unknown command', args: ['nonsense'], hasUsage: true },
  { what: 'an unknown flag', args: ['get', 'k', '--nonsense'], hasUsage: true },
  { what: 'a flag without its value', args: ['get', 'k', '--rev'], hasUsage: true },
  { what: 'a value that is no number', args: ['get', 'k', '--limit=many'], hasUsage: true },
  { what: 'a missing argument', args: ['get'] },
  { what: 'an argument too many', args: ['compaction', '1', '2'] },
  { what: 'a bad id of a member', args: ['member', 'remove', 'zz'] },
  { what: 'an id of nobody', args: ['member', 'remove', 'abc'] },
  { what: 'a bad id of a lease', args: ['lease', 'revoke', 'zz'] },
  { what: 'a lease that is not there', args: ['lease', 'revoke', 'abc'] },
  { what: 'a bad type of permission', args: ['role', 'grant-permission', 'r', 'nonsense', 'k'] },
  { what: 'a malformed comparison', args: ['txn'], stdin: 'nonsense\n\n\n\n' },
  { what: 'a malformed request', args: ['txn'], stdin: '\nput\n\n\n' },
  { what: 'a comparison without an end', args: ['txn'], stdin: 'value("k") = "v\n\n\n\n' },
  { what: 'a bad format', args: ['get', 'k', '-w', 'nonsense'] },
  { what: 'a bad peer URL', args: ['member', 'add', 'm', '--peer-urls=nowhere'] },
  { what: 'a key without a certificate', args: ['get', 'k', '--key=k.pem'] },
  { what: 'a certificate that is not there', args: ['get', 'k', '--cacert=nothing.pem'] },
];

function assertOneLine(stderr: string, what: string, hasUsage = false): void {
  const lines = stderr.split('\n').filter((line) => line.startsWith('Error: '));
  assert.equal(lines.length, 1, `${what}: ${stderr}`);
  if (!hasUsage) assert.match(stderr, /^Error: [^\n]+\n$/, what);
}

describe('bad input', needs('etcd 3.5', 'etcd 3.7'), () => {
  let server: EtcdServer;
  let files: Files;
  before(async () => {
    server = await EtcdServer.start({ flags: FAST_ELECTION });
    files = await makeFiles(peer('3.7', 'etcd'));
  });
  after(() => server.stop());

  for (const { what, args, stdin, hasUsage } of BAD) {
    test(`${what} gets one line, and the exit code that etcd gives`, async () => {
      const cwd = temporaryDirectory();
      const options = { cwd, stdin, env: { ETCDCTL_ENDPOINTS: server.address } };
      const [ours, theirs] = await Promise.all(
        [ETCDCTL, peer('3.7', 'etcdctl')].map((each) => run(each, args, options)),
      );
      assert.ok(ours !== undefined && theirs !== undefined);
      assert.equal(ours.code, theirs.code, ours.stderr);
      assert.notEqual(ours.code, 0);
      assertOneLine(ours.stderr, what, hasUsage);
      assert.deepEqual(readdirSync(cwd), []);
    });
  }

  test('an endpoint where nobody is, and a wrong certificate, get one line that names the reason', async () => {
    const directory = temporaryDirectory();
    const [own, other] = [
      await TestAuthority.create(directory, 'own'),
      await TestAuthority.create(directory, 'other'),
    ];
    const { certFile, keyFile } = await own.issue('server', { hosts: ['127.0.0.1'] });
    const secure = await EtcdServer.start({
      clientScheme: 'https',
      flags: [...FAST_ELECTION, `--cert-file=${certFile}`, `--key-file=${keyFile}`],
    });
    try {
      const timeout = '--command-timeout=1s';
      for (const [flags, reason] of [
        [[`--endpoints=127.0.0.1:${await freePort()}`], /connect|refused|deadline/i],
        [[`--endpoints=${secure.address}`, `--cacert=${other.caFile}`], /certificate|authority|deadline/i],
        [[`--endpoints=${secure.address}`], /deadline|connection/i],
      ] as const) {
        const [ours, theirs] = await Promise.all(
          [ETCDCTL, peer('3.7', 'etcdctl')].map((each) => run(each, [...flags, timeout, 'get', 'k'])),
        );
        assert.equal(ours?.code, theirs?.code);
        assertOneLine(ours?.stderr ?? '', flags.join(' '));
        assert.match(ours?.stderr ?? '', reason);
      }
    } finally {
      await secure.stop();
    }
  });

  test('a damaged snapshot and a target that is taken leave everything as it was', async () => {
    for (const name of ['truncated', 'flipped', 'without-hash', 'nothing']) {
      const cwd = temporaryDirectory();
      const snapshot = join(files.directory, `${name}.db`);
      for (const program of [ETCDUTL, ETCDCTL]) {
        const { code, stderr } = await run(program, ['snapshot', 'restore', snapshot, '--data-dir', 'made'], {
          cwd,
        });
        assert.equal(code, 1);
        assert.equal(stderr.match(/^Error: /gm)?.length, 1, stderr);
        assert.deepEqual(readdirSync(cwd), []);
      }
    }
    const taken = temporaryDirectory();
    writeFileSync(join(taken, 'somebody'), 'else');
    const { code } = await run(ETCDUTL, ['snapshot', 'restore', files.snapshot, '--data-dir', taken]);
    assert.equal(code, 1);
    assert.deepEqual(readdirSync(taken), ['somebody']);
  });

  test('a full disk gets one line, and nothing is left on it', needsMounts(), async () => {
    const directory = temporaryDirectory();
    const disk = join(directory, 'disk');
    mkdirSync(disk);
    cpSync(join(files.directory, 'member'), join(directory, 'member'), { recursive: true });
    // A database of which two copies do not fit.
    const full = (line: string, kilobytes: number, prepare = 'true'): Promise<Ended> => {
      const script = `mount -t tmpfs -o size=${kilobytes}k tmpfs "$0" && cd "$0" && ${prepare} && { ${line}; echo "code $?"; ls -AR; }`;
      return run('unshare', ['--mount', '--propagation', 'private', 'bash', '-c', script, disk], {
        env: { PATH: `${ROOT}bin:${process.env['PATH']}` },
        cwd: directory,
      });
    };
    const databaseKilobytes = Math.ceil(statSync(files.snapshot).size / 4096) * 4;
    const kept = `mkdir -p kept/member/snap && cp ${files.snapshot} kept/member/snap/db && truncate -s -32 kept/member/snap/db`;
    for (const [line, prepare, code] of [
      [`etcdctl --endpoints=${server.address} snapshot save s.db`, undefined, 5],
      [`etcdutl snapshot restore ${files.snapshot} --data-dir made`, undefined, 1],
      [`etcdctl snapshot restore ${files.snapshot} --data-dir made/below --wal-dir log`, undefined, 1],
      [`etcdutl backup --data-dir ${directory}/member --backup-dir made`, undefined, 1],
      [`etcdutl bbolt compact ${files.snapshot} -o small.db`, undefined, 1],
      ['etcdutl defrag --data-dir kept', kept, 1],
    ] as const) {
      const { stdout, stderr } = await full(line, prepare === undefined ? 8 : databaseKilobytes + 8, prepare);
      const [first, ...left] = stdout.trim().split('\n');
      assert.equal(first, `code ${code}`, `${line}\n${stderr}`);
      assert.match(stderr, /^Error: .*no space left on device.*$/m, line);
      const names = left.filter((name) => name !== '' && !name.endsWith(':'));
      assert.deepEqual(names, prepare === undefined ? [] : ['kept', 'member', 'snap', 'db'], line);
    }
  });

  test('^C ends a snapshot and a restore, and removes what was begun', async () => {
    const directory = temporaryDirectory();
    const stalling = await stallingProxy(server.clientPort, 12_000);
    const save = new Running(
      ETCDCTL,
      [`--endpoints=127.0.0.1:${stalling.port}`, 'snapshot', 'save', 's.db'],
      { cwd: directory },
    );
    await eventually('it has begun', () => existsSync(join(directory, 's.db.part')));
    await eventually('it waits for the rest', () => stalling.hasStalled());
    save.kill('SIGINT');
    const ended = await save.ended;
    stalling.close();
    assert.equal(ended.code, 5);
    assertOneLine(ended.stderr, 'save');
    assert.deepEqual(readdirSync(directory), []);

    const source = join(temporaryDirectory(), 'sparse.db');
    writeFileSync(source, readFileSync(files.snapshot));
    truncateSync(source, 256 << 20);
    const restore = new Running(
      ETCDUTL,
      ['snapshot', 'restore', source, '--skip-hash-check', '--data-dir', 'made'],
      { cwd: directory },
    );
    await eventually('it has begun', () => existsSync(join(directory, 'made')));
    restore.kill('SIGINT');
    const { code, stderr } = await restore.ended;
    assert.equal(code, 130, stderr);
    assert.match(stderr, /^Error: interrupted; what was begun has been removed$/m);
    assert.deepEqual(readdirSync(directory), []);
  });

  test('a reader that has gone ends a tool without a word', async () => {
    for (const line of [
      `etcdctl --endpoints=${server.address} member list`,
      `etcdutl snapshot status ${files.snapshot}`,
      `etcdutl bbolt keys ${files.snapshot} key`,
    ]) {
      const script = `{ PATH=${ROOT}bin:$PATH ${line}; echo "code $?" >&2; } | true`;
      // The reader ends at once; a tool takes longer to begin.
      const { stderr } = await run('/bin/sh', ['-c', script]);
      assert.equal(stderr, 'code 141\n', line);
    }
  });
});

function needsMounts(): { skip?: string } {
  if (process.getuid?.() !== 0) return { skip: 'a disk of its own needs root' };
  const tried = spawnSync('unshare', ['--mount', '--propagation', 'private', 'true'], { encoding: 'utf8' });
  return tried.status === 0 ? {} : { skip: `no mount namespaces: ${tried.error?.message ?? tried.stderr}` };
}

interface StallingProxy {
  readonly port: number;
  hasStalled(): boolean;
  close(): void;
}

/** Passes so many bytes of the server on, and then no more. */
async function stallingProxy(serverPort: number, limitBytes: number): Promise<StallingProxy> {
  const sockets = new Set<net.Socket>();
  let passedBytes = 0;
  const proxy = net.createServer((client) => {
    const upstream = net.connect(serverPort, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
    }
    client.on('data', (data) => upstream.write(data));
    upstream.on('data', (data) => {
      const part = data.subarray(0, limitBytes - passedBytes);
      passedBytes += part.length;
      client.write(part);
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const address = proxy.address();
  return {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    hasStalled: () => passedBytes >= limitBytes,
    close: () => {
      proxy.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
