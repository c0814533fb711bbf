/** Reads that have to wait until this member has applied what was committed when they were asked for. */
import type { InternalError } from '@etcd/api';

/** Whoever waits to read. One of the two is called, once. */
export interface Reader {
  onReadable(): void;
  onUnreadable(error: InternalError): void;
}
