import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { test } from 'node:test';
import { InvariantError } from '@etcd/base';
import { SimClock } from '@etcd/testing';
import { createLogger, MemorySink } from '../logging/index.ts';
import { ignoreSignals, Lifecycle, type LifecycleOptions, type ProcessLike } from './lifecycle.ts';

class FakeProcess implements ProcessLike {
  pid = 4242;
  readonly ends: string[] = [];
  readonly #listeners = new Map<string, (...args: never[]) => void>();

  on(event: string, listener: (...args: never[]) => void): void {
    this.#listeners.set(event, listener);
  }

  removeAllListeners(event: string): void {
    this.#listeners.delete(event);
  }

  kill(pid: number, signal: NodeJS.Signals): void {
    assert.equal(pid, this.pid);
    assert.equal(this.#listeners.has(signal), false, 'the signal has its default effect again');
    this.ends.push(signal);
  }

  readonly exit = (code: number): never => {
    this.ends.push(`exit ${code}`);
    // The real one does not come back. What runs after it here would show in the list of ends.
    return undefined as never;
  };

  emit(event: string, argument?: unknown): void {
    const listener = this.#listeners.get(event);
    assert.ok(listener !== undefined, `nobody listens for ${event}`);
    (listener as (argument?: unknown) => void)(argument);
  }
}

function setUp(more: Pick<LifecycleOptions, 'failureOf'> = {}) {
  const clock = new SimClock();
  const sink = new MemorySink();
  const world = new FakeProcess();
  const logger = createLogger({ level: 'info', sink, clock });
  const lifecycle = new Lifecycle({
    process: world,
    logger,
    clock,
    shutdownLimitMs: 10_000,
    hold: () => {},
    exit: world.exit,
    ...more,
  });
  lifecycle.install();
  return { clock, sink, world, lifecycle };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('a stop runs its steps one after the other, then the process dies of the same signal', async () => {
  const { world, lifecycle, sink } = setUp();
  const steps: string[] = [];
  lifecycle.onShutdown(async () => {
    await settled();
    steps.push('listeners');
  });
  lifecycle.onShutdown(() => {
    steps.push('member');
  });
  world.emit('SIGTERM');
  assert.equal(lifecycle.isStopping(), true);
  await settled();
  await settled();
  assert.deepEqual(steps, ['listeners', 'member']);
  assert.deepEqual(world.ends, ['SIGTERM']);
  assert.equal(sink.records()[0]!['msg'], 'received signal; shutting down');
  assert.equal(sink.records()[0]!['signal'], 'terminated');
});

test('process 1 exits with 0, because it can not die of its own signal', async () => {
  const { world, sink } = setUp();
  world.pid = 1;
  world.emit('SIGINT');
  await settled();
  assert.deepEqual(world.ends, ['exit 0']);
  assert.equal(sink.records()[0]!['signal'], 'interrupt');
});

test('what ends a Go program with a dump ends this one with a line', () => {
  for (const signal of ['SIGQUIT', 'SIGABRT', 'SIGTRAP', 'SIGSTKFLT', 'SIGSYS']) {
    const { world, sink } = setUp();
    world.emit(signal);
    assert.deepEqual(world.ends, ['exit 2'], signal);
    assert.equal(sink.records()[0]!['level'], 'fatal');
  }
});

test('a profiler keeps the signal that it needs', () => {
  for (const [options, expected] of [
    [[], true],
    [['--cpu-prof-dir=/tmp', '--cpu-prof'], false],
  ] as const) {
    const heard: string[] = [];
    ignoreSignals({ on: (signal: string) => heard.push(signal) }, options);
    assert.equal(heard.includes('SIGPROF'), expected);
    assert.ok(heard.includes('SIGUSR2'));
  }
});

test('a second signal ends the process at once', async () => {
  const { world, lifecycle } = setUp();
  lifecycle.onShutdown(() => new Promise(() => {}));
  world.emit('SIGTERM');
  await settled();
  assert.deepEqual(world.ends, []);
  world.emit('SIGINT');
  assert.deepEqual(world.ends, ['SIGINT']);
});

test('a stop that takes too long is cut short', async () => {
  const { world, lifecycle, clock, sink } = setUp();
  lifecycle.onShutdown(() => new Promise(() => {}));
  world.emit('SIGTERM');
  clock.advance(9_999);
  assert.deepEqual(world.ends, []);
  clock.advance(2);
  assert.deepEqual(world.ends, ['SIGTERM']);
  assert.ok(sink.messages().includes('shutdown took too long; stopping at once'));
});

test('a step that fails does not keep the others from running', async () => {
  const { world, lifecycle, sink } = setUp();
  let ran = false;
  lifecycle.onShutdown(() => {
    throw new Error('port is gone');
  });
  lifecycle.onShutdown(() => {
    ran = true;
  });
  world.emit('SIGTERM');
  await settled();
  assert.equal(ran, true);
  assert.deepEqual(world.ends, ['SIGTERM']);
  assert.equal(sink.records()[1]!['error'], 'port is gone');
});

test('a broken invariant during a stop is fatal', async () => {
  const { world, lifecycle, sink } = setUp();
  lifecycle.onShutdown(() => {
    throw new InvariantError('page is on two lists');
  });
  world.emit('SIGTERM');
  await settled();
  assert.deepEqual(world.ends, ['exit 2']);
  assert.equal(sink.records().at(-1)!['level'], 'fatal');
  assert.equal(sink.records().at(-1)!['msg'], 'invariant broken');
});

test('what nobody caught is one fatal line with its stack, and code 2', () => {
  const { world, sink } = setUp();
  world.emit('uncaughtException', new TypeError('x is not a function'));
  assert.deepEqual(world.ends, ['exit 2']);
  const record = sink.records()[0]!;
  assert.equal(record['level'], 'fatal');
  assert.equal(record['error'], 'TypeError: x is not a function');
  assert.match(String(record['stacktrace']), /lifecycle.test/);
});

test('what nobody caught and is no fault of the program ends it as an expected failure does', async () => {
  const { world, sink, lifecycle } = setUp({
    failureOf: (error) => (error instanceof RangeError ? 'member failed' : null),
  });
  world.emit('uncaughtException', new RangeError('page 7 is damaged'));
  world.emit('uncaughtException', new TypeError('x is not a function'));
  lifecycle.onShutdown(() => {
    throw new InvariantError('closed twice');
  });
  world.emit('SIGTERM');
  await settled();
  assert.deepEqual(world.ends, ['exit 1', 'exit 2', 'exit 2']);
  const [first, second] = sink.records();
  assert.deepEqual([first!['msg'], first!['error']], ['member failed', 'page 7 is damaged']);
  assert.equal(second!['msg'], 'uncaught exception');
});

test('an expected failure is one fatal line and code 1', () => {
  const { world, lifecycle, sink } = setUp();
  lifecycle.die('listener failed', { error: 'address already in use' });
  assert.deepEqual(world.ends, ['exit 1']);
  assert.equal(sink.records()[0]!['error'], 'address already in use');
});

test('quit ends the process with code 2 and one line', () => {
  const { world, sink } = setUp();
  world.emit('SIGQUIT');
  assert.deepEqual(world.ends, ['exit 2']);
  assert.equal(sink.lines().length, 1);
});

test('warnings of Node become lines of the log', () => {
  const { world, sink } = setUp();
  world.emit('warning', Object.assign(new Error('deprecated'), { name: 'DeprecationWarning' }));
  assert.equal(sink.records()[0]!['name'], 'DeprecationWarning');
});

const PROGRAM = `
  import { exitAtOnce, NodeClock } from '@etcd/base/node';
  import { createLogger, openLogSink } from '${new URL('../logging/index.ts', import.meta.url)}';
  import { holdProcess, Lifecycle } from '${new URL('./lifecycle.ts', import.meta.url)}';
  const clock = new NodeClock();
  const logger = createLogger({ level: 'info', clock, sink: openLogSink({ outputs: ['stderr'], format: 'json', clock }) });
  const lifecycle = new Lifecycle({ process, logger, clock, shutdownLimitMs: 5000, hold: holdProcess, exit: exitAtOnce });
  lifecycle.install();
  // As a member does when its ports are closed and nobody is connected any more: only a timer, which counts for nothing, is left.
  lifecycle.onShutdown(() => process.stdin.destroy());
  lifecycle.onShutdown(() => new Promise((resolve) => clock.setTimer(20, resolve)));
  lifecycle.onShutdown(() => logger.info('stopped'));
  process.stdin.on('data', (what) => {
    if (String(what) === 'end') return lifecycle.end();
    if (String(what) === 'throw') throw new Error('thrown');
    Promise.reject(new Error('rejected'));
  });
  process.stdout.write('up');
`;

function start(): ChildProcess {
  return spawn(process.execPath, ['--input-type=module', '-e', PROGRAM], {
    stdio: 'pipe',
    cwd: new URL('.', import.meta.url).pathname,
  });
}

async function run(
  act: (child: ChildProcess) => void,
): Promise<{ code: unknown; signal: unknown; log: string }> {
  const child = start();
  let log = '';
  child.stderr!.on('data', (text) => (log += text));
  await new Promise((resolve) => child.stdout!.once('data', resolve));
  act(child);
  return await new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, log })));
}

test('a real process goes through all steps of a stop, though nothing keeps it busy, and dies of the signal', async () => {
  const [ended, terminated, interrupted] = await Promise.all([
    run((child) => child.stdin!.write('end')),
    run((child) => child.kill('SIGTERM')),
    run((child) => child.kill('SIGINT')),
  ]);
  assert.equal(terminated.signal, 'SIGTERM');
  assert.equal(ended.code, 0);
  for (const { log } of [ended, terminated, interrupted]) assert.match(log, /"msg":"stopped"/);
  assert.equal(interrupted.signal, 'SIGINT');
});

test('a real process that fails says so in JSON and exits with 2', async () => {
  const [thrown, rejected, quit] = await Promise.all([
    run((child) => child.stdin!.write('throw')),
    run((child) => child.stdin!.write('reject')),
    run((child) => child.kill('SIGQUIT')),
  ]);
  assert.equal(thrown.code, 2);
  assert.equal(rejected.code, 2);
  assert.equal(quit.code, 2);
  for (const { log } of [thrown, rejected, quit]) {
    for (const line of log.trim().split('\n')) assert.doesNotThrow(() => JSON.parse(line), line);
  }
  assert.match(thrown.log, /"level":"fatal".*"error":"Error: thrown"/);
  assert.match(rejected.log, /"level":"fatal".*"error":"Error: rejected"/);
});
