/**
 * Who belongs to the group, and in which role. Immutable: a change makes a new one (see `confchange/`).
 *
 * Invariants, checked by {@link checkConfig}: nobody is voter and learner at once, in either half; whoever is in
 * `learnersNext` is still a voter of the outgoing half; `learnersNext` and `autoLeave` mean something only in a joint
 * configuration.
 */
import type { MemberId } from '@etcd/api';
import { JointConfig } from '../quorum/joint.ts';
import { MajorityConfig } from '../quorum/majority.ts';

/**
 * Most voters and learners that a configuration may have, and most changes that one entry may carry. Far above any
 * group that makes sense; it bounds what a broken peer's snapshot or proposal can cost.
 */
export const MAX_MEMBERS = 256;

export interface Config {
  readonly voters: JointConfig;
  /** Raft itself proposes to leave the joint configuration as soon as that is possible. */
  readonly autoLeave: boolean;
  /** Members that receive the log without a vote. */
  readonly learners: MajorityConfig;
  /**
   * Voters of the outgoing half that become learners when the joint configuration is left. They can't be learners
   * before, since in the outgoing half they still vote.
   */
  readonly learnersNext: MajorityConfig;
}

export const EMPTY_CONFIG: Config = {
  voters: new JointConfig(MajorityConfig.EMPTY),
  autoLeave: false,
  learners: MajorityConfig.EMPTY,
  learnersNext: MajorityConfig.EMPTY,
};

/** Whether a progress is tracked for `id`: every voter of either half and every learner has one. */
export function isMember(config: Config, id: MemberId): boolean {
  return config.voters.has(id) || config.learners.has(id);
}

/** Every id that {@link isMember}, ascending. */
export function memberIds(config: Config): readonly MemberId[] {
  return MajorityConfig.of([...config.voters.ids().ids, ...config.learners.ids]).ids;
}

/** What is wrong with `config`, or null if its invariants hold. */
export function checkConfig(config: Config): string | null {
  const { incoming, outgoing } = config.voters;
  if (memberIds(config).length > MAX_MEMBERS) return `more than ${MAX_MEMBERS} members`;
  for (const id of config.learnersNext.ids) {
    if (!outgoing.has(id)) return `${id} is in LearnersNext, but not Voters[1]`;
    if (config.learners.has(id)) return `${id} is in LearnersNext, but is already marked as learner`;
  }
  for (const id of config.learners.ids) {
    if (outgoing.has(id)) return `${id} is in Learners and Voters[1]`;
    if (incoming.has(id)) return `${id} is in Learners and Voters[0]`;
  }
  if (!config.voters.isJoint) {
    if (config.learnersNext.size > 0) return 'cfg.LearnersNext must be nil when not joint';
    if (config.autoLeave) return 'AutoLeave must be false when not joint';
  }
  return null;
}

export function describeConfig(config: Config): string {
  let text = `voters=${config.voters}`;
  if (config.learners.size > 0) text += ` learners=${config.learners}`;
  if (config.learnersNext.size > 0) text += ` learners_next=${config.learnersNext}`;
  if (config.autoLeave) text += ' autoleave';
  return text;
}
