/**
 * What the log carries, as one table: for each kind of request its field in the envelope, its codec, the name under which
 * it is counted, and, as types, the request itself and what applying it gives. Whoever proposes names the kind; a request, or a
 * {@link Waiter}, of another kind does not compile.
 */
import type { Codec } from '@etcd/api';
import {
  type AlarmRequest,
  AlarmRequestCodec,
  type AuthDisableRequest,
  AuthDisableRequestCodec,
  type AuthEnableRequest,
  AuthEnableRequestCodec,
  type AuthRoleAddRequest,
  AuthRoleAddRequestCodec,
  type AuthRoleDeleteRequest,
  AuthRoleDeleteRequestCodec,
  type AuthRoleGrantPermissionRequest,
  AuthRoleGrantPermissionRequestCodec,
  type AuthRoleRevokePermissionRequest,
  AuthRoleRevokePermissionRequestCodec,
  type AuthUserAddRequest,
  AuthUserAddRequestCodec,
  type AuthUserChangePasswordRequest,
  AuthUserChangePasswordRequestCodec,
  type AuthUserDeleteRequest,
  AuthUserDeleteRequestCodec,
  type AuthUserGrantRoleRequest,
  AuthUserGrantRoleRequestCodec,
  type AuthUserRevokeRoleRequest,
  AuthUserRevokeRoleRequestCodec,
  type CompactionRequest,
  CompactionRequestCodec,
  type DeleteRangeRequest,
  DeleteRangeRequestCodec,
  type DowngradeVersionTestRequest,
  DowngradeVersionTestRequestCodec,
  type InternalAuthenticateRequest,
  InternalAuthenticateRequestCodec,
  type LeaseCheckpointRequest,
  LeaseCheckpointRequestCodec,
  type LeaseGrantRequest,
  LeaseGrantRequestCodec,
  type LeaseRevokeRequest,
  LeaseRevokeRequestCodec,
  type PutRequest,
  PutRequestCodec,
  type RangeRequest,
  RangeRequestCodec,
  type Request,
  type TxnRequest,
  TxnRequestCodec,
} from '@etcd/api/etcdserverpb';
import {
  type ClusterMemberAttrSetRequest,
  ClusterMemberAttrSetRequestCodec,
  type ClusterVersionSetRequest,
  ClusterVersionSetRequestCodec,
  type DowngradeInfoSetRequest,
  DowngradeInfoSetRequestCodec,
} from '@etcd/api/membershippb';
import type { ConfChange } from '@etcd/api/raftpb';
import type { DeleteRangeResult, PutResult, RangeResult, TxnResult } from '@etcd/storage/mvcc';
import type {
  AlarmResult,
  AuthenticateResult,
  CompactionResult,
  DoneResult,
  LeaseGrantResult,
  MembersResult,
} from './results.ts';

interface Types<Request extends object, Result extends object> {
  readonly request: Request;
  readonly result: Result;
}

/** Of the kinds that have a field in the envelope. */
interface EnvelopeTypes {
  readonly range: Types<RangeRequest, RangeResult>;
  readonly put: Types<PutRequest, PutResult>;
  readonly deleteRange: Types<DeleteRangeRequest, DeleteRangeResult>;
  readonly txn: Types<TxnRequest, TxnResult>;
  readonly compaction: Types<CompactionRequest, CompactionResult>;
  readonly leaseGrant: Types<LeaseGrantRequest, LeaseGrantResult>;
  readonly leaseRevoke: Types<LeaseRevokeRequest, DoneResult>;
  readonly alarm: Types<AlarmRequest, AlarmResult>;
  readonly leaseCheckpoint: Types<LeaseCheckpointRequest, DoneResult>;
  readonly authEnable: Types<AuthEnableRequest, DoneResult>;
  readonly authDisable: Types<AuthDisableRequest, DoneResult>;
  readonly authenticate: Types<InternalAuthenticateRequest, AuthenticateResult>;
  readonly authUserAdd: Types<AuthUserAddRequest, DoneResult>;
  readonly authUserDelete: Types<AuthUserDeleteRequest, DoneResult>;
  readonly authUserChangePassword: Types<AuthUserChangePasswordRequest, DoneResult>;
  readonly authUserGrantRole: Types<AuthUserGrantRoleRequest, DoneResult>;
  readonly authUserRevokeRole: Types<AuthUserRevokeRoleRequest, DoneResult>;
  readonly authRoleAdd: Types<AuthRoleAddRequest, DoneResult>;
  readonly authRoleDelete: Types<AuthRoleDeleteRequest, DoneResult>;
  readonly authRoleGrantPermission: Types<AuthRoleGrantPermissionRequest, DoneResult>;
  readonly authRoleRevokePermission: Types<AuthRoleRevokePermissionRequest, DoneResult>;
  readonly clusterVersionSet: Types<ClusterVersionSetRequest, DoneResult>;
  readonly clusterMemberAttrSet: Types<ClusterMemberAttrSetRequest, DoneResult>;
  readonly downgradeInfoSet: Types<DowngradeInfoSetRequest, DoneResult>;
  readonly downgradeVersionTest: Types<DowngradeVersionTestRequest, DoneResult>;
}

/** Of those that travel outside of it as well. */
interface AllTypes extends EnvelopeTypes {
  /** A bare request of the v2 API, as etcd up to 3.5 writes it. */
  readonly v2: Types<Request, DoneResult>;
  /** An entry of its own type. */
  readonly confChange: Types<ConfChange, MembersResult>;
}

/** A kind of request that is put into the envelope. */
export type Kind = keyof EnvelopeTypes;
/** A kind of request that may be waited for. */
export type AnyKind = keyof AllTypes;

export type RequestOf<K extends AnyKind> = AllTypes[K]['request'];
/** What a {@link Waiter} of this kind is told. */
export type ResultOf<K extends AnyKind> = AllTypes[K]['result'];

declare const ENCODES: unique symbol;
/** Bytes in which a client has sent a request of this type. */
export type Encoded<Request extends object> = Uint8Array & { readonly [ENCODES]?: Request };

export interface KindRow<Request extends object> {
  /** Its number in `InternalRaftRequest`. */
  readonly field: number;
  /** How metrics and the log call it. */
  readonly operation: string;
  readonly codec: Codec<Request>;
}

export const KINDS: { readonly [K in Kind]: KindRow<RequestOf<K>> } = {
  range: { field: 3, operation: 'Range', codec: RangeRequestCodec },
  put: { field: 4, operation: 'Put', codec: PutRequestCodec },
  deleteRange: { field: 5, operation: 'DeleteRange', codec: DeleteRangeRequestCodec },
  txn: { field: 6, operation: 'Txn', codec: TxnRequestCodec },
  compaction: { field: 7, operation: 'Compaction', codec: CompactionRequestCodec },
  leaseGrant: { field: 8, operation: 'LeaseGrant', codec: LeaseGrantRequestCodec },
  leaseRevoke: { field: 9, operation: 'LeaseRevoke', codec: LeaseRevokeRequestCodec },
  alarm: { field: 10, operation: 'Alarm', codec: AlarmRequestCodec },
  leaseCheckpoint: { field: 11, operation: 'LeaseCheckpoint', codec: LeaseCheckpointRequestCodec },
  authEnable: { field: 1000, operation: 'AuthEnable', codec: AuthEnableRequestCodec },
  authDisable: { field: 1011, operation: 'AuthDisable', codec: AuthDisableRequestCodec },
  authenticate: { field: 1012, operation: 'Authenticate', codec: InternalAuthenticateRequestCodec },
  authUserAdd: { field: 1100, operation: 'AuthUserAdd', codec: AuthUserAddRequestCodec },
  authUserDelete: { field: 1101, operation: 'AuthUserDelete', codec: AuthUserDeleteRequestCodec },
  authUserChangePassword: {
    field: 1103,
    operation: 'AuthUserChangePassword',
    codec: AuthUserChangePasswordRequestCodec,
  },
  authUserGrantRole: { field: 1104, operation: 'AuthUserGrantRole', codec: AuthUserGrantRoleRequestCodec },
  authUserRevokeRole: { field: 1105, operation: 'AuthUserRevokeRole', codec: AuthUserRevokeRoleRequestCodec },
  authRoleAdd: { field: 1200, operation: 'AuthRoleAdd', codec: AuthRoleAddRequestCodec },
  authRoleDelete: { field: 1201, operation: 'AuthRoleDelete', codec: AuthRoleDeleteRequestCodec },
  authRoleGrantPermission: {
    field: 1203,
    operation: 'AuthRoleGrantPermission',
    codec: AuthRoleGrantPermissionRequestCodec,
  },
  authRoleRevokePermission: {
    field: 1204,
    operation: 'AuthRoleRevokePermission',
    codec: AuthRoleRevokePermissionRequestCodec,
  },
  clusterVersionSet: { field: 1300, operation: 'ClusterVersionSet', codec: ClusterVersionSetRequestCodec },
  clusterMemberAttrSet: {
    field: 1301,
    operation: 'ClusterMemberAttrSet',
    codec: ClusterMemberAttrSetRequestCodec,
  },
  downgradeInfoSet: { field: 1302, operation: 'DowngradeInfoSet', codec: DowngradeInfoSetRequestCodec },
  downgradeVersionTest: {
    field: 9900,
    operation: 'DowngradeVersionTest',
    codec: DowngradeVersionTestRequestCodec,
  },
};
