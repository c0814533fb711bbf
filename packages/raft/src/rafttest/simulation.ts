/**
 * A group of members in one process, driven by a seed: everything that can go wrong does, again and again, while a
 * checker watches. Afterwards the faults stop, and the group must come to life: elect a leader, commit, and bring every
 * member up to date. The same seed gives the same run.
 */
import type { LogIndex } from '@etcd/api';
import {
  ConfChange,
  ConfChangeSingle,
  ConfChangeTransition,
  ConfChangeType,
  ConfChangeV2,
  ConfState,
  type Message,
  MessageType,
} from '@etcd/api/raftpb';
import { type Logger, SeededRandom, SILENT_LOGGER } from '@etcd/base';
import { RaftState } from '../raft-state.ts';
import type { RawNode } from '../raw-node.ts';
import { SafetyViolation, SimChecker } from './sim-checker.ts';
import { initialSnapshot, SimMember, type SimMemberConfig, type SimWorld } from './sim-member.ts';
import { SimNetwork } from './sim-network.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** How long faults go on. */
  readonly rounds?: number;
  /** These override what the seed chose. */
  readonly config?: Partial<SimMemberConfig>;
  readonly traits?: Partial<SimulationTraits>;
  /** Told what happens, one line each. */
  readonly trace?: (line: string) => void;
}

/** What kind of a run it is. Rates are per round. */
export interface SimulationTraits {
  readonly voters: number;
  readonly loss: number;
  readonly duplication: number;
  readonly longDelay: number;
  readonly partitionRate: number;
  readonly crashRate: number;
  readonly powerFailureRate: number;
  readonly confChangeRate: number;
  readonly snapshotRate: number;
  /** Each of: campaigns at a bad time, forgotten leaders, transfers. */
  readonly meddlingRate: number;
  readonly proposalRate: number;
  readonly readRate: number;
  /** How many steps a driver gets to do per round. */
  readonly driverSteps: number;
}

/** What a run did, so that a test can tell whether it did anything. */
export interface SimulationReport {
  readonly committed: LogIndex;
  readonly terms: number;
  readonly reads: number;
  readonly crashes: number;
  readonly confChanges: number;
  readonly snapshotsSent: number;
  /** 1 if it ended without a leader, for the reason that is known. */
  readonly blocked: number;
}

const FIRST_INDEX = 10;
const FIRST_STATE = 1;
const ROUNDS = 250;
const MAX_ID = 7;
const ROUNDS_TO_RECOVER = 3000;
const MAX_STEPS_TO_KEEP_UP = 1000;

export function simulate(options: SimulationOptions): SimulationReport {
  return new Simulation(options).run();
}

class Simulation implements SimWorld {
  readonly checker = new SimChecker(FIRST_INDEX, 1, FIRST_STATE);
  readonly random: SeededRandom;
  readonly #rounds: number;
  readonly #trace: (line: string) => void;
  readonly #config: SimMemberConfig;
  readonly #network: SimNetwork;
  readonly #members = new Map<bigint, SimMember>();
  /** By request context: what was committed anywhere when the read was asked for. */
  readonly #reads = new Map<string, number>();
  readonly #traits: SimulationTraits;
  #round = 0;
  #isRecovering = false;
  #isBlocked = false;
  #sequence = 0;
  #readCount = 0;
  #crashCount = 0;
  #confChangeCount = 0;
  #snapshotCount = 0;

  constructor(options: SimulationOptions) {
    this.random = new SeededRandom(options.seed);
    this.#rounds = options.rounds ?? ROUNDS;
    const { trace } = options;
    this.#trace = trace === undefined ? (): void => {} : (line) => trace(`${this.#round}: ${line}`);
    const logger = trace === undefined ? SILENT_LOGGER : traceLogger(this.#trace);
    this.#traits = { ...traitsBySeed(this.random), ...options.traits };
    const config = configBySeed(this.random);
    // Without pre-vote and check-quorum, leaders of former terms are not answered. A member that comes back with a
    // later term, and so old a configuration that it knows no voter of today, would neither hear nor be heard.
    const preVote = config.preVote || (this.#traits.confChangeRate > 0 && !config.checkQuorum);
    this.#config = { ...config, preVote, logger, ...options.config };
    this.#trace(`parameters ${JSON.stringify({ ...this.#config, ...this.#traits, logger: null })}`);
    this.#network = new SimNetwork(this.random, this.#traits);
    const count = this.#traits.voters;
    const voters = Array.from({ length: count }, (_, i) => BigInt(i + 1));
    const snapshot = initialSnapshot(FIRST_INDEX, new ConfState({ voters }), FIRST_STATE);
    for (const id of voters) this.#members.set(id, new SimMember(id, this.#config, snapshot, this));
  }

  run(): SimulationReport {
    for (; this.#round < this.#rounds; this.#round++) {
      this.#runRound();
      this.#disturb();
    }
    this.#recover();
    return {
      committed: this.checker.maxCommitted,
      terms: Math.max(...[...this.#members.values()].map(({ node }) => node?.term ?? 0)),
      reads: this.#readCount,
      crashes: this.#crashCount,
      confChanges: this.#confChangeCount,
      snapshotsSent: this.#snapshotCount,
      blocked: this.#isBlocked ? 1 : 0,
    };
  }

  send(message: Message): void {
    const isOnItsWay = this.#network.send(message, this.#round);
    const sender = this.#members.get(message.from);
    if (message.type === MessageType.MsgSnap) {
      this.#snapshotCount++;
      // What becomes of a snapshot has to be reported, but it may have arrived although it seems lost.
      const seemsLost = !isOnItsWay || this.random.chance(0.1);
      sender?.input((node) => node.reportSnapshot(message.to, seemsLost ? 'failure' : 'finish'));
    } else if (!isOnItsWay && this.random.chance(0.5)) {
      sender?.input((node) => node.reportUnreachable(message.to));
    }
  }

  answerRead(member: SimMember, index: LogIndex, context: Uint8Array): void {
    const minIndex = this.#reads.get(context.join());
    if (minIndex === undefined)
      throw new SafetyViolation('reads', `${member.id} got a read that nobody asked for`);
    this.#readCount++;
    this.#trace(`${member.id} read ${context.join()} answered: ${index}, needed ${minIndex}`);
    this.checker.observeRead(String(member.id), index, minIndex);
  }

  configured(confState: ConfState): void {
    const { voters, learners, votersOutgoing } = confState;
    for (const id of [...voters, ...learners, ...votersOutgoing]) {
      if (this.#members.has(id)) continue;
      this.#trace(`${id} joins`);
      const empty = initialSnapshot(0, new ConfState(), 0);
      this.#members.set(id, new SimMember(id, this.#config, empty, this));
    }
  }

  /** Time passes, messages arrive, drivers work. */
  #runRound(): void {
    const members = [...this.#members.values()];
    for (const member of members) if (this.random.chance(0.9)) member.input((node) => node.tick());
    for (const message of this.#network.arrivals(this.#round)) {
      this.#members.get(message.to)?.input((node) => node.step(message));
      this.random.pick(members).work();
    }
    if (this.#isRecovering) {
      for (const member of members) for (let i = 0; i < MAX_STEPS_TO_KEEP_UP && member.work(); i++);
    } else {
      for (let i = 0; i < this.#traits.driverSteps * members.length; i++) this.random.pick(members).work();
    }
    // While it recovers, few enough for the narrowest flow control to catch up with.
    if (this.random.chance(this.#isRecovering ? 0.02 : this.#traits.proposalRate)) this.#propose();
    if (this.random.chance(this.#traits.readRate)) this.#read();
  }

  #disturb(): void {
    const { random } = this;
    const traits = this.#traits;
    const anybody = (): SimMember => random.pick([...this.#members.values()]);
    if (random.chance(traits.partitionRate)) this.#partition();
    if (random.chance(traits.partitionRate)) this.#network.heal();
    if (random.chance(traits.crashRate)) this.#crash(anybody());
    if (random.chance(4 * traits.crashRate)) anybody().start();
    if (random.chance(traits.powerFailureRate)) this.#crashAll();
    if (random.chance(traits.confChangeRate)) this.#changeConfig();
    if (random.chance(traits.snapshotRate)) anybody().takeSnapshot(random.below(6));
    if (random.chance(traits.meddlingRate)) anybody().input((node) => node.campaign());
    if (random.chance(traits.meddlingRate)) anybody().input((node) => node.forgetLeader());
    if (random.chance(traits.meddlingRate)) {
      const transferee = anybody().id;
      anybody().input((node) => node.transferLeader(transferee));
    }
  }

  /** At random; or, when the configuration is joint, a leader with the newcomers from those who are to go. */
  #partition(): void {
    const ids = [...this.#members.keys()];
    const leader = this.#leader();
    const { voters, votersOutgoing } = leader?.confState ?? new ConfState();
    const isAlongConfig = leader !== null && votersOutgoing.length > 0 && this.random.chance(0.5);
    const left = isAlongConfig
      ? [leader.id, ...voters.filter((id) => !votersOutgoing.includes(id))]
      : ids.filter(() => this.random.chance(0.5));
    this.#network.partition(ids, new Set(left));
  }

  #crash(member: SimMember): void {
    if (member.node === null) return;
    this.#trace(`${member.id} crashes`);
    this.#crashCount++;
    member.crash();
  }

  /** A power failure: all at once, and back at once. */
  #crashAll(): void {
    for (const member of this.#members.values()) this.#crash(member);
    for (const member of this.#members.values()) member.start();
  }

  #propose(): void {
    const count = this.random.pick([1, 1, 1, 5]);
    const batch = Array.from({ length: count }, () => {
      const data = new Uint8Array(4 + this.random.below(8));
      new DataView(data.buffer).setUint32(0, this.#sequence++);
      return data;
    });
    this.random.pick([...this.#members.values()]).input((node) => node.propose(batch));
  }

  #read(): void {
    const context = new Uint8Array(4);
    new DataView(context.buffer).setUint32(0, this.#sequence++);
    this.#reads.set(context.join(), this.checker.maxCommitted);
    // Also of those who think that they lead, and may be wrong.
    const leaders = [...this.#members.values()].filter(({ node }) => node?.raftState === RaftState.Leader);
    const isMeantForLeader = leaders.length > 0 && this.random.chance(0.5);
    const member = this.random.pick(isMeantForLeader ? leaders : [...this.#members.values()]);
    this.#trace(`${member.id} read ${context.join()} at commit ${this.checker.maxCommitted}`);
    member.input((node) => node.readIndex(context));
  }

  #changeConfig(): void {
    const leader = this.#leader();
    if (leader === null) return;
    this.#confChangeCount++;
    const randomChange = (): ConfChangeSingle =>
      new ConfChangeSingle({
        type: this.random.pick([
          ConfChangeType.ConfChangeAddNode,
          ConfChangeType.ConfChangeAddNode,
          ConfChangeType.ConfChangeRemoveNode,
          ConfChangeType.ConfChangeAddLearnerNode,
        ]),
        nodeId: BigInt(1 + this.random.below(MAX_ID)),
      });
    const change = this.random.pick([
      () => null,
      () => new ConfChange(randomChange()),
      () => this.#randomV2(Array.from({ length: 1 + this.random.below(3) }, randomChange)),
      () => this.#randomV2(this.#replaceVoters(leader.confState)),
    ]);
    leader.input((node) => node.proposeConfChange(change()));
  }

  /** Changes to a set of voters that may have little in common with the one in force. */
  #replaceVoters({ voters }: ConfState): ConfChangeSingle[] {
    const changes: ConfChangeSingle[] = [];
    for (let nodeId = 1n; nodeId <= MAX_ID; nodeId++) {
      const isWanted = this.random.chance(0.5);
      if (isWanted === voters.includes(nodeId)) continue;
      const type = isWanted ? ConfChangeType.ConfChangeAddNode : ConfChangeType.ConfChangeRemoveNode;
      changes.push(new ConfChangeSingle({ type, nodeId }));
    }
    return changes;
  }

  #randomV2(changes: ConfChangeSingle[]): ConfChangeV2 {
    const transition = this.random.pick([
      ConfChangeTransition.ConfChangeTransitionAuto,
      ConfChangeTransition.ConfChangeTransitionJointImplicit,
      ConfChangeTransition.ConfChangeTransitionJointExplicit,
    ]);
    return new ConfChangeV2({ transition, changes });
  }

  #leader(): SimMember | null {
    let leader: SimMember | null = null;
    for (const member of this.#members.values()) {
      if (member.node?.raftState !== RaftState.Leader) continue;
      if (leader === null || member.node.term > leader.node!.term) leader = member;
    }
    return leader;
  }

  /** Without faults the group must settle: one leader, and all members of its configuration up to date. */
  #recover(): void {
    this.#trace(`the faults stop`);
    this.#network.stopFaults();
    this.#isRecovering = true;
    const until = this.#round + ROUNDS_TO_RECOVER;
    for (; this.#round < until; this.#round++) {
      if (this.#round % 50 === 0) for (const member of this.#members.values()) member.start();
      // By now everybody has applied what it knows to be committed.
      if (this.#round % 50 === 20) this.#stopOthers();
      if (this.#round % 20 === 0) this.#leader()?.input((node) => this.#leaveJoint(node));
      this.#runRound();
      if (this.#round % 20 === 19 && this.#isSettled()) return;
    }
    for (const member of this.#members.values()) member.start();
    for (const until = this.#round + 20; this.#round < until; this.#round++) this.#runRound();
    this.#isBlocked = this.#isBlockedByRemoval();
    if (this.#isBlocked) return;
    throw new SafetyViolation('liveness', `the group did not recover: ${this.#describe()}`);
  }

  /** Stops who does not belong to the newest configuration: they would go on to campaign. */
  #stopOthers(): void {
    const { voters, learners, votersOutgoing } = this.#mostApplied().confState;
    const ids = new Set([...voters, ...learners, ...votersOutgoing]);
    for (const member of this.#members.values()) if (!ids.has(member.id)) member.crash();
  }

  /**
   * The one way in which a group may stay without a leader: a leader commits its own removal and is gone before it has
   * told anybody. Whoever is left still counts it among the voters, and its log is longer than theirs. The public
   * library is no better here; to be safe, let a leader transfer its leadership before it is removed.
   */
  #isBlockedByRemoval(): boolean {
    if (this.#leader() !== null) return false;
    const members = [...this.#members.values()];
    const newest = Math.max(...members.map(({ applied }) => applied));
    return members.some(({ id, applied, confState }) => applied === newest && !confState.voters.includes(id));
  }

  #mostApplied(): SimMember {
    return [...this.#members.values()].reduce((a, b) => (b.applied > a.applied ? b : a));
  }

  #leaveJoint(node: RawNode): void {
    const { config } = node.status();
    if (config.voters.isJoint && !config.autoLeave) node.proposeConfChange(null);
  }

  /** Settled: everything up to now is committed and applied everywhere. */
  #isSettled(): boolean {
    const leader = this.#leader();
    const raft = leader?.raft ?? null;
    if (raft === null || raft.tracker.get(raft.id) === undefined || raft.tracker.config.voters.isJoint) {
      return false;
    }
    // Proposals go on, so the others may be a little behind; but not behind what the leader had committed a while ago.
    const target = raft.log.committed;
    if (raft.log.term(target) !== raft.term) return false;
    for (let i = 0; i < 60; i++) {
      this.#round++;
      this.#runRound();
    }
    return (
      this.#leader() === leader &&
      raft.tracker.all.every(({ id }) => (this.#members.get(id)?.applied ?? 0) >= target)
    );
  }

  #describe(): string {
    return [...this.#members.values()]
      .map(({ id, node, applied, raft }) =>
        node === null
          ? `${id} is down`
          : `${id} term ${node.term} lead ${node.lead} state ${node.raftState} applied ${applied} ${raft?.log}`,
      )
      .join('; ');
  }
}

function traceLogger(trace: (line: string) => void): Logger {
  return { ...SILENT_LOGGER, enabled: () => true, debug: trace, info: trace, warn: trace, error: trace };
}

function traitsBySeed(random: SeededRandom): SimulationTraits {
  return {
    voters: random.pick([1, 2, 3, 3, 3, 5]),
    loss: random.pick([0, 0.02, 0.2]),
    duplication: random.pick([0, 0.02, 0.2]),
    longDelay: random.pick([0, 0.02, 0.2]),
    partitionRate: random.pick([0, 0.02, 0.1]),
    crashRate: random.pick([0, 0.01, 0.05]),
    powerFailureRate: random.pick([0, 0.02]),
    confChangeRate: random.pick([0, 0.02, 0.1]),
    snapshotRate: random.pick([0.01, 0.05, 0.2]),
    meddlingRate: random.pick([0, 0.02]),
    proposalRate: random.pick([0.1, 0.5]),
    readRate: random.pick([0.2, 1]),
    driverSteps: random.pick([1, 4]),
  };
}

function configBySeed(random: SeededRandom) {
  return {
    electionTicks: random.pick([4, 10]),
    heartbeatTicks: 1 + random.below(2),
    preVote: random.chance(0.5),
    checkQuorum: random.chance(0.5),
    asyncStorageWrites: random.chance(0.5),
    stepDownOnRemoval: random.chance(0.5),
    disableProposalForwarding: random.chance(0.2),
    maxInflightMsgs: random.pick([1, 2, 256]),
    maxSizePerMsgBytes: random.pick([0, 30, 1_000_000]),
    maxCommittedSizePerReadyBytes: random.pick([1, 50, 1_000_000]),
    maxInflightBytes: random.pick([0, 2_000_000]),
    maxUncommittedEntriesSizeBytes: random.pick([0, 200]),
  };
}
