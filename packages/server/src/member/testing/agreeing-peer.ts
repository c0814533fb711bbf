/**
 * The other member of a cluster of two, for tests: it votes for whoever asks, and has everything that it is sent. It can also lead,
 * and then says what the test has it say.
 */
import { Entry, type Message, MessageType, Message as RaftMessage } from '@etcd/api/raftpb';
import type { SingleMember } from './single-member.ts';

const ANSWERS: Readonly<Record<number, number>> = {
  [MessageType.MsgPreVote]: MessageType.MsgPreVoteResp,
  [MessageType.MsgVote]: MessageType.MsgVoteResp,
  [MessageType.MsgApp]: MessageType.MsgAppResp,
  [MessageType.MsgHeartbeat]: MessageType.MsgHeartbeatResp,
};

export class AgreeingPeer {
  readonly id: bigint;
  /** What has come, by type. */
  readonly received = new Map<number, Message[]>();
  /** Whether anything reaches it, and its answers the member. */
  isThere = true;
  /** Of the log that it has. */
  lastIndex = 0;
  lastTerm = 0;
  term = 0;
  readonly #member: SingleMember;

  /** @param member whose log has told it who belongs to the cluster. */
  constructor(member: SingleMember) {
    this.#member = member;
    const { memberId, membership } = member.server;
    this.id = membership.members().find(({ id }) => id !== memberId)!.id;
    const { network, clock } = member.world;
    network.connectedMs.set(this.id, clock.now());
    network.onMessage = (message) => this.#answer(message);
  }

  count(type: number): number {
    return this.received.get(type)?.length ?? 0;
  }

  /** Sends a message as this peer. */
  send(fields: Partial<Message>): void {
    const { world, server } = this.#member;
    world.network.host!.receive(
      new RaftMessage({ from: this.id, to: server.memberId, term: this.term, ...fields }),
    );
  }

  /** Leads, in a new term. */
  lead(): void {
    this.term++;
    this.append(new Entry());
  }

  /** As the leader: sends entries, committed by them. */
  append(...entries: Entry[]): void {
    const index = this.lastIndex;
    for (const entry of entries) {
      entry.index = ++this.lastIndex;
      entry.term = this.term;
    }
    const commit = this.lastIndex;
    this.send({ type: MessageType.MsgApp, index, logTerm: this.lastTerm, entries, commit });
    this.lastTerm = this.term;
  }

  #answer(message: Message): void {
    if (!this.isThere) return;
    const { type, term, index, entries, context } = message;
    this.received.set(type, [...(this.received.get(type) ?? []), message]);
    const answer = ANSWERS[type];
    if (answer === undefined) return;
    this.term = Math.max(this.term, term);
    if (type === MessageType.MsgApp) {
      this.lastIndex = index + entries.length;
      this.lastTerm = entries.at(-1)?.term ?? message.logTerm;
    }
    this.send({ type: answer, term, index: index + entries.length, context });
  }
}
