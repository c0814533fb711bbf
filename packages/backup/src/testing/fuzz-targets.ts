/** What is read from a store of backups, fed with bytes: segments of changes, what is written beside a backup, and sealed and compressed files. */
import { createHash } from 'node:crypto';
import { encodeWatchResponse, WatchResponse } from '@etcd/api/etcdserverpb';
import { Event, KeyValue } from '@etcd/api/mvccpb';
import { type FuzzTarget, InputReader } from '@etcd/testing';
import type { Secrets } from '../age-header.ts';
import { opened, sealed } from '../age-payload.ts';
import { BackupError } from '../backup-error.ts';
import { ChangesWriter, parseChanges, revisionOf } from '../changes-format.ts';
import { changesName, parseChangesName } from '../changes-name.ts';
import { compressed, decompressed } from '../compression.ts';
import { type Content, collect } from '../content.ts';
import {
  type BackupMetadata,
  backupName,
  COMPRESSIONS,
  parseBackupName,
  parseMetadata,
} from '../metadata.ts';

/** More than any input becomes: what is compressed a thousandfold is not held. */
const MAX_CONTENT_BYTES = 1 << 20;
const HEAD_BYTES = 13;

async function attempt(run: () => unknown): Promise<void> {
  try {
    await run();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // What the runtime says of compressed bytes is explained by whoever knows the file.
    if (error instanceof BackupError || /^(Z_|ZSTD_|ERR_)/.test(code ?? '')) return;
    throw error;
  }
}

function segment(): Buffer {
  const writer = new ChangesWriter();
  const kv = new KeyValue({ key: Buffer.from('k'), value: Buffer.from('v'), modRevision: 5 });
  writer.lease(1000, 7n, 60);
  writer.events(1500, Buffer.from(encodeWatchResponse(new WatchResponse({ events: [new Event({ kv })] }))));
  return Buffer.concat(writer.finish());
}

/** With the digest that it should have. */
function withDigest(bytes: Buffer): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head[0] = 3;
  head.writeUInt32BE(32, 9);
  return Buffer.concat([bytes, head, createHash('sha256').update(bytes).digest()]);
}

const changes: FuzzTarget = {
  name: 'backup-changes',
  what: 'a segment of the changes of a cluster, as it is or under a right digest',
  seeds: () => {
    const whole = segment();
    return [
      Buffer.concat([Uint8Array.of(0), whole]),
      Buffer.concat([Uint8Array.of(1), whole.subarray(0, -45)]),
    ];
  },
  run: async (input) => {
    const bytes = Buffer.from(input.subarray(1));
    await attempt(() => {
      for (const record of parseChanges((input[0] ?? 0) % 2 === 0 ? bytes : withDigest(bytes))) {
        if (record.kind === 'events') for (const event of record.events) revisionOf(event);
      }
    });
  },
};

const METADATA: BackupMetadata = {
  format: 1,
  name: 'etcd-1-20260101T000000Z-0000000000000007.db.zst',
  createdAt: '2026-01-01T00:00:00Z',
  clusterId: '1',
  memberId: '2',
  memberVersion: '3.7.0',
  source: 'http://a:1',
  revision: 7,
  hash: 1,
  hashCompactRevision: 0,
  sizeBytes: 544,
  sha256: '',
  storedBytes: 100,
  storedSha256: '',
  compression: 'zstd',
  encryption: 'none',
};

const names: FuzzTarget = {
  name: 'backup-names',
  what: 'names of a store, and what is written beside a backup',
  tokens: ['etcd-', '.changes', '.zst', '.gz', '.age', '.db', 'T000000Z-', '"createdAt":', '1e999', 'null'],
  seeds: () => [
    Buffer.from(JSON.stringify(METADATA)),
    Buffer.from(METADATA.name),
    Buffer.from('etcd-1-0000000000000001-0000000000000009-1700000000000.changes.zst.age'),
  ],
  run: async (input) => {
    const text = Buffer.from(input).toString('utf8');
    const segmentOf = parseChangesName(text);
    if (segmentOf !== null && changesName(segmentOf) !== text) throw new Error('another name');
    const backup = parseBackupName(text);
    if (backup !== null)
      backupName(backup.clusterId, new Date(backup.createdMs), backup.revision, 'none', 'none');
    await attempt(() => parseMetadata(text, '/a.json'));
  },
};

/** A header and what opens it, made for nothing else; the key that it tells is that of the payload. */
const IDENTITY = 'AGE-SECRET-KEY-1F4DVQ3Q330TCNJRNL0TJRJS5W3TGQFYWG7SN6ZTWPZWU2H90FDFQU9MHHU';
const HEADER = Buffer.from(
  'age-encryption.org/v1\n-> X25519 Kz9CvpVqFGwfFkwwwcRfR96VzTU/PULHxGmdFxSY/EE\nxTwLq3/NYmef4HelatcPGYyKj/vD2m8t3pb/kqn8oHE\n--- a0qaipSnf6xxcEr4aw9Yp/NFaV3M/x64jhjxz2zEme0\n',
);
const FILE_KEY = Buffer.from('0182780756fbac2361b0ab812896398b', 'hex');
const SECRETS: Secrets = { identities: [IDENTITY], passphrase: null };

async function* piecesOf(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array, void, void> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.slice(at, at + pieceBytes);
}

/** Sealed and compressed, and back again. */
async function roundTrip(content: Content, pieceBytes: number): Promise<void> {
  const plain = await collect(content, MAX_CONTENT_BYTES);
  const small = compressed(piecesOf(plain, pieceBytes), 'zstd');
  const made = await collect(sealed(small, { header: HEADER, fileKey: FILE_KEY }), MAX_CONTENT_BYTES);
  const back = decompressed(opened(piecesOf(made, pieceBytes), SECRETS), 'zstd');
  const again = await collect(back, MAX_CONTENT_BYTES);
  if (!plain.equals(again)) throw new Error('not what was sealed');
}

/** The first byte says how the file was made, the second in which pieces it comes. */
const files: FuzzTarget = {
  name: 'backup-files',
  what: 'files that are sealed with age, and compressed ones',
  tokens: [
    'age-encryption.org/v1\n',
    '-> X25519 ',
    '-> scrypt AAAA 18\n',
    '\n--- ',
    '(\xb5/\xfd',
    '\x1f\x8b\b\0',
  ],
  seeds: () => [
    ...COMPRESSIONS.map((_, i) =>
      Buffer.concat([Uint8Array.of(i, 100), Buffer.from('(\xb5/\xfd', 'latin1')]),
    ),
    Buffer.concat([Uint8Array.of(3, 200), HEADER, Buffer.alloc(48)]),
    Uint8Array.of(4, 9, 1, 2, 3),
  ],
  run: async (input) => {
    const reader = new InputReader(input);
    const [how, pieceBytes] = [reader.byte() % 5, 1 + reader.byte()];
    const content = piecesOf(reader.rest(), pieceBytes);
    if (how < COMPRESSIONS.length) {
      await attempt(() => collect(decompressed(content, COMPRESSIONS[how]!), MAX_CONTENT_BYTES));
    } else if (how === 3) {
      await attempt(() => collect(opened(content, SECRETS), MAX_CONTENT_BYTES));
    } else await roundTrip(content, pieceBytes);
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [changes, names, files];
