/**
 * What a power failure leaves behind, made by hand on the files of a killed server: a record of which some sectors
 * reached the disk and others did not, a meta page written in part. The server starts and has every
 * acknowledged write.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { assertStillThere, readContents } from '../../support/contents.ts';
import { EtcdRpc } from '../../support/etcd-rpc.ts';
import { EtcdServer, FAST_ELECTION } from '../../support/etcd-server.ts';
import { walEnd, walFrames } from './wal-frames.ts';

const SECTOR_BYTES = 512;
const META_PAGE_BYTES = 4096;
/** Offsets in a meta page of the bbolt file: page header 16, then magic, version, page size, …, txid, checksum. */
const META_TXID_OFFSET = 16 + 48;

/** Runs a server, kills it after some writes, lets `damage` loose on its directory, and checks what is left. */
async function surviveDamage(damage: (dataDir: string) => void): Promise<void> {
  const server = await EtcdServer.start({ flags: FAST_ELECTION });
  const rpc = new EtcdRpc(server.address);
  for (let i = 0; i < 200; i++)
    await rpc.call('KV.Put', { key: `k${i % 70}`, value: `${i}`.padEnd(100 + i) });
  rpc.close();
  const before = await readContents(server);
  await server.kill();
  damage(server.dataDir);
  const after = await server.restart();
  try {
    await assertStillThere(after, before);
    const again = new EtcdRpc(after.address);
    const put = await again.call('KV.Put', { key: 'goes', value: 'on' });
    assert.equal(put.header!.revision, before.revision + 1n);
    again.close();
    // And once more: what the first start repaired stays repaired.
    await after.kill();
    const third = await after.restart();
    const reader = new EtcdRpc(third.address);
    assert.equal((await reader.call('KV.Range', { key: 'goes' })).kvs[0]!.value.toString(), 'on');
    reader.close();
    await third.stop();
  } finally {
    await after.stop();
  }
}

function lastSegment(dataDir: string): string {
  const name = globSync('*.wal', { cwd: join(dataDir, 'member/wal') })
    .sort()
    .at(-1)!;
  return join(dataDir, 'member/wal', name);
}

/** A frame header that announces `length` bytes. */
function frameHeader(length: number): Buffer {
  const header = Buffer.alloc(8);
  header.writeUIntLE(length, 0, 6);
  return header;
}

/** Writes a record after the last one, of which only the sectors that `isOnDisk` says have arrived. */
function tear(dataDir: string, length: number, isOnDisk: (sector: number) => boolean): void {
  const path = lastSegment(dataDir);
  const segment = readFileSync(path);
  const start = walEnd(segment);
  const record = Buffer.concat([frameHeader(length), Buffer.alloc(length, 0xab)]);
  for (let i = 0; i < record.length; i++) {
    if (isOnDisk(Math.floor((start + i) / SECTOR_BYTES))) segment[start + i] = record[i]!;
  }
  writeFileSync(path, segment);
}

test('S22 a record whose last sectors never reached the disk is cut off', () =>
  surviveDamage((dataDir) => {
    const first = Math.floor(walEnd(readFileSync(lastSegment(dataDir))) / SECTOR_BYTES);
    tear(dataDir, 8 * SECTOR_BYTES, (sector) => sector < first + 4);
  }));

test('S22 a record with a hole of one sector is cut off', () =>
  surviveDamage((dataDir) => {
    const first = Math.floor(walEnd(readFileSync(lastSegment(dataDir))) / SECTOR_BYTES);
    tear(dataDir, 8 * SECTOR_BYTES, (sector) => sector !== first + 3);
  }));

test('S22 a record of which only the first sector arrived is cut off', () =>
  surviveDamage((dataDir) => {
    const first = Math.floor(walEnd(readFileSync(lastSegment(dataDir))) / SECTOR_BYTES);
    tear(dataDir, 4 * SECTOR_BYTES, (sector) => sector === first);
  }));

test('S22 a frame that announces more than the file holds is cut off', () =>
  surviveDamage((dataDir) => {
    const path = lastSegment(dataDir);
    const segment = readFileSync(path);
    // As when the file was not preallocated in full: it ends inside the record.
    const end = walEnd(segment);
    writeFileSync(
      path,
      Buffer.concat([segment.subarray(0, end), frameHeader(1024), Buffer.alloc(100, 0xab)]),
    );
  }));

test('S22 a meta page written in part makes way for the one before', () =>
  surviveDamage((dataDir) => {
    const path = join(dataDir, 'member/snap/db');
    const db = readFileSync(path);
    const txids = [0, 1].map((page) => db.readBigUInt64LE(page * META_PAGE_BYTES + META_TXID_OFFSET));
    const newer = txids[1]! > txids[0]! ? 1 : 0;
    // Its checksum no longer fits: the transaction that wrote it did not happen. The log still has what it held.
    db.fill(0xff, newer * META_PAGE_BYTES + 32, newer * META_PAGE_BYTES + 48);
    writeFileSync(path, db);
  }));

test('the frames of a segment are where we think they are', async () => {
  const server = await EtcdServer.start({ flags: FAST_ELECTION });
  await server.stop();
  const frames = walFrames(readFileSync(lastSegment(server.dataDir)));
  assert(frames.length > 5);
  for (const { offset, length } of frames) assert.equal((offset + length) % 8, 0);
});
