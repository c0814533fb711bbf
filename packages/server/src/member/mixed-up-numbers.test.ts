/** Members, leases, clusters, revisions, entries and terms are all just numbers; the types refuse one of them in the place of another. */
import { testWrongPrograms } from '@etcd/testing';

const MEMBER = `
import { LeaseGrantRequest, PutRequest, RangeRequest, ResponseHeader } from '@etcd/api/etcdserverpb';
import type { Entry, Message } from '@etcd/api/raftpb';
import type { RawNode } from '@etcd/raft';
import type { Member, Membership } from '@etcd/storage/membership';
import type { KeyValue } from '@etcd/api/mvccpb';
import type { Wal } from '@etcd/storage/wal';
import type { ConsistentIndex } from '@etcd/storage/schema';
import type { EtcdServer } from 'SERVER/member/etcd-server.ts';
import type { MemberEnvironment } from 'SERVER/consensus/index.ts';

declare const server: EtcdServer;
declare const environment: MemberEnvironment;
declare const entry: Entry;
declare const message: Message;
declare const node: RawNode;
declare const member: Member;
declare const membership: Membership;
declare const lease: LeaseGrantRequest;
declare const pair: KeyValue;
declare const wal: Wal;
declare const consistentIndex: ConsistentIndex;
server.lessor.has(lease.id);
membership.member(message.from);
server.whenApplied(entry.index, 1000, () => {});
server.store.compact(pair.modRevision, () => {});
consistentIndex.set(entry.index, entry.term);
// Literals, and what is calculated, are what they are used as.
server.lessor.has(5n);
server.whenApplied(entry.index + 1, 1000, () => {});
`;

const wrong = (line: string): string => `${MEMBER}\n! ${line}`;

testWrongPrograms({
  'a member where a lease is asked for': wrong('server.lessor.has(server.memberId);'),
  'a lease where a member is asked for': wrong('membership.member(lease.id);'),
  'a cluster where a member is asked for': wrong('membership.isRemoved(membership.clusterId);'),
  'a member as the lease of a put': wrong('new PutRequest({ lease: member.id });'),
  'a member compared with a cluster': wrong('member.id === membership.clusterId;'),
  'a member compared with a lease': wrong('if (pair.lease === server.leader) throw server;'),
  'a message to a lease': wrong('message.to = pair.lease;'),
  'the leadership moved to a lease': wrong('node.transferLeader(lease.id);'),
  'an entry waited for by a revision': wrong('server.whenApplied(server.store.revision, 1000, () => {});'),
  'a compaction up to an entry': wrong('server.store.compact(server.appliedIndex, () => {});'),
  'a revision as the position in the log': wrong('consistentIndex.set(pair.modRevision, entry.term);'),
  'index and term the wrong way round': wrong('consistentIndex.set(entry.term, entry.index);'),
  'a log released to a term': wrong('wal.releaseTo(message.term);'),
  'a term as a revision of a header': wrong('new ResponseHeader({ revision: server.term });'),
  'a revision of users as one of keys': wrong('new RangeRequest({ revision: server.auth.revision });'),
  'an index as the term of an entry': wrong('entry.term = entry.index;'),
  'a lease looked for among members': wrong('new Map([[member.id, 1]]).get(lease.id);'),
  'a part that takes a cluster for its member': wrong('environment.network.activeSinceMs(server.clusterId);'),
});
