/** Snapshot files, fed with bytes: as they are, and with a right checksum. */
import { Snapshot as RaftSnapshot } from '@etcd/api/raftpb';
import { encodeSnapshot, Snapshot } from '@etcd/api/snappb';
import { crc32c } from '@etcd/base';
import { type FuzzTarget, InputReader } from '@etcd/testing';
import { SnapError } from '../snap-error.ts';
import { decodeSnapFile, encodeSnapFile } from '../snap-file.ts';

/** The first byte says whether the rest is a file or what a file holds. */
const snap: FuzzTarget = {
  name: 'snap',
  what: 'a snapshot file, as it is or under a right checksum',
  seeds: () => {
    const snapshot = new RaftSnapshot({ data: Buffer.from('{"Root":{}}') });
    snapshot.metadata.index = 7;
    snapshot.metadata.term = 2;
    const file = encodeSnapFile(snapshot);
    return [Buffer.concat([Uint8Array.of(0), file]), Buffer.concat([Uint8Array.of(1), file.subarray(8)])];
  },
  run: (input) => {
    const reader = new InputReader(input);
    const isFile = reader.byte() % 2 === 0;
    const data = reader.rest();
    const file = isFile ? data : encodeSnapshot(new Snapshot({ crc: crc32c(data), data }));
    try {
      encodeSnapFile(decodeSnapFile(file, '/snap'));
    } catch (error) {
      if (!(error instanceof SnapError)) throw error;
    }
  },
};

export const FUZZ_TARGETS: readonly FuzzTarget[] = [snap];
