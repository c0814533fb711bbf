/**
 * CPU of the server process for streams: 1,000,000 messages of 100 bytes to one stream, as many spread over
 * 200 streams of 20 connections, and one answer of 100 MB; our server and, with a tenth of the messages,
 * grpc-js. The client is our channel.
 *
 *   node packages/transport/bench/streams.bench.ts [messages]
 */
import net from 'node:net';
import { NodeClock } from '@etcd/base/node';
import { type ClientReceiver, GrpcChannel, socketDuplex } from '../src/index.ts';
import { print, ServerProcess } from './server-process.ts';

const MESSAGES = Number(process.argv[2] ?? 1_000_000);
const BIG_BYTES = 100 * 1024 * 1024;
const SHARE_OF_OTHER = 0.1;

const clock = new NodeClock();

function connect(port: number): GrpcChannel {
  return new GrpcChannel(socketDuplex(net.connect(port, '127.0.0.1')), {
    clock,
    authority: 'bench',
    maxReceiveMessageBytes: 2 ** 30,
  });
}

function request(count: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(count);
  return bytes;
}

/** Takes a stream of `count` messages to its end. */
function take(channel: GrpcChannel, path: string, count: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let byteCount = 0;
    const receiver: ClientReceiver = {
      onMessage: (_call, _bytes, start, end) => {
        byteCount += end - start;
      },
      onEnd: (_call, code, message) => (code === 0 ? resolve(byteCount) : reject(new Error(message))),
    };
    const call = channel.call(path, receiver);
    call.write(request(count));
    call.halfClose();
  });
}

async function measure(
  server: ServerProcess,
  work: (channels: GrpcChannel[]) => Promise<number>,
  connections: number,
) {
  const channels = Array.from({ length: connections }, () => connect(server.port));
  const cpuBefore = server.cpuUs();
  const startMs = clock.now();
  const byteCount = await work(channels);
  const elapsedMs = clock.now() - startMs;
  const cpuUs = server.cpuUs() - cpuBefore;
  for (const channel of channels) channel.close();
  return { cpuUs, elapsedMs, byteCount };
}

async function streams(server: ServerProcess, streamCount: number, messages: number): Promise<string> {
  const connections = Math.ceil(streamCount / 10);
  const each = Math.floor(messages / streamCount);
  const { cpuUs, elapsedMs } = await measure(
    server,
    async (channels) => {
      const counts = Array.from({ length: streamCount }, (_, i) =>
        take(channels[i % connections]!, '/bench.S/Stream', each),
      );
      return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
    },
    connections,
  );
  const total = each * streamCount;
  return `${(cpuUs / total).toFixed(3)} us CPU per message, ${((total / elapsedMs) * 1000).toFixed(0)} messages/s`;
}

async function big(server: ServerProcess): Promise<string> {
  const { cpuUs, elapsedMs, byteCount } = await measure(
    server,
    ([channel]) => take(channel!, '/bench.S/Big', BIG_BYTES),
    1,
  );
  return `${(cpuUs / 1000).toFixed(0)} ms CPU, ${(byteCount / elapsedMs / 1000).toFixed(0)} MB/s`;
}

for (const [kind, share] of [
  ['ours', 1],
  ['grpc-js', SHARE_OF_OTHER],
] as const) {
  const server = await ServerProcess.start(kind);
  await streams(server, 10, MESSAGES * share * 0.2);
  await big(server);
  print(`${kind}`);
  print(`  1 stream     ${await streams(server, 1, MESSAGES * share)}`);
  print(`  200 streams  ${await streams(server, 200, MESSAGES * share)}`);
  print(`  100 MB       ${await big(server)}`);
  server.stop();
}
