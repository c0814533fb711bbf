/**
 * etcd's protocol: every message, enum and service of the client API, the peer protocol and the files, with their
 * protobuf codec, and the errors that clients see.
 *
 * Messages are flat classes, one module for each protobuf package:
 *
 *     import { decodePutRequest, PutRequest } from '@etcd/api/etcdserverpb';
 *     import { Entry, sizeEntry, writeEntry } from '@etcd/api/raftpb';
 *
 * (also `authpb`, `leasepb`, `membershippb`, `mvccpb`, `snappb`, `v3electionpb`, `v3lockpb`, `walpb`, and `health` for
 * `grpc.health.v1`). `@etcd/api/services` has the tables of the services' methods, `@etcd/api/descriptors` what every message
 * is made of, for code that prints or converts any message, `@etcd/api/wire` the pieces to put a message together from parts
 * that are encoded already, `@etcd/api/json` proto3 JSON of any message, `@etcd/api/testing` random messages. This module has what all share, and the errors.
 *
 * A message `X` comes with
 *
 *   - `new X({ field: value, … })`: every field always has a value: `EMPTY_BYTES`, 0, `0n`, false, `''`, `[]`, or null for
 *     an absent sub-message. A sub-message that etcd always writes (raftpb's snapshot metadata) is never null;
 *   - `decodeX(bytes, start, end)`: byte strings of the result are views of `bytes` (Buffers if that is one). Whoever keeps
 *     one longer than the buffer copies it. Malformed input throws {@link DecodeError};
 *   - `sizeX(m)`, the exact encoded length, and `writeX(m, target, position)`, which returns the position behind; between
 *     the two the message must not change. `encodeX(m)` does both into an array of its own;
 *   - `XCodec`, the same functions as a value, for code that handles any message.
 *
 * Names are those of the `.proto` files in camel case, acronyms included: `ID` is `id`, `memberID` and `member_id` are
 * `memberId`, `TTL` is `ttl`, `peerURLs` is `peerUrls`. A nested enum keeps its own name (`SortOrder`), or gets its
 * message's if that says nothing (`PermissionType`). Enum fields are plain numbers, so a newer peer's values survive.
 *
 * 64-bit fields that count (revisions, versions, terms, indices, sizes, TTLs) are Numbers: exact to 2^53, beyond it the
 * nearest double, and written as the nearest value of the type, so that a revision from the far future stays one. 64-bit
 * fields that identify (members, clusters, leases, requests) are BigInts, always exact. Those of members, clusters and leases, revisions,
 * and raft's indices and terms have types of their own ({@link MemberId} and the others): one kind does not compile in the place of
 * another, but any number goes in.
 *
 * Of a oneof at most one member is set: of `RequestOp`, `ResponseOp` and `WatchRequest` at most one is not null. Compare's
 * members are scalars, so its `targetUnion` holds the field number of the member that is there, even if zero.
 *
 * Fields that this program does not know are kept (`unknown`) and written back behind the others. Proto2 records are
 * written as Go etcd 3.5 writes them, zeros included: logs and snapshots do not differ by a byte. Of a byte string, empty
 * means absent. A message that contains itself may be nested {@link MAX_MESSAGE_DEPTH} deep.
 */
export { type Codec, encode } from './codec.ts';
export type {
  EnumDescriptor,
  EnumValueDescriptor,
  FieldDescriptor,
  FieldKind,
  MessageDescriptor,
} from './descriptor.ts';
export { EtcdError } from './errors/etcd-error.ts';
export { INTERNAL_ERRORS, type InternalError } from './errors/internal-errors.ts';
export { RPC_ERRORS, type RpcError } from './errors/rpc-errors.ts';
export type {
  AuthRevision,
  ClusterId,
  LeaseId,
  LogIndex,
  MemberId,
  Revision,
  Term,
} from './kinds-of-numbers.ts';
export { contenderKey, prefixEnd, queuePrefix } from './queue-key.ts';
export type { Method, MethodKind, Service } from './service.ts';
export { DecodeError, type DecodeErrorCode, MAX_MESSAGE_DEPTH } from './wire/decode-error.ts';
export { UnknownFields } from './wire/unknown-fields.ts';
