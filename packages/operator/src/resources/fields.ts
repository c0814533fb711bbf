/** Reads declarations as the API server hands them out; everything that is wrong with one is told at once. */

/** A mistake in a declaration, by field. */
export interface SpecProblem {
  readonly field: string;
  readonly problem: string;
}

export type Fields = Readonly<Record<string, unknown>>;

const STORAGE_QUANTITY = /^\d+(?:\.\d+)?(?:[KMGTPE]i?)?$/;
const DURATION = /^(?:\d+[dhms])+$/;
const UNIT_MS: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1000 };
const MAX_ITEMS = 64;

export class FieldReader {
  readonly problems: SpecProblem[] = [];

  note(field: string, problem: string): void {
    this.problems.push({ field, problem });
  }

  record(value: unknown, field: string): Fields {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
    this.note(field, 'must be an object');
    return {};
  }

  /** null: it is not there. */
  optionalRecord(value: unknown, field: string): Fields | null {
    return value === undefined || value === null ? null : this.record(value, field);
  }

  integer(value: unknown, field: string, least: number, most: number): number {
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    this.note(field, `must be an integer from ${least} to ${most}`);
    return least;
  }

  /** @param otherwise what is meant where nothing stands. */
  optionalInteger<T>(value: unknown, field: string, least: number, most: number, otherwise: T): number | T {
    return value === undefined || value === null ? otherwise : this.integer(value, field, least, most);
  }

  /** @param otherwise null: it must be there. */
  text(value: unknown, field: string, otherwise: string | null = null): string {
    if (typeof value === 'string' && value !== '') return value;
    if (value === undefined && otherwise !== null) return otherwise;
    this.note(field, 'must be a text that is not empty');
    return '';
  }

  optionalText(value: unknown, field: string): string | null {
    return value === undefined || value === null ? null : this.text(value, field);
  }

  flag(value: unknown, field: string, otherwise = false): boolean {
    if (value === undefined || value === null) return otherwise;
    if (typeof value === 'boolean') return value;
    this.note(field, 'must be true or false');
    return otherwise;
  }

  /** One of some words; the first is meant where none stands. */
  choice<T extends string>(value: unknown, field: string, words: readonly [T, ...T[]]): T {
    if (value === undefined || value === null) return words[0];
    const found = words.find((word) => word === value);
    if (found !== undefined) return found;
    const [last, ...others] = words.toReversed();
    this.note(field, `must be ${others.reverse().join(', ')} or ${last}`);
    return words[0];
  }

  texts(value: unknown, field: string): string[] {
    if (value === undefined || value === null) return [];
    if (Array.isArray(value) && value.length <= MAX_ITEMS && value.every((item) => typeof item === 'string'))
      return [...value];
    this.note(field, `must be a list of at most ${MAX_ITEMS} texts`);
    return [];
  }

  /** Texts by name, as labels are. */
  textMap(value: unknown, field: string): Record<string, string> {
    const map = this.optionalRecord(value, field) ?? {};
    if (Object.values(map).every((item) => typeof item === 'string')) return map as Record<string, string>;
    this.note(field, 'must have texts as values');
    return {};
  }

  quantity(value: unknown, field: string, otherwise: string | null): string {
    const text = this.text(value, field, otherwise);
    if (text !== '' && !STORAGE_QUANTITY.test(text)) this.note(field, `${text} is no quantity, as 1Gi is`);
    return text;
  }

  /** In milliseconds: `365d`, `100d12h`. */
  durationMs(value: unknown, field: string, leastMs: number, mostMs: number, otherwiseMs: number): number {
    if (value === undefined || value === null) return otherwiseMs;
    if (typeof value !== 'string' || !DURATION.test(value)) {
      this.note(field, 'must be a duration, as 365d or 100d12h');
      return otherwiseMs;
    }
    let ms = 0;
    for (const [, count, unit] of value.matchAll(/(\d+)([dhms])/g)) ms += Number(count) * UNIT_MS[unit!]!;
    if (ms >= leastMs && ms <= mostMs) return ms;
    this.note(field, `must be from ${leastMs / 1000} s to ${mostMs / 1000} s`);
    return otherwiseMs;
  }
}
