/** A top-level bucket of the backend file: its name as the file has it. The ones that exist are listed in `schema`. */
import { utf8ToBytes } from '@etcd/base';

export interface Bucket {
  readonly name: string;
  readonly nameBytes: Uint8Array;
}

export function defineBucket(name: string): Bucket {
  return { name, nameBytes: utf8ToBytes(name) };
}

/** The bucket of revisions, which the backend treats in a way of its own; see `revision-log.ts`. */
export const KEY_BUCKET: Bucket = defineBucket('key');
