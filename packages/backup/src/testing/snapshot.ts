/** Bytes in the form of a snapshot. */
import { createHash } from 'node:crypto';

/** @param body whole sectors of 512 bytes. */
export function snapshotWithDigest(body: Buffer): Buffer {
  return Buffer.concat([body, createHash('sha256').update(body).digest()]);
}
