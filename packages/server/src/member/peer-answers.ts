/**
 * What a member answers other members, and tools, on its peer URLs besides raft's own messages: who belongs to the cluster, the
 * leases' life when it leads, hashes to compare, its release. Whoever asks may be anybody who reaches the port, and may send anything.
 *
 * Invariants: every request is answered, once; what is said of leases is said by a member that leads, for sure.
 */
import { DecodeError, INTERNAL_ERRORS, type InternalError, type MemberId } from '@etcd/api';
import {
  decodeLeaseKeepAliveRequest,
  encodeLeaseKeepAliveResponse,
  LeaseKeepAliveResponse,
  ResponseHeader,
} from '@etcd/api/etcdserverpb';
import {
  decodeLeaseInternalRequest,
  encodeLeaseInternalResponse,
  LeaseInternalResponse,
} from '@etcd/api/leasepb';
import { assert } from '@etcd/base';
import { formatId, type Member, membersJson } from '@etcd/storage/membership';
import { IMPLEMENTATION_HEADER } from '../boot/index.ts';
import { leaseTimeToLive } from '../cluster/index.ts';
import { IMPLEMENTATION_NAME } from '../config/index.ts';
import { STATE_HASH_PATH } from '../integrity/index.ts';
import type { PeerRequest, PeerResponse } from '../peer/index.ts';
import type { EtcdServer } from './etcd-server.ts';
import { versionJson } from './version-json.ts';

type Respond = (response: PeerResponse) => void;

const TEXT = 'text/plain; charset=utf-8';
const JSON_TYPE = 'application/json';
const PROTOBUF = 'application/protobuf';
const PROMOTE_PREFIX = '/members/promote/';
const MAX_ID = 2n ** 64n;
/** A lease may have been granted by an entry that this member is about to apply: so long it is waited for. */
const CATCH_UP_MS = 1000;

const { ErrLeaseNotFound, ErrNotPrimary } = INTERNAL_ERRORS.lease;

export function answerPeerRequest(server: EtcdServer, request: PeerRequest, done: Respond): void {
  let isAnswered = false;
  const respond: Respond = (response) => {
    assert(!isAnswered, 'peer answers: answered twice');
    isAnswered = true;
    done(response);
  };
  const mark = request.path.indexOf('?');
  const path = mark < 0 ? request.path : request.path.slice(0, mark);
  if (path.startsWith(PROMOTE_PREFIX))
    return promote(server, request, path.slice(PROMOTE_PREFIX.length), respond);
  switch (path) {
    case '/version':
      return withMethod('GET', request, respond, () =>
        respond({ ...json(versionJson(server)), headers: { [IMPLEMENTATION_HEADER]: IMPLEMENTATION_NAME } }),
      );
    case '/members':
      return withMethod('GET', request, respond, () => respond(members(server.membership.members())));
    case '/members/hashkv':
      return withMethod('GET', request, respond, () => hashKv(server, request, respond));
    case STATE_HASH_PATH:
      return respond(server.integrity.answer(request));
    case '/leases':
      return withMethod('POST', request, respond, () => renewLease(server, request, respond));
    case '/leases/internal':
      return withMethod('POST', request, respond, () => lookupLease(server, request, respond));
    case '/downgrade/enabled':
      return withMethod('GET', request, respond, () => downgradeEnabled(server, respond));
    default:
      return respond(failure(404, '404 page not found'));
  }
}

function promote(server: EtcdServer, request: PeerRequest, text: string, respond: Respond): void {
  if (request.method !== 'POST') return respond(wrongMethod('POST'));
  const id = parseDecimalId(text);
  if (id === null) return respond(failure(404, `member ${text} not found in cluster`));
  server.reconfiguration.promoteHere(id, {
    kind: 'confChange',
    request: null,
    onApplied: () => respond(members(server.membership.members())),
    onFailed: (error) => respond(promoteFailure(error)),
  });
}

function promoteFailure(error: InternalError): PeerResponse {
  if (error === INTERNAL_ERRORS.membership.ErrIDNotFound) return failure(404, error.message);
  const { ErrMemberNotLearner } = INTERNAL_ERRORS.membership;
  const { ErrLearnerNotReady } = INTERNAL_ERRORS.errors;
  if (error === ErrMemberNotLearner || error === ErrLearnerNotReady) return failure(412, error.message);
  return { status: 500, contentType: JSON_TYPE, body: Buffer.from('{"message":"Internal Server Error"}') };
}

function hashKv(server: EtcdServer, { body, headers }: PeerRequest, respond: Respond): void {
  const clusterId = headers?.['x-etcd-cluster-id'] ?? '';
  if (clusterId !== '' && clusterId !== formatId(server.clusterId)) {
    return respond(failure(412, 'cluster ID mismatch'));
  }
  const revision = parseRevision(body);
  if (revision === null) return respond(failure(400, 'error unmarshalling request'));
  if (!server.store.isReady) return respond(failure(503, 'a snapshot is being restored'));
  server.store.hashes.hashByRevThen(revision, (error, found, currentRevision) => {
    if (error !== null) return respond(failure(400, error.message));
    assert(found !== null, 'peer answers: neither a hash nor an error');
    const { hash, compactRevision, revision: hashRevision } = found;
    const answer = {
      header: { cluster_id: 0, member_id: 0, revision: currentRevision, raft_term: server.term },
      hash,
      compact_revision: compactRevision,
      hash_revision: hashRevision,
    };
    const ids = `"cluster_id":${server.clusterId},"member_id":${server.memberId}`;
    respond(json(JSON.stringify(answer).replace('"cluster_id":0,"member_id":0', ids)));
  });
}

function parseRevision(body: Uint8Array | undefined): number | null {
  try {
    const request: unknown = JSON.parse(Buffer.from(body ?? []).toString());
    if (typeof request !== 'object' || request === null) return null;
    const revision: unknown = 'revision' in request ? request.revision : 0;
    return Number.isSafeInteger(revision) ? (revision as number) : null;
  } catch {
    return null;
  }
}

function renewLease(server: EtcdServer, { body }: PeerRequest, respond: Respond): void {
  const request = tryDecode(() => decodeLeaseKeepAliveRequest(body ?? new Uint8Array()));
  if (request === null) return respond(failure(400, 'error unmarshalling request'));
  const { id } = request;
  whenCaughtUp(server, respond, () => {
    server.leases.renewHere(id, (error, ttl) => {
      if (error === ErrLeaseNotFound) return respond(failure(404, error.message));
      if (error !== null) return respond(failure(400, error.message));
      const response = new LeaseKeepAliveResponse({ header: new ResponseHeader(), id, ttl });
      respond({ status: 200, contentType: PROTOBUF, body: encodeLeaseKeepAliveResponse(response) });
    });
  });
}

function lookupLease(server: EtcdServer, { body }: PeerRequest, respond: Respond): void {
  const request =
    tryDecode(() => decodeLeaseInternalRequest(body ?? new Uint8Array()))?.leaseTimeToLiveRequest ?? null;
  if (request === null) return respond(failure(400, 'error unmarshalling request'));
  const { id, keys } = request;
  whenCaughtUp(server, respond, () => {
    server.confirmLeadership((leads) => {
      if (!leads) return respond(failure(500, ErrNotPrimary.message));
      const leaseTimeToLiveResponse = leaseTimeToLive(server.lessor, id, keys);
      if (leaseTimeToLiveResponse === null) return respond(failure(404, ErrLeaseNotFound.message));
      const response = new LeaseInternalResponse({ leaseTimeToLiveResponse });
      respond({ status: 200, contentType: PROTOBUF, body: encodeLeaseInternalResponse(response) });
    });
  });
}

/** Goes on when everything is applied that is committed now. */
function whenCaughtUp(server: EtcdServer, respond: Respond, then: () => void): void {
  server.whenApplied(server.committedIndex, CATCH_UP_MS, (isApplied) => {
    if (isApplied) return then();
    respond(failure(408, 'waiting for node to catch up its applied index has timed out'));
  });
}

function downgradeEnabled(server: EtcdServer, respond: Respond): void {
  server.read({
    onReadable: () =>
      respond({
        status: 200,
        contentType: TEXT,
        body: Buffer.from(String(server.membership.downgrade.enabled)),
      }),
    onUnreadable: (error) => respond(failure(500, `failed linearized read: ${error.message}`)),
  });
}

function members(list: readonly Member[]): PeerResponse {
  return json(`${membersJson(list)}\n`);
}

function parseDecimalId(text: string): MemberId | null {
  if (!/^\d{1,20}$/.test(text)) return null;
  const id = BigInt(text);
  return id < MAX_ID ? id : null;
}

function tryDecode<T>(decode: () => T): T | null {
  try {
    return decode();
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}

function withMethod(method: string, request: PeerRequest, respond: Respond, then: () => void): void {
  if (request.method === method) then();
  else respond(wrongMethod(method));
}

function wrongMethod(allowed: string): PeerResponse {
  return { ...failure(405, 'Method Not Allowed'), headers: { allow: allowed } };
}

function json(text: string): PeerResponse {
  return { status: 200, contentType: JSON_TYPE, body: Buffer.from(text) };
}

function failure(status: number, text: string): PeerResponse {
  return { status, contentType: TEXT, body: Buffer.from(`${text}\n`) };
}
