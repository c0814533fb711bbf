/**
 * The keys of locks and elections, as etcd's own recipe has them, so that clients and servers of any kind can wait in one queue: under a
 * shared prefix each contender has a key that is named after its lease. Whose key was created first owns the place.
 */
import { utf8ToBytes } from '@etcd/base';

const MAX_BYTE = 0xff;

/** `name/`, under which the contenders' keys are. */
export function queuePrefix(name: Uint8Array): Uint8Array {
  return append(name, '/');
}

/** A contender's key: the lease in hex, with its sign. */
export function contenderKey(prefix: Uint8Array, lease: bigint): Uint8Array {
  return append(prefix, lease.toString(16));
}

/** The first key behind all that begin with `prefix`; one zero byte, no end, where there is none. */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  for (let last = prefix.length - 1; last >= 0; last--) {
    const byte = prefix[last] ?? 0;
    if (byte === MAX_BYTE) continue;
    // A Buffer's own slice would share its memory.
    const end = new Uint8Array(prefix.subarray(0, last + 1));
    end[last] = byte + 1;
    return end;
  }
  return new Uint8Array(1);
}

function append(bytes: Uint8Array, text: string): Uint8Array {
  const more = utf8ToBytes(text);
  const joined = new Uint8Array(bytes.length + more.length);
  joined.set(bytes);
  joined.set(more, bytes.length);
  return joined;
}
