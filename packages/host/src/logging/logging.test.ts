import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '@etcd/testing';
import fc from 'fast-check';
import { consoleLine } from './console-sink.ts';
import { createLogger } from './etcd-logger.ts';
import { JournalSink, journalEntry } from './journal-sink.ts';
import { formatTimestamp, LogClock } from './log-clock.ts';
import { type LogSink, MemorySink, TeeSink } from './log-sink.ts';

const EPOCH_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

function setUp(level: Parameters<typeof createLogger>[0]['level'] = 'info') {
  const clock = new SimClock(EPOCH_MS);
  const sink = new MemorySink();
  return { clock, sink, logger: createLogger({ level, sink, clock }) };
}

test('a line has the shape of those of zap', () => {
  const { logger, sink } = setUp();
  logger.child({ caller: 'server/main' }).info('ready to serve client requests', { address: '127.0.0.1:1' });
  assert.deepEqual(sink.lines(), [
    '{"level":"info","ts":"2026-01-02T03:04:05.678000Z","caller":"server/main",' +
      '"msg":"ready to serve client requests","address":"127.0.0.1:1"}\n',
  ]);
});

test('logger and caller stand before the message, and the innermost counts', () => {
  const { logger, sink } = setUp();
  const child = logger
    .child({ caller: 'server', 'local-member-id': 'abc' })
    .child({ caller: 'raft', logger: 'raft' });
  child.warn('became leader', { term: 2 });
  assert.equal(
    sink.lines()[0],
    '{"level":"warn","ts":"2026-01-02T03:04:05.678000Z","logger":"raft","caller":"raft",' +
      '"msg":"became leader","local-member-id":"abc","term":2}\n',
  );
});

test('each level of the flag holds back what is below it, and can change while running', () => {
  const { logger, sink } = setUp('debug');
  const child = logger.child({ caller: 'x' });
  const logAll = (): number => {
    const before = sink.lines().length;
    for (const level of ['debug', 'info', 'warn', 'error', 'fatal'] as const) child[level]('m');
    return sink.lines().length - before;
  };
  assert.equal(logAll(), 5);
  for (const [level, count] of [
    ['info', 4],
    ['warn', 3],
    ['error', 2],
    ['dpanic', 1],
    ['panic', 1],
    ['fatal', 1],
    ['debug', 5],
  ] as const) {
    logger.setLevel(level);
    assert.equal(logAll(), count, level);
    assert.equal(child.level(), level);
  }
  logger.setLevel('warn');
  assert.equal(child.enabled('info'), false);
  assert.equal(child.enabled('warn'), true);
});

test('values that JSON lacks are printed so that people can read them', () => {
  const { logger, sink } = setUp();
  logger.info('m', {
    id: 12345678901234567890n,
    small: 7n,
    key: new TextEncoder().encode('/registry/pods'),
    binary: new Uint8Array([0xff, 0xfe]),
    error: new Error('it broke'),
    absent: undefined,
    nan: Number.NaN,
    infinite: -Infinity,
    nested: { list: [1n, new Uint8Array([0x61])], map: new Map([['k', 2n]]), set: new Set(['v']) },
    when: new Date(0),
  });
  const line = sink.lines()[0]!;
  assert.ok(
    line.includes('"id":12345678901234567890,"small":7,"key":"/registry/pods","binary":"//4="'),
    line,
  );
  assert.ok(line.includes('"error":"it broke","nan":"NaN","infinite":"-Inf"'), line);
  assert.ok(line.includes('"nested":{"list":[1,"a"],"map":{"k":2},"set":["v"]}'), line);
  assert.ok(line.includes('"when":"1970-01-01T00:00:00.000Z"'), line);
  assert.equal(line.includes('absent'), false);
});

test('a long value is cut, and its length told', () => {
  const { logger, sink } = setUp();
  logger.info('m', {
    value: new Uint8Array(100_000).fill(0x61),
    text: new TextEncoder().encode('é'.repeat(800)),
  });
  const record = sink.records()[0]!;
  assert.match(String(record['value']), /^a{1024}… \(100000 bytes\)$/);
  assert.match(String(record['text']), /^é{512}… \(1600 bytes\)$/);
});

test('a field that is a function is called only when its line is written', () => {
  const { logger, sink } = setUp();
  let calls = 0;
  const costly = (): string => `${++calls}`;
  logger.debug('m', { costly });
  assert.equal(calls, 0);
  logger.info('m', { costly });
  assert.equal(sink.records()[0]!['costly'], '1');
});

test('no field breaks a line or the caller', () => {
  const { logger, sink } = setUp();
  const circle: Record<string, unknown> = {};
  circle['self'] = circle;
  logger.info('m', {
    circle,
    failing: () => {
      throw new Error('no');
    },
    symbol: Symbol('s'),
    msg: 'not the message',
    toJSON: { toJSON: () => ({ ok: true }) },
  });
  const record = sink.records()[0]!;
  assert.equal(record['msg'], 'm');
  assert.equal(record['failing'], '[field failed: no]');
});

test('any fields give one line of JSON', () => {
  const { logger, sink } = setUp();
  fc.assert(
    fc.property(
      fc.string(),
      fc.dictionary(fc.string(), fc.anything({ withBigInt: true, withMap: true })),
      (m, f) => {
        const before = sink.lines().length;
        logger.setLevel('info');
        // Fatal, because the sampler lets all of those pass.
        logger.fatal(m, f);
        assert.equal(sink.lines().length, before + 1);
        const line = sink.lines()[before]!;
        assert.equal(line.indexOf('\n'), line.length - 1);
        assert.equal((JSON.parse(line) as { msg: unknown }).msg, m);
      },
    ),
  );
});

test('who asks first whether a line is written builds the fields of no other, and the same lines are written', () => {
  const { logger, sink, clock } = setUp();
  let built = 0;
  for (let i = 0; i < 1000; i++) {
    if (!logger.enabled('error', 'disk is slow')) continue;
    built++;
    logger.error('disk is slow');
  }
  assert.deepEqual([sink.lines().length, built], [109, 109]);
  assert.equal(logger.enabled('debug', 'something else'), false);
  assert.equal(logger.enabled('error', 'something else'), true);
  clock.advance(1001);
  assert.equal(logger.enabled('error', 'disk is slow'), true);
});

test('of a message that repeats, a hundred a second are written and then every hundredth', () => {
  const { logger, sink, clock } = setUp();
  for (let i = 0; i < 1000; i++) logger.error('disk is slow');
  assert.equal(sink.lines().length, 100 + 9);
  logger.error('something else');
  assert.equal(sink.lines().length, 110);
  clock.advance(1001);
  logger.error('disk is slow');
  assert.equal(sink.lines().length, 111);
});

test('a fatal line is written always and flushed', () => {
  const clock = new SimClock(EPOCH_MS);
  const memory = new MemorySink();
  let flushes = 0;
  const sink: LogSink = {
    write: (line) => memory.write(line),
    flushSync: () => flushes++,
    lostCount: () => 0,
  };
  const logger = createLogger({ level: 'info', sink, clock });
  for (let i = 0; i < 300; i++) logger.fatal('out of memory');
  assert.equal(memory.lines().length, 300);
  assert.equal(flushes, 300);
});

test('lost lines are told of once, when lines are taken again', () => {
  const clock = new SimClock(EPOCH_MS);
  const memory = new MemorySink();
  let lost = 0;
  let isStuck = false;
  const write = (line: string): void => {
    if (isStuck) lost++;
    else memory.write(line);
  };
  const logger = createLogger({
    level: 'info',
    sink: { write, flushSync: () => {}, lostCount: () => lost },
    clock,
  });
  logger.info('a');
  isStuck = true;
  for (let i = 0; i < 3; i++) logger.info(`lost ${i}`);
  isStuck = false;
  logger.info('b');
  logger.info('c');
  assert.deepEqual(memory.messages(), [
    'a',
    'b',
    'log lines were lost because their reader was too slow',
    'c',
  ]);
  assert.equal(memory.records()[2]!['count'], 3);
});

test('time stamps have microseconds and follow the wall clock when it is set', () => {
  let wallMs = EPOCH_MS;
  let nowMs = 1000;
  const clock = Object.assign(new SimClock(), { wallNow: () => wallMs, now: () => nowMs });
  const stamps = new LogClock(clock, () => 0);
  nowMs += 0.25;
  assert.equal(stamps.timestamp(), '2026-01-02T03:04:05.678250Z');
  nowMs += 5000;
  wallMs += 5000;
  assert.equal(stamps.timestamp(), '2026-01-02T03:04:10.678250Z');
  wallMs += 3_600_000;
  assert.equal(stamps.timestamp(), '2026-01-02T04:04:10.678000Z');
});

test('time stamps are local, with the offset that Go writes', () => {
  assert.equal(formatTimestamp(EPOCH_MS, -330), '2026-01-02T08:34:05.678000+0530');
  assert.equal(formatTimestamp(EPOCH_MS, 420), '2026-01-01T20:04:05.678000-0700');
});

test('the console form has the same parts, separated by tabs', () => {
  const { logger, sink } = setUp();
  logger.child({ caller: 'a/b' }).info('say "hi"', { id: 12345678901234567890n, list: ['x'] });
  logger.child({ caller: 'c', logger: 'raft' }).warn('bare');
  assert.equal(
    consoleLine(sink.lines()[0]!),
    '2026-01-02T03:04:05.678000Z\tinfo\ta/b\tsay "hi"\t{"id":12345678901234567890,"list":["x"]}\n',
  );
  assert.equal(consoleLine(sink.lines()[1]!), '2026-01-02T03:04:05.678000Z\twarn\traft\tc\tbare\n');
  assert.equal(consoleLine('something else\n'), 'something else\n');
});

test('a journal entry carries the line, its priority and who speaks', () => {
  const { logger, sink } = setUp();
  logger.child({ caller: 'server/main' }).error('bad');
  const line = sink.lines()[0]!;
  assert.equal(
    Buffer.from(journalEntry(line)).toString(),
    `MESSAGE=${line.trimEnd()}\nPRIORITY=3\nSYSLOG_IDENTIFIER=etcd\nPACKAGE=server\n`,
  );
});

test('what the journal does not take goes to the other sink', () => {
  const memory = new MemorySink();
  let fails = false;
  const sent: string[] = [];
  const journal = new JournalSink((_path, bytes) => {
    if (fails) return { error: 'no buffer space available' };
    sent.push(Buffer.from(bytes).toString());
    return {};
  }, memory);
  journal.write('{"level":"info","msg":"a"}\n');
  fails = true;
  journal.write('{"level":"info","msg":"b"}\n');
  assert.equal(sent.length, 1);
  assert.deepEqual(memory.lines(), ['{"level":"info","msg":"b"}\n']);
});

test('a tee gives every line to all of its sinks', () => {
  const [a, b] = [new MemorySink(), new MemorySink()];
  new TeeSink([a, b]).write('x\n');
  assert.deepEqual([a.lines(), b.lines()], [['x\n'], ['x\n']]);
});
