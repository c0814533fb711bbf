/** Attends to one schedule: has the next backup made when it is due, and forgets old ones. */
import { decideSchedule } from '../backup/decide-schedule.ts';
import { ApiError, describeError } from '../kubernetes/api.ts';
import {
  type OwnObject,
  scheduledBackup,
  scheduleStatusObject,
  seenSchedule,
} from '../kubernetes/backup-objects.ts';
import { BACKUPS, SCHEDULES } from '../kubernetes/collections.ts';
import type { OwnAttendantOptions } from './backup-attendant.ts';
import { StatusWriter } from './status-writer.ts';

const AFTER_ACTION_MS = 1_000;
const RETRY_MS = 15_000;

export class ScheduleAttendant {
  readonly #options: OwnAttendantOptions;
  readonly #status: StatusWriter;

  constructor(options: OwnAttendantOptions) {
    this.#options = options;
    this.#status = new StatusWriter(options.api, SCHEDULES, options.logger);
  }

  /** Does one thing, if there is one; returns when to come again, null: not before something changes. */
  async attend(): Promise<number | null> {
    const { namespace, name, caches, api, nowMs } = this.#options;
    const cached = caches.schedule(namespace, name);
    if (cached === null) return null;
    const first = decideSchedule(seenSchedule(cached, caches.backups(namespace), nowMs()));
    if (first.action === null) return (await this.#tell(cached, first.status)) ? first.againMs : RETRY_MS;
    const schedule = await api.read<OwnObject>(SCHEDULES, namespace, name);
    if (schedule === null) return null;
    const backups = await api.list<OwnObject>(BACKUPS, namespace);
    const { action, status, againMs } = decideSchedule(seenSchedule(schedule, backups.items, nowMs()));
    if (!(await this.#tell(schedule, status))) return RETRY_MS;
    if (action === null) return againMs;
    try {
      if (action.kind === 'delete-backup')
        await api.delete(BACKUPS, namespace, action.name, { preconditions: { uid: action.uid } });
      else await api.create(BACKUPS, namespace, scheduledBackup(schedule, action.name, action.dueMs));
      return AFTER_ACTION_MS;
    } catch (error) {
      // Made already, by a call that was thought to be lost.
      if (error instanceof ApiError && error.code === 409) return AFTER_ACTION_MS;
      const fields = { action: action.kind, error: describeError(error) };
      this.#options.logger.warn('could not act', fields);
      return RETRY_MS;
    }
  }

  #tell(schedule: OwnObject, status: Parameters<typeof scheduleStatusObject>[0]): Promise<boolean> {
    const generation = schedule.metadata?.generation ?? 0;
    return this.#status.write(schedule, scheduleStatusObject(status, generation));
  }
}
