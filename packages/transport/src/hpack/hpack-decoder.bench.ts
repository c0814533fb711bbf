/**
 * Nanoseconds per header block: one that repeats, as h2load, grpc-js and C-core send it; one whose timeout
 * differs every time and enters the table, as grpc-go sends it; one that is new every time.
 *
 *   node packages/transport/src/hpack/hpack-decoder.bench.ts
 */
import { FieldKind } from './header-field.ts';
import { HpackDecoder } from './hpack-decoder.ts';
import { HpackEncoder, Indexing } from './hpack-encoder.ts';

const BLOCKS = 20_000;
const ROUNDS = 20;

function blocks(
  timeout: (i: number) => string | null,
  path: (i: number) => string,
  indexing: number,
): Buffer[] {
  const encoder = new HpackEncoder();
  return Array.from({ length: BLOCKS }, (_, i) => {
    encoder.begin();
    encoder.add(':method', 'POST', Indexing.NONE);
    encoder.add(':scheme', 'http', Indexing.NONE);
    encoder.add(':path', path(i), indexing);
    encoder.add(':authority', '127.0.0.1:2379', Indexing.INCREMENTAL);
    encoder.add('content-type', 'application/grpc', Indexing.INCREMENTAL);
    encoder.add('user-agent', 'grpc-go/1.71.1', Indexing.INCREMENTAL);
    encoder.add('te', 'trailers', Indexing.INCREMENTAL);
    const text = timeout(i);
    if (text !== null) encoder.add('grpc-timeout', text, Indexing.INCREMENTAL);
    encoder.add('client-api-version', '3.6', Indexing.INCREMENTAL);
    return Buffer.from(encoder.finish());
  });
}

const put = (): string => '/etcdserverpb.KV/Put';
const none = (): null => null;
const CASES: readonly [string, Buffer[]][] = [
  ['repeated, all indexed', blocks(none, put, Indexing.INCREMENTAL)],
  ['repeated, path literal', blocks(none, put, Indexing.NONE)],
  ['another timeout every time', blocks((i) => `${4_900_000 + i}u`, put, Indexing.INCREMENTAL)],
  ['another path every time', blocks(none, (i) => `/etcdserverpb.KV/Put${i}`, Indexing.NONE)],
];

for (const [name, list] of CASES) {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const decoder = new HpackDecoder({
      interpret: (fields) => fields.length,
      maxListSizeBytes: 65_536,
      volatileKind: FieldKind.GRPC_TIMEOUT,
    });
    const startMs = performance.now();
    for (const block of list) decoder.decode(block, 0, block.length);
    best = Math.min(best, ((performance.now() - startMs) * 1e6) / BLOCKS);
  }
  process.stdout.write(`${name.padEnd(30)} ${best.toFixed(0)} ns\n`);
}
