import assert from 'node:assert/strict';
import { createCipheriv, hkdfSync, randomBytes } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { after, test } from 'node:test';
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import { makeHeader, type SealedHeader, type Secrets } from './age-header.ts';
import { opened, sealed } from './age-payload.ts';
import { BackupError } from './backup-error.ts';
import { BackupStore, type StoredBackup } from './backup-store.ts';
import { type Content, collect } from './content.ts';
import { DirectoryStore } from './directory-store.ts';
import { type BackupMetadata, backupName, parseMetadata } from './metadata.ts';
import { SnapshotMeter } from './meter.ts';
import { writeNewFile } from './new-file.ts';
import { prune, toRemove } from './retention.ts';

const root = mkdtempSync(join(tmpdir(), 'backup-'));
after(() => rmSync(root, { recursive: true }));

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

/** In pieces of odd sizes, as they come from a network, and lent. */
async function* pieces(content: Buffer): AsyncGenerator<Uint8Array, void, void> {
  const piece = Buffer.alloc(10_007);
  for (let at = 0; at < content.length; at += piece.length) {
    yield piece.subarray(0, content.copy(piece, 0, at, at + piece.length));
    piece.fill(0);
  }
}

function through(content: Buffer, part: (content: Content) => Content): Promise<Buffer> {
  return collect(part(pieces(content)), 1 << 30);
}

const opening = (secrets: Secrets) => (content: Content) => opened(content, secrets);
const sealing = (header: SealedHeader) => (content: Content) => sealed(content, header);
const checking = (content: Content): Content => new SnapshotMeter().measure(content);

const CHUNK = 64 * 1024;
const SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5];

async function keyPair(): Promise<{ secrets: Secrets; recipient: string; identity: string }> {
  const identity = await generateX25519Identity();
  return {
    secrets: { identities: [identity], passphrase: null },
    recipient: await identityToRecipient(identity),
    identity,
  };
}

test('what is sealed here is opened by the package, and the other way round, whatever its length', async () => {
  const { secrets, recipient, identity } = await keyPair();
  for (const size of SIZES) {
    const content = randomBytes(size);
    const sealed = await through(content, sealing(await makeHeader({ recipients: [recipient] })));
    const decrypter = new Decrypter();
    decrypter.addIdentity(identity);
    assert.deepEqual(Buffer.from(await decrypter.decrypt(sealed)), content, `${size}`);
    const encrypter = new Encrypter();
    encrypter.addRecipient(recipient);
    const other = Buffer.from(await encrypter.encrypt(content));
    assert.deepEqual(await through(other, opening(secrets)), content, `${size}`);
  }
});

test('several may open a file, or whoever has the passphrase, and nobody else', async () => {
  const [first, second, stranger] = [await keyPair(), await keyPair(), await keyPair()];
  const content = randomBytes(1000);
  const header = await makeHeader({ recipients: [first.recipient, second.recipient] });
  const sealed = await through(content, sealing(header));
  for (const { secrets } of [first, second]) {
    assert.deepEqual(await through(sealed, opening(secrets)), content);
  }
  const refusal = /can not be opened with this key/;
  await assert.rejects(through(sealed, opening(stranger.secrets)), refusal);
  await assert.rejects(through(sealed, opening({ identities: [], passphrase: null })), refusal);
  const worded = await through(content, sealing(await makeHeader({ passphrase: 'open sesame' })));
  assert.deepEqual(await through(worded, opening({ identities: [], passphrase: 'open sesame' })), content);
  await assert.rejects(through(worded, opening({ identities: [], passphrase: 'sesame' })), refusal);
  const packaged = new Decrypter();
  packaged.addPassphrase('open sesame');
  assert.deepEqual(Buffer.from(await packaged.decrypt(worded)), content);
  await assert.rejects(makeHeader({ recipients: ['age1nonsense'] }), BackupError);
});

test('a byte changed, a chunk cut off, moved or added: nothing of the kind is taken', async () => {
  const { secrets, recipient } = await keyPair();
  const content = randomBytes(2 * CHUNK + 100);
  const header = await makeHeader({ recipients: [recipient] });
  const sealed = await through(content, sealing(header));
  const payload = header.header.length + 16;
  const piece = CHUNK + 16;
  const first = sealed.subarray(payload, payload + piece);
  const second = sealed.subarray(payload + piece, payload + 2 * piece);
  const last = sealed.subarray(payload + 2 * piece);
  const head = sealed.subarray(0, payload);
  for (const damaged of [
    Buffer.concat([head, second, first, last]),
    Buffer.concat([head, first, last]),
    Buffer.concat([head, first, second]),
    Buffer.concat([head, first, second, last, last]),
    head,
    sealed.subarray(0, sealed.length - 1),
    sealed.subarray(0, 20),
    Buffer.alloc(0),
  ]) {
    await assert.rejects(through(damaged, opening(secrets)), BackupError);
  }
  await fc.assert(
    fc.asyncProperty(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), async (at, by) => {
      const damaged = Buffer.from(sealed);
      damaged[at]! ^= by;
      await assert.rejects(through(damaged, opening(secrets)), BackupError);
    }),
    { numRuns: 30 },
  );
});

test('an empty last chunk is taken of an empty file alone', async () => {
  const { secrets, recipient } = await keyPair();
  const header = await makeHeader({ recipients: [recipient] });
  const nonce = randomBytes(16);
  const key = Buffer.from(hkdfSync('sha256', header.fileKey, nonce, 'payload', 32));
  const seal = (content: Buffer, number: number, isLast: boolean): Buffer => {
    const counter = Buffer.from([...new Array(10).fill(0), number, isLast ? 1 : 0]);
    const cipher = createCipheriv('chacha20-poly1305', key, counter, { authTagLength: 16 });
    const sealed = [cipher.update(content), cipher.final(), cipher.getAuthTag()];
    return Buffer.concat(sealed);
  };
  const nothing = Buffer.alloc(0);
  const full = randomBytes(CHUNK);
  const beginning = [header.header, nonce];
  const whole = Buffer.concat([...beginning, seal(full, 0, true)]);
  assert.deepEqual(await through(whole, opening(secrets)), full);
  const empty = Buffer.concat([...beginning, seal(nothing, 0, true)]);
  assert.deepEqual(await through(empty, opening(secrets)), nothing);
  const twice = Buffer.concat([...beginning, seal(full, 0, false), seal(nothing, 1, true)]);
  await assert.rejects(through(twice, opening(secrets)), /its last chunk is empty/);
});

test('a snapshot that is cut or changed on the way is noticed, however it is cut into pieces', async () => {
  const { createHash } = await import('node:crypto');
  const body = randomBytes(512 * 90);
  const whole = Buffer.concat([body, createHash('sha256').update(body).digest()]);
  assert.deepEqual(await through(whole, checking), whole);
  await assert.rejects(through(whole.subarray(0, -1), checking), /cut off/);
  await assert.rejects(through(whole.subarray(0, -512), checking), /damaged/);
  const changed = Buffer.from(whole);
  changed[12_345]! ^= 1;
  await assert.rejects(through(changed, checking), /damaged/);
});

function metadataAt(createdAt: string, revision = 1): BackupMetadata {
  const name = backupName('abc', new Date(createdAt), revision, 'zstd', 'age');
  return {
    format: 1,
    name,
    createdAt,
    clusterId: 'abc',
    memberId: 'def',
    memberVersion: '3.7.3',
    source: '127.0.0.1:2379',
    revision,
    hash: 1,
    hashCompactRevision: 0,
    sizeBytes: 1,
    sha256: '',
    storedBytes: 1,
    storedSha256: '',
    compression: 'zstd',
    encryption: 'age',
  };
}

const directoryStore = (path: string): BackupStore => new BackupStore(new DirectoryStore(path));

const NOTHING = { last: 0, withinMs: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0 };

const wholeAt = (createdAt: string, revision: number): StoredBackup => ({
  ...metadataAt(createdAt, revision),
  isWhole: true,
});

test('what retention asks for stays, and the newest always', () => {
  const start = Date.parse('2026-11-01T00:00:00Z');
  const all = Array.from({ length: 24 * 28 * 2 }, (_, i) =>
    wholeAt(new Date(start + i * 1_800_000).toISOString(), i),
  );
  const nowMs = start + 28 * 86_400_000;
  const kept = (retention: object): number[] => {
    const removed = new Set(toRemove(all, { ...NOTHING, ...retention }, nowMs));
    return all.filter((one) => !removed.has(one)).map(({ revision }) => revision);
  };
  const newest = all.length - 1;
  assert.deepEqual(kept({}), [newest]);
  assert.deepEqual(kept({ last: 3 }), [newest - 2, newest - 1, newest]);
  assert.deepEqual(kept({ withinMs: 3_600_000 }), [newest - 1, newest]);
  assert.deepEqual(kept({ hourly: 2 }), [newest - 2, newest]);
  assert.deepEqual(kept({ daily: 3 }), [newest - 96, newest - 48, newest]);
  // Sunday is the last day of a week.
  const weekly = kept({ weekly: 2 }).map((revision) => all[revision]!.createdAt);
  assert.deepEqual(weekly, ['2026-11-22T23:30:00.000Z', '2026-11-28T23:30:00.000Z']);
  assert.equal(kept({ monthly: 12 }).length, 1);
  assert.deepEqual(toRemove([], { ...NOTHING, last: 1 }, nowMs), []);
});

test('up to a backup that is known to be good, its cluster alone is pruned, and what came after it is nobody to take its place', async () => {
  const days = ['2026-11-01', '2026-11-02', '2026-11-03'];
  const own = days.map((day, i) => wholeAt(`${day}T00:00:00.000Z`, i));
  const other = days.map((day, i) => ({ ...wholeAt(`${day}T00:00:00.000Z`, 10 + i), clusterId: 'another' }));
  const removed: number[] = [];
  const store = { list: async () => [...own, ...other], remove: async () => {}, address: '/b' };
  const pruneUpTo = (upTo: string | null): Promise<void> =>
    prune(
      store as unknown as BackupStore,
      { ...NOTHING, last: 1 },
      {
        nowMs: Date.parse('2026-11-04'),
        isDryRun: false,
        onRemoved: ({ revision }) => removed.push(revision),
        ...(upTo === null ? {} : { upTo }),
      },
    );
  await pruneUpTo(own[1]!.name);
  assert.deepEqual(removed.splice(0), [0]);
  await pruneUpTo(null);
  assert.deepEqual(removed.splice(0), [0, 1, 10, 11]);
  await assert.rejects(pruneUpTo('gone'), BackupError);
  assert.deepEqual(removed, []);
});

test('the newest that is whole stays, and one that is not takes its place from nobody', () => {
  const days = ['2026-11-01', '2026-11-02', '2026-11-03'].map((day, i) => wholeAt(`${day}T00:00:00.000Z`, i));
  const all = days.map((one) => ({ ...one, isWhole: one.revision < 2 }));
  const removed = (backups: StoredBackup[], retention: object): number[] =>
    toRemove(backups, { ...NOTHING, ...retention }, Date.parse('2026-11-04')).map(({ revision }) => revision);
  assert.deepEqual(removed(all, { last: 1 }), [0, 2]);
  assert.deepEqual(removed(all, { daily: 2 }), [2]);
  assert.deepEqual(removed(all, { withinMs: 1e12 }), [2]);
  // Where none is, what is left of them is all that there is.
  assert.deepEqual(
    removed(
      all.map((one) => ({ ...one, isWhole: false })),
      { last: 1 },
    ),
    [],
  );
});

test('a store has whole backups only, and leaves nothing of those that failed', async () => {
  const store = directoryStore(join(root, 'store'));
  await assert.rejects(store.list(), /no such directory/);
  await store.prepare();
  const older = metadataAt('2026-11-01T00:00:00.000Z', 9);
  const newer = metadataAt('2026-11-01T00:00:00.000Z', 10);
  for (const metadata of [newer, older]) {
    await store.write(metadata.name, Readable.from([Buffer.from('content')]));
    assert.equal(statSync(join(store.address, metadata.name)).mode & 0o777, 0o600);
    assert.ok(!(await store.list()).some(({ name }) => name === metadata.name));
    await store.writeMetadata(metadata);
  }
  assert.deepEqual(
    (await store.list()).map(({ revision }) => revision),
    [9, 10],
  );
  assert.equal((await store.find('')).revision, 10);
  await assert.rejects(store.find('nope'), /no backup nope/);
  const failing = Readable.from(
    (async function* () {
      yield Buffer.from('a');
      throw new Error('the member has gone');
    })(),
  );
  await assert.rejects(store.write('etcd-x.db', failing), /the member has gone/);
  await store.remove(older);
  assert.deepEqual(readdirSync(store.address).sort(), [newer.name, `${newer.name}.json`]);
});

async function stored(store: BackupStore, metadata: BackupMetadata): Promise<void> {
  await store.write(metadata.name, Readable.from([Buffer.from('content')]));
  await store.writeMetadata(metadata);
}

test("two who back up in the same second do not take each other's files", async () => {
  const store = directoryStore(join(root, 'two'));
  await store.prepare();
  const metadata = metadataAt('2026-11-01T00:00:00.000Z');
  const content = new PassThrough();
  const first = store.write(metadata.name, content);
  content.write('the whole ');
  await until(() => readdirSync(store.address).length > 0);
  await assert.rejects(store.write(metadata.name, Readable.from([Buffer.from('b')])), BackupError);
  content.end('backup');
  await first;
  // It is not written over either, be it that its metadata are not there yet.
  await assert.rejects(
    store.write(metadata.name, Readable.from([Buffer.from('b')])),
    /there is a etcd-abc-.* already/,
  );
  await store.writeMetadata(metadata);
  assert.equal(readFileSync(join(store.address, metadata.name), 'utf8'), 'the whole backup');
  assert.deepEqual(readdirSync(store.address).sort(), [metadata.name, `${metadata.name}.json`]);
});

test('metadata that can not be put in their place leave nothing behind', async () => {
  const store = directoryStore(join(root, 'blocked'));
  await store.prepare();
  const metadata = metadataAt('2026-11-01T00:00:00.000Z');
  mkdirSync(join(store.address, `${metadata.name}.json`));
  await assert.rejects(store.writeMetadata(metadata));
  assert.deepEqual(readdirSync(store.address), [`${metadata.name}.json`]);
});

test('a copy of a backup is one of its own: to remove it leaves the other', async () => {
  const store = directoryStore(join(root, 'copied'));
  await store.prepare();
  const metadata = metadataAt('2026-11-01T00:00:00.000Z');
  await stored(store, metadata);
  const copy = 'etcd-before-upgrade.db.zst.age';
  for (const extension of ['', '.json']) {
    copyFileSync(join(store.address, metadata.name + extension), join(store.address, copy + extension));
  }
  assert.deepEqual((await store.list()).map(({ name }) => name).sort(), [metadata.name, copy].sort());
  await store.remove(await store.find(copy));
  assert.deepEqual(readdirSync(store.address).sort(), [metadata.name, `${metadata.name}.json`]);
  // What metadata say of a name leads nowhere else.
  const outside = join(root, 'outside');
  writeFileSync(outside, 'mine');
  const path = join(store.address, `${metadata.name}.json`);
  writeFileSync(path, JSON.stringify({ ...metadata, name: '../outside' }));
  for (const one of await store.list()) await store.remove(one);
  assert.equal(readFileSync(outside, 'utf8'), 'mine');
});

test('metadata of one backup that can not be read keep nobody from another', async () => {
  const store = directoryStore(join(root, 'newer-tool'));
  await store.prepare();
  const metadata = metadataAt('2026-11-01T00:00:00.000Z');
  await stored(store, metadata);
  writeFileSync(join(store.address, 'etcd-newer.db'), '');
  writeFileSync(join(store.address, 'etcd-newer.db.json'), JSON.stringify({ ...metadata, format: 2 }));
  assert.equal((await store.find(metadata.name)).revision, metadata.revision);
  // Which is the newest nobody can tell.
  await assert.rejects(store.find(''), /etcd-newer\.db\.json: format 2 is not known/);
});

test('metadata that are none are named with their file', () => {
  const good = JSON.stringify(metadataAt('2026-11-01T00:00:00.000Z'));
  assert.equal(parseMetadata(good, 'x').revision, 1);
  assert.throws(() => parseMetadata('{', 'x.json'), /^BackupError: x\.json: /);
  assert.throws(() => parseMetadata('{"format":1}', 'x.json'), /x\.json: name is missing or no string/);
  assert.throws(
    () => parseMetadata(good.replace('"format":1', '"format":2'), 'x.json'),
    /format 2 is not known/,
  );
  assert.throws(
    () => parseMetadata(good.replace('2026-11-01T', 'yesterday '), 'x.json'),
    /x\.json: createdAt is no time/,
  );
  assert.throws(() => parseMetadata('null', 'x.json'), /format is missing/);
});

test('a file that is there is not written over, and one that was not finished is named', async () => {
  const path = join(root, 'there.db');
  writeFileSync(path, 'mine');
  const fill = async (file: FileHandle): Promise<void> => file.writeFile('yours');
  await assert.rejects(writeNewFile(path, fill), /there is a there\.db already/);
  assert.equal(readFileSync(path, 'utf8'), 'mine');
  assert.equal(existsSync(`${path}.part`), false);
  writeFileSync(join(root, 'new.db.part'), '');
  await assert.rejects(writeNewFile(join(root, 'new.db'), fill), /there is a new\.db\.part/);
});
