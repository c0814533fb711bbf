/** The shapes of decoded messages, as far as tests look into them. See `proto.ts` for how fields are represented. */

export interface Header {
  readonly cluster_id: bigint;
  readonly member_id: bigint;
  readonly revision: bigint;
  readonly raft_term: bigint;
}

export interface KeyValue {
  readonly key: Buffer;
  readonly create_revision: bigint;
  readonly mod_revision: bigint;
  readonly version: bigint;
  readonly value: Buffer;
  readonly lease: bigint;
}

export interface RangeResponse {
  readonly header: Header | null;
  readonly kvs: readonly KeyValue[];
  readonly more: boolean;
  readonly count: bigint;
}

export interface PutResponse {
  readonly header: Header | null;
  readonly prev_kv: KeyValue | null;
}

export interface DeleteRangeResponse {
  readonly header: Header | null;
  readonly deleted: bigint;
  readonly prev_kvs: readonly KeyValue[];
}

export interface ResponseOp {
  readonly response?: string;
  readonly response_range?: RangeResponse;
  readonly response_put?: PutResponse;
  readonly response_delete_range?: DeleteRangeResponse;
  readonly response_txn?: TxnResponse;
}

export interface TxnResponse {
  readonly header: Header | null;
  readonly succeeded: boolean;
  readonly responses: readonly ResponseOp[];
}

export interface WatchEvent {
  readonly type: 'PUT' | 'DELETE';
  readonly kv: KeyValue;
  readonly prev_kv: KeyValue | null;
}

export interface WatchResponse {
  readonly header: Header | null;
  readonly watch_id: bigint;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compact_revision: bigint;
  readonly cancel_reason: string;
  readonly fragment: boolean;
  readonly events: readonly WatchEvent[];
}

export interface HashKVResponse {
  readonly header: Header;
  readonly hash: number;
  readonly compact_revision: bigint;
  readonly hash_revision: bigint;
}

export interface StatusResponse {
  readonly header: Header;
  readonly version: string;
  readonly dbSize: bigint;
  readonly leader: bigint;
  readonly raftIndex: bigint;
  readonly raftTerm: bigint;
  readonly raftAppliedIndex: bigint;
  readonly errors: readonly string[];
  readonly dbSizeInUse: bigint;
  readonly isLearner: boolean;
  readonly storageVersion: string;
  readonly dbSizeQuota: bigint;
}

export interface LeaseGrantResponse {
  readonly header: Header;
  readonly ID: bigint;
  readonly TTL: bigint;
  readonly error: string;
}

export interface LeaseTimeToLiveResponse {
  readonly header: Header;
  readonly ID: bigint;
  readonly TTL: bigint;
  readonly grantedTTL: bigint;
  readonly keys: readonly Buffer[];
}

export interface LeaseKeepAliveResponse {
  readonly header: Header;
  readonly ID: bigint;
  readonly TTL: bigint;
}

export interface Member {
  readonly ID: bigint;
  readonly name: string;
  readonly peerURLs: readonly string[];
  readonly clientURLs: readonly string[];
  readonly isLearner: boolean;
}

export interface MemberAddResponse {
  readonly header: Header;
  readonly member: Member;
  readonly members: readonly Member[];
}

export interface MembersResponse {
  readonly header: Header;
  readonly members: readonly Member[];
}

export interface AlarmMember {
  readonly memberID: bigint;
  readonly alarm: string;
}

export interface AuthPermission {
  readonly permType: string;
  readonly key: Buffer;
  readonly range_end: Buffer;
}

export interface LeaderKey {
  readonly name: Buffer;
  readonly key: Buffer;
  readonly rev: bigint;
  readonly lease: bigint;
}

export interface LeaderResponse {
  readonly header: Header;
  readonly kv: KeyValue;
}

/** Method name to response. Methods that tests call without looking into the answer have only a header. */
export interface Responses {
  readonly 'KV.Range': RangeResponse;
  readonly 'KV.RangeStream': { readonly range_response: RangeResponse | null };
  readonly 'KV.Put': PutResponse;
  readonly 'KV.DeleteRange': DeleteRangeResponse;
  readonly 'KV.Txn': TxnResponse;
  readonly 'KV.Compact': { readonly header: Header };
  readonly 'Watch.Watch': WatchResponse;
  readonly 'Lease.LeaseGrant': LeaseGrantResponse;
  readonly 'Lease.LeaseRevoke': { readonly header: Header };
  readonly 'Lease.LeaseTimeToLive': LeaseTimeToLiveResponse;
  readonly 'Lease.LeaseLeases': { readonly header: Header; readonly leases: readonly { ID: bigint }[] };
  readonly 'Lease.LeaseKeepAlive': LeaseKeepAliveResponse;
  readonly 'Cluster.MemberList': MembersResponse;
  readonly 'Cluster.MemberAdd': MemberAddResponse;
  readonly 'Cluster.MemberRemove': MembersResponse;
  readonly 'Cluster.MemberUpdate': MembersResponse;
  readonly 'Cluster.MemberPromote': MembersResponse;
  readonly 'Maintenance.Status': StatusResponse;
  readonly 'Maintenance.Alarm': { readonly header: Header; readonly alarms: readonly AlarmMember[] };
  readonly 'Maintenance.Defragment': { readonly header: Header | null };
  readonly 'Maintenance.Hash': { readonly header: Header; readonly hash: number };
  readonly 'Maintenance.HashKV': HashKVResponse;
  readonly 'Maintenance.MoveLeader': { readonly header: Header };
  readonly 'Maintenance.Snapshot': { readonly remaining_bytes: bigint; readonly blob: Buffer };
  readonly 'Maintenance.Downgrade': { readonly header: Header; readonly version: string };
  readonly 'Auth.AuthEnable': { readonly header: Header };
  readonly 'Auth.AuthDisable': { readonly header: Header };
  readonly 'Auth.UserAdd': { readonly header: Header };
  readonly 'Auth.UserDelete': { readonly header: Header };
  readonly 'Auth.UserChangePassword': { readonly header: Header };
  readonly 'Auth.UserGrantRole': { readonly header: Header };
  readonly 'Auth.UserRevokeRole': { readonly header: Header };
  readonly 'Auth.RoleAdd': { readonly header: Header };
  readonly 'Auth.RoleDelete': { readonly header: Header };
  readonly 'Auth.RoleGrantPermission': { readonly header: Header };
  readonly 'Auth.RoleRevokePermission': { readonly header: Header };
  readonly 'Auth.AuthStatus': {
    readonly header: Header;
    readonly enabled: boolean;
    readonly authRevision: bigint;
  };
  readonly 'Auth.Authenticate': { readonly header: Header; readonly token: string };
  readonly 'Auth.UserGet': { readonly header: Header; readonly roles: readonly string[] };
  readonly 'Auth.UserList': { readonly header: Header; readonly users: readonly string[] };
  readonly 'Auth.RoleList': { readonly header: Header; readonly roles: readonly string[] };
  readonly 'Auth.RoleGet': { readonly header: Header; readonly perm: readonly AuthPermission[] };
  readonly 'v3lockpb.Lock.Lock': { readonly header: Header; readonly key: Buffer };
  readonly 'v3lockpb.Lock.Unlock': { readonly header: Header };
  readonly 'v3electionpb.Election.Campaign': { readonly header: Header; readonly leader: LeaderKey };
  readonly 'v3electionpb.Election.Proclaim': { readonly header: Header };
  readonly 'v3electionpb.Election.Leader': LeaderResponse;
  readonly 'v3electionpb.Election.Observe': LeaderResponse;
  readonly 'v3electionpb.Election.Resign': { readonly header: Header };
  readonly 'grpc.health.v1.Health.Check': { readonly status: string };
  'grpc.health.v1.Health.List': { statuses: Record<string, { status: string }> };
}

export type MethodName = keyof Responses;
