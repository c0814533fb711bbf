/**
 * Whoever looks after the cluster: adds members and machines for them, promotes learners, removes members, moves their URLs,
 * hands the leadership around, and does maintenance. The outcome of a change that was not answered shows in the list of
 * members, which is looked at before every further step.
 */
import {
  DowngradeAction,
  DowngradeRequest,
  decodeMemberListResponse,
  decodeSnapshotResponse,
  encodeDowngradeRequest,
  encodeMemberAddRequest,
  encodeMemberListRequest,
  encodeMemberPromoteRequest,
  encodeMemberRemoveRequest,
  encodeMemberUpdateRequest,
  encodeMoveLeaderRequest,
  MemberAddRequest,
  MemberListRequest,
  MemberPromoteRequest,
  MemberRemoveRequest,
  MemberUpdateRequest,
  MoveLeaderRequest,
} from '@etcd/api/etcdserverpb';
import type { SeededRandom } from '@etcd/base';
import { GrpcCode } from '@etcd/base';
import type { Machine } from './machine.ts';
import { Session } from './session.ts';
import type { World } from './world.ts';

interface KnownMember {
  readonly id: bigint;
  /** Empty until it has been started. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly isLearner: boolean;
}

export interface OperatorOptions {
  readonly world: World;
  readonly random: SeededRandom;
  /** Members that the cluster should have, more or less. */
  readonly size: number;
  /** Whether members come and go in this world. */
  readonly changesMembers: boolean;
  readonly downgrades: boolean;
  /** Makes the machine of a new member; its flags are asked for at each of its starts. */
  readonly addMachine: (initialCluster: () => string) => Machine;
}

const REQUEST_TIMEOUT_MS = 8000;
const MEAN_STEP_MS = 6000;
const NOTHING = new Uint8Array(0);

export class Operator {
  readonly #options: OperatorOptions;
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #session: Session;
  /** Machines of members whose addition has not been seen in a list yet. */
  #unseen: Machine[] = [];
  #members: readonly KnownMember[] = [];
  #isRunning = false;
  /** There is a timer for the next step. */
  #isScheduled = false;
  #isBusy = false;

  constructor(options: OperatorOptions) {
    this.#options = options;
    this.#world = options.world;
    this.#random = options.random;
    this.#session = new Session(options.world, options.random.fork());
  }

  get isIdle(): boolean {
    return !this.#isBusy;
  }

  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    if (!this.#isBusy) this.#scheduleNext();
  }

  stop(): void {
    this.#isRunning = false;
  }

  /** Everybody but one is lost: so are the machines that were to join. */
  startOver(): void {
    this.#unseen = [];
  }

  /**
   * Brings machines in line with where members are: starts those of new ones, and gives up those that were removed before they
   * could join. All others have to notice by themselves that they were removed.
   */
  reconcile(members: readonly KnownMember[]): void {
    this.#members = members;
    const urls = new Set(members.flatMap(({ peerUrls }) => peerUrls));
    const isMember = (machine: Machine): boolean => machine.peerUrls.some((url) => urls.has(url));
    const added = this.#unseen.filter(isMember);
    this.#unseen = this.#unseen.filter((machine) => !added.includes(machine));
    for (const machine of added) machine.enlist();
    for (const machine of this.#world.activeMachines) {
      if (machine.isJoining && !isMember(machine)) machine.retire();
    }
  }

  #scheduleNext(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#world.pauses.pause(this.#random.below(2 * MEAN_STEP_MS), () => {
      this.#isScheduled = false;
      if (!this.#isRunning) return;
      this.#isBusy = true;
      this.#list(() => this.#step(() => this.#finish()));
    });
  }

  #finish(): void {
    this.#isBusy = false;
    if (this.#isRunning) this.#scheduleNext();
  }

  #list(then: () => void): void {
    const request = encodeMemberListRequest(new MemberListRequest({ linearizable: true }));
    this.#ask('/etcdserverpb.Cluster/MemberList', request, 'lists the members', (answer) => {
      if (answer === null) return this.#finish();
      this.reconcile(decodeMemberListResponse(answer).members);
      then();
    });
  }

  #step(then: () => void): void {
    const draw = this.#random.below(100);
    if (this.#options.downgrades && this.#random.chance(0.3)) return this.#downgrade(then);
    if (draw < 50 && this.#options.changesMembers) return this.#changeMembers(then);
    if (draw < 70) return this.#moveLeader(then);
    if (draw < 80) return this.#ask('/etcdserverpb.Maintenance/Defragment', NOTHING, 'defragments', then);
    if (draw < 90) return this.#takeSnapshot(then);
    this.#ask('/etcdserverpb.Maintenance/Status', NOTHING, 'asks for the status', then);
  }

  #changeMembers(then: () => void): void {
    const learner = this.#members.find(({ isLearner }) => isLearner);
    if (learner !== undefined && this.#random.chance(0.7)) return this.#promote(learner, then);
    if (this.#random.chance(0.15)) return this.#update(this.#random.pick(this.#members), then);
    if (this.#members.length <= this.#options.size && this.#unseen.length === 0) return this.#add(then);
    if (this.#members.length > this.#options.size)
      return this.#remove(this.#random.pick(this.#members), then);
    then();
  }

  #add(then: () => void): void {
    const machine = this.#options.addMachine(() => this.#initialCluster(machine));
    const voters = this.#members.filter((member) => !member.isLearner);
    // A second voter is needed as soon as it has been added, and the machine would not come: only the two of them could say that it was.
    const isLearner = this.#random.chance(0.7) || voters.length === 1;
    const request = new MemberAddRequest({ peerUrls: [machine.peerUrls[0]!], isLearner });
    this.#unseen.push(machine);
    const what = `adds ${machine.name}${isLearner ? ' as a learner' : ''}`;
    this.#ask('/etcdserverpb.Cluster/MemberAdd', encodeMemberAddRequest(request), what, then);
  }

  #promote({ id }: KnownMember, then: () => void): void {
    const request = encodeMemberPromoteRequest(new MemberPromoteRequest({ id }));
    this.#ask('/etcdserverpb.Cluster/MemberPromote', request, `promotes ${id.toString(16)}`, then);
  }

  #remove({ id, name }: KnownMember, then: () => void): void {
    const request = encodeMemberRemoveRequest(new MemberRemoveRequest({ id }));
    this.#ask('/etcdserverpb.Cluster/MemberRemove', request, `removes ${name} ${id.toString(16)}`, then);
  }

  /** A machine is reached under two URLs; the member goes over to the other one. */
  #update({ id, peerUrls }: KnownMember, then: () => void): void {
    const machine = this.#world.machines.find((candidate) => candidate.peerUrls.includes(peerUrls[0]!));
    if (machine === undefined) return then();
    const url = machine.peerUrls.find((candidate) => candidate !== peerUrls[0])!;
    const request = encodeMemberUpdateRequest(new MemberUpdateRequest({ id, peerUrls: [url] }));
    this.#ask('/etcdserverpb.Cluster/MemberUpdate', request, `moves ${machine.name} to ${url}`, then);
  }

  #moveLeader(then: () => void): void {
    const { id } = this.#random.pick(this.#members);
    const request = encodeMoveLeaderRequest(new MoveLeaderRequest({ targetId: id }));
    this.#ask('/etcdserverpb.Maintenance/MoveLeader', request, `lets ${id.toString(16)} lead`, then);
  }

  /** To the release before, which takes the databases with it, and back: no member of the older release ever comes. */
  #downgrade(then: () => void): void {
    const { VALIDATE, ENABLE, CANCEL } = DowngradeAction;
    const action = this.#random.pick([VALIDATE, ENABLE, ENABLE, CANCEL]);
    const version = this.#world.traits.hasReleases ? this.#random.pick(['3.5.0', '3.6.0']) : '3.6.0';
    const request = new DowngradeRequest({ action, version });
    const what = ['would downgrade', 'downgrades', 'calls the downgrade off'][action]!;
    this.#ask('/etcdserverpb.Maintenance/Downgrade', encodeDowngradeRequest(request), what, then);
  }

  /** A copy of the database, to its end. */
  #takeSnapshot(then: () => void): void {
    let bytes = 0;
    const receiver = {
      onMessage: (_call: unknown, message: Uint8Array, start: number, end: number): void => {
        bytes += decodeSnapshotResponse(message.subarray(start, end)).blob.length;
      },
      onEnd: (_call: unknown, code: number): void => {
        this.#world.note(`operator has copied ${bytes} bytes of a database: ${code}`);
        then();
      },
    };
    const options = { timeoutMs: REQUEST_TIMEOUT_MS };
    const call = this.#session.stream('/etcdserverpb.Maintenance/Snapshot', receiver, options);
    if (call === null) return then();
    call.write(NOTHING);
    call.halfClose();
  }

  /** Asks some member; what went wrong is noted, and another member is asked the next time. */
  #ask(path: string, request: Uint8Array, what: string, done: (answer: Uint8Array | null) => void): void {
    this.#session.unary(path, request, { timeoutMs: REQUEST_TIMEOUT_MS }, (code, message, answer) => {
      const isOk = code === GrpcCode.OK;
      this.#world.note(`operator ${what}: ${isOk ? 'ok' : `${code} ${message}`}`);
      if (!isOk || this.#random.chance(0.3)) this.#session.leave();
      done(isOk ? answer : null);
    });
  }

  /** As the operator writes it for the first start: of the URLs of the new machine, the one that the members know it by now. */
  #initialCluster(machine: Machine): string {
    const others = this.#members
      .filter(({ peerUrls }) => !machine.peerUrls.some((url) => peerUrls.includes(url)))
      .flatMap(({ id, name, peerUrls }) => peerUrls.map((url) => `${name || id.toString(16)}=${url}`));
    const own = this.#members
      .flatMap(({ peerUrls }) => peerUrls)
      .find((url) => machine.peerUrls.includes(url));
    return [...others, `${machine.name}=${own ?? machine.peerUrls[0]}`].join();
  }
}
