/** Times of objects are texts, whatever the types of the client say. */

/** In milliseconds since 1970; 0: there is none. */
export function timeOf(time: Date | string | undefined): number {
  return time === undefined ? 0 : new Date(time).getTime() || 0;
}

/** null: there is none. */
export function timeOrNull(time: unknown): number | null {
  return typeof time === 'string' ? timeOf(time) || null : null;
}

export function timeText(ms: number | null): string | undefined {
  return ms === null ? undefined : new Date(ms).toISOString();
}
