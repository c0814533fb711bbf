/** When a cluster may be disturbed, and which of its members are worth a defragmentation: fields of this operator's own. */
import { Rule } from '@etcd/defrag/rule';
import type { FieldReader } from './fields.ts';

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;
const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
const MIN_MINUTES = 15;
const MAX_WINDOWS = 16;
const DAYS_AHEAD = 8;

/** Of each week, in UTC. */
export interface MaintenanceWindow {
  /** 0 is Sunday. */
  readonly days: readonly number[];
  readonly startMs: number;
  readonly lengthMs: number;
}

export interface Maintenance {
  /** Empty: at any time. */
  readonly windows: readonly MaintenanceWindow[];
  /** null: none is defragmented by a rule. */
  readonly defragmentation: Rule | null;
}

/** @param value `spec.maintenance` */
export function readMaintenance(reader: FieldReader, value: unknown): Maintenance {
  const fields = reader.optionalRecord(value, 'spec.maintenance') ?? {};
  const windows = fields['windows'];
  if (windows !== undefined && (!Array.isArray(windows) || windows.length > MAX_WINDOWS))
    reader.note('spec.maintenance.windows', `must be a list of at most ${MAX_WINDOWS}`);
  const listed: readonly unknown[] = Array.isArray(windows) ? windows.slice(0, MAX_WINDOWS) : [];
  return {
    windows: listed.map((one, i) => readWindow(reader, one, `spec.maintenance.windows[${i}]`)),
    defragmentation: readRule(reader, fields['defragmentationRule'], 'spec.maintenance.defragmentationRule'),
  };
}

function readWindow(reader: FieldReader, value: unknown, field: string): MaintenanceWindow {
  const fields = reader.record(value, field);
  const names = reader.texts(fields['days'], `${field}.days`);
  const days = names.map((name) => DAYS.findIndex((day) => day === name));
  if (days.includes(-1)) reader.note(`${field}.days`, `must be of ${DAYS.join(', ')}`);
  const start = reader.text(fields['start'], `${field}.start`);
  const [, hour, minute] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(start) ?? [];
  if (start !== '' && hour === undefined) reader.note(`${field}.start`, 'must be a time in UTC, as 02:30');
  const minutes = reader.integer(fields['durationMinutes'], `${field}.durationMinutes`, MIN_MINUTES, 24 * 60);
  return {
    days: days.length === 0 ? DAYS.map((_, day) => day) : days,
    startMs: (Number(hour ?? 0) * 60 + Number(minute ?? 0)) * MINUTE_MS,
    lengthMs: minutes * MINUTE_MS,
  };
}

function readRule(reader: FieldReader, value: unknown, field: string): Rule | null {
  const text = reader.optionalText(value, field);
  if (text === null || text === '') return null;
  try {
    return new Rule(text);
  } catch (error) {
    reader.note(field, (error as Error).message);
    return null;
  }
}

/** When the cluster may be disturbed: now, where that is `nowMs`, or when the next window opens. */
export function nextWindowMs(windows: readonly MaintenanceWindow[], nowMs: number): number {
  if (windows.length === 0) return nowMs;
  const today = Math.floor(nowMs / DAY_MS);
  let next = Number.POSITIVE_INFINITY;
  // One that began yesterday may still be open.
  for (let day = today - 1; day < today + DAYS_AHEAD; day++) {
    for (const { days, startMs, lengthMs } of windows) {
      if (!days.includes(new Date(day * DAY_MS).getUTCDay())) continue;
      const opensMs = day * DAY_MS + startMs;
      if (opensMs + lengthMs > nowMs) next = Math.min(next, Math.max(opensMs, nowMs));
    }
  }
  return next;
}
