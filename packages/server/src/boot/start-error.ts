/** What ends a start, in words for whoever has to set it right. */
import { DiskError } from '@etcd/base';
import { BoltError } from '@etcd/bbolt';
import { MembershipError } from '@etcd/storage/membership';
import { SchemaError } from '@etcd/storage/schema';
import { WalError } from '@etcd/storage/wal';
import { MemberStartError } from '../config/index.ts';

/** {@link MemberStartError} for what is wrong with files and what is in them; anything else as it is. */
export function startError(error: unknown): unknown {
  if (error instanceof BoltError) return new MemberStartError(describeBoltError(error), { cause: error });
  const isOperators =
    error instanceof WalError ||
    error instanceof SchemaError ||
    error instanceof MembershipError ||
    error instanceof DiskError;
  return isOperators ? new MemberStartError(error.message, { cause: error }) : error;
}

/** Errors of both meta pages name no page: the file is not readable from its beginning on. */
const META_ERRORS: ReadonlySet<string> = new Set([
  'not-a-database',
  'version-mismatch',
  'checksum',
  'page-size',
]);

function describeBoltError({ code, message, path, pgid, offset }: BoltError): string {
  const file = path === undefined || message.includes(path) ? '' : `${path}: `;
  if (META_ERRORS.has(code))
    return `${file}${message} (both meta pages, from offset 0 on); ${RESTORE_ADVICE}`;
  if (offset === undefined) return `${file}${message}`;
  const place = message.includes(`offset ${offset}`) ? '' : ` (page ${pgid}, offset ${offset})`;
  return `${file}${message}${place}; ${RESTORE_ADVICE}`;
}

const RESTORE_ADVICE =
  'nothing was changed: restore the file from a snapshot, or remove this member and add it again';
