/** What a CRC-32C costs: short keys, the payload of a WAL entry, a page. `node packages/base/src/crc32c.bench.ts`. */
import { crc32cUpdate } from './crc32c.ts';

const buffer = new Uint8Array(1 << 20);
for (let i = 0; i < buffer.length; i++) buffer[i] = Math.imul(i, 0x9e3779b1) >>> 13;

for (const lengthBytes of [20, 315, 4096, 65_536]) {
  const rounds = Math.floor(200_000_000 / lengthBytes);
  let crc = 0;
  let bestNs = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 3; attempt++) {
    const startMs = performance.now();
    for (let i = 0; i < rounds; i++) {
      const start = (i * 344) & 0xffff;
      crc = crc32cUpdate(crc, buffer, start, start + lengthBytes);
    }
    bestNs = Math.min(bestNs, ((performance.now() - startMs) * 1e6) / rounds);
  }
  const rate = Math.round((lengthBytes / bestNs) * 1000);
  process.stdout.write(`${lengthBytes} bytes: ${bestNs.toFixed(0)} ns, ${rate} MB/s (${crc})\n`);
}
