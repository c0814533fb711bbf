/**
 * CPU of the server process per unary request: 100 connections with 10 streams each, driven by h2load with a
 * Put of 270 bytes, our server and grpc-js by turns.
 *
 *   node packages/transport/bench/unary.bench.ts [requests per round] [rounds]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { median, print, ServerProcess } from './server-process.ts';

const REQUESTS = Number(process.argv[2] ?? 200_000);
const ROUNDS = Number(process.argv[3] ?? 3);
/** grpc-js gets fewer requests: it needs about thirty times as long for each. */
const SHARE_OF_OTHER = 0.1;

const directory = mkdtempSync(path.join(tmpdir(), 'transport-bench-'));
const bodyFile = path.join(directory, 'body');
const put = Buffer.concat([
  Buffer.from([0x0a, 16]),
  Buffer.alloc(16, 'k'),
  Buffer.from([0x12, 0xf2, 0x01]),
  Buffer.alloc(242, 'v'),
]);
writeFileSync(bodyFile, Buffer.concat([Buffer.from([0, 0, 0, put.length >> 8, put.length & 0xff]), put]));

interface Round {
  readonly cpuUsPerRequest: number;
  readonly requestsPerSecond: number;
}

function load(server: ServerProcess, requests: number): Round {
  const before = server.cpuUs();
  const output = execFileSync('h2load', [
    ...['-c100', '-m10', '-t1', `-n${requests}`, '-d', bodyFile],
    ...['-H', 'content-type: application/grpc', '-H', 'te: trailers'],
    `http://127.0.0.1:${server.port}/etcdserverpb.KV/Put`,
  ]).toString();
  const cpuUsPerRequest = (server.cpuUs() - before) / requests;
  if (!output.includes(`${requests} succeeded`)) throw new Error(output);
  return { cpuUsPerRequest, requestsPerSecond: Number(/([\d.]+) req\/s/.exec(output)?.[1]) };
}

const ours = await ServerProcess.start('ours');
const other = await ServerProcess.start('grpc-js');
const results: { ours: Round[]; other: Round[] } = { ours: [], other: [] };
for (let round = -1; round < ROUNDS; round++) {
  const a = load(ours, REQUESTS);
  const b = load(other, Math.round(REQUESTS * SHARE_OF_OTHER));
  // The first round only warms up.
  if (round < 0) continue;
  results.ours.push(a);
  results.other.push(b);
}
ours.stop();
other.stop();
rmSync(directory, { recursive: true });

const cost = (rounds: readonly Round[]): number => median(rounds.map((round) => round.cpuUsPerRequest));
const rate = (rounds: readonly Round[]): number => median(rounds.map((round) => round.requestsPerSecond));
print(
  `ours     ${cost(results.ours).toFixed(2)} us CPU per request, ${rate(results.ours).toFixed(0)} requests/s`,
);
print(
  `grpc-js  ${cost(results.other).toFixed(2)} us CPU per request, ${rate(results.other).toFixed(0)} requests/s`,
);
print(`ratio    ${(cost(results.other) / cost(results.ours)).toFixed(1)}`);
