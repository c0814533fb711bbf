/** The Cluster service: who belongs to the cluster, and changes of that. */
import { type InternalError, RPC_ERRORS } from '@etcd/api';
import {
  MemberAddRequestCodec,
  MemberAddResponse,
  MemberAddResponseCodec,
  MemberListRequestCodec,
  MemberListResponse,
  MemberListResponseCodec,
  Member as MemberMessage,
  MemberPromoteRequestCodec,
  MemberPromoteResponse,
  MemberPromoteResponseCodec,
  MemberRemoveRequestCodec,
  MemberRemoveResponse,
  MemberRemoveResponseCodec,
  MemberUpdateRequestCodec,
  MemberUpdateResponse,
  MemberUpdateResponseCodec,
  type ResponseHeader,
} from '@etcd/api/etcdserverpb';
import type { ConfChange } from '@etcd/api/raftpb';
import { parseUrls, urlTexts } from '@etcd/base';
import {
  addMemberChange,
  computeMemberId,
  type Member,
  newMember,
  removeMemberChange,
  updateMemberChange,
  validateAddMember,
  validateRemoveMember,
} from '@etcd/storage/membership';
import type { ServerCall } from '@etcd/transport';
import type { EtcdServer } from '../member/index.ts';
import type { MembersResult } from '../request/index.ts';
import { answer, decodeRequest, type RpcContext, refuse, refuseInternal } from './rpc-context.ts';

export function registerClusterService(context: RpcContext): void {
  const service = new ClusterService(context);
  const { grpc } = context;
  grpc.unary('/etcdserverpb.Cluster/MemberList', (...call) => service.list(...call));
  grpc.unary('/etcdserverpb.Cluster/MemberAdd', (...call) => service.add(...call));
  grpc.unary('/etcdserverpb.Cluster/MemberRemove', (...call) => service.remove(...call));
  grpc.unary('/etcdserverpb.Cluster/MemberUpdate', (...call) => service.update(...call));
  grpc.unary('/etcdserverpb.Cluster/MemberPromote', (...call) => service.promote(...call));
}

class ClusterService {
  readonly #context: RpcContext;
  readonly #server: EtcdServer;

  constructor(context: RpcContext) {
    this.#context = context;
    this.#server = context.server;
  }

  list(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, MemberListRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    const respond = (): void => {
      const members = this.#server.membership.members().map(memberMessage);
      answer(call, MemberListResponseCodec, new MemberListResponse({ header: this.#header(), members }));
    };
    if (!request.linearizable) return respond();
    this.#server.read({ onReadable: respond, onUnreadable: (error) => void refuseInternal(call, error) });
  }

  add(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, MemberAddRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    const { isLearner } = request;
    const peerUrls = canonicalUrls(request.peerUrls);
    if (peerUrls === null) return void refuse(call, RPC_ERRORS.ErrGRPCMemberBadURLs);
    const unixSeconds = Math.floor(this.#server.clock.wallNow() / 1000);
    const member = newMember(computeMemberId(peerUrls, '', unixSeconds), { peerUrls, isLearner });
    const unsafe = this.#strictly(() => validateAddMember(this.#server.reconfiguration.facts, isLearner));
    this.#change(call, unsafe, addMemberChange(member), (members) => {
      const response = new MemberAddResponse({
        header: this.#header(),
        member: memberMessage(member),
        members,
      });
      answer(call, MemberAddResponseCodec, response);
    });
  }

  remove(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, MemberRemoveRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    const { id } = request;
    const unsafe = this.#strictly(() => validateRemoveMember(this.#server.reconfiguration.facts, id));
    this.#change(call, unsafe, removeMemberChange(id), (members) => {
      answer(call, MemberRemoveResponseCodec, new MemberRemoveResponse({ header: this.#header(), members }));
    });
  }

  update(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, MemberUpdateRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    const peerUrls = canonicalUrls(request.peerUrls);
    if (peerUrls === null) return void refuse(call, RPC_ERRORS.ErrGRPCMemberBadURLs);
    this.#change(call, null, updateMemberChange(request.id, peerUrls), (members) => {
      answer(call, MemberUpdateResponseCodec, new MemberUpdateResponse({ header: this.#header(), members }));
    });
  }

  promote(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const request = decodeRequest(call, MemberPromoteRequestCodec, bytes, start, end);
    if (request === null || !this.#context.admit(call)) return;
    this.#server.reconfiguration.promote(request.id, {
      request: null,
      onApplied: (result) => {
        const members = (result as MembersResult).members.map(memberMessage);
        const response = new MemberPromoteResponse({ header: this.#header(), members });
        answer(call, MemberPromoteResponseCodec, response);
      },
      onFailed: (error) => void refuseInternal(call, error),
    });
  }

  /** Checks that keep a cluster able to decide; `--strict-reconfig-check=false` leaves them out. */
  #strictly(check: () => InternalError | null): InternalError | null {
    return this.#server.config.strictReconfigCheck ? check() : null;
  }

  #change(
    call: ServerCall,
    refusal: InternalError | null,
    change: ConfChange,
    onChanged: (members: MemberMessage[]) => void,
  ): void {
    if (refusal !== null) {
      this.#server.logger.warn('rejecting a change of the membership', { error: refusal.message });
      return void refuseInternal(call, refusal);
    }
    this.#server.reconfiguration.change(change, {
      request: null,
      onApplied: (result) => onChanged((result as MembersResult).members.map(memberMessage)),
      onFailed: (error) => void refuseInternal(call, error),
    });
  }

  /** As etcd: answers of this service tell no revision. */
  #header(): ResponseHeader {
    return this.#context.header.header(0);
  }
}

/** Sorted and in the form that all members write; null if there is none, or one is no URL of a peer. */
function canonicalUrls(texts: readonly string[]): string[] | null {
  if (texts.length === 0) return null;
  const { urls, error } = parseUrls(texts);
  return error === undefined ? urlTexts(urls).sort() : null;
}

function memberMessage({ id, name, peerUrls, clientUrls, isLearner }: Member): MemberMessage {
  return new MemberMessage({ id, name, peerUrls: [...peerUrls], clientUrls: [...clientUrls], isLearner });
}
