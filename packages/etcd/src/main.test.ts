import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { swapGuard } from '@etcd/host/process';

const MAIN = new URL('./main.ts', import.meta.url).pathname;

let root: string;

before(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'main-'));
});

after(() => {
  fs.rmSync(root, { recursive: true });
});

function etcd(args: readonly string[], environment: Record<string, string> = {}): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [MAIN, ...args], {
    cwd: root,
    encoding: 'utf8',
    timeout: 120_000,
    // Sources are compiled once for all of these processes, where there is a cache for it.
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'], ...environment },
  });
}

function lines(text: string): Record<string, unknown>[] {
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('the version goes to standard output, with exit code 0', () => {
  const { status, stdout, stderr } = etcd(['--version']);
  assert.equal(status, 0);
  assert.match(
    stdout,
    /^etcd Version: 3\.7\.3\nGit SHA: .+\nGo Version: .+\nGo OS\/Arch: .+\nImplementation: .+\n$/,
  );
  assert.equal(stderr, '');
});

test('help goes to standard output, with exit code 0', () => {
  const { status, stdout } = etcd(['-h']);
  assert.equal(status, 0);
  assert.match(stdout, /^Usage:\n/);
});

test('a malformed command line is one line on standard error, with exit code 2', () => {
  const { status, stdout, stderr } = etcd(['--nonsense']);
  assert.equal(status, 2);
  assert.equal(stdout, '');
  assert.equal(stderr, 'flag provided but not defined: -nonsense\n');
});

test('an impossible setting is a line of the log, with exit code 1', () => {
  const { status, stderr } = etcd(['--heartbeat-interval=0']);
  assert.equal(status, 1);
  const last = lines(stderr).at(-1)!;
  assert.equal(last['level'], 'warn');
  assert.equal(last['msg'], 'failed to verify flags');
  assert.equal(last['error'], '--heartbeat-interval must be >0 (set to 0ms)');
});

test('a flag given twice over ends the start', () => {
  const { status, stderr } = etcd(['--name=a'], { ETCD_NAME: 'b' });
  assert.equal(status, 1);
  assert.match(String(lines(stderr).at(-1)!['error']), /^conflicting environment variable is shadowed/);
});

test('an output that can not be opened ends the start', () => {
  const { status, stderr } = etcd(['--log-outputs=/nonexistent/x.log']);
  assert.equal(status, 1);
  assert.match(String(lines(stderr).at(-1)!['error']), /^open sink "\/nonexistent\/x.log": /);
});

test('the commands beside the server have flags and help of their own', () => {
  const { status, stdout } = etcd(['gateway', 'start', '--help']);
  assert.equal(status, 0);
  assert.match(stdout, /^start the gateway\n\nUsage:\n {2}etcd gateway start \[flags\]\n/);
  const mistaken = etcd(['gateway', 'start', '--nonsense']);
  assert.equal(mistaken.status, 1);
  assert.match(mistaken.stderr, /^Error: unknown flag: --nonsense\nUsage:\n/);
});

test('a directory of something else ends the start with one fatal line, and is not touched', () => {
  const dataDir = path.join(root, 'photos');
  fs.mkdirSync(dataDir);
  fs.writeFileSync(path.join(dataDir, 'cat.jpg'), '');
  const { status, stderr } = etcd([`--data-dir=${dataDir}`]);
  assert.equal(status, 1);
  const last = lines(stderr).at(-1)!;
  assert.equal(last['level'], 'fatal');
  assert.match(String(last['error']), /holds no member but other files \(cat\.jpg\)/);
  assert.deepEqual(fs.readdirSync(dataDir), ['cat.jpg']);
});

test('a directory that can not be made ends the start with the reason', () => {
  const { status, stderr } = etcd(['--data-dir=/proc/nothing']);
  assert.equal(status, 1);
  assert.equal(
    lines(stderr).at(-1)!['error'],
    'cannot access data directory: mkdir /proc/nothing: no such file or directory',
  );
});

test('S09 secrets of the command line do not reach the log', () => {
  const { stderr } = etcd([
    '--discovery-token=t',
    '--discovery-password=hunter2',
    '--discovery-user',
    'me:hunter2',
  ]);
  assert.match(stderr, /both --discovery-token and --discovery-endpoints must be set/);
  assert.equal(stderr.includes('hunter2'), false);
});

test('the console form is for people', () => {
  const { stderr } = etcd(['--log-format=console', '--data-dir=/proc/nothing']);
  assert.match(stderr, /^\d{4}-\d\d-\d\dT\S+\tinfo\tserver\/main\tRunning: \t\{"args":\["etcd"/);
});

test('lines can go to a file', () => {
  const file = path.join(root, 'etcd.log');
  const { stderr } = etcd([`--log-outputs=${file}`, '--data-dir=/proc/nothing']);
  assert.equal(stderr, '');
  assert.equal(lines(fs.readFileSync(file, 'utf8')).at(-1)!['msg'], 'failed to start etcd');
});

test('who wants no page swapped out is told why none is, or does not start', () => {
  const { stderr } = etcd(['--memory-mlock', '--data-dir=/proc/nothing']);
  const told = lines(stderr);
  const guard = swapGuard();
  if (guard === null) {
    assert.equal(told.at(-1)!['msg'], 'the memory of etcd process can be swapped out');
    assert.match(String(told.at(-1)!['error']), /^--memory-mlock: .* MemorySwapMax=0 /);
    return;
  }
  const line = told.find(({ msg }) => msg === 'no page of this process can be swapped out');
  assert.equal(line?.['reason'], guard);
});

test('a configuration that is only to be checked starts nothing, and says all that is wrong', () => {
  const right = etcd(['--check-config', '--name=a', '--data-dir=checked']);
  assert.equal(right.status, 0);
  assert.equal(right.stdout, 'the configuration is valid\n');
  assert.equal(fs.existsSync(path.join(root, 'checked')), false);
  const files = etcd(['--check-config', '--cert-file=/nonexistent.pem', '--key-file=/nonexistent.key']);
  assert.equal(files.status, 1);
  assert.equal(files.stdout, '');
  assert.match(
    String(lines(files.stderr).at(-1)!['error']),
    /^client TLS: open \/nonexistent\.\w+: no such file/,
  );
  fs.writeFileSync(path.join(root, 'wrong.yml'), 'max-wals: x\nheartbeat-interval: 0\n');
  const wrong = etcd(['--check-config', '--config-file=wrong.yml']);
  assert.equal(wrong.status, 1);
  assert.deepEqual(
    lines(wrong.stderr)
      .filter(({ msg }) => msg === 'failed to verify flags')
      .map(({ error }) => error),
    [
      'wrong.yml:1: invalid value "x" for max-wals: parse error',
      'wrong.yml:2: --heartbeat-interval must be >0 (set to 0ms)',
    ],
  );
});
