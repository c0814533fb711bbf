/**
 * The members of a cluster: what configuration changes and attribute requests make of them.
 *
 * Invariants: every member stands under its own id; who was removed never becomes a member again; a member is promoted once. What is in
 * memory and what was handed to the writer say the same after each call.
 */
import { type ClusterId, INTERNAL_ERRORS, type InternalError, type MemberId } from '@etcd/api';
import type { Request } from '@etcd/api/etcdserverpb';
import type {
  ClusterMemberAttrSetRequest,
  ClusterVersionSetRequest,
  DowngradeInfoSetRequest,
} from '@etcd/api/membershippb';
import { type ConfChange, ConfChangeType } from '@etcd/api/raftpb';
import { assert } from '@etcd/base';
import { type DowngradeInfo, NO_DOWNGRADE } from './cluster-version.ts';
import {
  type Attributes,
  type ConfigChangeContext,
  compareIds,
  formatId,
  type Member,
  parseAttributes,
  parseConfigChangeContext,
  parseId,
  parseMember,
} from './member.ts';
import {
  type BucketWriter,
  type MembershipState,
  mustParseVersion,
  putClusterVersion,
  putDowngrade,
  putMember,
  putRemovedMember,
} from './membership-buckets.ts';
import { MembershipError } from './membership-error.ts';
import type { SemanticVersion } from './semantic-version.ts';

/** What an applied change means for the connections between members. */
export type ConfChangeEffect =
  | { readonly kind: 'added' | 'promoted' | 'updated'; readonly member: Member }
  | {
      readonly kind: 'removed';
      readonly id: MemberId /** What it was; null if it was no member. */;
      readonly member: Member | null;
    }
  /** A change of a member that is none (any more). */
  | { readonly kind: 'ignored'; readonly id: MemberId };

export interface MembershipOptions {
  readonly clusterId: ClusterId;
  readonly state?: MembershipState | undefined;
  /** {@link DEFAULT_MAX_LEARNERS} unless told. */
  readonly maxLearners?: number | undefined;
}

const DEFAULT_MAX_LEARNERS = 1;

const MEMBER_ATTRIBUTES_PATH = /^\/0\/members\/([0-9a-fA-F]{1,16})\/attributes$/;
const CLUSTER_VERSION_PATH = '/0/version';

export class Membership {
  readonly clusterId: ClusterId;
  readonly #maxLearners: number;
  readonly #members = new Map<MemberId, Member>();
  readonly #removedIds = new Set<MemberId>();
  #version: SemanticVersion | null = null;
  #downgrade: DowngradeInfo = NO_DOWNGRADE;

  constructor(options: MembershipOptions) {
    this.clusterId = options.clusterId;
    this.#maxLearners = options.maxLearners ?? DEFAULT_MAX_LEARNERS;
    if (options.state !== undefined) this.restore(options.state);
  }

  /** Sorted by identity. */
  members(): Member[] {
    return [...this.#members.values()].sort((a, b) => compareIds(a.id, b.id));
  }

  /** Sorted by identity. */
  votingMembers(): Member[] {
    return this.members().filter((member) => !member.isLearner);
  }

  member(id: MemberId): Member | null {
    return this.#members.get(id) ?? null;
  }

  memberByName(name: string): Member | null {
    return this.members().find((member) => member.name === name) ?? null;
  }

  /** Whether it was a member and is none any more: it never will be again. */
  isRemoved(id: MemberId): boolean {
    return this.#removedIds.has(id);
  }

  /** null until one was decided. */
  get version(): SemanticVersion | null {
    return this.#version;
  }

  get downgrade(): DowngradeInfo {
    return this.#downgrade;
  }

  /** Everything at once, for storing it. */
  state(): MembershipState {
    return {
      members: this.members(),
      removedIds: [...this.#removedIds].sort(compareIds),
      version: this.#version,
      downgrade: this.#downgrade,
    };
  }

  /** Forgets everything for what was read from a database or snapshot. */
  restore(state: MembershipState): void {
    this.#members.clear();
    this.#removedIds.clear();
    for (const member of state.members) this.#members.set(member.id, member);
    for (const id of state.removedIds) this.#removedIds.add(id);
    this.#version = state.version;
    this.#downgrade = state.downgrade;
  }

  /**
   * Why a committed change must not be applied, the same on every member; null if it may. One that must not is given to
   * raft with node id 0, which changes nothing. Throws {@link MembershipError} for a change that no etcd proposes.
   */
  validateConfChange(change: ConfChange): InternalError | null {
    const { membership } = INTERNAL_ERRORS;
    const { nodeId: id } = change;
    if (this.#removedIds.has(id)) return membership.ErrIDRemoved;
    const member = this.#members.get(id);
    switch (change.type) {
      case ConfChangeType.ConfChangeAddNode:
      case ConfChangeType.ConfChangeAddLearnerNode: {
        const context = parseConfigChangeContext(change.context);
        return context.isPromote ? this.#validatePromotion(member) : this.#validateAddition(change, context);
      }
      case ConfChangeType.ConfChangeRemoveNode:
        return member === undefined ? membership.ErrIDNotFound : null;
      case ConfChangeType.ConfChangeUpdateNode: {
        if (member === undefined) return membership.ErrIDNotFound;
        const { peerUrls } = parseMember(change.context);
        return this.#isPeerUrlTaken(peerUrls, id) ? membership.ErrPeerURLexists : null;
      }
      default:
        throw new MembershipError('malformed', `unknown ConfChange type ${change.type}`);
    }
  }

  /** Applies a change that {@link validateConfChange} let pass, and stores it. */
  applyConfChange(change: ConfChange, writer: BucketWriter): ConfChangeEffect {
    const { nodeId: id } = change;
    switch (change.type) {
      case ConfChangeType.ConfChangeAddNode:
      case ConfChangeType.ConfChangeAddLearnerNode: {
        const { member, isPromote } = parseConfigChangeContext(change.context);
        checkSameId(id, member);
        return isPromote ? this.#promote(id, writer) : this.#put('added', member, writer);
      }
      case ConfChangeType.ConfChangeRemoveNode:
        return this.#remove(id, writer);
      case ConfChangeType.ConfChangeUpdateNode: {
        const update = parseMember(change.context);
        checkSameId(id, update);
        const member = this.#members.get(id);
        if (member === undefined) return { kind: 'ignored', id };
        // Only the peer URLs of a member can be updated.
        return this.#put('updated', { ...member, peerUrls: update.peerUrls }, writer);
      }
      default:
        throw new MembershipError('malformed', `unknown ConfChange type ${change.type}`);
    }
  }

  /**
   * A member has said what it is called and where clients find it. One that was removed meanwhile is nobody's concern any more; nor is
   * one that never was, of which only a broken member would speak.
   */
  setAttributes(id: MemberId, attributes: Attributes, writer: BucketWriter): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    const { name, clientUrls } = attributes;
    assert(member.id === id, 'membership: a member stands under the id of another');
    this.#put('updated', { ...member, name, clientUrls }, writer);
  }

  setVersion(version: SemanticVersion, writer: BucketWriter): void {
    this.#version = version;
    putClusterVersion(writer, version);
  }

  setDowngrade(downgrade: DowngradeInfo, writer: BucketWriter): void {
    this.#downgrade = downgrade;
    putDowngrade(writer, downgrade);
  }

  // The requests of the log that change the membership.

  applyClusterMemberAttrSet(request: ClusterMemberAttrSetRequest, writer: BucketWriter): void {
    const { name = '', clientUrls = [] } = request.memberAttributes ?? {};
    this.setAttributes(request.memberId, { name, clientUrls }, writer);
  }

  applyClusterVersionSet(request: ClusterVersionSetRequest, writer: BucketWriter): void {
    this.setVersion(mustParseVersion(request.ver), writer);
  }

  applyDowngradeInfoSet(request: DowngradeInfoSetRequest, writer: BucketWriter): void {
    const { enabled, ver } = request;
    this.setDowngrade(enabled ? { enabled, targetVersion: ver } : NO_DOWNGRADE, writer);
  }

  /**
   * A request of the v2 API, by which etcd up to 3.5 publishes attributes and sets the version. False if it is any other:
   * a key of a v2 client, which nothing here stores.
   */
  applyV2Request(request: Request, writer: BucketWriter): boolean {
    const change = readV2Request(request);
    if (change === null) return false;
    if ('version' in change) this.setVersion(change.version, writer);
    else this.setAttributes(change.id, change.attributes, writer);
    return true;
  }

  #validatePromotion(member: Member | undefined): InternalError | null {
    if (member === undefined) return INTERNAL_ERRORS.membership.ErrIDNotFound;
    return member.isLearner ? null : INTERNAL_ERRORS.membership.ErrMemberNotLearner;
  }

  #validateAddition({ type, nodeId }: ConfChange, { member }: ConfigChangeContext): InternalError | null {
    const { membership } = INTERNAL_ERRORS;
    if (this.#members.has(nodeId)) return membership.ErrIDExists;
    if (this.#isPeerUrlTaken(member.peerUrls, null)) return membership.ErrPeerURLexists;
    const isLearner = member.isLearner && type === ConfChangeType.ConfChangeAddLearnerNode;
    return isLearner ? validateLearnerCount(this.members(), 1, this.#maxLearners) : null;
  }

  #isPeerUrlTaken(peerUrls: readonly string[], exceptId: MemberId | null): boolean {
    for (const member of this.#members.values()) {
      if (member.id !== exceptId && peerUrls.some((url) => member.peerUrls.includes(url))) return true;
    }
    return false;
  }

  #put(kind: 'added' | 'promoted' | 'updated', member: Member, writer: BucketWriter): ConfChangeEffect {
    assert(this.#members.has(member.id) === (kind !== 'added'), 'membership: added twice, or changed before');
    assert(kind !== 'added' || !this.#removedIds.has(member.id), 'membership: a removed member comes back');
    this.#members.set(member.id, member);
    putMember(writer, member);
    return { kind, member };
  }

  #promote(id: MemberId, writer: BucketWriter): ConfChangeEffect {
    const member = this.#members.get(id);
    if (member === undefined) return { kind: 'ignored', id };
    assert(member.isLearner, 'membership: a voter is promoted');
    return this.#put('promoted', { ...member, isLearner: false }, writer);
  }

  #remove(id: MemberId, writer: BucketWriter): ConfChangeEffect {
    assert(!this.#removedIds.has(id), 'membership: removed twice');
    const member = this.#members.get(id) ?? null;
    this.#members.delete(id);
    this.#removedIds.add(id);
    putRemovedMember(writer, id);
    return { kind: 'removed', id, member };
  }
}

type V2Change =
  | { readonly version: SemanticVersion }
  | { readonly id: MemberId; readonly attributes: Attributes };

/** What a request of the v2 API means for the membership; null: nothing. */
function readV2Request({ method, path, val }: Request): V2Change | null {
  if (method !== 'PUT') return null;
  const match = MEMBER_ATTRIBUTES_PATH.exec(path);
  if (match !== null) {
    const id = parseId(match[1]!);
    assert(id !== null, 'membership: the path of a member names no id');
    return { id, attributes: parseAttributes(val) };
  }
  return path === CLUSTER_VERSION_PATH ? { version: mustParseVersion(val) } : null;
}

/** Throws {@link MembershipError} for a request that can't be applied, whatever the membership is. */
export function checkV2Request(request: Request): void {
  readV2Request(request);
}

/** Throws {@link MembershipError} for a configuration change that can't be applied, whatever the membership is. */
export function checkConfChange({ type, nodeId, context }: ConfChange): void {
  switch (type) {
    case ConfChangeType.ConfChangeAddNode:
    case ConfChangeType.ConfChangeAddLearnerNode:
      return checkSameId(nodeId, parseConfigChangeContext(context).member);
    case ConfChangeType.ConfChangeRemoveNode:
      return;
    case ConfChangeType.ConfChangeUpdateNode:
      return checkSameId(nodeId, parseMember(context));
    default:
      throw new MembershipError('malformed', `unknown ConfChange type ${type}`);
  }
}

/** Whether `more` learners beside those of `members` are too many. */
function validateLearnerCount(
  members: readonly Member[],
  more: number,
  maxLearners: number,
): InternalError | null {
  const count = members.filter((member) => member.isLearner).length + more;
  return count > maxLearners ? INTERNAL_ERRORS.membership.ErrTooManyLearners : null;
}

function checkSameId(id: MemberId, member: Member): void {
  if (id === member.id) return;
  const ids = `${formatId(id)} and ${formatId(member.id)}`;
  throw new MembershipError('id-mismatch', `got different member ID: ${ids}`);
}
