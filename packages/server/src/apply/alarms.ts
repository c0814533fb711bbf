/** The alarms of the cluster: which member has raised what. Kept in memory and in the backend; changed by applying alone. */
import type { MemberId } from '@etcd/api';
import { AlarmMember, AlarmType } from '@etcd/api/etcdserverpb';
import { assert } from '@etcd/base';
import type { Backend } from '@etcd/storage/backend';
import { createAlarmBucket, deleteAlarm, putAlarm, readAlarms } from '@etcd/storage/schema';

export class Alarms {
  readonly #backend: Backend;
  #raised: readonly AlarmMember[];
  /** Whether any member has run out of space: nothing that grows the database is applied. */
  hasNoSpace = false;
  /** Whether any member's data differ from the others': nothing is applied. */
  hasCorrupt = false;

  constructor(backend: Backend) {
    this.#backend = backend;
    createAlarmBucket(backend);
    this.#raised = readAlarms(backend);
    this.#summarize();
  }

  /** Those of a type; all for `NONE`. */
  list(type: number): AlarmMember[] {
    return this.#raised.filter(({ alarm }) => type === AlarmType.NONE || alarm === type);
  }

  /** Raises an alarm, or finds it raised; null for `NONE`. */
  activate(memberId: MemberId, alarm: number): AlarmMember | null {
    if (alarm === AlarmType.NONE) return null;
    const found = this.#find(memberId, alarm);
    if (found !== undefined) return found;
    const raised = new AlarmMember({ memberId, alarm });
    putAlarm(this.#backend, memberId, alarm);
    this.#raised = [...this.#raised, raised];
    this.#summarize();
    assert(alarm !== AlarmType.NOSPACE || this.hasNoSpace, 'alarms: one that was raised is not known');
    return raised;
  }

  /** Clears an alarm; null if it was not raised. */
  deactivate(memberId: MemberId, alarm: number): AlarmMember | null {
    const found = this.#find(memberId, alarm);
    if (found === undefined) return null;
    deleteAlarm(this.#backend, memberId, alarm);
    this.#raised = this.#raised.filter((raised) => raised !== found);
    this.#summarize();
    return found;
  }

  #find(memberId: MemberId, alarm: number): AlarmMember | undefined {
    return this.#raised.find((raised) => raised.memberId === memberId && raised.alarm === alarm);
  }

  #summarize(): void {
    this.hasNoSpace = this.#raised.some(({ alarm }) => alarm === AlarmType.NOSPACE);
    this.hasCorrupt = this.#raised.some(({ alarm }) => alarm === AlarmType.CORRUPT);
  }
}
