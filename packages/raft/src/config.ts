/**
 * The parameters of a member. {@link resolveConfig} checks them and fills in what was left out; a bad one is a
 * {@link ConfigError}.
 */
import type { LogIndex, MemberId, Term } from '@etcd/api';
import { type Logger, type Random, SILENT_LOGGER } from '@etcd/base';
import { isLocalTarget, NONE } from './message.ts';
import type { Storage } from './storage.ts';

export const ReadOnlyOption = {
  /** Every read is confirmed by a round of heartbeats: linearizable whatever the clocks do. */
  Safe: 0,
  /**
   * A leader that heard of a quorum within an election timeout answers at once. Linearizable only while no clock
   * runs away and no process pauses; needs checkQuorum.
   */
  LeaseBased: 1,
} as const;
export type ReadOnlyOption = (typeof ReadOnlyOption)[keyof typeof ReadOnlyOption];

/** The place of an entry. */
export interface LogPosition {
  readonly index: LogIndex;
  readonly term: Term;
}

export interface RaftConfig {
  /** This member; not 0. */
  readonly id: MemberId;
  /** Without word from a leader for this long, randomized up to twice as long, a follower campaigns. */
  readonly electionTicks: number;
  /** How often a leader sends heartbeats; less than {@link electionTicks}, a tenth is a good choice. */
  readonly heartbeatTicks: number;
  readonly storage: Storage;
  /** For the jitter of the election timeout. */
  readonly random: Random;
  /** Dropped unless given. Messages are whole sentences, without fields. */
  readonly logger?: Logger;

  /** When restarting: up to where the state machine has applied the log already. */
  readonly applied?: LogIndex;
  /**
   * When restarting: the last entry that the state machine has applied, also if the log has lost it. As long as the log ends before it,
   * this member does not campaign, and votes only for who has it. A term of 0 is unknown: then it votes for nobody.
   */
  readonly mustHave?: LogPosition;
  /**
   * Storage is written through messages to two local targets instead of through the fields of Ready and advance();
   * see index.ts.
   */
  readonly asyncStorageWrites?: boolean;

  /** The bound on the entries of one append message; one always fits, 0 is one at a time. Unless given, none. */
  readonly maxSizePerMsgBytes?: number;
  /** The bound on committed entries that are handed out and not yet applied. Unless given, as for a message. */
  readonly maxCommittedSizePerReadyBytes?: number;
  /** The bound on the payload that a leader has accepted and not seen applied: proposals beyond are dropped. */
  readonly maxUncommittedEntriesSizeBytes?: number;
  /** How many append messages may be under way to one follower. */
  readonly maxInflightMsgs: number;
  /** How many bytes of entries may be under way to one follower. Unless given, or if 0, any number. */
  readonly maxInflightBytes?: number;

  /** A leader that does not hear of a quorum for an election timeout steps down. */
  readonly checkQuorum?: boolean;
  /** Ask whether an election could be won before starting one: a member that was cut off does not depose the leader. */
  readonly preVote?: boolean;
  /** With pre-vote: of two who ask at once, the one with the shorter log, or the lower id, lets the other go first. The public library's don't. */
  readonly yieldsPreVote?: boolean;
  readonly readOnlyOption?: ReadOnlyOption;
  /** Followers drop proposals instead of passing them on to the leader. */
  readonly disableProposalForwarding?: boolean;
  /** Configuration changes are not checked against the configuration in force when they are proposed. */
  readonly disableConfChangeValidation?: boolean;
  /** A leader steps down when it is removed or becomes a learner. */
  readonly stepDownOnRemoval?: boolean;
}

/** What a {@link Random} can choose from. */
const MAX_ELECTION_TICKS = 0xffff_ffff;

export type ResolvedConfig = Required<RaftConfig>;

/** A parameter that makes no sense. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly code = 'ERR_RAFT_CONFIG';
}

export function resolveConfig(config: RaftConfig): ResolvedConfig {
  const complaint = complaintAbout(config);
  if (complaint !== null) throw new ConfigError(complaint);
  const maxSizePerMsgBytes = config.maxSizePerMsgBytes ?? Infinity;
  return {
    id: config.id,
    electionTicks: config.electionTicks,
    heartbeatTicks: config.heartbeatTicks,
    storage: config.storage,
    random: config.random,
    logger: config.logger ?? SILENT_LOGGER,
    applied: config.applied ?? 0,
    mustHave: config.mustHave ?? { index: 0, term: 0 },
    asyncStorageWrites: config.asyncStorageWrites ?? false,
    maxSizePerMsgBytes,
    // At least a byte: the first entry always fits, but a bound of none would pause applying for good.
    maxCommittedSizePerReadyBytes: Math.max(1, config.maxCommittedSizePerReadyBytes || maxSizePerMsgBytes),
    maxUncommittedEntriesSizeBytes: config.maxUncommittedEntriesSizeBytes || Infinity,
    maxInflightMsgs: config.maxInflightMsgs,
    maxInflightBytes: config.maxInflightBytes || Infinity,
    checkQuorum: config.checkQuorum ?? false,
    preVote: config.preVote ?? false,
    yieldsPreVote: config.yieldsPreVote ?? false,
    readOnlyOption: config.readOnlyOption ?? ReadOnlyOption.Safe,
    disableProposalForwarding: config.disableProposalForwarding ?? false,
    disableConfChangeValidation: config.disableConfChangeValidation ?? false,
    stepDownOnRemoval: config.stepDownOnRemoval ?? false,
  };
}

function complaintAbout(config: RaftConfig): string | null {
  if (config.id === NONE) return 'cannot use none as id';
  if (isLocalTarget(config.id)) return 'cannot use local target as id';
  if (!isCount(config.heartbeatTicks) || config.heartbeatTicks === 0) {
    return 'heartbeat tick must be greater than 0';
  }
  if (!isCount(config.electionTicks) || config.electionTicks <= config.heartbeatTicks) {
    return 'election tick must be greater than heartbeat tick';
  }
  if (config.electionTicks > MAX_ELECTION_TICKS) return `election tick must be at most ${MAX_ELECTION_TICKS}`;
  if (!isCount(config.maxInflightMsgs) || config.maxInflightMsgs === 0) {
    return 'max inflight messages must be greater than 0';
  }
  if (!isCount(config.applied ?? 0)) return 'applied must be an index';
  if (!isCount(config.mustHave?.index ?? 0)) return 'what must be had must be an index';
  const { maxSizePerMsgBytes = 0, maxInflightBytes = 0, maxCommittedSizePerReadyBytes = 0 } = config;
  const { maxUncommittedEntriesSizeBytes = 0 } = config;
  const sizes = [
    maxSizePerMsgBytes,
    maxInflightBytes,
    maxCommittedSizePerReadyBytes,
    maxUncommittedEntriesSizeBytes,
  ];
  if (!sizes.every((sizeBytes) => sizeBytes >= 0)) return 'sizes must not be negative';
  if (maxInflightBytes > 0 && maxInflightBytes < (config.maxSizePerMsgBytes ?? Infinity)) {
    return 'max inflight bytes must be >= max message size';
  }
  if (config.readOnlyOption === ReadOnlyOption.LeaseBased && config.checkQuorum !== true) {
    return 'CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased';
  }
  return null;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
