/**
 * Where files of backups lie: a directory, or a bucket of an S3 store. A file is there whole or not at all, and is never changed. What a store
 * says of a failure names it, and is a `BackupError`.
 */
import type { Content } from './content.ts';

export interface ObjectStore {
  /** For the operator: a path, or `s3://bucket/prefix`. */
  readonly address: string;
  /** Makes what can be made of it. */
  prepare(): Promise<void>;
  /** All files with their lengths in bytes, in no order. Fails where there is no such store. */
  files(): Promise<Map<string, number>>;
  read(name: string): Promise<Content>;
  /**
   * Writes a file; nothing stays behind if its content does not come to its end. Fails when there is such a file, or
   * another process is writing it.
   */
  write(name: string, content: Content, signal?: AbortSignal): Promise<void>;
  /** Also of a file that is not there. */
  remove(name: string): Promise<void>;
  /** Frees what was begun before that moment (milliseconds since 1970) and never finished; says how much there was of it. */
  removeUnfinished(beforeMs: number): Promise<number>;
  /** A store inside this one, with files of its own; {@link close} of either closes both. */
  below(name: string): ObjectStore;
  /** Nothing is under way any more. */
  close(): void;
}
