/** Clients of other makers: on the C core, on nghttp2, on Go (etcdctl has tests of its own), on grpc-js. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { isGo, needs, SUBJECT, tool } from '../../support/programs.ts';
import { encode } from '../../support/proto.ts';
import { run } from '../../support/run.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

let server: EtcdServer;
before(async () => {
  server = await EtcdServer.start({ flags: FAST_ELECTION });
});
after(() => server.stop());

/** A message as a gRPC client puts it into DATA frames. */
function grpcFrame(message: Buffer): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(message.length, 1);
  return Buffer.concat([header, message]);
}

function bodyFile(type: string, message: object): string {
  const path = join(temporaryDirectory(), 'body');
  writeFileSync(path, grpcFrame(encode(type, message)));
  return path;
}

test('python3-grpcio', needs('python3-grpcio'), async () => {
  const script = new URL('grpcio_client.py', import.meta.url).pathname;
  const { code, stdout, stderr } = await run(tool('python3-grpcio'), [script, server.address]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(stdout.trimEnd().split('\n'), [
    'found 200',
    'many 500',
    'empty key INVALID_ARGUMENT etcdserver: key is not provided',
    'unknown method UNIMPLEMENTED',
    'malformed INTERNAL',
    'large True',
    'created True',
    'event True',
    'done',
  ]);
});

for (const [what, type, message, path] of [
  ['Put', 'PutRequest', { key: 'h2load', value: 'x'.repeat(256) }, 'KV/Put'],
  ['Range', 'RangeRequest', { key: 'h2load' }, 'KV/Range'],
] as const) {
  test(`h2load: every ${what} of many connections and streams is answered`, needs('h2load'), async () => {
    const args = ['-n5000', '-c20', '-m20', '-d', bodyFile(type, message)];
    args.push('-H', 'content-type: application/grpc', '-H', 'te: trailers');
    const rpc = new EtcdRpc(server.address);
    const before = (await rpc.call('KV.Range', { key: 'x' })).header!.revision;
    const { stdout } = await run(tool('h2load'), [...args, `${server.clientUrl}/etcdserverpb.${path}`]);
    assert.match(stdout, /5000 total, 5000 started, 5000 done, 5000 succeeded, 0 failed, 0 errored/);
    const after = (await rpc.call('KV.Range', { key: 'x' })).header!.revision;
    assert.equal(after - before, what === 'Put' ? 5000n : 0n);
    rpc.close();
  });
}

test('nghttp: a request and its trailers', needs('nghttp'), async () => {
  const body = bodyFile('PutRequest', { key: 'nghttp', value: 'x' });
  const args = ['-v', '-d', body, '-H', 'content-type: application/grpc', '-H', 'te: trailers'];
  const { stdout } = await run(tool('nghttp'), [...args, `${server.clientUrl}/etcdserverpb.KV/Put`]);
  assert.match(stdout, /:status: 200/);
  assert.match(stdout, /content-type: application\/grpc/);
  assert.match(stdout, /grpc-status: 0/);
  assert.doesNotMatch(stdout, /GOAWAY frame .*error_code=(?!NO_ERROR)/);
});

test('curl: HTTP/1.1, upgraded or with prior knowledge', needs('curl'), async () => {
  const url = `${server.clientUrl}/version`;
  const plain = await run(tool('curl'), ['-s', '--http1.1', url]);
  assert.match(plain.stdout, /^\{"etcdserver":"\d/);
  const range = bodyFile('RangeRequest', { key: 'k' });
  const args = [
    '-s',
    '--http2-prior-knowledge',
    '-H',
    'content-type: application/grpc',
    '-H',
    'te: trailers',
  ];
  args.push('--data-binary', `@${range}`, '-D', '-', '-o', '/dev/null');
  const answered = await run(tool('curl'), [...args, `${server.clientUrl}/etcdserverpb.KV/Range`]);
  assert.match(answered.stdout, /^HTTP\/2 200/);
  assert.match(answered.stdout, /grpc-status: 0/);
  if (isGo(SUBJECT)) return;
  // Real etcd hands every HTTP/2 request on this port to its gRPC server, which refuses this one.
  const http2 = await run(tool('curl'), ['-s', '--http2-prior-knowledge', url]);
  assert.match(http2.stdout, /^\{"etcdserver":"\d/);
});

test('grpc-js: many calls at once on one connection', async () => {
  const rpc = new EtcdRpc(server.address);
  const puts = Array.from({ length: 2000 }, (_, i) => rpc.call('KV.Put', { key: `js/${i}`, value: `${i}` }));
  const revisions = new Set((await Promise.all(puts)).map((put) => put.header!.revision));
  assert.equal(revisions.size, 2000);
  const { count } = await rpc.call('KV.Range', { key: 'js/', range_end: 'js0', count_only: true });
  assert.equal(count, 2000n);
  rpc.close();
});
