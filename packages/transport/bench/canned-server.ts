/**
 * The server process of the benchmarks: `node canned-server.ts ours|grpc-js` prints its port. Put answers
 * with a canned PutResponse; Stream sends messages of 100 bytes, as many as the request says; Big answers
 * with as many bytes as the request says.
 */
import net from 'node:net';
import { NodeClock } from '@etcd/base/node';
import * as grpc from '@grpc/grpc-js';
import { GrpcServer, type ServerCall, socketDuplex, socketInfo } from '../src/index.ts';

/** ResponseHeader with cluster, member, revision and term, as etcd answers a Put. */
const PUT_RESPONSE = Buffer.from('0a1b08ab91c3a1c4d6e0d9a00110aea5f3c5e0b9c9c8a40118c09a0c2002', 'hex');
const MESSAGE = Buffer.alloc(100, 'm');
const CHUNK = Buffer.alloc(1024 * 1024, 'b');

function serveOurs(): void {
  const server = new GrpcServer({ clock: new NodeClock() });
  server.unary('/etcdserverpb.KV/Put', (call) => call.respond(PUT_RESPONSE));
  server.serverStream('/bench.S/Stream', (call, bytes, start) => push(call, readCount(bytes, start)));
  server.unary('/bench.S/Big', (call, bytes, start) => {
    const length = readCount(bytes, start);
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < length; at += CHUNK.length) chunks.push(CHUNK.subarray(0, length - at));
    call.respondChunks(chunks, length);
  });
  const listener = net.createServer((socket) => server.accept(socketDuplex(socket), socketInfo(socket)));
  listener.listen(0, '127.0.0.1', () => {
    process.stdout.write(`${(listener.address() as net.AddressInfo).port}\n`);
  });
}

function push(call: ServerCall, count: number): void {
  let left = count;
  const more = (): void => {
    while (left > 0) {
      left--;
      if (!call.write(MESSAGE)) return;
    }
    call.end();
  };
  call.receiver = { onWritable: more };
  more();
}

function readCount(bytes: Uint8Array, start: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + start, 4).getUint32(0);
}

function serveGrpcJs(): void {
  const same = (bytes: Buffer): Buffer => bytes;
  const method = (path: string, responseStream: boolean) => ({
    path,
    requestStream: false,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  });
  const server = new grpc.Server({ 'grpc.max_send_message_length': -1 });
  const definition = {
    put: method('/etcdserverpb.KV/Put', false),
    stream: method('/bench.S/Stream', true),
    big: method('/bench.S/Big', false),
  };
  server.addService(definition, {
    put: ((_call, callback) => callback(null, PUT_RESPONSE)) as grpc.handleUnaryCall<Buffer, Buffer>,
    big: ((call, callback) => {
      callback(null, Buffer.alloc(call.request.readUInt32BE(0), 'b'));
    }) as grpc.handleUnaryCall<Buffer, Buffer>,
    stream: ((call) => {
      let left = call.request.readUInt32BE(0);
      const more = (): void => {
        while (left > 0) {
          left--;
          if (!call.write(MESSAGE)) {
            call.once('drain', more);
            return;
          }
        }
        call.end();
      };
      more();
    }) as grpc.handleServerStreamingCall<Buffer, Buffer>,
  });
  server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (_error, port) => {
    process.stdout.write(`${port}\n`);
  });
}

if (process.argv[2] === 'grpc-js') serveGrpcJs();
else serveOurs();
