/** How answers are printed: one function for each kind of answer, in each of the five formats. */
import type {
  AlarmResponse,
  AuthRoleAddResponse,
  AuthRoleDeleteResponse,
  AuthRoleGetResponse,
  AuthRoleGrantPermissionResponse,
  AuthRoleListResponse,
  AuthRoleRevokePermissionResponse,
  AuthStatusResponse,
  AuthUserAddResponse,
  AuthUserChangePasswordResponse,
  AuthUserDeleteResponse,
  AuthUserGetResponse,
  AuthUserGrantRoleResponse,
  AuthUserListResponse,
  AuthUserRevokeRoleResponse,
  DeleteRangeResponse,
  DowngradeResponse,
  HashKVResponse,
  LeaseGrantResponse,
  LeaseKeepAliveResponse,
  LeaseLeasesResponse,
  LeaseRevokeResponse,
  LeaseTimeToLiveResponse,
  MemberAddResponse,
  MemberListResponse,
  MemberPromoteResponse,
  MemberRemoveResponse,
  MemberUpdateResponse,
  MoveLeaderResponse,
  PutResponse,
  RangeResponse,
  StatusResponse,
  TxnResponse,
  WatchResponse,
} from '@etcd/api/etcdserverpb';
import { ExitError } from '@etcd/host/cli';
import { EXIT } from '../exit-codes.ts';
import type { OutputFormat } from '../global-flags.ts';

export interface EndpointHealth {
  readonly endpoint: string;
  readonly isHealthy: boolean;
  /** As Go writes a duration; empty where nothing was asked. */
  readonly took: string;
  /** Empty for none. */
  readonly error: string;
}

export interface EndpointStatus {
  readonly endpoint: string;
  readonly status: StatusResponse;
}

export interface EndpointHash {
  readonly endpoint: string;
  readonly hash: HashKVResponse;
}

interface Answer<Response> {
  readonly response: Response;
}

interface OfMember<Response> extends Answer<Response> {
  readonly id: bigint;
}

interface OfRole<Response> extends Answer<Response> {
  readonly role: string;
}

interface OfUser<Response> extends Answer<Response> {
  readonly user: string;
}

/** What there is to print, by kind. */
export interface Results {
  del: Answer<DeleteRangeResponse>;
  /** `valueOnly` leaves the keys out. */
  get: Answer<RangeResponse> & { readonly valueOnly?: boolean };
  put: Answer<PutResponse>;
  txn: Answer<TxnResponse>;
  watch: Answer<WatchResponse>;
  leaseGrant: Answer<LeaseGrantResponse>;
  leaseRevoke: OfMember<LeaseRevokeResponse>;
  leaseKeepAlive: Answer<LeaseKeepAliveResponse>;
  leaseTimeToLive: Answer<LeaseTimeToLiveResponse> & { readonly withKeys: boolean };
  leaseList: Answer<LeaseLeasesResponse>;
  memberAdd: Answer<MemberAddResponse>;
  memberRemove: OfMember<MemberRemoveResponse>;
  memberUpdate: OfMember<MemberUpdateResponse>;
  memberPromote: OfMember<MemberPromoteResponse>;
  memberList: Answer<MemberListResponse>;
  endpointHealth: readonly EndpointHealth[];
  endpointStatus: readonly EndpointStatus[];
  endpointHash: readonly EndpointHash[];
  moveLeader: Answer<MoveLeaderResponse> & { readonly leader: bigint; readonly target: bigint };
  downgrade: Answer<DowngradeResponse> & { readonly step: string };
  alarm: Answer<AlarmResponse>;
  roleAdd: OfRole<AuthRoleAddResponse>;
  roleGet: OfRole<AuthRoleGetResponse>;
  roleDelete: OfRole<AuthRoleDeleteResponse>;
  roleList: Answer<AuthRoleListResponse>;
  roleGrantPermission: OfRole<AuthRoleGrantPermissionResponse>;
  roleRevokePermission: OfRole<AuthRoleRevokePermissionResponse> & {
    readonly key: Uint8Array;
    readonly rangeEnd: Uint8Array;
  };
  userAdd: OfUser<AuthUserAddResponse>;
  userGet: OfUser<AuthUserGetResponse>;
  userList: Answer<AuthUserListResponse>;
  userChangePassword: Answer<AuthUserChangePasswordResponse>;
  userGrantRole: OfUser<AuthUserGrantRoleResponse> & { readonly role: string };
  userRevokeRole: OfUser<AuthUserRevokeRoleResponse> & { readonly role: string };
  userDelete: OfUser<AuthUserDeleteResponse>;
  authStatus: Answer<AuthStatusResponse>;
}

export type Printer = { readonly [Kind in keyof Results]: (result: Results[Kind]) => string | Uint8Array };

/** For what a format has no form for. */
export function unsupported(format: OutputFormat): () => never {
  return () => {
    throw new ExitError(EXIT.BAD_FEATURE, `${format} not supported as output format`);
  };
}
