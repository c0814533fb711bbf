import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Io, runProgram } from '@etcd/host/cli';
import { JobLog } from './job-log.ts';
import { isLocal } from './members.ts';
import { ROOT } from './root.ts';

class NotingIo extends Io {
  readonly lines: string[] = [];

  override line(text: string): void {
    this.lines.push(text);
  }

  override error(text: string): void {
    // Without the time.
    this.lines.push(text.replace(/^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d /, ''));
  }
}

async function call(words: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<[number, string[]]> {
  const io = new NotingIo(env);
  return [await runProgram(ROOT, words, io), io.lines];
}

test('options that contradict each other, or mean nothing, are refused before anything is asked', async () => {
  const skipping = '--skip-healthcheck-cluster-endpoints';
  for (const [words, problem] of [
    [['--cert='], 'empty string is passed to --cert option'],
    [['--key='], 'empty string is passed to --key option'],
    [['--cacert='], 'empty string is passed to --cacert option'],
    [
      [skipping, '--endpoints='],
      `${skipping} requires explicit endpoints to be provided via --endpoints flag`,
    ],
    [[skipping, '--cluster'], `${skipping} and --cluster flags are mutually exclusive`],
    [[skipping, '-d', 'example.org'], `${skipping} and --discovery-srv flags are mutually exclusive`],
    [
      ['--auto-disalarm', '--disalarm-threshold=1'],
      '--disalarm-threshold must be greater than 0 and less than 1.0 when --auto-disalarm is enabled',
    ],
    [['--etcd-storage-quota-bytes=0'], '--etcd-storage-quota must be greater than 0'],
    [['--cert=/nowhere'], 'KeyFile and CertFile must both be present[key: , cert: /nowhere]'],
    [['--cacert=/nowhere/ca.crt'], 'open /nowhere/ca.crt: no such file or directory'],
    [['--endpoints='], 'no endpoints provided'],
  ] as const) {
    const [code, lines] = await call(words);
    assert.equal(code, 1, words.join(' '));
    assert.equal(lines.at(-1), `Validating configuration failed: ${problem}`);
  }
});

test('a rule that is none ends the program with its reason', async () => {
  assert.deepEqual(await call(['--defrag-rule', 'dbSize - 1', '--dry-run']), [
    1,
    [
      'Using dry run mode, will not perform defragmentation',
      'Validating configuration.',
      'Validating the defragmentation rule: dbSize - 1 ... ',
      'invalid',
      `Validating configuration failed: invalid rule "dbSize - 1", error: the rule isn't a boolean expression`,
    ],
  ]);
});

test('flags may come from the environment, and the command line wins', async () => {
  const env = { ETCD_DEFRAG_DEFRAG_RULE: 'nope', ETCD_DEFRAG_DRY_RUN: 'true' };
  const [code, lines] = await call([], env);
  assert.equal(code, 1);
  assert.match(lines.at(-1)!, /invalid rule "nope"/);
  assert.match(lines[0]!, /dry run/);
  const [, others] = await call(['--defrag-rule=mine', '--dry-run=false'], env);
  assert.match(others.at(-1)!, /invalid rule "mine"/);
  assert.equal(others[0], 'Validating configuration.');
  const [bad, [line]] = await call([], { ETCD_DEFRAG_COMMAND_TIMEOUT: 'soon' });
  assert.equal(bad, 1);
  assert.equal(line, 'Error: ETCD_DEFRAG_COMMAND_TIMEOUT: time: invalid duration "soon"');
});

test('lines begin with the time as Go logs it', () => {
  const lines: string[] = [];
  new JobLog(
    (line) => lines.push(line),
    () => new Date(2026, 0, 2, 3, 4, 5),
  ).line('valid');
  assert.deepEqual(lines, ['2026/01/02 03:04:05 valid']);
});

test('endpoints of this machine are told from others', () => {
  for (const local of [
    'http://localhost:2379',
    '127.0.0.1:2379',
    'https://127.8.9.1:1',
    'http://[::1]:2379',
    'unix:/run/x',
  ])
    assert.equal(isLocal(local), true, local);
  for (const other of [
    'http://10.0.0.1:2379',
    'https://localhost.example.org:2379',
    '128.0.0.1:2379',
    'http://[fe80::1]:2379',
  ])
    assert.equal(isLocal(other), false, other);
});
