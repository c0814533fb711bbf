/**
 * Whoever is called when a database is full: frees space, makes the files smaller and lowers the alarms, which are raised by members that have no room,
 * and now and then by mistake.
 */
import {
  AlarmAction,
  type AlarmMember,
  AlarmRequest,
  AlarmType,
  CompactionRequest,
  DeleteRangeRequest,
  decodeAlarmResponse,
  encodeAlarmRequest,
  encodeCompactionRequest,
  encodeDeleteRangeRequest,
} from '@etcd/api/etcdserverpb';
import { GrpcCode, type SeededRandom } from '@etcd/base';
import { bytesOf } from './client.ts';
import { Pacer } from './pacer.ts';
import { Session } from './session.ts';
import type { World } from './world.ts';

const TIMEOUT_MS = 8000;
const MEAN_PAUSE_MS = 1500;
const NOTHING = new Uint8Array(0);

type Then = (answer: Uint8Array | null) => void;

export class Caretaker {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #session: Session;
  readonly #pacer: Pacer;
  #isRunning = false;
  #isBusy = false;

  constructor(world: World, random: SeededRandom) {
    this.#world = world;
    this.#random = random;
    this.#session = new Session(world, random.fork());
    this.#pacer = new Pacer({
      wait: (pauseMs, then) => world.pauses.pause(pauseMs, then),
      random,
      maxPauseMs: 2 * MEAN_PAUSE_MS,
      step: () => this.#step(),
    });
  }

  /** No alarm is left, and nothing is asked. */
  get isIdle(): boolean {
    return !this.#isBusy && this.#world.model.alarms.size === 0;
  }

  start(): void {
    this.#isRunning = true;
    this.#pacer.start();
  }

  /** Raises nothing any more; what others raise is still looked after. */
  stop(): void {
    this.#isRunning = false;
  }

  #step(): void {
    this.#isBusy = true;
    this.#list(() => {
      this.#isBusy = false;
      this.#pacer.next();
    });
  }

  #list(then: () => void): void {
    this.#askAlarm(new AlarmRequest({ action: AlarmAction.GET }), (answer) => {
      const alarms = answer === null ? [] : decodeAlarmResponse(answer).alarms;
      const [first] = alarms;
      if (first === undefined) return this.#raise(then);
      // For a while everybody has to live with it.
      if (this.#isRunning && this.#random.chance(0.4)) return then();
      if (first.alarm !== AlarmType.NOSPACE) return this.#lower(alarms, then);
      this.#makeRoom(() => this.#lower(alarms, then));
    });
  }

  /** Without need, and in the name of some member. */
  #raise(then: () => void): void {
    const random = this.#random;
    const { activeMachines } = this.#world;
    if (activeMachines.length === 0) return then();
    const named = random.pick(activeMachines).server?.memberId;
    if (!this.#isRunning || named === undefined || !random.chance(0.15)) return then();
    const alarm = random.chance(0.8) ? AlarmType.NOSPACE : AlarmType.CORRUPT;
    const request = new AlarmRequest({ action: AlarmAction.ACTIVATE, memberId: named, alarm });
    this.#askAlarm(request, () => then());
  }

  #makeRoom(then: () => void): void {
    const everything = new DeleteRangeRequest({ key: bytesOf('b'), rangeEnd: bytesOf('c') });
    this.#ask('/etcdserverpb.KV/DeleteRange', encodeDeleteRangeRequest(everything), 'deletes much', () => {
      const revision = Math.max(1, this.#world.seenRevision);
      const compaction = new CompactionRequest({ revision, physical: true });
      this.#ask('/etcdserverpb.KV/Compact', encodeCompactionRequest(compaction), 'compacts', () =>
        this.#defragment(this.#world.activeMachines.length, then),
      );
    });
  }

  /** So many times, each time of whichever member answers. */
  #defragment(left: number, then: () => void): void {
    if (left === 0) return then();
    this.#session.leave();
    this.#ask('/etcdserverpb.Maintenance/Defragment', NOTHING, 'defragments', () =>
      this.#defragment(left - 1, then),
    );
  }

  #lower(alarms: readonly AlarmMember[], then: () => void): void {
    const [first, ...rest] = alarms;
    if (first === undefined) return then();
    const { memberId, alarm } = first;
    const request = new AlarmRequest({ action: AlarmAction.DEACTIVATE, memberId, alarm });
    this.#askAlarm(request, () => this.#lower(rest, then));
  }

  #askAlarm(request: AlarmRequest, then: Then): void {
    const what = `alarm ${request.action} ${request.alarm} of ${request.memberId.toString(16)}`;
    this.#ask('/etcdserverpb.Maintenance/Alarm', encodeAlarmRequest(request), what, then);
  }

  #ask(path: string, request: Uint8Array, what: string, then: Then): void {
    this.#session.unary(path, request, { timeoutMs: TIMEOUT_MS }, (code, message, answer) => {
      this.#world.note(`the caretaker ${what}: ${code} ${message}`);
      this.#world.judgeError(what, code, message);
      if (code !== GrpcCode.OK) this.#session.leave();
      then(code === GrpcCode.OK ? answer : null);
    });
  }
}
