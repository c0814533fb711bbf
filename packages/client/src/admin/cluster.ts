/** The members of the cluster. */
import {
  MemberAddRequest,
  type MemberAddResponse,
  MemberListRequest,
  type MemberListResponse,
  MemberPromoteRequest,
  type MemberPromoteResponse,
  MemberRemoveRequest,
  type MemberRemoveResponse,
  MemberUpdateRequest,
  type MemberUpdateResponse,
} from '@etcd/api/etcdserverpb';
import { ClusterService } from '@etcd/api/services';
import { type CallOptions, NO_OPTIONS } from '../options.ts';
import type { Caller } from '../rpc/caller.ts';

const { methods } = ClusterService;

export class Cluster {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  /** As the leader knows them, unless `serializable` asks for what the member itself knows. */
  memberList(
    options: { readonly serializable?: boolean | undefined } & CallOptions = {},
  ): Promise<MemberListResponse> {
    const request = new MemberListRequest({ linearizable: options.serializable !== true });
    return this.#caller.unary(methods.memberList, request, options);
  }

  /** A learner has no vote until it is promoted. */
  memberAdd(
    peerUrls: readonly string[],
    options: { readonly isLearner?: boolean | undefined } & CallOptions = {},
  ): Promise<MemberAddResponse> {
    const request = new MemberAddRequest({ peerUrls: [...peerUrls], isLearner: options.isLearner ?? false });
    return this.#caller.unary(methods.memberAdd, request, options);
  }

  memberRemove(id: bigint, options: CallOptions = NO_OPTIONS): Promise<MemberRemoveResponse> {
    return this.#caller.unary(methods.memberRemove, new MemberRemoveRequest({ id }), options);
  }

  memberUpdate(
    id: bigint,
    peerUrls: readonly string[],
    options: CallOptions = NO_OPTIONS,
  ): Promise<MemberUpdateResponse> {
    const request = new MemberUpdateRequest({ id, peerUrls: [...peerUrls] });
    return this.#caller.unary(methods.memberUpdate, request, options);
  }

  memberPromote(id: bigint, options: CallOptions = NO_OPTIONS): Promise<MemberPromoteResponse> {
    return this.#caller.unary(methods.memberPromote, new MemberPromoteRequest({ id }), options);
  }
}
