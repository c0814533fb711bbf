import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock } from '@etcd/testing';
import { ErrorCode } from '../http2/protocol.ts';
import { type Fields, grpcMessage, grpcRequest, replaceField } from '../testing/raw-peer.ts';
import { SimServer } from '../testing/sim-server.ts';

const ECHO = '/test.S/Echo';

/** What grpc-go answers (1.82, as in etcd 3.7): HTTP status, code, text. */
const REFUSALS: readonly [string, Fields, string, number, string][] = [
  [
    'no content-type',
    replaceField(grpcRequest(ECHO), 'content-type', null),
    '415',
    3,
    'invalid gRPC request content-type ""',
  ],
  [
    'another content-type',
    replaceField(grpcRequest(ECHO), 'content-type', 'application/json'),
    '415',
    3,
    'invalid gRPC request content-type "application/json"',
  ],
  [
    'an odd content-type',
    replaceField(grpcRequest(ECHO), 'content-type', 'a"b\t\xfc'),
    '415',
    3,
    'invalid gRPC request content-type "a\\"b\\t\\xfc"',
  ],
  [
    'GET',
    replaceField(grpcRequest(ECHO), ':method', 'GET'),
    '405',
    13,
    'Received a HEADERS frame with :method "GET" which should be POST',
  ],
  ['an unknown service', grpcRequest('/x.Y/Foo'), '200', 12, 'unknown service x.Y'],
  ['an unknown method', grpcRequest('/test.S/Foo'), '200', 12, 'unknown method Foo for service test.S'],
  ['a path of one part', grpcRequest('/x'), '200', 12, 'malformed method name: "/x"'],
  [
    'an unknown compression',
    grpcRequest(ECHO, [['grpc-encoding', 'snappy']]),
    '200',
    12,
    'grpc: Decompressor is not installed for grpc-encoding "snappy"',
  ],
  [
    'a timeout without unit',
    grpcRequest(ECHO, [['grpc-timeout', '5x']]),
    '400',
    13,
    'malformed grpc-timeout: transport: timeout unit is not recognized: "5x"',
  ],
  [
    'a timeout that is no number',
    grpcRequest(ECHO, [['grpc-timeout', 'abcm']]),
    '400',
    13,
    'malformed grpc-timeout: strconv.ParseUint: parsing "abc": invalid syntax',
  ],
  ['no time left', grpcRequest(ECHO, [['grpc-timeout', '0n']]), '200', 4, 'context deadline exceeded'],
  [
    'binary metadata that is not base64',
    grpcRequest(ECHO, [['x-bin', '!!!']]),
    '400',
    13,
    'malformed binary metadata "!!!" in header "x-bin": illegal base64 data at input byte 0',
  ],
  [
    'two hosts',
    grpcRequest(ECHO, [
      ['host', 'a'],
      ['host', 'b'],
    ]),
    '400',
    13,
    'num values of :authority: 1, num values of host: 2, both must only have 1 value as per HTTP/2 spec',
  ],
];

test('requests that are no calls are refused with the statuses and words of grpc-go', () => {
  for (const [what, fields, httpStatus, code, text] of REFUSALS) {
    const sim = new SimServer(new SimClock());
    const peer = sim.connect();
    peer.headers(1, fields);
    sim.clock.settle();
    const answer = peer.trailers(1);
    assert.equal(answer[':status'], httpStatus, what);
    assert.equal(answer['grpc-status'], String(code), what);
    assert.equal(answer['grpc-message'], text, what);
    // The body that may come is not waited for.
    assert.equal(peer.resetOf(1), ErrorCode.NO_ERROR, what);
    assert.equal(sim.server.streamCount, 0, what);
  }
});

test('a refusal because of compression names what is understood', () => {
  const sim = new SimServer(new SimClock());
  const peer = sim.connect();
  peer.headers(1, grpcRequest(ECHO, [['grpc-encoding', 'snappy']]), true);
  sim.clock.settle();
  assert.equal(peer.trailers(1)['grpc-accept-encoding'], 'gzip');
});

test('S10 no odd spelling of a path reaches a handler, or an ordinary request that belongs to a method', () => {
  const odd = [
    'test.S/Echo',
    '//test.S/Echo',
    '/test.S//Echo',
    '/test.S/Echo/',
    '/./test.S/Echo',
    '/test.S/../test.S/Echo',
    '/test.S/%45cho',
    '/test.S%2fEcho',
    '/TEST.S/ECHO',
    '/test.s/echo',
    '/test.S/Echo?x=1',
    '/test.S/Echo#x',
    '/test.S/Echo ',
    ' /test.S/Echo',
    '\\test.S\\Echo',
    'http://test/test.S/Echo',
    '*',
  ];
  for (const path of odd) {
    const sim = new SimServer(new SimClock());
    const peer = sim.connect();
    peer.call(1, path, 'x');
    sim.clock.settle();
    assert.equal(peer.trailers(1)['grpc-status'], '12', path);
    assert.equal(peer.body(1).length, 0, path);
  }
  // Where ordinary requests are served too, a method's path is never one of them.
  const requests: string[] = [];
  const sim = new SimServer(new SimClock(), {
    onRequest: (exchange) => {
      requests.push(exchange.path);
      exchange.respond(200, [], Buffer.alloc(0));
    },
  });
  const peer = sim.connect();
  peer.headers(1, replaceField(grpcRequest(ECHO), 'content-type', 'application/json'), true);
  peer.headers(3, replaceField(grpcRequest('/v3/kv/range'), 'content-type', 'application/json'), true);
  sim.clock.settle();
  assert.equal(peer.trailers(1)[':status'], '415');
  assert.deepEqual(requests, ['/v3/kv/range']);
});

test('the answer has the content-type of the request', () => {
  const sim = new SimServer(new SimClock());
  const peer = sim.connect();
  for (const [id, contentType, answer] of [
    [1, 'application/grpc+proto', 'application/grpc+proto'],
    [3, 'application/grpc', 'application/grpc'],
    [5, 'application/grpc;x=1', 'application/grpc+x=1'],
  ] as const) {
    peer.headers(id, replaceField(grpcRequest(ECHO), 'content-type', contentType));
    peer.data(id, grpcMessage('x'), true);
    sim.clock.settle();
    assert.equal(peer.ofStream(id)[0]?.fields['content-type'], answer);
  }
});
