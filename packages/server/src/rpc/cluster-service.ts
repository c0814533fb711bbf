/** The Cluster service: who belongs to the cluster, and changes of that. */
import { type InternalError, RPC_ERRORS } from '@etcd/api';
import {
  type MemberAddRequest,
  MemberAddResponse,
  MemberAddResponseCodec,
  type MemberListRequest,
  MemberListResponse,
  MemberListResponseCodec,
  Member as MemberMessage,
  type MemberPromoteRequest,
  MemberPromoteResponse,
  MemberPromoteResponseCodec,
  type MemberRemoveRequest,
  MemberRemoveResponse,
  MemberRemoveResponseCodec,
  type MemberUpdateRequest,
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
import type { MemberFacts, Requests } from './member.ts';
import type { Call } from './row.ts';
import { answer, type RpcContext, refuse, refuseInternal } from './rpc-context.ts';

export class ClusterService {
  readonly #context: RpcContext;
  readonly #member: MemberFacts;
  readonly #requests: Requests;

  constructor(context: RpcContext) {
    this.#context = context;
    this.#member = context.member;
    this.#requests = context.requests;
  }

  list(call: Call<MemberListResponse>, { linearizable }: MemberListRequest): void {
    const respond = (): void => {
      const members = this.#member.membership.members().map(memberMessage);
      answer(call, MemberListResponseCodec, new MemberListResponse({ header: this.#header(), members }));
    };
    if (!linearizable) return respond();
    this.#requests.read({ onReadable: respond, onUnreadable: (error) => void refuseInternal(call, error) });
  }

  add(call: Call<MemberAddResponse>, request: MemberAddRequest): void {
    const { isLearner } = request;
    const peerUrls = canonicalUrls(request.peerUrls);
    if (peerUrls === null) return void refuse(call, RPC_ERRORS.ErrGRPCMemberBadURLs);
    const unixSeconds = Math.floor(this.#member.clock.wallNow() / 1000);
    const member = newMember(computeMemberId(peerUrls, '', unixSeconds), { peerUrls, isLearner });
    const unsafe = this.#strictly(() => validateAddMember(this.#requests.reconfiguration.facts, isLearner));
    this.#change(call, unsafe, addMemberChange(member), (members) => {
      const response = new MemberAddResponse({
        header: this.#header(),
        member: memberMessage(member),
        members,
      });
      answer(call, MemberAddResponseCodec, response);
    });
  }

  remove(call: Call<MemberRemoveResponse>, { id }: MemberRemoveRequest): void {
    const unsafe = this.#strictly(() => validateRemoveMember(this.#requests.reconfiguration.facts, id));
    this.#change(call, unsafe, removeMemberChange(id), (members) => {
      answer(call, MemberRemoveResponseCodec, new MemberRemoveResponse({ header: this.#header(), members }));
    });
  }

  update(call: Call<MemberUpdateResponse>, request: MemberUpdateRequest): void {
    const peerUrls = canonicalUrls(request.peerUrls);
    if (peerUrls === null) return void refuse(call, RPC_ERRORS.ErrGRPCMemberBadURLs);
    this.#change(call, null, updateMemberChange(request.id, peerUrls), (members) => {
      answer(call, MemberUpdateResponseCodec, new MemberUpdateResponse({ header: this.#header(), members }));
    });
  }

  promote(call: Call<MemberPromoteResponse>, { id }: MemberPromoteRequest): void {
    this.#requests.reconfiguration.promote(id, {
      kind: 'confChange',
      request: null,
      onApplied: (result) => {
        const members = result.members.map(memberMessage);
        const response = new MemberPromoteResponse({ header: this.#header(), members });
        answer(call, MemberPromoteResponseCodec, response);
      },
      onFailed: (error) => void refuseInternal(call, error),
    });
  }

  /** Checks that keep a cluster able to decide; `--strict-reconfig-check=false` leaves them out. */
  #strictly(check: () => InternalError | null): InternalError | null {
    return this.#member.config.strictReconfigCheck ? check() : null;
  }

  #change(
    call: ServerCall,
    refusal: InternalError | null,
    change: ConfChange,
    onChanged: (members: MemberMessage[]) => void,
  ): void {
    if (refusal !== null) {
      this.#member.logger.warn('rejecting a change of the membership', { error: refusal.message });
      return void refuseInternal(call, refusal);
    }
    this.#requests.reconfiguration.change(change, {
      kind: 'confChange',
      request: null,
      onApplied: ({ members }) => onChanged(members.map(memberMessage)),
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
