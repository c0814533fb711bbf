import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';
import { test } from 'node:test';
import type { SimulationOptions } from './rafttest/simulation.ts';

// The simulation is only worth something if it finds what is wrong. Each of these mistakes is planted into a copy of
// the package that exists in memory alone, and has to be found.

type World = Pick<SimulationOptions, 'config' | 'traits'>;

interface Mutant {
  readonly name: string;
  /** Within src/. */
  readonly file: string;
  /** Text that occurs once in the file, and what stands in its place. */
  readonly from: string;
  readonly to: string;
  /** Where it is soon met, and the seed to begin with. With others it would be found too, but later. */
  readonly world: World;
  readonly seed: number;
}

const QUICK_ELECTIONS = { electionTicks: 4, preVote: false, checkQuorum: false };

const GENERAL: World = {};
/** Leaders come and go before their entries have reached everybody, one by one. */
const CHURN: World = {
  config: { ...QUICK_ELECTIONS, maxSizePerMsgBytes: 0, maxInflightMsgs: 1 },
  traits: { voters: 3, partitionRate: 0.3, crashRate: 0, loss: 0, longDelay: 0, confChangeRate: 0 },
};
const POWER_FAILURES: World = {
  config: { electionTicks: 4 },
  traits: { voters: 3, powerFailureRate: 0.2, loss: 0, confChangeRate: 0 },
};
const POWER_FAILURES_ALONE: World = { traits: { voters: 1, powerFailureRate: 0.1, confChangeRate: 0 } };
/** The old and the new voters of a joint configuration are cut off from each other. */
const JOINT: World = {
  config: { electionTicks: 4, preVote: true },
  traits: {
    voters: 3,
    partitionRate: 0.1,
    confChangeRate: 0.05,
    crashRate: 0,
    loss: 0,
    longDelay: 0,
    driverSteps: 4,
  },
};
/** Many reads, and answers that take long. */
const READS: World = {
  config: QUICK_ELECTIONS,
  traits: {
    voters: 3,
    partitionRate: 0.1,
    longDelay: 0.4,
    readRate: 1,
    crashRate: 0,
    loss: 0,
    confChangeRate: 0,
  },
};

const MUTANTS: readonly Mutant[] = [
  {
    name: 'a vote is counted twice',
    file: 'quorum/majority.ts',
    from: 'else if (vote) granted++;',
    to: 'else if (vote) granted += 2;',
    world: GENERAL,
    seed: 1,
  },
  {
    name: 'entries of a former term are committed by counting their replicas',
    file: 'log/raft-log.ts',
    from: '|| !this.matchTerm(index, term)) return false',
    to: '|| index > this.lastIndex()) return false',
    world: CHURN,
    seed: 218,
  },
  {
    name: 'a candidate with a shorter log gets votes',
    file: 'election.ts',
    from: 'raft.log.isUpToDate(logTerm, index)',
    to: 'true',
    world: GENERAL,
    seed: 1,
  },
  {
    name: 'a member votes for two candidates in a term',
    file: 'election.ts',
    from: '(raft.vote === NONE && raft.lead === NONE)',
    to: 'raft.lead === NONE',
    world: GENERAL,
    seed: 2,
  },
  {
    name: 'votes and acknowledgements leave before they are durable',
    file: 'raft.ts',
    from: 'if (isPromise(type)) {',
    to: 'if (isPromise(type) && message.to === this.id) {',
    world: POWER_FAILURES,
    seed: 13,
  },
  {
    name: 'a change of term or vote need not be synced',
    file: 'raw-node.ts',
    from: 'entries.length > 0 || raft.term !== this.#toldTerm || raft.vote !== this.#toldVote',
    to: 'entries.length > 0',
    world: POWER_FAILURES,
    seed: 25,
  },
  {
    name: 'a leader counts its own entries before they are durable',
    file: 'replication.ts',
    from: '  raft.send(ack);',
    to: '  raft.tracker.get(raft.id)!.maybeUpdate(ack.index);\n  raft.send(ack);',
    world: POWER_FAILURES,
    seed: 459,
  },
  {
    name: 'a heartbeat commits what the follower may not have',
    file: 'replication.ts',
    from: 'Math.min(progress.match, raft.log.committed)',
    to: 'raft.log.committed',
    world: CHURN,
    seed: 18,
  },
  {
    name: 'a follower appends without looking at the entry before',
    file: 'receive.ts',
    from: 'if (!log.matchTerm(message.index, message.logTerm)) {',
    to: 'if (message.index > log.lastIndex()) {',
    world: CHURN,
    seed: 2,
  },
  {
    name: 'a joint configuration commits by its incoming half alone',
    file: 'tracker/progress-tracker.ts',
    from: 'Math.min(committedBy(this.#incoming), committedBy(this.#outgoing))',
    to: 'committedBy(this.#incoming)',
    world: JOINT,
    seed: 244,
  },
  {
    name: 'a joint configuration elects by its incoming half alone',
    file: 'quorum/joint.ts',
    from: 'const outgoing = this.outgoing.voteResult(votes);',
    to: 'const outgoing = incoming;',
    world: JOINT,
    seed: 997,
  },
  {
    name: 'a configuration change is proposed while another is under way',
    file: 'proposal.ts',
    from: 'if (raft.pendingConfIndex > applied) {',
    to: 'if (raft.pendingConfIndex < 0) {',
    world: GENERAL,
    seed: 6,
  },
  {
    name: 'a member campaigns with a configuration change unapplied',
    file: 'election.ts',
    from: 'if (hasUnappliedConfChanges(raft)) {',
    to: 'if (raft.id < 0n && hasUnappliedConfChanges(raft)) {',
    world: JOINT,
    seed: 24,
  },
  {
    name: 'reads are answered without asking the others',
    file: 'read-index.ts',
    from: 'if (decidesAlone || raft',
    to: 'if (decidesAlone || raft.id !== NONE || raft',
    world: READS,
    seed: 162,
  },
  {
    name: 'reads are answered before a leader has committed in its term',
    file: 'read-index.ts',
    from: 'return raft.log.termOrZero(raft.log.committed) === raft.term;',
    to: 'return raft.log.committed >= 0;',
    world: GENERAL,
    seed: 5,
  },
  {
    name: 'the only voter answers reads before it has committed in its term',
    file: 'read-index.ts',
    from: 'if (!hasCommittedInTerm(raft)) {',
    to: 'if (!raft.tracker.isSingleton && !hasCommittedInTerm(raft)) {',
    world: POWER_FAILURES_ALONE,
    seed: 1,
  },
  {
    name: 'a late heartbeat response confirms reads that came after the heartbeat',
    file: 'read-only.ts',
    from: 'if (position <= this.#lastPosition) this.#acknowledge(from, position);',
    to: 'if (position <= this.#lastPosition) this.#acknowledge(from, this.#lastPosition);',
    world: READS,
    seed: 92,
  },
  {
    name: 'answers to a pre-vote count in the election',
    file: 'step-candidate.ts',
    from: 'if (raft.state === RaftState.PreCandidate) countVote',
    to: 'if (raft.state !== RaftState.Follower) countVote',
    world: GENERAL,
    seed: 3,
  },
];

const mutants = new Map<string, Mutant>();
registerHooks({
  resolve(specifier, context, nextResolve) {
    const resolved = nextResolve(specifier, context);
    // Whatever a mutant's module imports from the package is the mutant's, too.
    const mutant = /[?]mutant=(\d+)$/.exec(context.parentURL ?? '')?.[0];
    if (mutant === undefined || !specifier.startsWith('.')) return resolved;
    return { ...resolved, url: `${resolved.url}${mutant}` };
  },
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const mutant = mutants.get(/[?]mutant=(\d+)$/.exec(url)?.[1] ?? '');
    if (mutant === undefined || !url.includes(`/src/${mutant.file}?`)) return loaded;
    const source = String(loaded.source);
    assert.equal(source.split(mutant.from).length, 2, `${mutant.file} has the text to be changed once`);
    return { ...loaded, source: source.replace(mutant.from, mutant.to) };
  },
});

const MAX_SEEDS = 1000;

for (const [i, mutant] of MUTANTS.entries()) {
  test(`the simulation finds it when ${mutant.name}`, async (context) => {
    mutants.set(String(i), mutant);
    const specifier = `./rafttest/simulation.ts?mutant=${i}`;
    const { simulate } = (await import(specifier)) as typeof import('./rafttest/simulation.ts');
    for (let seed = mutant.seed; seed < mutant.seed + MAX_SEEDS; seed++) {
      const finding = findingOf(() => simulate({ seed, ...mutant.world }));
      if (finding === null) continue;
      context.diagnostic(`seed ${seed}: ${finding}`);
      return;
    }
    assert.fail(`${MAX_SEEDS} seeds went by without a finding`);
  });
}

/** What the checker, or an invariant before it, has to say. A group that is merely stuck is no finding. */
function findingOf(run: () => void): string | null {
  try {
    run();
    return null;
  } catch (error) {
    assert.ok(error instanceof Error && /^(SafetyViolation|InvariantError)$/.test(error.name), String(error));
    return error.message.startsWith('liveness') ? null : error.message;
  }
}
