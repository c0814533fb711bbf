/**
 * Scripts about quorums. `committed cfg=(1,2) cfgj=(2,3) idx=(5,_,7)` shows what voters have acknowledged and what is
 * committed; `vote cfg=(1,2) votes=(y,_)` shows who won. The values belong to the voters in the order in which they
 * are listed, each named once; `_` leaves one out. With `cfgj` the quorum is joint, `cfgj=zero` with an empty half.
 *
 * Properties that hold of every quorum are checked along the way; one that does not shows in the output.
 */
import type { LogIndex, MemberId } from '@etcd/api';
import { JointConfig } from '../quorum/joint.ts';
import { type AckedIndexer, formatIndex, MajorityConfig, quorumSize, UNACKED } from '../quorum/majority.ts';
import type { Command } from './interaction-env.ts';

export function runQuorumCommand(command: Command): string {
  const argument = (key: string): readonly string[] | undefined =>
    command.args.find((arg) => arg.key === key)?.values;
  const ids = (argument('cfg') ?? []).map(BigInt);
  const joint = argument('cfgj');
  const otherIds = joint === undefined || joint[0] === 'zero' ? [] : joint.map(BigInt);
  const incoming = MajorityConfig.of(ids);
  const outgoing = MajorityConfig.of(otherIds);
  const config = new JointConfig(incoming, outgoing);

  const values = argument(command.command === 'vote' ? 'votes' : 'idx') ?? [];
  const voters = [...new Set([...ids, ...otherIds])];
  if (voters.length !== values.length) {
    return `error: mismatched input (explicit or _) for voters [${voters.join(' ')}]: [${values.join(' ')}]`;
  }
  const given = new Map<bigint, string>();
  for (const [i, id] of voters.entries()) if (values[i] !== '_') given.set(id, values[i]!);

  if (command.command === 'vote') return showVote(config, given);
  const acked = new Acks(new Map([...given].map(([id, value]) => [id, Number(value)])));
  return joint === undefined ? showMajority(incoming, acked) : showJoint(config, acked);
}

class Acks implements AckedIndexer {
  readonly indexes: ReadonlyMap<bigint, number>;

  constructor(indexes: ReadonlyMap<bigint, number>) {
    this.indexes = indexes;
  }

  ackedIndex(id: MemberId): number {
    return this.indexes.get(id) ?? UNACKED;
  }

  with(id: MemberId, index: LogIndex): Acks {
    return new Acks(new Map([...this.indexes, [id, index]]));
  }
}

/** The definition itself: the highest index that enough voters have reached. */
export function committedByDefinition(config: MajorityConfig, acked: AckedIndexer): number {
  if (config.size === 0) return Infinity;
  const indexes = config.ids.map((id) => Math.max(0, acked.ackedIndex(id)));
  const reached = indexes.filter(
    (index) => indexes.filter((other) => other >= index).length >= quorumSize(config.size),
  );
  return Math.max(0, ...reached);
}

function showMajority(config: MajorityConfig, acked: Acks): string {
  const index = config.committedIndex(acked);
  let text = config.describe(acked);
  const check = (other: number, how: string): void => {
    if (other !== index) text += `${formatIndex(other)} <-- ${how}\n`;
  };
  check(committedByDefinition(config, acked), 'via alternative computation');
  check(new JointConfig(config).committedIndex(acked), 'via zero-joint quorum');
  check(new JointConfig(config, config).committedIndex(acked), 'via self-joint quorum');
  for (const [id, own] of acked.indexes) {
    // Whoever is behind what is committed did not matter for it.
    if (own >= index) continue;
    check(config.committedIndex(acked.with(id, own - 1)), `overlaying ${id}->${own - 1}`);
    check(config.committedIndex(acked.with(id, 0)), `overlaying ${id}->0`);
  }
  return `${text}${formatIndex(index)}\n`;
}

function showJoint(config: JointConfig, acked: Acks): string {
  const index = config.committedIndex(acked);
  const mirrored = new JointConfig(config.outgoing, config.incoming).committedIndex(acked);
  const asymmetry = mirrored === index ? '' : `${formatIndex(mirrored)} <-- via symmetry\n`;
  return `${config.describe(acked)}${asymmetry}${formatIndex(index)}\n`;
}

function showVote(config: JointConfig, given: ReadonlyMap<bigint, string>): string {
  const votes = new Map([...given].map(([id, vote]) => [id, vote === 'y']));
  const result = config.voteResult(votes);
  const mirrored = new JointConfig(config.outgoing, config.incoming).voteResult(votes);
  const asymmetry = mirrored === result ? '' : `${mirrored} <-- via symmetry\n`;
  return `${asymmetry}${result}\n`;
}
