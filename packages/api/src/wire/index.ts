/**
 * Pieces of the wire format, for code that puts a message together from parts that are encoded already: a stored
 * `KeyValue` into a `RangeResponse`, a client's request into a log entry, an entry into a log record. A field is its tag,
 * then for a length-delimited one `writeUint32` of the length, then the bytes; {@link sizeDelimited} is the latter two.
 *
 * Order matters little to readers, but logs and snapshots must have what Go etcd writes: by field number.
 */
export { WIRE_DELIMITED, WIRE_VARINT } from './read.ts';
export {
  sizeBigInt,
  sizeDelimited,
  sizeInt64,
  sizeString,
  sizeUint32,
  sizeUint64,
  writeBigInt,
  writeBytes,
  writeInt64,
  writeString,
  writeUint32,
  writeUint64,
} from './write.ts';
