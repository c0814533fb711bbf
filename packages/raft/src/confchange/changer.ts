/**
 * Changes of the configuration, as pure functions from a configuration to the next: simple ones, which alter at most
 * one voter, and the steps into and out of a joint configuration (Raft thesis, chapter 4).
 *
 * A change that the rules forbid throws {@link ConfChangeError} and leaves everything as it was. By convention voters
 * are always changed in the incoming half; the outgoing half is empty, or keeps the former voters until the joint
 * configuration is left.
 */
import type { MemberId } from '@etcd/api';
import { type ConfChangeSingle, ConfChangeType } from '@etcd/api/raftpb';
import { JointConfig } from '../quorum/joint.ts';
import { MajorityConfig } from '../quorum/majority.ts';
import { type Config, checkConfig, MAX_MEMBERS } from '../tracker/config.ts';

/** A change that the rules forbid. */
export class ConfChangeError extends Error {
  override readonly name = 'ConfChangeError';
  readonly code = 'ERR_RAFT_CONF_CHANGE';
}

export interface ConfChangeResult {
  readonly config: Config;
  /** Members that (re)join by this change: what was known of their progress is void. */
  readonly added: ReadonlySet<MemberId>;
}

/** Applies changes that together alter at most one voter. */
export function changeSimple(config: Config, changes: readonly ConfChangeSingle[]): ConfChangeResult {
  if (config.voters.isJoint) throw new ConfChangeError("can't apply simple config change in joint config");
  const draft = new Draft(config);
  draft.apply(changes);
  if (countDifferences(config.voters.incoming, draft.incoming) > 1) {
    throw new ConfChangeError('more than one voter changed without entering joint config');
  }
  return draft.finish();
}

/** Makes the voters the outgoing half too, then applies the changes to the incoming half: from C to C(new, old). */
export function enterJoint(
  config: Config,
  autoLeave: boolean,
  changes: readonly ConfChangeSingle[],
): ConfChangeResult {
  if (config.voters.isJoint) throw new ConfChangeError('config is already joint');
  if (config.voters.incoming.size === 0) {
    throw new ConfChangeError("can't make a zero-voter config joint");
  }
  const draft = new Draft(config);
  draft.outgoing = draft.incoming;
  draft.apply(changes);
  draft.autoLeave = autoLeave;
  return draft.finish();
}

/** Drops the outgoing half, from C(new, old) to C(new); the learners that it held back become learners. */
export function leaveJoint(config: Config): ConfChangeResult {
  if (!config.voters.isJoint) throw new ConfChangeError("can't leave a non-joint config");
  const draft = new Draft(config);
  for (const id of draft.learnersNext.ids) draft.learners = draft.learners.with(id);
  draft.learnersNext = MajorityConfig.EMPTY;
  draft.outgoing = MajorityConfig.EMPTY;
  draft.autoLeave = false;
  return draft.finish();
}

/** Enough to replace every outgoing voter by others and then some. */
const MAX_CHANGES = 2 * MAX_MEMBERS;

/** A configuration under change. */
class Draft {
  incoming: MajorityConfig;
  outgoing: MajorityConfig;
  learners: MajorityConfig;
  learnersNext: MajorityConfig;
  autoLeave: boolean;
  readonly #added = new Set<MemberId>();

  constructor(config: Config) {
    this.incoming = config.voters.incoming;
    this.outgoing = config.voters.outgoing;
    this.learners = config.learners;
    this.learnersNext = config.learnersNext;
    this.autoLeave = config.autoLeave;
  }

  apply(changes: readonly ConfChangeSingle[]): void {
    if (changes.length > MAX_CHANGES) throw new ConfChangeError(`more than ${MAX_CHANGES} changes at once`);
    for (const change of changes) {
      // An application that decides against a committed change replaces its node by 0; there is nothing to do then.
      if (change.nodeId !== 0n) this.#applyOne(change.type, change.nodeId);
    }
    if (this.incoming.size === 0) throw new ConfChangeError('removed all voters');
  }

  finish(): ConfChangeResult {
    const config: Config = {
      voters: new JointConfig(this.incoming, this.outgoing),
      autoLeave: this.autoLeave,
      learners: this.learners,
      learnersNext: this.learnersNext,
    };
    const complaint = checkConfig(config);
    if (complaint !== null) throw new ConfChangeError(complaint);
    return { config, added: this.#added };
  }

  #applyOne(type: number, id: MemberId): void {
    switch (type) {
      case ConfChangeType.ConfChangeAddNode:
        return this.#makeVoter(id);
      case ConfChangeType.ConfChangeAddLearnerNode:
        return this.#makeLearner(id);
      case ConfChangeType.ConfChangeRemoveNode:
        return this.#remove(id);
      case ConfChangeType.ConfChangeUpdateNode:
        return;
      default:
        throw new ConfChangeError(`unexpected conf type ${type}`);
    }
  }

  #isMember(id: MemberId): boolean {
    return this.incoming.has(id) || this.outgoing.has(id) || this.learners.has(id);
  }

  #makeVoter(id: MemberId): void {
    if (!this.#isMember(id)) this.#added.add(id);
    this.learners = this.learners.without(id);
    this.learnersNext = this.learnersNext.without(id);
    this.incoming = this.incoming.with(id);
  }

  #makeLearner(id: MemberId): void {
    if (!this.#isMember(id)) this.#added.add(id);
    if (this.learners.has(id)) return;
    this.incoming = this.incoming.without(id);
    // A voter of the outgoing half has to wait until that half is gone.
    if (this.outgoing.has(id)) this.learnersNext = this.learnersNext.with(id);
    else this.learners = this.learners.with(id);
  }

  #remove(id: MemberId): void {
    this.incoming = this.incoming.without(id);
    this.learners = this.learners.without(id);
    this.learnersNext = this.learnersNext.without(id);
  }
}

/** How many ids are in one of the sets and not in the other. */
function countDifferences(a: MajorityConfig, b: MajorityConfig): number {
  return a.ids.filter((id) => !b.has(id)).length + b.ids.filter((id) => !a.has(id)).length;
}
