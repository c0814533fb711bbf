import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { SimClock } from '@etcd/testing';
import { createLogger, MemorySink } from '../logging/index.ts';
import { libcProblem, pollWritable, sendUnixDatagram, unixAddress } from './node-libc.ts';
import { notifySystemd } from './notify-systemd.ts';

/** A unix datagram socket that listens, which Node has no other way to make. */
function receiver(socketPath: string): { receive(): string; close(): void } {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const libc = koffi.load(null);
  const socket = libc.func('int socket(int domain, int type, int protocol)');
  const bind = libc.func('int bind(int descriptor, uint8_t *address, uint32_t length)');
  const recv = libc.func('int64_t recv(int descriptor, uint8_t *bytes, size_t length, int flags)');
  const close = libc.func('int close(int descriptor)');
  const descriptor = Number(socket(1, 2, 0));
  const address = unixAddress(socketPath)!;
  assert.equal(bind(descriptor, address, address.length), 0);
  return {
    receive: () => {
      const bytes = new Uint8Array(1024);
      const count = Number(recv(descriptor, bytes, bytes.length, 0x40));
      return Buffer.from(bytes.subarray(0, Math.max(0, count))).toString();
    },
    close: () => {
      close(descriptor);
    },
  };
}

function setUp() {
  const sink = new MemorySink();
  return { sink, logger: createLogger({ level: 'info', sink, clock: new SimClock() }) };
}

test('readiness is one datagram to the socket that the environment names', () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'notify-'));
  const { sink, logger } = setUp();
  for (const socketPath of [path.join(directory, 'notify'), `@etcd-test-${process.pid}`]) {
    const init = receiver(socketPath);
    notifySystemd({ socketPath, logger, send: sendUnixDatagram });
    assert.equal(init.receive(), 'READY=1');
    assert.equal(init.receive(), '');
    init.close();
  }
  assert.deepEqual(sink.messages().slice(0, 2), [
    'notifying init daemon',
    'successfully notified init daemon',
  ]);
  fs.rmSync(directory, { recursive: true });
});

test('without an init system nothing is sent', () => {
  const { sink, logger } = setUp();
  notifySystemd({ socketPath: undefined, logger, send: () => assert.fail('sent') });
  assert.deepEqual(sink.messages(), ['notifying init daemon', 'successfully notified init daemon']);
});

test('an init system that is not there is an error in the log and no more', () => {
  const { sink, logger } = setUp();
  notifySystemd({ socketPath: '/nonexistent/notify', logger, send: sendUnixDatagram });
  assert.deepEqual(sink.messages(), ['notifying init daemon', 'failed to notify systemd for readiness']);
  assert.match(String(sink.records()[1]!['error']), /No such file or directory/);
});

test('a socket path that is too long is refused', () => {
  assert.match(
    sendUnixDatagram(`/${'x'.repeat(200)}`, new Uint8Array(1)).error ?? '',
    /longer than 107 bytes/,
  );
});

test('an abstract name is its bytes, a path ends with zero', () => {
  assert.deepEqual([...unixAddress('@ab')!], [1, 0, 0, 0x61, 0x62]);
  assert.deepEqual([...unixAddress('/a')!], [1, 0, 0x2f, 0x61, 0]);
});

test('the C library can be called', () => {
  assert.equal(libcProblem(), null);
});

test('a full pipe is not writable until somebody reads', () => {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const ends = new Int32Array(2);
  assert.equal(koffi.load(null).func('int pipe(int *ends)')(ends), 0);
  const [readEnd, writeEnd] = ends as unknown as [number, number];
  const page = new Uint8Array(4096);
  let pages = 0;
  while (pollWritable(writeEnd, 0)) pages += fs.writeSync(writeEnd, page) / page.length;
  assert.ok(pages > 0);
  const startMs = performance.now();
  assert.equal(pollWritable(writeEnd, 30), false);
  assert.ok(performance.now() - startMs >= 25);
  fs.readSync(readEnd, page);
  assert.equal(pollWritable(writeEnd, 0), true);
  fs.closeSync(readEnd);
  assert.equal(pollWritable(writeEnd, 0), true, 'a write fails at once');
  fs.closeSync(writeEnd);
});

test('a file is always writable, a descriptor that is none is left to the write', () => {
  const descriptor = fs.openSync(os.devNull, 'w');
  assert.equal(pollWritable(descriptor, 0), true);
  fs.closeSync(descriptor);
  assert.equal(pollWritable(descriptor, 0), true);
});
