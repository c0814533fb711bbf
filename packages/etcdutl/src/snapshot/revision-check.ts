/** Looks at each revision of a database on the way of another walk, the check of its structure. */
import { latin1FromBytes } from '@etcd/base';
import { BoltError, type CheckVisitor, type Element } from '@etcd/bbolt';
import { isRevision, mainOf, REVISION_BYTES, subOf, TOMBSTONE_REVISION_BYTES } from '@etcd/storage/backend';
import { KeyValueView } from '@etcd/storage/mvcc';
import { KEY } from '@etcd/storage/schema';

export interface CheckedRevisions {
  readonly revisions: number;
  readonly tombstones: number;
  /** The main revision of the last of them; 1 where there are none. */
  readonly newest: number;
}

export class RevisionCheck implements CheckVisitor {
  #hasKeyBucket = false;
  #isKeys = false;
  #revisions = 0;
  #tombstones = 0;
  #newest = 1;
  /** What is wrong with the first that is: told where the structure is right, for otherwise it only follows from that. */
  #problem = '';
  readonly #view = new KeyValueView();

  rootElement({ bytes, keyStart, keyEnd, isBucket }: Element): void {
    this.#isKeys = isBucket && latin1FromBytes(bytes.subarray(keyStart, keyEnd)) === KEY.name;
    if (this.#isKeys) this.#hasKeyBucket = true;
  }

  element(element: Element): void {
    if (!this.#isKeys || this.#problem !== '') return;
    this.#problem = this.#problemOf(element);
  }

  /** Throws what is wrong with the revisions. */
  result(): CheckedRevisions {
    if (!this.#hasKeyBucket)
      throw new BoltError('bucket-not-found', 'there is no bucket key: not a database of etcd');
    if (this.#problem !== '') throw new Error(this.#problem);
    return { revisions: this.#revisions, tombstones: this.#tombstones, newest: this.#newest };
  }

  /** Counts it; empty: nothing is wrong. */
  #problemOf({ bytes, keyStart, keyEnd, valueStart, valueEnd }: Element): string {
    if (!isRevision(bytes, keyStart, keyEnd)) return 'bucket key: a key is not a revision';
    const main = mainOf(bytes, keyStart);
    const view = this.#view;
    if (!view.parse(bytes, valueStart, valueEnd)) {
      return `revision ${main}.${subOf(bytes, keyStart)}: not a KeyValue`;
    }
    const isTombstone = keyEnd - keyStart === TOMBSTONE_REVISION_BYTES;
    // A revision without anything in it is how a restore makes the revision jump.
    const isJump = valueStart === valueEnd && keyEnd - keyStart === REVISION_BYTES;
    if (!isTombstone && !isJump && view.modRevision !== main) {
      return `revision ${main}.${subOf(bytes, keyStart)}: its value is of revision ${view.modRevision}`;
    }
    this.#revisions++;
    if (isTombstone) this.#tombstones++;
    this.#newest = main;
    return '';
  }
}
