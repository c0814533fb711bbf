/**
 * Whether the key index and the `key` bucket tell the same, for `ETCD_VERIFY`: each is read by the other's way, one revision after the
 * other, so this is for checks at the start and at the end of a member, not for what goes on between.
 */
import type { Revision } from '@etcd/api';
import type { ReadTransaction } from '@etcd/bbolt';
import { isRevision, mainOf, subOf, TOMBSTONE_REVISION_BYTES } from '../backend/index.ts';
import { KEY } from '../schema/index.ts';
import type { TreeIndex } from './key-index/tree-index.ts';
import { KeyValueView } from './key-value.ts';

/** What of a store is compared. */
export interface VerifiedStore {
  readonly index: TreeIndex;
  readonly revision: Revision;
  readonly compactRevision: Revision;
}

/** What is wrong, the first finding; null if everything that is in one is in the other. Nothing is uncommitted. */
export function indexProblem(read: ReadTransaction, store: VerifiedStore): string | null {
  const { index, revision, compactRevision } = store;
  const view = new KeyValueView();
  const cursor = read.bucket(KEY.nameBytes)?.cursor();
  let liveCount = 0;
  for (let isOn = cursor?.first() ?? false; cursor !== undefined && isOn; isOn = cursor.next()) {
    const { bytes, keyStart, keyEnd, valueStart, valueEnd } = cursor;
    if (!isRevision(bytes, keyStart, keyEnd)) return 'a key of the bucket key is not a revision';
    const main = mainOf(bytes, keyStart);
    const sub = subOf(bytes, keyStart);
    const name = `revision ${main}.${sub}`;
    if (!view.parse(bytes, valueStart, valueEnd)) return `${name} is not a KeyValue`;
    if (main > revision) return `${name} is newer than the store, which is at ${revision}`;
    const ref = index.find(bytes, view.keyStart, view.keyEnd);
    // A compaction that was given up has removed from the index what it would have removed here.
    if (ref === 0 && main <= compactRevision) continue;
    if (ref === 0) return `the key of ${name} is not in the index`;
    const isNewest = index.main(ref) === main && index.sub(ref) === sub;
    const isTombstone = keyEnd - keyStart === TOMBSTONE_REVISION_BYTES;
    if (isNewest && isTombstone === index.isLive(ref))
      return `${name} lives in one and is deleted in the other`;
    if (isNewest && !isTombstone) liveCount++;
  }
  if (liveCount === index.liveCount) return null;
  return `the index has ${index.liveCount} keys, and the database ${liveCount} of them`;
}
