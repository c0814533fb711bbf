import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { encodeWatchResponse, WatchResponse } from '@etcd/api/etcdserverpb';
import { Event, EventType, KeyValue } from '@etcd/api/mvccpb';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import type { Sealing, Secrets } from './age-header.ts';
import { ChangesWriter, parseChanges, revisionOf } from './changes-format.ts';
import { changesName, parseChangesName } from './changes-name.ts';
import { ChangesSink, changesReachTo, pruneChanges, readChanges, type Until } from './changes-store.ts';
import { DirectoryStore } from './directory-store.ts';
import type { BackupMetadata, Compression } from './metadata.ts';
import { Schedule } from './schedule.ts';

const root = mkdtempSync(join(tmpdir(), 'changes-'));
after(() => rmSync(root, { recursive: true }));

const NOBODY: Secrets = { identities: [], passphrase: null };
const START_MS = Date.parse('2026-11-01T00:00:00.000Z');
const BASE = {
  clusterId: 'abc',
  revision: 10,
  createdAt: new Date(START_MS).toISOString(),
} as BackupMetadata;

/** A second for each revision. */
const timeOf = (revision: number): number => START_MS + (revision - BASE.revision) * 1000;

function fieldsOf(revision: number): Buffer {
  const kv = new KeyValue({ key: Buffer.from(`k${revision}`), modRevision: revision });
  const event = new Event({ type: EventType.PUT, kv });
  return Buffer.from(encodeWatchResponse(new WatchResponse({ events: [event] })));
}

function segment(first: number, last: number): Buffer[] {
  const writer = new ChangesWriter();
  writer.lease(timeOf(first), -5n, 60);
  for (let revision = first; revision <= last; revision++)
    writer.events(timeOf(revision), fieldsOf(revision));
  return writer.finish();
}

async function sinkOf(name: string, compression: Compression = 'none', sealing: Sealing | null = null) {
  const objects = new DirectoryStore(join(root, name));
  const sink = await ChangesSink.open(objects, { clusterId: 'abc', compression, sealing });
  const write = (first: number, last: number): Promise<void> =>
    sink.write({ firstRevision: first, lastRevision: last, writtenMs: timeOf(last) }, segment(first, last));
  return { objects, write };
}

async function revisions(objects: DirectoryStore, until: Until, secrets = NOBODY): Promise<number[]> {
  const options = { base: BASE, until, secrets, signal: new AbortController().signal };
  const found: number[] = [];
  for await (const record of readChanges(objects, options)) {
    if (record.kind === 'events') found.push(...record.events.map(revisionOf));
  }
  return found;
}

const to = (revision: number): Until => ({ kind: 'revision', revision });

test('a segment says what it was told, and one that is cut or changed is refused', () => {
  const bytes = Buffer.concat(segment(11, 13));
  const records = parseChanges(bytes);
  assert.deepEqual(
    records.map((record) =>
      record.kind === 'lease' ? [record.id, record.ttl] : record.events.map(revisionOf),
    ),
    [[-5n, 60], [11], [12], [13]],
  );
  assert.deepEqual(records.map(({ timeMs }) => timeMs).slice(1), [11, 12, 13].map(timeOf));
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => parseChanges(bytes.subarray(0, length)), { name: 'BackupError' }, `${length}`);
  }
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at]! ^= 4;
    assert.throws(() => parseChanges(changed), { name: 'BackupError' }, `${at}`);
  }
  assert.throws(() => parseChanges(Buffer.concat([bytes, bytes])), { name: 'BackupError' });
});

test('names of segments tell what is in them, and others are none', () => {
  const facts = { clusterId: 'abc', firstRevision: 3, lastRevision: 9, writtenMs: START_MS, isSealed: true };
  for (const compression of ['zstd', 'gzip', 'none'] as const) {
    const name = changesName({ ...facts, compression });
    assert.deepEqual(parseChangesName(name), { ...facts, compression, name });
  }
  for (const name of ['etcd-abc-1.changes', 'etcd-abc-20261101T000000Z-0000000000000001.db', 'x']) {
    assert.equal(parseChangesName(name), null);
  }
});

test('changes come back in order up to a revision or a moment, whoever wrote them', async () => {
  const { objects, write } = await sinkOf('order', 'zstd');
  // The third is of another leader, and tells some again.
  for (const [first, last] of [
    [9, 12],
    [13, 15],
    [14, 18],
  ] as const) {
    await write(first, last);
  }
  assert.equal(await changesReachTo(objects, 'abc'), 18);
  assert.equal(await changesReachTo(objects, 'def'), 0);
  const unique = async (until: Until): Promise<number[]> =>
    [...new Set(await revisions(objects, until))].filter((revision) => revision > BASE.revision);
  assert.deepEqual(await unique(to(14)), [11, 12, 13, 14]);
  assert.deepEqual(await unique(to(99)), [11, 12, 13, 14, 15, 16, 17, 18]);
  assert.deepEqual(await unique({ kind: 'time', timeMs: timeOf(16) + 500 }), [11, 12, 13, 14, 15, 16]);
  assert.equal(await pruneChanges(objects, 'abc', 15), 2);
  await assert.rejects(unique(to(12)), /no changes of revisions 11 to 13 are there/);
});

test('a gap is told of when it lies before the point, and not when it lies behind', async () => {
  const { objects, write } = await sinkOf('gap');
  await write(11, 12);
  await write(15, 16);
  assert.deepEqual(await revisions(objects, to(12)), [11, 12]);
  await assert.rejects(revisions(objects, to(13)), /no changes of revisions 13 to 14 are there/);
});

test('segments are sealed for whom they are, and damage is named with its file', async () => {
  const identity = await generateX25519Identity();
  const recipients = [await identityToRecipient(identity)];
  const { objects, write } = await sinkOf('sealed', 'gzip', { recipients });
  await write(11, 12);
  await write(13, 14);
  assert.deepEqual(
    await revisions(objects, to(14), { identities: [identity], passphrase: null }),
    [11, 12, 13, 14],
  );
  await assert.rejects(revisions(objects, to(14)), /can not be opened with this key/);
  const [, second] = readdirSync(objects.address).sort();
  const path = join(objects.address, second!);
  const content = readFileSync(path);
  for (const damaged of [
    content.subarray(0, -5),
    Buffer.from(content).fill(1, content.length - 40, content.length - 20),
    Buffer.alloc(0),
  ]) {
    writeFileSync(path, damaged);
    await assert.rejects(
      revisions(objects, to(14), { identities: [identity], passphrase: null }),
      (error: Error) => error.message.startsWith(second!),
    );
  }
});

test('schedules are intervals or cron expressions in UTC', () => {
  const at = Date.parse('2026-11-01T10:20:30Z');
  const next = (text: string): string => new Date(Schedule.parse(text).nextMs(at)).toISOString();
  assert.equal(next('1h30m'), '2026-11-01T11:50:30.000Z');
  assert.equal(next('1d'), '2026-11-02T10:20:30.000Z');
  assert.equal(next('15 */6 * * *'), '2026-11-01T12:15:00.000Z');
  assert.equal(next('@daily'), '2026-11-02T00:00:00.000Z');
  assert.equal(Schedule.parse('15 */6 * * *').periodMs(at), 6 * 3_600_000);
  for (const text of ['', 'often', '100ms', '* * *', '0 0 30 2 *', '99 * * * *']) {
    assert.throws(() => Schedule.parse(text), { name: 'BackupError' }, text);
  }
});
