/** What hashing a transaction costs, on the way of each Put. `node packages/server/src/integrity/change-hashes.bench.ts`. */
import { crc32 } from 'node:zlib';
import { crc32cUpdate } from '@etcd/base';
import { RevisionLog } from '@etcd/storage/backend';
import { BLOCK_REVISIONS, ChangeHashes, KEPT_REVISIONS } from './change-hashes.ts';
import { xxhash32 } from './xxhash32.ts';

const ATTEMPTS = 5;
const LIMIT_BYTES = 16 * 1024 * 1024;

function bestNs(count: number, run: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const startMs = performance.now();
    run();
    best = Math.min(best, ((performance.now() - startMs) * 1e6) / count);
  }
  return best;
}

function print(what: string, ns: number): void {
  process.stdout.write(`${what}: ${ns.toFixed(0)} ns\n`);
}

/** A log fills with one pair per revision, with and without being hashed. */
function benchTransactions(pairBytes: number): void {
  const count = Math.min(200_000, Math.floor(200_000_000 / pairBytes));
  const pair = new Uint8Array(pairBytes).map((_, i) => Math.imul(i, 0x9e3779b1) >>> 13);
  const fill = (hashes: ChangeHashes | null): void => {
    const log = new RevisionLog(0);
    for (let revision = 1; revision <= count; revision++) {
      log.reserve(revision, 0, false, pairBytes);
      log.buffer.set(pair, log.start);
      hashes?.onChanges(revision, log);
      if (revision % BLOCK_REVISIONS === 0) log.trim(LIMIT_BYTES, revision);
    }
  };
  const without = bestNs(count, () => fill(null));
  const hashed = bestNs(count, () => fill(new ChangeHashes()));
  print(`a transaction of one pair of ${pairBytes} bytes, in addition`, hashed - without);
}

/** The candidates for the hash, over pairs that lie one behind the other in a slab. */
function benchHashes(pairBytes: number): void {
  const slab = new Uint8Array(1 << 20).map((_, i) => Math.imul(i, 0x9e3779b1) >>> 13);
  const count = Math.min(200_000, Math.floor(100_000_000 / pairBytes));
  const candidates: Record<string, (start: number, end: number) => number> = {
    xxhash32: (start, end) => xxhash32(slab, start, end, 1),
    crc32c: (start, end) => crc32cUpdate(1, slab, start, end),
    'zlib.crc32': (start, end) => crc32(slab.subarray(start, end), 1),
  };
  for (const [name, hash] of Object.entries(candidates)) {
    const ns = bestNs(count, () => {
      for (let i = 0; i < count; i++) {
        const start = (i * pairBytes) & 0x3_ffff;
        hash(start, start + pairBytes);
      }
    });
    print(`${name} of ${pairBytes} bytes`, ns);
  }
}

/** What a comparison hashes at most. */
function benchBlocks(): void {
  const hashes = new ChangeHashes();
  const log = new RevisionLog(0);
  for (let revision = 1; revision <= KEPT_REVISIONS; revision++) {
    log.reserve(revision, 0, false, 8);
    hashes.onChanges(revision, log);
    if (revision % BLOCK_REVISIONS === 0) log.trim(0, revision);
  }
  print(
    `all blocks of ${KEPT_REVISIONS} revisions`,
    bestNs(1, () => hashes.blocks(1, KEPT_REVISIONS)),
  );
}

for (const pairBytes of [40, 300, 1100, 16_384]) {
  benchTransactions(pairBytes);
  benchHashes(pairBytes);
}
benchBlocks();
