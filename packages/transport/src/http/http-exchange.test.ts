import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '@etcd/testing';
import { ErrorCode } from '../http2/protocol.ts';
import { type Fields, grpcRequest } from '../testing/raw-peer.ts';
import { SimServer } from '../testing/sim-server.ts';

test('ordinary requests: method, path, headers, body; answers whole or in pieces', () => {
  const sim = new SimServer(new SimClock(), {
    maxHttpBodyBytes: 1000,
    onRequest: (exchange) => {
      if (exchange.path === '/pieces') {
        exchange.start(200, [['Content-Type', 'text/plain']]);
        exchange.write(Buffer.from('one '));
        exchange.write(Buffer.from('two'));
        exchange.end();
        return;
      }
      const text = `${exchange.method} ${exchange.path} ${exchange.authority} ${exchange.header('x-a')} ${exchange.body.length}`;
      exchange.respond(201, [['x-b', 'c']], Buffer.from(text));
    },
  });
  const peer = sim.connect();
  const request = (method: string, path: string): Fields => [
    [':method', method],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'test'],
    ['x-a', 'b'],
  ];
  peer.headers(1, request('POST', '/x?y=z'));
  peer.data(1, 'abc');
  peer.data(1, 'def', true);
  peer.headers(3, request('GET', '/pieces'), true);
  peer.headers(5, request('HEAD', '/health'), true);
  peer.headers(7, request('POST', '/large'));
  peer.data(7, Buffer.alloc(1001));
  peer.headers(9, [...request('POST', '/large'), ['content-length', '1001']]);
  peer.headers(11, [...request('PUT', '/wait'), ['expect', '100-continue']]);
  sim.clock.settle();
  assert.equal(peer.body(1).toString(), 'POST /x?y=z test b 6');
  assert.deepEqual(peer.trailers(1), { ':status': '201', 'x-b': 'c', 'content-length': '20' });
  assert.equal(peer.body(3).toString(), 'one two');
  assert.equal(peer.trailers(3)['content-type'], 'text/plain');
  assert.equal(peer.body(5).length, 0);
  assert.equal(peer.trailers(5)['content-length'], '21');
  assert.equal(peer.trailers(7)[':status'], '413');
  assert.equal(peer.resetOf(7), ErrorCode.NO_ERROR);
  assert.equal(peer.trailers(9)[':status'], '413');
  assert.equal(peer.trailers(11)[':status'], '100');
  peer.data(11, 'x', true);
  sim.clock.settle();
  assert.equal(peer.trailers(11)[':status'], '201');
  assert.equal(sim.server.streamCount, 0);
});

test('an ordinary answer that is larger than the window is sent as the client takes it, and its writer waits', () => {
  let waits = 0;
  const sim = new SimServer(new SimClock(), {
    onRequest: (exchange) => {
      exchange.start(200, []);
      let left = 100;
      const more = (): void => {
        while (left > 0) {
          left--;
          if (!exchange.write(Buffer.alloc(10_000))) {
            waits++;
            return;
          }
        }
        exchange.end();
      };
      exchange.onWritable = more;
      more();
    },
  });
  const peer = sim.connect();
  peer.headers(1, grpcRequest('/big').slice(0, 4), true);
  for (let received = 0; received < 1_000_000; ) {
    sim.clock.settle();
    const length = peer.body(1).length - received;
    received += length;
    assert.ok(length > 0, 'progress');
    peer.windowUpdate(0, length);
    peer.windowUpdate(1, length);
  }
  sim.clock.settle();
  assert.ok(waits > 5);
  assert.equal(sim.server.streamCount, 0);
});
