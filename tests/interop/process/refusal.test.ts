/**
 * Starts that must be refused: the process ends with a failure and one clear message, and nothing on the disk has
 * changed. A command line that can't be parsed ends with 2; so does real etcd where it panics. Everything else ends with 1.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { atLeast, isGo, SUBJECT } from '../../support/programs.ts';
import { type Ended, run } from '../../support/run.ts';
import { freePort, temporaryDirectory } from '../../support/temporary.ts';
import { walFrames } from '../durability/wal-frames.ts';

const SUBJECT_IS_GO = isGo(SUBJECT);

function assertRefused(ended: Ended, message: RegExp): void {
  const output = ended.stdout + ended.stderr;
  assert.match(output, message);
  assert.equal(ended.signal, null);
  if (SUBJECT_IS_GO) {
    assert(ended.code === 1 || ended.code === 2, `exit ${ended.code}`);
    return;
  }
  // What the flag parser says is no line of the log.
  const isUsage = !output.startsWith('{') && !output.startsWith('unexpected error');
  assert.equal(ended.code, isUsage ? 2 : 1);
  // A message for whoever started it, not a trace for whoever wrote it.
  assert.doesNotMatch(output, /^\s+at .*:\d+:\d+\)?$/m, 'a stack trace');
  const failures = output.split('\n').filter((line) => message.test(line));
  assert.equal(failures.length, 1, `said once, in one line:\n${failures.join('\n')}`);
}

const BAD_FLAGS: readonly (readonly [string[], RegExp])[] = [
  [['--nonsense'], /-nonsense/],
  [['--nonsense=1'], /-nonsense/],
  [['--data-dir'], /flag needs an argument: -data-dir/],
  [['positional'], /["']positional\\?["'] is not a valid flag/],
  [['--listen-client-urls=nonsense'], /nonsense/],
  [['--listen-client-urls=http://127.0.0.1:xx'], /127\.0\.0\.1:xx/],
  [
    ['--listen-client-urls=http://example.com:2379'],
    /expected IP in URL for binding \(http:\/\/example.com:2379\)/,
  ],
  [
    ['--listen-client-urls=http://127.0.0.1:23790'],
    /--advertise-client-urls is required when --listen-client-urls is set explicitly/,
  ],
  [['--quota-backend-bytes=abc'], /invalid value .*abc.* for flag -quota-backend-bytes/],
  [['--snapshot-count=-1'], /invalid value .*-1.* for flag -snapshot-count/],
  [['--max-txn-ops=-1'], /invalid value .*-1.* for flag -max-txn-ops/],
  [['--initial-cluster-state=foo'], /invalid value .*foo.* for flag -initial-cluster-state/],
  [
    ['--heartbeat-interval=100', '--election-timeout=200'],
    /--election-timeout\[200ms\] should be at least as 5 times as --heartbeat-interval\[100ms\]/,
  ],
  [['--heartbeat-interval=0'], /--heartbeat-interval must be >0 \(set to 0ms\)/],
  [
    ['--election-timeout=60000'],
    /--election-timeout\[60000ms\] is too long, and should be set less than 50000ms/,
  ],
  [['--config-file=/nonexistent'], /open \/nonexistent: no such file or directory/],
  [
    ['--name=a', '--initial-cluster=b=http://localhost:2380'],
    /couldn't find local name \\"a\\" in the initial cluster configuration/,
  ],
  [['--logger=foo'], /unknown logger option \\"foo\\"/],
  [['--log-level=foo'], /unrecognized level: \\?"foo\\?"|unknown log level \\?"foo\\?"/],
];

for (const [flags, message] of BAD_FLAGS) {
  test(`refused: ${flags.join(' ')}`, async () => {
    const cwd = temporaryDirectory();
    const ended = await run(SUBJECT, flags, { cwd, timeoutMs: 20_000 });
    // Real etcd prints some of these in a fatal line and once more in another.
    assertRefused(ended, message);
  });
}

test('refused: a URL in the configuration file that is none', async () => {
  const cwd = temporaryDirectory();
  writeFileSync(join(cwd, 'etcd.yml'), 'name: m\nlisten-client-urls: http://127.0.0.1:x\n');
  const ended = await run(SUBJECT, ['--config-file=etcd.yml'], { cwd, timeoutMs: 20_000 });
  const text =
    'unexpected error setting up listen-client-urls: parse "http://127.0.0.1:x": invalid port ":x" after host';
  assert.equal(ended.stderr.trim(), SUBJECT_IS_GO ? text : `etcd.yml:2: ${text}`);
  assert.equal(ended.code, 1);
});

test('refused: --v2-deprecation of what is over', {
  skip: atLeast(SUBJECT, 3, 6) ? false : 'since 3.6',
}, async () => {
  for (const value of ['not-yet', 'nonsense', '']) {
    const cwd = temporaryDirectory();
    const ended = await run(SUBJECT, [`--v2-deprecation=${value}`], { cwd, timeoutMs: 20_000 });
    assert.match(ended.stderr, /^invalid value ".*" for flag -v2-deprecation: invalid value ".*"/);
    assert.equal(ended.code, 2);
  }
});

test('refused: environment and flag disagree on nothing, but an unparsable variable', async () => {
  const env = { ETCD_QUOTA_BACKEND_BYTES: 'abc' };
  const ended = await run(SUBJECT, [], { cwd: temporaryDirectory(), env, timeoutMs: 20_000 });
  assertRefused(ended, /invalid value \\?"abc\\?" for ETCD_QUOTA_BACKEND_BYTES/);
});

test('refused: the client port is taken', async () => {
  const clientPort = await freePort();
  const holder = createServer().listen(clientPort, '127.0.0.1');
  try {
    const server = await EtcdServer.launch({ clientPort });
    assertRefused(await server.ended, /listen tcp 127\.0\.0\.1:\d+: bind: address already in use/);
  } finally {
    holder.close();
  }
});

test('refused: the peer port is taken', async () => {
  const peerPort = await freePort();
  const holder = createServer().listen(peerPort, '127.0.0.1');
  try {
    const server = await EtcdServer.launch({ peerPort });
    assertRefused(await server.ended, /listen tcp 127\.0\.0\.1:\d+: bind: address already in use/);
  } finally {
    holder.close();
  }
});

test('refused: the data directory is in a file', async () => {
  const file = join(temporaryDirectory(), 'file');
  writeFileSync(file, 'x');
  const server = await EtcdServer.launch({ dataDir: join(file, 'data') });
  assertRefused(await server.ended, /not a directory/);
  assert.equal(readFileSync(file, 'utf8'), 'x');
});

test('refused: the data directory is a file', async () => {
  const dataDir = join(temporaryDirectory(), 'file');
  writeFileSync(dataDir, 'x');
  const server = await EtcdServer.launch({ dataDir });
  assertRefused(await server.ended, /not a directory/);
});

test('refused: a directory where nobody may write', async () => {
  // Root may write everywhere but here.
  const server = await EtcdServer.launch({ dataDir: '/proc/self/etcd-data' });
  assertRefused(await server.ended, /cannot access data directory: mkdir \/proc\/self\/etcd-data: /);
});

// --- directories with a history

/** A killed server's directory, made once; each test damages a copy of it. */
let template: Promise<{ directory: string; flags: string[]; clientPort: number; peerPort: number }> | null =
  null;

async function usedDirectory(): Promise<{ dataDir: string; clientPort: number; peerPort: number }> {
  template ??= (async () => {
    const server = await EtcdServer.start({ flags: [...FAST_ELECTION, '--snapshot-count=100'] });
    const rpc = new EtcdRpc(server.address);
    for (let i = 0; i < 350; i++) await rpc.call('KV.Put', { key: `k${i % 50}`, value: `${i}`.padEnd(200) });
    rpc.close();
    await server.kill();
    return { directory: server.dataDir, flags: [], clientPort: server.clientPort, peerPort: server.peerPort };
  })();
  const { directory, clientPort, peerPort } = await template;
  const dataDir = join(temporaryDirectory(), 'data');
  cpSync(directory, dataDir, { recursive: true });
  return { dataDir, clientPort, peerPort };
}

/** The checksum of every file that holds data. */
function fingerprint(dataDir: string): Record<string, string> {
  const files = globSync('member/**', { cwd: dataDir }).filter((name) => /\.(wal|snap)$|\/db$/.test(name));
  const sums = files.sort().map((name) => {
    const bytes = readFileSync(join(dataDir, name));
    return [name, createHash('sha256').update(bytes).digest('hex')];
  });
  return Object.fromEntries(sums) as Record<string, string>;
}

interface Damage {
  readonly what: string;
  /** Returns the path of the damaged file and, where it has one, the offset that the message should name. */
  readonly inflict: (dataDir: string) => { file: string; offset?: number };
  readonly message: RegExp;
  /** etcd 3.5 looks elsewhere and starts. */
  readonly notIn35?: boolean;
}

function segments(dataDir: string): string[] {
  return globSync('*.wal', { cwd: join(dataDir, 'member/wal') })
    .sort()
    .map((name) => join(dataDir, 'member/wal', name));
}

function flipByte(file: string, offset: number): void {
  const bytes = readFileSync(file);
  bytes[offset]! ^= 0xff;
  writeFileSync(file, bytes);
}

const DAMAGES: readonly Damage[] = [
  {
    what: 'a flipped byte in the middle of the log',
    inflict: (dataDir) => {
      const file = segments(dataDir).at(-1)!;
      const frames = walFrames(readFileSync(file));
      // The last entries are after the newest snapshot, so they must be read.
      const frame = frames[frames.length - 10]!;
      flipByte(file, frame.offset + 8 + Math.floor(frame.length / 2));
      return { file, offset: frame.offset };
    },
    message: /crc|checksum|corrupt/i,
  },
  {
    what: 'a log that begins with something else',
    inflict: (dataDir) => {
      const file = segments(dataDir)[0]!;
      const bytes = readFileSync(file);
      bytes.fill('SQLite format 3\0', 0, 64);
      writeFileSync(file, bytes);
      return { file, offset: 0 };
    },
    message: /wal|corrupt|unexpected/i,
  },
  {
    what: 'a database with two damaged meta pages',
    inflict: (dataDir) => {
      const file = join(dataDir, 'member/snap/db');
      const bytes = readFileSync(file);
      bytes.fill(0xee, 16, 60);
      bytes.fill(0xee, 4096 + 16, 4096 + 60);
      writeFileSync(file, bytes);
      return { file, offset: 0 };
    },
    message: /invalid database|checksum|corrupt/i,
  },
  {
    what: 'a database that is something else',
    inflict: (dataDir) => {
      const file = join(dataDir, 'member/snap/db');
      writeFileSync(file, `SQLite format 3\0${'x'.repeat(40_000)}`);
      return { file, offset: 0 };
    },
    message: /invalid database|checksum|corrupt/i,
  },
  {
    what: 'a database cut in half',
    inflict: (dataDir) => {
      const file = join(dataDir, 'member/snap/db');
      const bytes = readFileSync(file);
      writeFileSync(file, bytes.subarray(0, 8192 + 100));
      return { file };
    },
    message: /truncated|file size too small|corrupt|unexpected fault address|page|short/i,
  },
  {
    what: 'a directory in the place of the database',
    inflict: (dataDir) => {
      const file = join(dataDir, 'member/snap/db');
      rmSync(file);
      mkdirSync(file);
      return { file };
    },
    message: /is a directory/i,
  },
  {
    what: 'a file in the place of the member directory',
    inflict: (dataDir) => {
      const file = join(dataDir, 'member');
      rmSync(file, { recursive: true });
      writeFileSync(file, 'not ours');
      return { file };
    },
    message: /not a directory|file exists/i,
  },
  {
    what: 'a segment missing in the middle of the log',
    inflict: (dataDir) => {
      const file = segments(dataDir).at(-1)!;
      // The only segment gets the name of a later one: what precedes it is gone.
      const later = file.replace(/[0-9a-f]{16}-[0-9a-f]{16}\.wal$/, '0000000000000005-00000000ffffffff.wal');
      cpSync(file, later);
      rmSync(file);
      return { file: later };
    },
    message: /wal|corrupt|not found|gap/i,
  },
  {
    what: 'a database of a later release',
    inflict: (dataDir) => {
      const file = join(dataDir, 'member/snap/db');
      const bytes = readFileSync(file);
      // In the page of the cluster bucket the key is followed by its value.
      let count = 0;
      for (let at = bytes.indexOf('clusterVersion'); at >= 0; at = bytes.indexOf('clusterVersion', at + 1)) {
        bytes.write('9', at + 'clusterVersion'.length, 'latin1');
        count++;
      }
      assert(count > 0, 'no cluster version in the database');
      writeFileSync(file, bytes);
      return { file };
    },
    message: /version/i,
    notIn35: true,
  },
];

for (const { what, inflict, message, notIn35 } of DAMAGES) {
  if (notIn35 === true && SUBJECT_IS_GO && !atLeast(SUBJECT, 3, 6)) continue;
  test(`refused, and left as it is: ${what}`, async () => {
    const used = await usedDirectory();
    const { file, offset } = inflict(used.dataDir);
    const before = statSync(file, { throwIfNoEntry: false })?.isFile() ? fingerprint(used.dataDir) : null;
    const server = await EtcdServer.launch({ ...used, flags: FAST_ELECTION });
    await server.ready().catch(() => {});
    if (!server.isOver) {
      await server.kill();
      assert.fail(`it did not refuse: ${server.lastLines()}`);
    }
    const ended = await server.ended;
    // Real etcd tries to repair what it does not understand: in one of these cases by emptying the log.
    if (!SUBJECT_IS_GO && before !== null)
      assert.deepEqual(fingerprint(used.dataDir), before, 'a file has changed');
    if (SUBJECT_IS_GO) {
      assert(ended.code !== 0);
      return;
    }
    assert.equal(ended.code, 1, ended.stderr.slice(-2000));
    const fatal = ended.stderr.split('\n').filter((line) => /"level":"(fatal|error)"/.test(line));
    assert.equal(fatal.length, 1, `one line that says what is wrong:\n${fatal.join('\n')}`);
    assert.match(fatal[0]!, message);
    assert(fatal[0]!.includes(file), `names the file: ${fatal[0]}`);
    if (offset !== undefined) assert.match(fatal[0]!, /"offset":\s*\d+|offset \d+/, 'says where');
  });
}

test('refused: a second server on a directory in use', async () => {
  const first = await EtcdServer.start({ flags: FAST_ELECTION });
  const second = await EtcdServer.launch({ dataDir: first.dataDir, flags: FAST_ELECTION });
  try {
    // Real etcd waits for the lock, and says so; the program under test refuses at once.
    if (SUBJECT_IS_GO) {
      await second.waitForLog('flock', 20_000);
      return;
    }
    assertRefused(await second.ended, /in use by another process|locked/);
    const rpc = new EtcdRpc(first.address);
    await rpc.call('KV.Put', { key: 'unharmed', value: '1' });
    rpc.close();
  } finally {
    await second.kill();
    await first.stop();
  }
});

test('refused: a second server with the same flags', async () => {
  const first = await EtcdServer.start({ flags: FAST_ELECTION });
  const { dataDir, clientPort, peerPort } = first;
  const second = await EtcdServer.launch({ dataDir, clientPort, peerPort, flags: FAST_ELECTION });
  try {
    assertRefused(await second.ended, /address already in use|in use by another process|locked/);
  } finally {
    await first.stop();
  }
});
