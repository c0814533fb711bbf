/**
 * Foundations that every other package stands on: assertions, byte strings, CRC-32C, bounded containers, gRPC's status codes, and the
 * four interfaces through which a member meets the world — {@link Clock}, {@link Disk}, {@link Random} and
 * {@link Logger}. Nothing here reads a clock, does I/O or draws a random number by itself; production passes the
 * implementations of `@etcd/base/node`, tests and the simulator pass seeded ones.
 */
export { assert, InvariantError, unreachable } from './assert.ts';
export { base64FromBytes, bytesFromBase64 } from './base64.ts';
export {
  compareBytes,
  compareRange,
  copyBytes,
  EMPTY_BYTES,
  equalBytes,
  hexFromBytes,
  latin1FromBytes,
  utf8FromBytes,
  utf8ToBytes,
} from './bytes.ts';
export type { Clock, Timer } from './clock.ts';
export { crc32c, crc32cUpdate } from './crc32c.ts';
export type { Disk, DiskFile, FileLockKind, FileLockMode, FileStat, OpenOptions } from './disk.ts';
export { DiskError } from './disk.ts';
export {
  type EtcdUrl,
  isSecureUrl,
  isUnixUrl,
  type ParsedUrls,
  parseUrlList,
  parseUrls,
  splitHostPort,
  type UrlScheme,
  unixSocketPath,
  urlTexts,
} from './etcd-url.ts';
export { GRPC_CODE_NAMES, GrpcCode, grpcCodeFrom, grpcCodeName } from './grpc-code.ts';
export { Heap, type HeapOrder } from './heap.ts';
export { LevelMethods } from './level-methods.ts';
export { loadOnce } from './load-once.ts';
export type { LogFields, Logger, LogLevel } from './logger.ts';
export { SILENT_LOGGER } from './logger.ts';
export { poisonMemory, poisonReleased } from './poison.ts';
export type { Random } from './random.ts';
export { SeededRandom } from './random.ts';
export { RingBuffer } from './ring-buffer.ts';
