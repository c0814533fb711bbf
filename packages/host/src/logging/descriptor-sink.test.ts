import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { NodeClock } from '@etcd/base/node';
import { SimClock } from '@etcd/testing';
import { ATOMIC_BYTES, type DescriptorCalls, DescriptorSink } from './descriptor-sink.ts';
import { LogOutputError } from './log-output-error.ts';
import { openLogSink } from './open-sink.ts';

/** A descriptor that takes what a test lets it take. */
class FakeDescriptor implements DescriptorCalls {
  written = '';
  writes: number[] = [];
  /** Writes that it has room for. */
  room = Number.POSITIVE_INFINITY;
  failure: string | null = null;
  /** Bytes of one write, at most. */
  shortWrite = Number.POSITIVE_INFINITY;

  pollWritable(): boolean {
    return this.room > 0;
  }

  write(_descriptor: number, bytes: Uint8Array, offset: number, length: number): number {
    if (this.failure !== null) throw Object.assign(new Error(this.failure), { code: this.failure });
    this.room--;
    const count = Math.min(length, this.shortWrite);
    this.writes.push(count);
    this.written += Buffer.from(bytes.buffer, bytes.byteOffset + offset, count).toString('latin1');
    return count;
  }
}

function setUp(isRegularFile = false) {
  const clock = new SimClock();
  const calls = new FakeDescriptor();
  return { clock, calls, sink: new DescriptorSink({ descriptor: 9, isRegularFile, clock, calls }) };
}

test('a line is written before the next statement runs', () => {
  const { sink, calls } = setUp();
  sink.write('one\n');
  assert.equal(calls.written, 'one\n');
  calls.shortWrite = 3;
  sink.write('a longer line\n');
  assert.equal(calls.written, 'one\na longer line\n');
});

test('no write is longer than a pipe takes without waiting', () => {
  const { sink, calls } = setUp();
  const line = `${'x'.repeat(10_000)}\n`;
  sink.write(line);
  assert.equal(calls.written, line);
  assert.ok(calls.writes.every((count) => count <= ATOMIC_BYTES));
});

test('lines wait in order while the reader is stuck, and follow when it reads again', () => {
  const { sink, calls, clock } = setUp();
  calls.room = 0;
  sink.write('one\n');
  sink.write('two\n');
  assert.equal(calls.written, '');
  clock.advance(1000);
  calls.room = 1;
  clock.advance(100);
  assert.equal(calls.written, 'one\n');
  calls.room = 10;
  sink.write('three\n');
  assert.equal(calls.written, 'one\ntwo\nthree\n');
});

test('S20 what waits is bounded; the rest is counted', () => {
  const { sink, calls } = setUp();
  calls.room = 0;
  const line = `${'x'.repeat(1023)}\n`;
  for (let i = 0; i < 2000; i++) sink.write(line);
  assert.equal(sink.lostCount(), 2000 - 1024);
  calls.room = Number.POSITIVE_INFINITY;
  sink.flushSync();
  assert.equal(calls.written.length, 1024 * 1024);
});

test('flushing gives up on a reader that is stuck', () => {
  const { sink, calls } = setUp();
  calls.room = 0;
  sink.write('one\n');
  sink.flushSync();
  assert.equal(calls.written, '');
});

test('a descriptor that is gone makes the sink silent', () => {
  for (const code of ['EPIPE', 'EBADF', 'EIO']) {
    const { sink, calls } = setUp();
    calls.failure = code;
    sink.write('one\n');
    calls.failure = null;
    sink.write('two\n');
    sink.flushSync();
    assert.equal(calls.written, '', code);
  }
});

test('a full disk loses lines, not the sink', () => {
  const { sink, calls } = setUp(true);
  calls.failure = 'ENOSPC';
  sink.write('one\n');
  calls.failure = 'EIO';
  sink.write('two\n');
  calls.failure = null;
  sink.write('three\n');
  assert.equal(calls.written, 'three\n');
  assert.equal(sink.lostCount(), 2);
});

test('a busy descriptor that refuses is asked again', () => {
  const { sink, calls, clock } = setUp();
  calls.failure = 'EAGAIN';
  sink.write('one\n');
  calls.failure = null;
  clock.advance(50);
  assert.equal(calls.written, 'one\n');
});

test('a file is appended to, relative, absolute or as a URL', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'log-'));
  const file = path.join(directory, 'etcd.log');
  try {
    fs.writeFileSync(file, 'before\n');
    for (const output of [file, `file://${file}`]) {
      openLogSink({ outputs: [output], format: 'json', clock: new NodeClock() }).write('line\n');
    }
    assert.equal(fs.readFileSync(file, 'utf8'), 'before\nline\nline\n');
  } finally {
    fs.rmSync(directory, { recursive: true });
  }
});

test('an output that can not be opened is refused in the words of etcd', () => {
  const refusal = (outputs: string[]): string => {
    try {
      openLogSink({ outputs, format: 'json', clock: new NodeClock() });
    } catch (error) {
      assert.ok(error instanceof LogOutputError);
      return error.message;
    }
    return 'accepted';
  };
  assert.equal(
    refusal(['/nonexistent/x/y.log']),
    'open sink "/nonexistent/x/y.log": open /nonexistent/x/y.log: no such file or directory',
  );
  assert.equal(refusal(['tcp://x']), 'open sink "tcp://x": no sink found for scheme "tcp"');
  assert.match(refusal(['systemd/journal', 'stderr']), /can not be combined/);
  assert.equal(refusal(['/dev/null', '/nonexistent/x/y.log']), 'accepted');
});

/** Writes 10 MB to standard error and says on standard output how many milliseconds that took. */
const STUCK_READER_PROGRAM = `
  import fs from 'node:fs';
  import { NodeClock } from '@etcd/base/node';
  import { openLogSink } from '${new URL('./open-sink.ts', import.meta.url)}';
  const sink = openLogSink({ outputs: ['stderr'], format: 'json', clock: new NodeClock() });
  const start = performance.now();
  for (let i = 0; i < 5000; i++) sink.write('x'.repeat(2000) + '\\n');
  fs.writeSync(1, String(performance.now() - start));
  setTimeout(() => process.exit(7), 50);
`;

/** Standard error is a pipe of 64 KiB that nobody reads for two seconds; standard output is ours. */
const STUCK_READER_SHELL =
  'exec 3>&1; { "$1" --input-type=module -e "$2" 2>&1 >&3; echo " code $?" >&3; } | sleep 2';

test('a reader that is stuck does not stop the program, nor its end', async () => {
  const child = spawn('sh', ['-c', STUCK_READER_SHELL, 'sh', process.execPath, STUCK_READER_PROGRAM], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: new URL('.', import.meta.url).pathname,
  });
  let result = '';
  child.stdout.on('data', (text) => (result += text));
  await new Promise((resolve) => child.on('close', resolve));
  assert.match(result, /^\d+(\.\d+)? code 7\n$/);
  assert.ok(Number.parseFloat(result) < 1500, `logging took ${result} ms`);
});

test('a reader that goes away does not end the program', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', STUCK_READER_PROGRAM], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: new URL('.', import.meta.url).pathname,
  });
  child.stderr.destroy();
  const code = await new Promise((resolve) => child.on('exit', resolve));
  assert.equal(code, 7);
  child.stdout.destroy();
});
