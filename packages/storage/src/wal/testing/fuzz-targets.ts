/** The log, fed with bytes: as they are, and as records under right checksums. */
import { Entry, encodeEntry, encodeHardState, HardState } from '@etcd/api/raftpb';
import { encodeSnapshot, Snapshot } from '@etcd/api/walpb';
import { type FuzzTarget, InputReader, SimClock, SimDisk } from '@etcd/testing';
import { BatchEncoder } from '../batch-encoder.ts';
import { RECORD_ENTRY, RECORD_METADATA, RECORD_SNAPSHOT, RECORD_STATE } from '../frame.ts';
import { EntryList, newestSnapshot, openWal, readWal, repairWal, WalError } from '../index.ts';
import { segmentName } from '../segment-name.ts';

const DIRECTORY = '/data/wal';
const SEGMENT_BYTES = 8192;
const START = { index: 0, term: 0 };

function record(type: number, data: Uint8Array): Buffer {
  return Buffer.concat([Uint8Array.of(type, data.length & 0xff, data.length >> 8), data]);
}

/** Records that belong together, as {@link built} takes them. */
function records(): Buffer {
  const entry = (index: number, term: number): Buffer =>
    record(RECORD_ENTRY, encodeEntry(new Entry({ index, term, data: Buffer.from('data') })));
  const state = (term: number, commit: number): Buffer =>
    record(RECORD_STATE, encodeHardState(new HardState({ term, vote: 1n, commit })));
  const snapshot = (index: number, term: number): Buffer =>
    record(RECORD_SNAPSHOT, encodeSnapshot(new Snapshot({ index, term })));
  return Buffer.concat([
    record(RECORD_METADATA, Buffer.from('0801100f', 'hex')),
    snapshot(0, 0),
    entry(1, 1),
    entry(2, 1),
    state(1, 2),
    snapshot(2, 1),
    entry(3, 2),
    state(2, 3),
  ]);
}

/** A segment of records under right frames and checksums; what is behind the last whole record stands behind it as it is. */
function built(reader: InputReader): Uint8Array {
  const encoder = new BatchEncoder(0);
  encoder.addCrc();
  while (!reader.isAtEnd) {
    const type = reader.byte();
    if (type > 100) break;
    encoder.addRecord(type, reader.bytes(reader.number(2)));
  }
  return Buffer.concat([encoder.bytes(), reader.rest()]);
}

function attempt<T>(run: () => T): T | WalError {
  try {
    return run();
  } catch (error) {
    if (error instanceof WalError) return error;
    throw error;
  }
}

/** What the program does at a start, and what the tools do. */
function use(disk: SimDisk): void {
  const logs = { disk, directory: DIRECTORY };
  for (const position of [START, attempt(() => newestSnapshot(logs))]) {
    if (position instanceof WalError) continue;
    attempt(() => readWal(logs, position, new EntryList()));
    const options = { ...logs, clock: new SimClock(), segmentSizeBytes: SEGMENT_BYTES };
    let opened = attempt(() => openWal(options, position, new EntryList()));
    if (opened instanceof WalError && opened.code === 'torn') {
      if (attempt(() => repairWal(logs)) instanceof WalError) continue;
      opened = attempt(() => openWal(options, position, new EntryList()));
      if (opened instanceof WalError && opened.code === 'torn') throw new Error('torn after the repair');
    }
    if (opened instanceof WalError) continue;
    const { wal } = opened;
    const next = new Entry({
      index: wal.lastIndex + 1,
      term: Number.MAX_SAFE_INTEGER,
      data: Buffer.from('x'),
    });
    wal.save(null, [next]);
    wal.close();
  }
}

/** The first byte says how the rest is taken. */
const wal: FuzzTarget = {
  name: 'wal',
  isSlow: true,
  what: 'a segment, as it is or as records under right checksums; read, repaired, opened and written to',
  seeds: () => {
    const asRecords = records();
    return [
      Buffer.concat([Uint8Array.of(0), asRecords]),
      Buffer.concat([Uint8Array.of(1), built(new InputReader(asRecords))]),
    ];
  },
  run: (input) => {
    const reader = new InputReader(input);
    const segment = reader.byte() % 2 === 0 ? built(reader) : reader.rest();
    const disk = new SimDisk();
    disk.makeDirectory('/data', 0o700);
    disk.makeDirectory(DIRECTORY, 0o700);
    const file = disk.openFile(`${DIRECTORY}/${segmentName(0, 0)}`, { access: 'readwrite', create: true });
    file.allocate(Math.max(SEGMENT_BYTES, segment.length));
    file.write(segment, 0, segment.length, 0);
    file.close();
    use(disk);
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [wal];
