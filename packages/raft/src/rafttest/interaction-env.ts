/**
 * A group of members under the control of a script: every message, every Ready and every storage write happens when
 * the script says so, and everything that happens is written down. The commands are those of the interaction scripts
 * of the public etcd raft library; their output is compared word by word. `<id>` is a member's number, from 1 on:
 *
 *     add-nodes <count> voters=(1,2) learners=(3) index=10 content=foo async-storage-writes=true inflight=3 …
 *     campaign <id>                        tick-election <id>            tick-heartbeat <id>
 *     propose <id> <data>                  propose-conf-change <id> v1=true transition=explicit   (input: v1 l2 r3)
 *     process-ready <id>…                  process-append-thread <id>…   process-apply-thread <id>…
 *     deliver-msgs <id>… type=MsgApp drop=(2,3)                          stabilize <id>… log-level=none
 *     compact <id> <index>                 raft-log <id>                 status <id>
 *     raft-state                           log-level <name>              set-randomized-election-timeout <id> timeout=5
 *     transfer-leadership from=1 to=2      forget-leader <id>            report-unreachable <id> <id>
 *     send-snapshot <from> <to>
 *
 * This project's own scripts also use:
 *
 *     report-snapshot <id> <id> status=failure      read-index <id> <context>      restart <id>
 */
import type { MemberId } from '@etcd/api';
import {
  ConfChange,
  ConfChangeTransition,
  ConfChangeV2,
  Message,
  MessageType,
  Snapshot,
} from '@etcd/api/raftpb';
import { type Random, utf8ToBytes } from '@etcd/base';
import { type AnyConfChange, parseChanges } from '../confchange/conf-change.ts';
import { type RaftConfig, ReadOnlyOption } from '../config.ts';
import { describeEntries, describeMessage } from '../describe.ts';
import { isLocalTarget } from '../message.ts';
import { raftStateName } from '../raft-state.ts';
import { raftOf } from '../raw-node.ts';
import { type StepError, stepErrorText } from '../step-error.ts';
import { LEVEL_NAMES, RedirectLogger } from './redirect-logger.ts';
import { HistoryStorage, ScriptedNode } from './scripted-node.ts';

/** A step of a script, without what the harness does not need. */
export interface Command {
  readonly command: string;
  readonly args: readonly { readonly key: string; readonly values: readonly string[] }[];
  readonly input: string;
}

/** The script asks for something that there is not. */
export class ScriptCommandError extends Error {
  override readonly name = 'ScriptCommandError';
  readonly code = 'ERR_SCRIPT_COMMAND';
}

/** The shortest timeouts; scripts that want others set them. */
const NO_JITTER: Random = { uint32: () => 0, below: () => 0 };

/** What a command returns counts only if it is the code or the text of an error. */
type Handler = (env: InteractionEnv, command: Command) => unknown;

const HANDLERS: Readonly<Record<string, Handler>> = {
  'add-nodes': (env, command) => env.addNodes(command),
  campaign: (env, command) => env.first(command).raw.campaign(),
  compact: (env, command) => env.compact(command),
  'deliver-msgs': (env, command) => env.deliverCommand(command),
  'process-ready': (env, command) => env.forEach(command, 'handling Ready', (node) => node.processReady()),
  'process-append-thread': (env, command) =>
    env.forEach(command, 'processing append thread', (node) => node.processAppendThread()),
  'process-apply-thread': (env, command) =>
    env.forEach(command, 'processing apply thread', (node) => node.processApplyThread()),
  'log-level': (env, command) => env.setLogLevel(command.args[0]!.key),
  'raft-log': (env, command) => env.printLog(env.first(command)),
  'raft-state': (env) => env.printState(),
  'set-randomized-election-timeout': (env, command) => {
    raftOf(env.first(command).raw).randomizedElectionTicks = Number(option(command, 'timeout'));
  },
  stabilize: (env, command) => env.stabilizeCommand(command),
  status: (env, command) => env.printStatus(env.first(command)),
  'tick-election': (env, command) => env.tick(command, (config) => config.electionTicks),
  'tick-heartbeat': (env, command) => env.tick(command, (config) => config.heartbeatTicks),
  'transfer-leadership': (env, command) =>
    env.node(option(command, 'from')).raw.transferLeader(BigInt(option(command, 'to'))),
  'forget-leader': (env, command) => env.first(command).raw.forgetLeader(),
  'send-snapshot': (env, command) => env.sendSnapshot(command),
  propose: (env, command) => env.first(command).raw.propose([utf8ToBytes(command.args[1]!.key)]),
  'propose-conf-change': (env, command) => env.first(command).raw.proposeConfChange(confChangeOf(command)),
  'report-unreachable': (env, command) =>
    env.first(command).raw.reportUnreachable(BigInt(command.args[1]!.key)),
  'report-snapshot': (env, command) => {
    const status = option(command, 'status') === 'finish' ? 'finish' : 'failure';
    env.first(command).raw.reportSnapshot(BigInt(command.args[1]!.key), status);
  },
  'read-index': (env, command) => env.first(command).raw.readIndex(utf8ToBytes(command.args[1]!.key)),
  restart: (env, command) => env.restart(env.first(command)),
};

export class InteractionEnv {
  readonly output = new RedirectLogger();
  readonly #nodes: ScriptedNode[] = [];
  #messages: Message[] = [];

  /** Carries out a step; returns what is to be compared. */
  handle(command: Command): string {
    this.output.take();
    const handler = HANDLERS[command.command];
    if (handler === undefined) throw new ScriptCommandError(`unknown command ${command.command}`);
    const error = handler(this, command);
    const output = this.output.take();
    if (typeof error === 'string') return output + errorText(error);
    return output === '' ? 'ok' : output;
  }

  node(number: string): ScriptedNode {
    const node = this.#nodes[Number(number) - 1];
    if (node === undefined) throw new ScriptCommandError(`there is no node ${number}`);
    return node;
  }

  /** The member that the command's first argument names. */
  first(command: Command): ScriptedNode {
    return this.node(command.args[0]?.key ?? '');
  }

  /** Runs `work` on each member that the command names, under a heading if they are several. */
  forEach(command: Command, heading: string, work: (node: ScriptedNode) => Message[]): void {
    const nodes = command.args.map(({ key }) => this.node(key));
    for (const node of nodes) {
      if (nodes.length === 1) this.#messages.push(...work(node));
      else this.#under(node, heading, () => this.#messages.push(...work(node)));
    }
  }

  addNodes(command: Command): string | null {
    const count = Number(command.args[0]!.key);
    const snapshot = new Snapshot();
    const config = configOf(command, snapshot);
    const isBootstrapped = snapshot.metadata.index > 0 || snapshot.metadata.confState.voters.length > 0;
    if (isBootstrapped && snapshot.metadata.index <= 1)
      return 'index must be specified as > 1 due to bootstrap';
    if (isBootstrapped) snapshot.metadata.term = 1;
    for (let i = 0; i < count; i++) {
      const storage = new HistoryStorage(snapshot);
      if (isBootstrapped) storage.applySnapshot(snapshot);
      const id = BigInt(this.#nodes.length + 1);
      this.#nodes.push(
        new ScriptedNode({ ...config, id, storage, logger: this.output }, storage, this.output),
      );
    }
    return null;
  }

  /** Starts the member anew from its storage; what was under way in it is lost. */
  restart(node: ScriptedNode): void {
    const applied = node.storage.history.at(-1)!.metadata.index;
    this.#nodes[Number(node.raw.id) - 1] = new ScriptedNode(
      { ...node.config, applied },
      node.storage,
      this.output,
    );
  }

  compact(command: Command): string | null {
    const node = this.first(command);
    if (!node.storage.compact(Number(command.args[1]!.key))) {
      return 'requested index is unavailable due to compaction';
    }
    this.printLog(node);
    return null;
  }

  deliverCommand(command: Command): void {
    const typeName = command.args.find(({ key }) => key === 'type')?.values[0];
    const type = typeName === undefined ? null : MessageType[typeName as keyof typeof MessageType];
    if (type === undefined) throw new ScriptCommandError(`unknown message type ${typeName}`);
    let count = 0;
    for (const { key, values } of command.args) {
      if (key === 'drop') for (const id of values) count += this.#deliver(BigInt(id), type, true);
      else if (key !== 'type') count += this.#deliver(BigInt(key), type, false);
    }
    if (count === 0) this.output.write('no messages\n');
  }

  stabilizeCommand(command: Command): void {
    const level = command.args.find(({ key }) => key === 'log-level')?.values[0];
    const numbers = command.args.filter(({ key }) => key !== 'log-level').map(({ key }) => key);
    const nodes = numbers.length === 0 ? this.#nodes : numbers.map((number) => this.node(number));
    const previousLevel = this.output.level;
    if (level !== undefined) this.setLogLevel(level);
    while (this.#stabilizeOnce(nodes));
    this.output.level = previousLevel;
  }

  setLogLevel(name: string): void {
    const level = LEVEL_NAMES.indexOf(name.toUpperCase());
    if (level < 0) throw new ScriptCommandError(`log levels must be either of ${LEVEL_NAMES.join(' ')}`);
    this.output.level = level;
  }

  tick(command: Command, countOf: (config: RaftConfig) => number): void {
    const node = this.first(command);
    for (let i = 0; i < countOf(node.config); i++) node.raw.tick();
  }

  /** Any member may send its state; it goes under the term that the member is in. */
  sendSnapshot(command: Command): void {
    const node = this.first(command);
    const message = new Message({
      type: MessageType.MsgSnap,
      term: node.raw.term,
      from: node.raw.id,
      to: BigInt(command.args[1]!.key),
      snapshot: node.storage.snapshot(),
    });
    this.#messages.push(message);
    this.output.write(describeMessage(message));
  }

  printLog({ storage }: ScriptedNode): void {
    const first = storage.firstIndex();
    const last = storage.lastIndex();
    if (last < first) this.output.write(`log is empty: first index=${first}, last index=${last}`);
    else this.output.write(describeEntries(storage.entries(first, last + 1, Infinity)!));
  }

  printState(): void {
    for (const { raw } of this.#nodes) {
      const { id, raftState, term, lead, config } = raw.status();
      const role = config.voters.has(id) ? '(Voter)' : '(Non-Voter)';
      this.output.write(`${id}: ${raftStateName(raftState)} ${role} Term:${term} Lead:${lead}\n`);
    }
  }

  printStatus({ raw }: ScriptedNode): void {
    for (const [id, progress] of raw.status().progress) this.output.write(`${id}: ${progress}\n`);
  }

  /** One round of everything that waits; false when nothing did. */
  #stabilizeOnce(nodes: readonly ScriptedNode[]): boolean {
    let worked = false;
    for (const node of nodes) {
      if (!node.raw.hasReady()) continue;
      this.#under(node, 'handling Ready', () => this.#messages.push(...node.processReady()));
      worked = true;
    }
    for (const node of nodes) {
      if (!this.#messages.some(({ to }) => to === node.raw.id)) continue;
      this.#under(node, 'receiving messages', () => this.#deliver(node.raw.id, null, false));
      worked = true;
    }
    for (const node of nodes) {
      if (node.appendWork.count === 0) continue;
      this.output.write(`> ${node.raw.id} processing append thread\n`);
      while (node.appendWork.count > 0) {
        this.output.indented(() => this.#messages.push(...node.processAppendThread()));
      }
      worked = true;
    }
    for (const node of nodes) {
      if (node.applyWork.count === 0) continue;
      this.output.write(`> ${node.raw.id} processing apply thread\n`);
      while (node.applyWork.count > 0) {
        this.output.indented(() => this.#messages.push(...node.processApplyThread()));
      }
      worked = true;
    }
    return worked;
  }

  /** Delivers or drops what is under way to `to`, of `type` if not null; returns how many there were. */
  #deliver(to: MemberId, type: number | null, drop: boolean): number {
    const isMeant = (message: Message): boolean =>
      message.to === to && !(drop && isLocal(message)) && (type === null || message.type === type);
    const delivered = this.#messages.filter(isMeant);
    this.#messages = this.#messages.filter((message) => !isMeant(message));
    for (const message of delivered) {
      this.output.write(`${drop ? 'dropped: ' : ''}${describeMessage(message)}\n`);
      if (drop) continue;
      const { raw } = this.node(String(to));
      if (isLocal(message)) {
        raw.stepLocal(message);
        continue;
      }
      const error = raw.step(message);
      if (error !== null) this.output.write(`${stepErrorText(error)}\n`);
    }
    return delivered.length;
  }

  #under(node: ScriptedNode, heading: string, body: () => void): void {
    this.output.write(`> ${node.raw.id} ${heading}\n`);
    this.output.indented(body);
  }
}

/** Messages that stay within a member: they are never lost. */
function isLocal(message: Message): boolean {
  return message.from === message.to || isLocalTarget(message.from) || isLocalTarget(message.to);
}

function errorText(error: string): string {
  return error.startsWith('ERR_RAFT_') ? stepErrorText(error as StepError) : error;
}

function option(command: Command, key: string): string {
  const value = command.args.find((arg) => arg.key === key)?.values[0];
  if (value === undefined) throw new ScriptCommandError(`missing argument ${key}`);
  return value;
}

type Template = Omit<RaftConfig, 'id' | 'storage'>;

/** The configuration that the arguments of add-nodes describe; what is about the initial state goes to `snapshot`. */
function configOf(command: Command, snapshot: Snapshot): Template {
  const { metadata } = snapshot;
  let config: Template = {
    electionTicks: 3,
    heartbeatTicks: 1,
    maxInflightMsgs: 0x7fff_ffff,
    random: NO_JITTER,
  };
  for (const { key, values } of command.args.slice(1)) {
    const value = values[0]!;
    switch (key) {
      case 'voters':
        metadata.confState.voters = values.map(BigInt);
        break;
      case 'learners':
        metadata.confState.learners = values.map(BigInt);
        break;
      case 'index':
        metadata.index = Number(value);
        config = { ...config, applied: metadata.index };
        break;
      case 'content':
        snapshot.data = utf8ToBytes(value);
        break;
      default:
        config = { ...config, ...parameterOf(key, value) };
    }
  }
  return config;
}

function parameterOf(key: string, value: string): Partial<RaftConfig> {
  switch (key) {
    case 'inflight':
      return { maxInflightMsgs: Number(value) };
    case 'async-storage-writes':
      return { asyncStorageWrites: value === 'true' };
    case 'prevote':
      return { preVote: value === 'true' };
    case 'checkquorum':
      return { checkQuorum: value === 'true' };
    case 'max-size-per-msg':
      return { maxSizePerMsgBytes: Number(value) };
    case 'max-committed-size-per-ready':
      return { maxCommittedSizePerReadyBytes: Number(value) };
    case 'disable-conf-change-validation':
      return { disableConfChangeValidation: value === 'true' };
    case 'read-only':
      return { readOnlyOption: value === 'safe' ? ReadOnlyOption.Safe : ReadOnlyOption.LeaseBased };
    case 'step-down-on-removal':
      return { stepDownOnRemoval: value === 'true' };
    default:
      throw new ScriptCommandError(`unknown parameter ${key}`);
  }
}

function confChangeOf(command: Command): AnyConfChange {
  const changes = parseChanges(command.input);
  const values = new Map(command.args.map((arg) => [arg.key, arg.values[0]]));
  if (values.get('v1') === 'true') {
    const { type, nodeId } = changes[0]!;
    return new ConfChange({ type, nodeId });
  }
  const transitions: Readonly<Record<string, number>> = {
    auto: ConfChangeTransition.ConfChangeTransitionAuto,
    implicit: ConfChangeTransition.ConfChangeTransitionJointImplicit,
    explicit: ConfChangeTransition.ConfChangeTransitionJointExplicit,
  };
  const transition = transitions[values.get('transition') ?? 'auto'];
  if (transition === undefined) throw new ScriptCommandError('unknown transition');
  return new ConfChangeV2({ transition, changes });
}
