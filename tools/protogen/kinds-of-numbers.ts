/** Which fields hold which of the numbers that must not be mixed up; see `packages/api/src/kinds-of-numbers.ts`. */

type Fields = Readonly<Record<string, readonly string[]>>;

const CLUSTER_ID: Fields = {
  'etcdserverpb.Metadata': ['ClusterID'],
  'etcdserverpb.ResponseHeader': ['cluster_id'],
};

const MEMBER_ID: Fields = {
  'etcdserverpb.AlarmMember': ['memberID'],
  'etcdserverpb.AlarmRequest': ['memberID'],
  'etcdserverpb.Member': ['ID'],
  'etcdserverpb.MemberPromoteRequest': ['ID'],
  'etcdserverpb.MemberRemoveRequest': ['ID'],
  'etcdserverpb.MemberUpdateRequest': ['ID'],
  'etcdserverpb.Metadata': ['NodeID'],
  'etcdserverpb.MoveLeaderRequest': ['targetID'],
  'etcdserverpb.ResponseHeader': ['member_id'],
  'etcdserverpb.StatusResponse': ['leader'],
  'membershippb.ClusterMemberAttrSetRequest': ['member_ID'],
  'membershippb.Member': ['ID'],
  'raftpb.ConfChange': ['node_id'],
  'raftpb.ConfChangeSingle': ['node_id'],
  'raftpb.ConfState': ['voters', 'learners', 'voters_outgoing', 'learners_next'],
  'raftpb.HardState': ['vote'],
  'raftpb.Message': ['to', 'from', 'vote'],
};

const LEASE_ID: Fields = {
  'etcdserverpb.Compare': ['lease'],
  'etcdserverpb.LeaseCheckpoint': ['ID'],
  'etcdserverpb.LeaseGrantRequest': ['ID'],
  'etcdserverpb.LeaseGrantResponse': ['ID'],
  'etcdserverpb.LeaseKeepAliveRequest': ['ID'],
  'etcdserverpb.LeaseKeepAliveResponse': ['ID'],
  'etcdserverpb.LeaseRevokeRequest': ['ID'],
  'etcdserverpb.LeaseStatus': ['ID'],
  'etcdserverpb.LeaseTimeToLiveRequest': ['ID'],
  'etcdserverpb.LeaseTimeToLiveResponse': ['ID'],
  'etcdserverpb.PutRequest': ['lease'],
  'leasepb.Lease': ['ID'],
  'mvccpb.KeyValue': ['lease'],
  'v3electionpb.CampaignRequest': ['lease'],
  'v3electionpb.LeaderKey': ['lease'],
  'v3lockpb.LockRequest': ['lease'],
};

const REVISION: Fields = {
  'etcdserverpb.CompactionRequest': ['revision'],
  'etcdserverpb.Compare': ['create_revision', 'mod_revision'],
  'etcdserverpb.HashKVRequest': ['revision'],
  'etcdserverpb.HashKVResponse': ['compact_revision', 'hash_revision'],
  'etcdserverpb.RangeRequest': [
    'revision',
    'min_mod_revision',
    'max_mod_revision',
    'min_create_revision',
    'max_create_revision',
  ],
  'etcdserverpb.ResponseHeader': ['revision'],
  'etcdserverpb.WatchCreateRequest': ['start_revision'],
  'etcdserverpb.WatchResponse': ['compact_revision'],
  'mvccpb.KeyValue': ['create_revision', 'mod_revision'],
  'v3electionpb.LeaderKey': ['rev'],
};

const AUTH_REVISION: Fields = {
  'etcdserverpb.AuthStatusResponse': ['authRevision'],
  'etcdserverpb.RequestHeader': ['auth_revision'],
};

const LOG_INDEX: Fields = {
  'etcdserverpb.StatusResponse': ['raftIndex', 'raftAppliedIndex'],
  'raftpb.Entry': ['Index'],
  'raftpb.HardState': ['commit'],
  'raftpb.Message': ['index', 'commit', 'rejectHint'],
  'raftpb.SnapshotMetadata': ['index'],
  'walpb.Snapshot': ['index'],
};

const TERM: Fields = {
  'etcdserverpb.ResponseHeader': ['raft_term'],
  'etcdserverpb.StatusResponse': ['raftTerm'],
  'raftpb.Entry': ['Term'],
  'raftpb.HardState': ['term'],
  'raftpb.Message': ['term', 'logTerm'],
  'raftpb.SnapshotMetadata': ['term'],
  'walpb.Snapshot': ['term'],
};

/** By the name of the type. */
const KINDS_OF_NUMBERS: Readonly<Record<string, Fields>> = {
  AuthRevision: AUTH_REVISION,
  ClusterId: CLUSTER_ID,
  LeaseId: LEASE_ID,
  LogIndex: LOG_INDEX,
  MemberId: MEMBER_ID,
  Revision: REVISION,
  Term: TERM,
};

/** `etcdserverpb.PutRequest.lease`, to the name of its type. */
export const NUMBER_TYPES: ReadonlyMap<string, string> = new Map(
  Object.entries(KINDS_OF_NUMBERS).flatMap(([type, fields]) =>
    Object.entries(fields).flatMap(([message, names]) =>
      names.map((name) => [`${message}.${name}`, type] as const),
    ),
  ),
);
