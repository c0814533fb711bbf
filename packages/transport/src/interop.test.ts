import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { gzipSync } from 'node:zlib';
import { NodeClock } from '@etcd/base/node';
import * as grpc from '@grpc/grpc-js';
import { sniffProtocol } from './duplex/sniff.ts';
import { socketDuplex } from './duplex/socket-duplex.ts';
import { socketInfo } from './duplex/socket-info.ts';
import type { ClientReceiver } from './grpc/client-call.ts';
import { GrpcChannel } from './grpc/grpc-channel.ts';
import { GrpcServer } from './grpc/grpc-server.ts';
import type { ServerCall } from './grpc/server-call.ts';
import { findProgram, needs, needsPythonGrpc, run } from './testing/programs.ts';
import { grpcMessage } from './testing/raw-peer.ts';

const clock = new NodeClock();
const BIG = Buffer.alloc(20_000_000, 'etcd');

const server = new GrpcServer({
  clock,
  maxReceiveMessageBytes: 30_000_000,
  onRequest: (exchange) => {
    const body = `${exchange.method} ${exchange.path} ${exchange.body.length}\n`;
    exchange.respond(200, [['content-type', 'text/plain']], Buffer.from(body));
  },
});
const sockets = new Set<net.Socket>();
const http1 = http.createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () =>
    response.end(`http1 ${request.method} ${request.url} ${Buffer.concat(chunks).length}\n`),
  );
});
const listener = net.createServer((socket) => {
  sockets.add(socket);
  socket.on('close', () => sockets.delete(socket));
  sniffProtocol(socket, {
    clock,
    onHttp2: (each) => server.accept(socketDuplex(each), socketInfo(each)),
    onHttp1: (each) => http1.emit('connection', each),
  });
});
let port = 0;
const infos: string[] = [];

// Just enough protobuf for an answer that etcdctl prints: field numbers below 16, lengths and numbers below
// 128.
const bytesField = (field: number, value: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([(field << 3) | 2, value.length]), value]);
const numberField = (field: number, value: number): Buffer => Buffer.from([field << 3, value]);
const HEADER = bytesField(1, numberField(3, 7));
const KEY_VALUE = Buffer.concat([
  bytesField(1, Buffer.from('foo')),
  numberField(2, 5),
  numberField(3, 6),
  numberField(4, 1),
  bytesField(5, Buffer.from('bar')),
]);

/** A watch that says it was created, then tells of one event. */
function watch(call: ServerCall): void {
  call.receiver = {
    onMessage: (each) => {
      each.write(Buffer.concat([HEADER, numberField(3, 1)]));
      each.write(Buffer.concat([HEADER, bytesField(11, bytesField(2, KEY_VALUE))]));
    },
    onHalfClose: (each) => each.end(),
  };
}

before(async () => {
  server.unary('/test.S/Echo', (call, bytes, start, end) => {
    infos.push(`${call.info.isSecure} ${call.info.remoteAddress.startsWith('127.0.0.1:')}`);
    call.respond(bytes, start, end);
  });
  server.unary('/test.S/Fail', (call) => {
    call.fail(9, `ключ ${call.metadata('x-in')} ${call.metadata('y-bin')}`, [['x-out-bin', '\x00\xff']]);
  });
  server.unary('/test.S/Never', () => {});
  server.unary('/test.S/Big', (call) =>
    call.respondChunks([BIG.subarray(0, 7_000_000), BIG.subarray(7_000_000)], BIG.length),
  );
  server.serverStream('/test.S/Count', (call) => {
    for (let i = 0; i < 100; i++) call.write(Buffer.from(String(i)));
    call.end();
  });
  server.clientStream('/test.S/Sum', (call) => {
    let sum = 0;
    call.receiver = {
      onMessage: (_call, bytes, start, end) => {
        sum += Number(Buffer.from(bytes.subarray(start, end)).toString());
      },
      onHalfClose: (each) => {
        each.write(Buffer.from(String(sum)));
        each.end();
      },
    };
  });
  server.bidi('/test.S/Chat', (call) => {
    call.receiver = {
      onMessage: (each, bytes, start, end) => each.write(bytes, start, end),
      onHalfClose: (each) => each.end(),
    };
  });
  server.unary('/etcdserverpb.KV/Range', (call) =>
    call.respond(Buffer.concat([HEADER, bytesField(2, KEY_VALUE), numberField(4, 1)])),
  );
  server.unary('/etcdserverpb.KV/Put', (call) => call.respond(HEADER));
  server.bidi('/etcdserverpb.Watch/Watch', watch);
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  port = (listener.address() as net.AddressInfo).port;
});

after(() => {
  server.close();
  http1.close();
  listener.close();
  for (const socket of sockets) socket.destroy();
});

/** A grpc-js client whose messages are plain bytes. */
class JsClient extends grpc.Client {
  constructor(
    target: string,
    credentials = grpc.credentials.createInsecure(),
    options: grpc.ClientOptions = {},
  ) {
    super(target, credentials, { 'grpc.max_receive_message_length': -1, ...options });
  }

  unary(
    method: string,
    body: Buffer,
    metadata = new grpc.Metadata(),
    options: grpc.CallOptions = {},
  ): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.makeUnaryRequest(method, same, same, body, metadata, options, (error, value) =>
        error === null ? resolve(value!) : reject(error),
      );
    });
  }
}

function same(bytes: Buffer): Buffer {
  return bytes;
}

function collect(stream: NodeJS.ReadableStream): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const items: string[] = [];
    stream.on('data', (bytes: Buffer) => items.push(bytes.toString()));
    stream.on('error', reject);
    stream.on('end', () => resolve(items));
  });
}

test('grpc-js calls our server: all kinds, errors, metadata, deadline, cancellation', async () => {
  const client = new JsClient(`127.0.0.1:${port}`);
  try {
    const metadata = new grpc.Metadata();
    metadata.set('x-in', 'v');
    metadata.set('y-bin', Buffer.from('bytes'));
    assert.equal((await client.unary('/test.S/Echo', Buffer.from('hi'))).toString(), 'hi');
    const many = Array.from({ length: 200 }, (_, i) =>
      client.unary('/test.S/Echo', Buffer.alloc(i * 100, 'x')),
    );
    assert.deepEqual(
      (await Promise.all(many)).map((each) => each.length),
      Array.from({ length: 200 }, (_, i) => i * 100),
    );
    await assert.rejects(
      client.unary('/test.S/Fail', Buffer.from(''), metadata),
      (error: grpc.ServiceError) => {
        assert.equal(error.code, 9);
        assert.equal(error.details, 'ключ v bytes');
        assert.deepEqual(error.metadata.get('x-out-bin'), [Buffer.from([0, 255])]);
        return true;
      },
    );
    await assert.rejects(client.unary('/test.S/Nope', Buffer.from('')), {
      code: 12,
      details: 'unknown method Nope for service test.S',
    });
    await assert.rejects(
      client.unary('/test.S/Never', Buffer.from(''), undefined, { deadline: Date.now() + 50 }),
      { code: 4 },
    );
    assert.ok((await client.unary('/test.S/Big', Buffer.from(''))).equals(BIG));
    assert.equal((await client.unary('/test.S/Echo', BIG)).length, BIG.length);

    const counted = client.makeServerStreamRequest('/test.S/Count', same, same, Buffer.from(''));
    assert.equal((await collect(counted)).length, 100);
    const sum = await new Promise<Buffer>((resolve, reject) => {
      const call = client.makeClientStreamRequest('/test.S/Sum', same, same, (error, value) =>
        error === null ? resolve(value!) : reject(error),
      );
      for (let i = 1; i <= 100; i++) call.write(Buffer.from(String(i)));
      call.end();
    });
    assert.equal(sum.toString(), '5050');
    const chat = client.makeBidiStreamRequest('/test.S/Chat', same, same);
    const heard = collect(chat);
    for (let i = 0; i < 50; i++) chat.write(Buffer.from(`m${i}`));
    chat.end();
    assert.equal((await heard).join(' '), Array.from({ length: 50 }, (_, i) => `m${i}`).join(' '));
    const endless = client.makeBidiStreamRequest('/test.S/Chat', same, same);
    setTimeout(() => endless.cancel(), 20);
    await assert.rejects(collect(endless), { code: 1 });
  } finally {
    client.close();
  }
});

test('grpc-js compresses its messages with gzip', async () => {
  const client = new JsClient(`127.0.0.1:${port}`, undefined, { 'grpc.default_compression_algorithm': 2 });
  try {
    assert.equal((await client.unary('/test.S/Echo', Buffer.alloc(50_000, 'z'))).length, 50_000);
  } finally {
    client.close();
  }
});

test('our channel calls a grpc-js server: all kinds', async () => {
  const js = new grpc.Server({ 'grpc.max_receive_message_length': -1 });
  const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
    path: `/js.S/${name}`,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  });
  js.addService(
    {
      echo: method('Echo', false, false),
      fail: method('Fail', false, false),
      chat: method('Chat', true, true),
    },
    {
      echo: ((call, callback) => callback(null, call.request)) as grpc.handleUnaryCall<Buffer, Buffer>,
      fail: ((_call, callback) => callback({ code: 5, details: 'ключ' })) as grpc.handleUnaryCall<
        Buffer,
        Buffer
      >,
      chat: ((call) => {
        call.on('data', (bytes: Buffer) => call.write(bytes));
        call.on('end', () => call.end());
      }) as grpc.handleBidiStreamingCall<Buffer, Buffer>,
    },
  );
  const jsPort = await new Promise<number>((resolve, reject) => {
    js.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const channel = new GrpcChannel(socketDuplex(net.connect(jsPort, '127.0.0.1')), {
    clock,
    authority: `127.0.0.1:${jsPort}`,
    maxReceiveMessageBytes: 30_000_000,
  });
  try {
    const sizes = [0, 1, 1000, 100_000, 5_000_000];
    const answers = await Promise.all(
      sizes.map((size) => unary(channel, '/js.S/Echo', Buffer.alloc(size, 'q'))),
    );
    assert.deepEqual(
      answers.map(({ bytes }) => bytes.length),
      sizes,
    );
    assert.deepEqual(
      await unary(channel, '/js.S/Fail', Buffer.from('')).then(({ code, message }) => [code, message]),
      [5, 'ключ'],
    );
    const heard = await chat(channel, '/js.S/Chat', 100);
    assert.deepEqual(heard, [...Array.from({ length: 100 }, (_, i) => `m${i}`), 'end 0 OK']);
  } finally {
    channel.close();
    js.forceShutdown();
  }
});

function unary(
  channel: GrpcChannel,
  method: string,
  body: Buffer,
): Promise<{ code: number; message: string; bytes: Buffer }> {
  return new Promise((resolve) => {
    channel.unary(
      method,
      body,
      (code, message, bytes, start, end) =>
        resolve({ code, message, bytes: Buffer.from(bytes.subarray(start, end)) }),
      { timeoutMs: 20_000 },
    );
  });
}

function chat(channel: GrpcChannel, method: string, count: number): Promise<string[]> {
  return new Promise((resolve) => {
    const heard: string[] = [];
    const receiver: ClientReceiver = {
      onMessage: (call, bytes, start, end) => {
        heard.push(Buffer.from(bytes.subarray(start, end)).toString());
        if (heard.length === count) call.halfClose();
      },
      onEnd: (_call, code, message) => {
        heard.push(`end ${code} ${message}`);
        resolve(heard);
      },
    };
    const call = channel.call(method, receiver);
    for (let i = 0; i < count; i++) call.write(Buffer.from(`m${i}`));
  });
}

test('node:http2 as a client: ordinary requests and a call by hand', async () => {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  try {
    const request = (
      headers: http2.OutgoingHttpHeaders,
      body: Buffer,
    ): Promise<[http2.IncomingHttpHeaders, string, object]> =>
      new Promise((resolve, reject) => {
        const stream = session.request(headers);
        const chunks: Buffer[] = [];
        let head: http2.IncomingHttpHeaders = {};
        let trailers: object = {};
        stream.on('response', (each) => {
          head = each;
        });
        stream.on('trailers', (each) => {
          trailers = each;
        });
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('error', reject);
        stream.on('close', () => resolve([head, Buffer.concat(chunks).toString(), trailers]));
        stream.end(body);
      });
    const [head, text] = await request({ ':path': '/x', ':method': 'POST' }, Buffer.alloc(300_000));
    assert.equal(head[':status'], 200);
    assert.equal(text, 'POST /x 300000\n');
    const [, , trailers] = await request(
      {
        ':path': '/test.S/Echo',
        ':method': 'POST',
        'content-type': 'application/grpc',
        'grpc-encoding': 'gzip',
      },
      grpcMessage(gzipSync('zip'), 1),
    );
    assert.equal((trailers as Record<string, unknown>)['grpc-status'], '0');
    await new Promise<void>((resolve, reject) =>
      session.ping((error) => (error === null ? resolve() : reject(error))),
    );
  } finally {
    session.close();
  }
});

test('node:http2 as a server: our channel makes a call to it', async () => {
  const other = http2.createServer();
  other.on('stream', (stream) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc+x', 'x-long': 'v'.repeat(20_000) },
        { waitForTrailers: true },
      );
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(Buffer.concat(chunks));
    });
  });
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const otherPort = (other.address() as net.AddressInfo).port;
  const channel = new GrpcChannel(socketDuplex(net.connect(otherPort, '127.0.0.1')), {
    clock,
    authority: 'x',
  });
  try {
    const { code, bytes } = await unary(channel, '/a/b', Buffer.alloc(1_000_000, 'w'));
    assert.equal(code, 0);
    assert.equal(bytes.length, 1_000_000);
  } finally {
    channel.close();
    other.close();
  }
});

test('a connection refused, or cut, ends its calls', async () => {
  const channel = new GrpcChannel(socketDuplex(net.connect(1, '127.0.0.1')), { clock, authority: 'x' });
  const { code, message } = await unary(channel, '/a/b', Buffer.from(''));
  assert.equal(code, 14);
  assert.match(message, /ECONNREFUSED/);
});

test('HTTP/1 and HTTP/2 share the port, byte by byte too', async () => {
  const ask = (parts: readonly string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = net.connect(port, '127.0.0.1', async () => {
        for (const part of parts) {
          socket.write(part);
          await new Promise((next) => setTimeout(next, 2));
        }
      });
      let answer = '';
      socket.on('data', (chunk: Buffer) => {
        answer += chunk.toString('latin1');
      });
      socket.on('close', () => resolve(answer));
      socket.on('error', reject);
    });
  const request = 'POST /one HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello';
  assert.match(await ask([request]), /http1 POST \/one 5/);
  assert.match(await ask([...request]), /http1 POST \/one 5/);
  assert.match(
    await ask(['P', 'ATCH /two HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n']),
    /http1 PATCH \/two 0/,
  );
  assert.match(await ask(['GARBAGE\r\n\r\n']), /400 Bad Request/);
  const response = await fetch(`http://127.0.0.1:${port}/three`, {
    method: 'PUT',
    body: 'x'.repeat(100_000),
  });
  assert.equal(await response.text(), 'http1 PUT /three 100000\n');
});

test('S15 a connection that does not say which protocol it speaks is closed', async () => {
  const silent = net.createServer((socket) => {
    sniffProtocol(socket, {
      clock,
      timeoutMs: 30,
      onHttp2: () => assert.fail(),
      onHttp1: () => assert.fail(),
    });
  });
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  for (const bytes of ['', 'PRI * HT']) {
    const socket = net.connect((silent.address() as net.AddressInfo).port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write(bytes);
    await new Promise((resolve) => socket.on('close', resolve));
  }
  silent.close();
});

test('curl', needs('curl'), async () => {
  const url = `http://127.0.0.1:${port}`;
  const get = await run('curl', [
    '-sS',
    '--http2-prior-knowledge',
    '-w',
    '%{http_version} %{http_code}',
    `${url}/health`,
  ]);
  assert.equal(get.stdout, 'GET /health 0\n2 200');
  const post = await run('curl', ['-sS', '--http2-prior-knowledge', '--data-binary', '@-', `${url}/v3/kv`], {
    input: Buffer.alloc(2_000_000, 'c'),
  });
  assert.equal(post.stdout, 'POST /v3/kv 2000000\n');
  const head = await run('curl', ['-sSI', '--http2-prior-knowledge', `${url}/health`]);
  assert.match(head.stdout, /^HTTP\/2 200/);
  const one = await run('curl', ['-sS', `${url}/version`]);
  assert.equal(one.stdout, 'http1 GET /version 0\n');
});

test('nghttp', needs('nghttp'), async () => {
  const { stdout } = await run('nghttp', ['-m', '20', '-v', '--no-dep', `http://127.0.0.1:${port}/many`]);
  assert.equal(stdout.match(/GET \/many 0/g)?.length, 20);
  const padded = await run('nghttp', ['-b', '40', '-w', '1', '-W', '16', `http://127.0.0.1:${port}/padded`]);
  assert.equal(padded.stdout, 'GET /padded 0\n');
});

test('h2load', needs('h2load'), async () => {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'transport-')), 'body');
  fs.writeFileSync(file, grpcMessage('x'.repeat(200)));
  const args = [
    '-n',
    '5000',
    '-c',
    '10',
    '-m',
    '20',
    '-d',
    file,
    '-H',
    'content-type: application/grpc',
    '-H',
    'te: trailers',
  ];
  const { stdout } = await run('h2load', [...args, `http://127.0.0.1:${port}/test.S/Echo`]);
  fs.rmSync(path.dirname(file), { recursive: true });
  assert.match(stdout, /5000 succeeded, 0 failed, 0 errored/);
  assert.match(stdout, /status codes: 5000 2xx/);
});

test('h2spec', needs('h2spec'), async () => {
  // Not on the shared port, where a bad preface is answered by HTTP/1.
  const pure = net.createServer((socket) => server.accept(socketDuplex(socket)));
  await new Promise<void>((resolve) => pure.listen(0, '127.0.0.1', resolve));
  const purePort = (pure.address() as net.AddressInfo).port;
  const { stdout } = await run('h2spec', ['--strict', '-h', '127.0.0.1', '-p', String(purePort), '-o', '5']);
  pure.close();
  assert.match(stdout, /146 tests, 146 passed, 0 skipped, 0 failed/, stdout.slice(-3000));
});

test('etcdctl: the Go client', needs('3.5/etcdctl'), async () => {
  const flags = ['--endpoints', `127.0.0.1:${port}`, '--command-timeout', '10s'];
  const env = { ETCDCTL_API: '3' };
  const get = await run('3.5/etcdctl', [...flags, 'get', 'foo'], { env });
  assert.equal(get.stdout, 'foo\nbar\n', get.stderr);
  const put = await run('3.5/etcdctl', [...flags, 'put', 'foo', 'x'.repeat(100_000)], { env });
  assert.equal(put.stdout, 'OK\n', put.stderr);
  const watched = await run('3.5/etcdctl', [...flags, 'watch', 'foo'], {
    env,
    enough: (stdout) => stdout.includes('bar'),
  });
  assert.equal(watched.stdout, 'PUT\nfoo\nbar\n', watched.stderr);
  const unknown = await run('3.5/etcdctl', [...flags, 'user', 'list'], { env });
  assert.match(unknown.stderr, /Unimplemented.*unknown service etcdserverpb.Auth/);
});

const PYTHON = `
import grpc, sys
same = lambda x: x
channel = grpc.insecure_channel(sys.argv[1], options=[('grpc.max_receive_message_length', -1)])
print(channel.unary_unary('/test.S/Echo', same, same)(b'hi', timeout=5).decode())
print(len(channel.unary_unary('/test.S/Big', same, same)(b'', timeout=20)))
print(sum(int(x) for x in channel.unary_stream('/test.S/Count', same, same)(b'', timeout=5)))
print(channel.stream_unary('/test.S/Sum', same, same)((str(i).encode() for i in range(101)), timeout=5).decode())
print(b''.join(channel.stream_stream('/test.S/Chat', same, same)((b'%d,' % i for i in range(5)), timeout=5)).decode())
print(channel.unary_unary('/test.S/Echo', same, same)(b'z' * 5000, timeout=5, compression=grpc.Compression.Gzip) == b'z' * 5000)
try:
    channel.unary_unary('/test.S/Fail', same, same)(b'', timeout=5, metadata=(('x-in', 'v'),))
except grpc.RpcError as e:
    print(e.code(), e.details())
try:
    channel.unary_unary('/test.S/Never', same, same)(b'', timeout=0.05)
except grpc.RpcError as e:
    print(e.code())
`;

test('python3-grpcio: the C core', needsPythonGrpc(), async () => {
  const { stdout, stderr } = await run('/usr/bin/python3', ['-c', PYTHON, `127.0.0.1:${port}`], {
    env: { PYTHONIOENCODING: 'utf-8' },
  });
  const text = Buffer.from(stdout, 'latin1').toString('utf8');
  const expected = [
    'hi',
    '20000000',
    '4950',
    '5050',
    '0,1,2,3,4,',
    'True',
    'StatusCode.FAILED_PRECONDITION ключ v null',
    'StatusCode.DEADLINE_EXCEEDED',
  ];
  assert.deepEqual(text.trim().split('\n'), expected, stderr);
});

test('over TLS: grpc-js, our channel, the name of the client’s certificate', needs('openssl'), async () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'transport-'));
  const file = (name: string): string => path.join(directory, name);
  const openssl = findProgram('openssl')!;
  const days = ['-days', '2', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const san = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  execFileSync(
    openssl,
    ['req', '-x509', ...days, '-subj', '/CN=alice', ...san, '-keyout', file('key'), '-out', file('cert')],
    {
      stdio: 'ignore',
    },
  );
  const key = fs.readFileSync(file('key'));
  const cert = fs.readFileSync(file('cert'));
  fs.rmSync(directory, { recursive: true });
  const secure = new GrpcServer({ clock, maxReceiveMessageBytes: 30_000_000 });
  secure.unary('/test.S/Who', (call) =>
    call.respond(Buffer.from(`${call.info.isSecure} ${call.info.commonName}`)),
  );
  secure.unary('/test.S/Echo', (call, bytes, start, end) => call.respond(bytes, start, end));
  const options = {
    key,
    cert,
    ca: cert,
    ALPNProtocols: ['h2'],
    requestCert: true,
    rejectUnauthorized: false,
  };
  const tlsListener = tls.createServer(options, (socket) =>
    secure.accept(socketDuplex(socket), socketInfo(socket)),
  );
  await new Promise<void>((resolve) => tlsListener.listen(0, '127.0.0.1', resolve));
  const tlsPort = (tlsListener.address() as net.AddressInfo).port;
  const client = new JsClient(`127.0.0.1:${tlsPort}`, grpc.credentials.createSsl(cert, key, cert));
  const anonymous = tls.connect({ port: tlsPort, host: '127.0.0.1', ca: cert, ALPNProtocols: ['h2'] });
  const channel = new GrpcChannel(socketDuplex(anonymous), {
    clock,
    authority: 'localhost',
    isSecure: true,
    maxReceiveMessageBytes: 30_000_000,
  });
  try {
    assert.equal((await client.unary('/test.S/Who', Buffer.from(''))).toString(), 'true alice');
    assert.equal((await client.unary('/test.S/Echo', BIG)).length, BIG.length);
    assert.equal((await unary(channel, '/test.S/Who', Buffer.from(''))).bytes.toString(), 'true ');
    const echoes = await Promise.all(
      [100, 5_000_000, 20_000_000].map((size) => unary(channel, '/test.S/Echo', BIG.subarray(0, size))),
    );
    assert.deepEqual(
      echoes.map(({ bytes }) => bytes.length),
      [100, 5_000_000, 20_000_000],
    );
  } finally {
    client.close();
    channel.close();
    secure.close();
    tlsListener.close();
  }
});

test('handlers know who calls', () => {
  assert.ok(infos.includes('false true'));
});

test('after all of this no stream is left', async () => {
  for (let i = 0; i < 100 && server.streamCount > 0; i++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(server.streamCount, 0);
});
