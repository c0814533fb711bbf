import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InternalError } from '@etcd/api';
import {
  Membership,
  type MembershipState,
  NO_DOWNGRADE,
  newMember,
  parseVersion,
} from '@etcd/storage/membership';
import { SimClock } from '@etcd/testing';
import { Releases } from '../cluster/index.ts';
import { ENTRY_KINDS, PendingRequests, RequestField, RequestIds } from '../request/index.ts';
import { Proposals } from './proposals.ts';

const CLUSTER_ID = 7n;
/** Reads everything, as this program does. */
const OURS = 'ours';

/** A member whose cluster is at a version, with other members that run these releases; null: never heard of. */
function proposer(clusterVersion: string | null, others: readonly (string | null)[]) {
  const members = [null, ...others].map((_, i) =>
    newMember(BigInt(i + 1), { peerUrls: [`http://m${i}:2380`], isLearner: false }),
  );
  const state: MembershipState = {
    members,
    removedIds: [],
    version: clusterVersion === null ? null : parseVersion(`${clusterVersion}.0`),
    downgrade: NO_DOWNGRADE,
  };
  const membership = new Membership({ clusterId: CLUSTER_ID, state });
  const memberId = members[0]!.id;
  const releases = new Releases({
    membership,
    memberId,
    ask: (asked, done) => {
      const answers = asked.map(({ id }) => {
        const release = others[Number(id) - 2] ?? null;
        const server = release === OURS ? '3.7.3' : release === null ? null : `${release}.1`;
        return { server, cluster: null, isOurs: release === OURS };
      });
      done(answers);
    },
  });
  releases.askThen(() => {});
  const proposed: Uint8Array[] = [];
  const clock = new SimClock();
  const proposals = new Proposals({
    ids: new RequestIds(memberId, 1),
    pending: new PendingRequests(),
    clock,
    loop: {
      hasRoom: true,
      propose: (data) => void proposed.push(data),
      proposeAsLeader: (data) => void proposed.push(data),
      proposeConfChange: () => {},
    },
    membership,
    releases,
    maxRequestBytes: 1000,
    isStopped: () => false,
    isBehind: () => false,
  });
  return { proposals, proposed, membership };
}

/** Why a request of a kind is refused; null when it leaves. */
function refusal(
  field: number,
  clusterVersion: string | null,
  others: readonly (string | null)[],
): string | null {
  const { proposals, proposed } = proposer(clusterVersion, others);
  let error: InternalError | null = null;
  const waiter = { request: null, onApplied: () => {}, onFailed: (given: InternalError) => (error = given) };
  if (field === RequestField.V2) proposals.proposeV2(() => new Uint8Array(1), waiter);
  else proposals.propose(field, new Uint8Array(1), 0, 1, waiter);
  assert.equal(proposed.length, error === null ? 1 : 0);
  return error === null ? null : (error as InternalError).message;
}

test('a member of etcd 3.7 is never sent a request of the v2 API, nor one of 3.4 a later one', () => {
  const { V2, CLUSTER_MEMBER_ATTR_SET, DOWNGRADE_INFO_SET } = RequestField;
  assert.match(
    refusal(V2, '3.0', ['3.7', '3.5'])!,
    /a member runs 3\.7 and could not read the request \(v2\)/,
  );
  assert.match(refusal(CLUSTER_MEMBER_ATTR_SET, '3.0', ['3.7', '3.4'])!, /a member runs 3\.4/);
  assert.match(refusal(DOWNGRADE_INFO_SET, '3.4', ['3.4', OURS])!, /a member runs 3\.4/);
  assert.equal(refusal(V2, '3.4', ['3.4', '3.6', OURS]), null);
  assert.equal(refusal(CLUSTER_MEMBER_ATTR_SET, '3.5', ['3.5', '3.7', OURS]), null);
});

test('no kind of request ever leaves where a member is known that can not read it', () => {
  const releases = ['3.4', '3.5', '3.6', '3.7'];
  for (const [field, { lowest, highest }] of ENTRY_KINDS) {
    for (const release of releases) {
      const { minor } = parseVersion(`${release}.0`)!;
      const isRead = minor >= lowest.minor && (highest === null || minor <= highest.minor);
      const found = refusal(field, '3.0', [OURS, release, null]);
      assert.equal(found === null, isRead, `${ENTRY_KINDS.get(field)!.name} with ${release}: ${found}`);
    }
  }
});

test('a cluster of 3.4 is left to etcd 3.4: nothing gets into its log that 3.4 could not read', () => {
  assert.match(refusal(RequestField.DOWNGRADE_INFO_SET, '3.4', [])!, /the cluster is at 3\.4/);
  assert.match(refusal(RequestField.CLUSTER_MEMBER_ATTR_SET, '3.4', [OURS])!, /the cluster is at 3\.4/);
  assert.equal(refusal(RequestField.CLUSTER_VERSION_SET, '3.4', [OURS]), null, 'unless it is raised');
  assert.equal(refusal(RequestField.CLUSTER_MEMBER_ATTR_SET, '3.4', ['3.7']), null, 'or 3.7 is in it');
});

test('a downgrade to 3.4 can be given up', () => {
  const { proposals, proposed, membership } = proposer('3.4', [OURS]);
  membership.setDowngrade({ enabled: true, targetVersion: '3.4.0' }, { put: () => {}, delete: () => {} });
  const waiter = { request: null, onApplied: () => {}, onFailed: () => {} };
  proposals.propose(RequestField.DOWNGRADE_INFO_SET, new Uint8Array(1), 0, 1, waiter);
  assert.equal(proposed.length, 1);
});
