/**
 * Care of members. Most of this is about the one member that answers: a client with a single endpoint asks a
 * certain one.
 */
import {
  AlarmAction,
  AlarmRequest,
  AlarmResponse,
  AlarmType,
  DefragmentRequest,
  type DefragmentResponse,
  DowngradeAction,
  DowngradeRequest,
  type DowngradeResponse,
  HashKVRequest,
  type HashKVResponse,
  HashRequest,
  type HashResponse,
  MoveLeaderRequest,
  type MoveLeaderResponse,
  SnapshotRequest,
  type SnapshotResponse,
  StatusRequest,
  type StatusResponse,
} from '@etcd/api/etcdserverpb';
import { MaintenanceService } from '@etcd/api/services';
import { type CallOptions, NO_OPTIONS } from '../options.ts';
import type { Caller } from '../rpc/caller.ts';
import type { ServerStream } from '../rpc/server-stream.ts';

const { methods } = MaintenanceService;

export type DowngradeStep = 'validate' | 'enable' | 'cancel';

const DOWNGRADE_ACTIONS: Readonly<Record<DowngradeStep, number>> = {
  validate: DowngradeAction.VALIDATE,
  enable: DowngradeAction.ENABLE,
  cancel: DowngradeAction.CANCEL,
};

export class Maintenance {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  status(options: CallOptions = NO_OPTIONS): Promise<StatusResponse> {
    return this.#caller.unary(methods.status, new StatusRequest(), options);
  }

  alarmList(options: CallOptions = NO_OPTIONS): Promise<AlarmResponse> {
    const request = new AlarmRequest({ action: AlarmAction.GET, alarm: AlarmType.NONE });
    return this.#caller.unary(methods.alarm, request, options);
  }

  /** Ends every alarm; the answer has those that were. */
  async alarmDisarmAll(options: CallOptions = NO_OPTIONS): Promise<AlarmResponse> {
    const { alarms } = await this.alarmList(options);
    const ended = new AlarmResponse();
    for (const { memberId, alarm } of alarms) {
      ended.alarms.push(...(await this.alarmDisarm(memberId, alarm, options)).alarms);
    }
    return ended;
  }

  alarmDisarm(memberId: bigint, alarm: number, options: CallOptions = NO_OPTIONS): Promise<AlarmResponse> {
    const request = new AlarmRequest({ action: AlarmAction.DEACTIVATE, memberId, alarm });
    return this.#caller.unary(methods.alarm, request, options);
  }

  /** Takes as long as it takes, unless `options` have a deadline. */
  defragment(options: CallOptions = NO_OPTIONS): Promise<DefragmentResponse> {
    return this.#caller.unary(methods.defragment, new DefragmentRequest(), options, 0);
  }

  hash(options: CallOptions = NO_OPTIONS): Promise<HashResponse> {
    return this.#caller.unary(methods.hash, new HashRequest(), options);
  }

  hashKv(revision: number, options: CallOptions = NO_OPTIONS): Promise<HashKVResponse> {
    return this.#caller.unary(methods.hashKv, new HashKVRequest({ revision }), options);
  }

  /** The database, piece by piece; the last pieces are its SHA-256. */
  snapshot(options: CallOptions = NO_OPTIONS): ServerStream<SnapshotResponse> {
    return this.#caller.serverStream(methods.snapshot, new SnapshotRequest(), options);
  }

  /** Only the leader can be asked. */
  moveLeader(targetId: bigint, options: CallOptions = NO_OPTIONS): Promise<MoveLeaderResponse> {
    return this.#caller.unary(methods.moveLeader, new MoveLeaderRequest({ targetId }), options);
  }

  downgrade(
    step: DowngradeStep,
    version: string,
    options: CallOptions = NO_OPTIONS,
  ): Promise<DowngradeResponse> {
    const request = new DowngradeRequest({ action: DOWNGRADE_ACTIONS[step], version });
    return this.#caller.unary(methods.downgrade, request, options);
  }
}
