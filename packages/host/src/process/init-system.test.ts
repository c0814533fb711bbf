import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '@etcd/testing';
import { createLogger, MemorySink } from '../logging/index.ts';
import { handedSockets, InitSystem } from './init-system.ts';

const PID = 77;

const READY = '/s READY=1';
const ALIVE = '/s WATCHDOG=1';

/** @param isBusy whether the init system takes nothing right now */
function setUp(environment: Readonly<Record<string, string>>, isBusy: () => boolean = () => false) {
  const clock = new SimClock();
  const told: string[] = [];
  const sink = new MemorySink();
  const system = new InitSystem({
    environment,
    pid: PID,
    clock,
    logger: createLogger({ level: 'info', sink, clock }),
    send: (path, bytes) => {
      told.push(`${path} ${Buffer.from(bytes)}`);
      return isBusy() ? { error: 'Resource temporarily unavailable' } : {};
    },
    monotonicUsec: () => 12n,
  });
  return { clock, told, sink, system };
}

test('a process that is watched says so twice in each interval', () => {
  const { clock, told, system } = setUp({
    NOTIFY_SOCKET: '/s',
    WATCHDOG_USEC: '2000000',
    WATCHDOG_PID: '77',
  });
  system.ready();
  clock.advance(3500);
  assert.deepEqual(told, [READY, ALIVE, ALIVE, ALIVE, ALIVE]);
});

test('no sign of life goes where nobody asks, or asks another process', () => {
  for (const environment of [
    {},
    { WATCHDOG_USEC: '2000000' },
    { NOTIFY_SOCKET: '/s' },
    { NOTIFY_SOCKET: '/s', WATCHDOG_USEC: '2000000', WATCHDOG_PID: '78' },
    { NOTIFY_SOCKET: '/s', WATCHDOG_USEC: 'soon' },
    { NOTIFY_SOCKET: '/s', WATCHDOG_USEC: '0' },
  ]) {
    const { clock, told, system } = setUp(environment);
    system.ready();
    clock.advance(10_000);
    assert.deepEqual(told, 'NOTIFY_SOCKET' in environment ? [READY] : []);
  }
});

test('a reload and a stop are announced, with what sd_notify asks for', () => {
  const { told, system } = setUp({ NOTIFY_SOCKET: '@abstract' });
  system.ready();
  system.reloading();
  system.reloaded();
  system.stopping();
  assert.deepEqual(told, [
    '@abstract READY=1',
    '@abstract RELOADING=1\nMONOTONIC_USEC=12',
    '@abstract READY=1',
    '@abstract STOPPING=1',
  ]);
});

test('a reload before the member serves does not pass for its readiness', () => {
  const { told, system } = setUp({ NOTIFY_SOCKET: '/s' });
  system.reloading();
  system.reloaded();
  assert.deepEqual(told, []);
  system.ready();
  assert.deepEqual(told, [READY]);
});

test('an init system that was too busy to listen is one line in the log, and hears the next sign of life', () => {
  let isBusy = false;
  const { clock, told, sink, system } = setUp(
    { NOTIFY_SOCKET: '/s', WATCHDOG_USEC: '2000000' },
    () => isBusy,
  );
  system.ready();
  const linesAfter = (busy: boolean): number => {
    isBusy = busy;
    clock.advance(10_000);
    return sink.messages().filter((message) => message === 'failed to notify systemd').length;
  };
  assert.deepEqual([linesAfter(true), linesAfter(false), linesAfter(true)], [1, 1, 2]);
  assert.deepEqual(told, [READY, ...Array(31).fill(ALIVE)]);
});

test('sockets are handed over by number and name, and only to the process that is meant', () => {
  const environment = { LISTEN_PID: '77', LISTEN_FDS: '3', LISTEN_FDNAMES: 'client:peer:' };
  assert.deepEqual(handedSockets(environment, PID), [
    { descriptor: 3, name: 'client' },
    { descriptor: 4, name: 'peer' },
    { descriptor: 5, name: 'unknown' },
  ]);
  assert.deepEqual(handedSockets(environment, 78), []);
  assert.deepEqual(handedSockets({}, PID), []);
  for (const LISTEN_FDS of ['', '0', '-1', 'x', '1000000', '1.5']) {
    assert.deepEqual(handedSockets({ LISTEN_PID: '77', LISTEN_FDS }, PID), []);
  }
});
