/** The gateway, fed with bodies: of one request, and of streams that end with their connection alone. */
import { type FuzzTarget, InputReader } from '@etcd/testing';
import { Fixture } from './gateway-fixture.ts';

const PATHS = [
  '/v3/kv/range',
  '/v3/kv/put',
  '/v3/kv/txn',
  '/v3/kv/deleterange',
  '/v3/kv/compaction',
  '/v3/lease/grant',
  '/v3/watch',
  '/v3/lease/keepalive',
  '/v3/cluster/member/list',
  '/v3/maintenance/status',
];
const BODIES: Readonly<Record<string, object>> = {
  '/v3/kv/put': { key: 'aw==', value: 'dg==', prev_kv: true },
  '/v3/kv/range': { key: 'aw==', range_end: 'AA==', limit: '5', sort_order: 'DESCEND' },
  '/v3/kv/txn': {
    compare: [{ key: 'aw==', target: 'VERSION', result: 'GREATER', version: '0' }],
    success: [{ request_put: { key: 'aw==', value: 'dg==' } }],
    failure: [{ request_range: { key: 'aw==' } }],
  },
  '/v3/watch': { create_request: { key: 'aw==', progress_notify: true, filters: ['NOPUT'] } },
};

/** The first two bytes say which path it is, and in which pieces the body comes. */
const gateway: FuzzTarget = {
  name: 'gateway',
  isSlow: true,
  heldBytes: 32 * 1024 * 1024,
  what: 'bodies of requests and streams of the JSON gateway',
  tokens: [
    '{',
    '}',
    '"key":',
    '"aw=="',
    '"create_request":',
    '"progress_request":{}',
    '\n',
    'null',
    '[',
    ']',
    '"ID":"1"',
  ],
  seeds: () =>
    PATHS.map((path, i) =>
      Buffer.concat([Uint8Array.of(i, 255), Buffer.from(JSON.stringify(BODIES[path] ?? {}))]),
    ),
  run: (input) => {
    const reader = new InputReader(input);
    const path = PATHS[reader.byte() % PATHS.length]!;
    const pieceBytes = 1 + reader.byte();
    const fixture = new Fixture(1000);
    const call = fixture.open(path, { isOfMessages: pieceBytes % 2 === 0 });
    while (!reader.isAtEnd) fixture.send(call, Buffer.from(reader.bytes(pieceBytes)).toString('utf8'));
    fixture.finish(call);
    call.leave();
    fixture.member.clock.settle();
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [gateway];
