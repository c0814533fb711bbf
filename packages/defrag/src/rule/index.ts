/**
 * Rules that say whether a member is worth a defragmentation, in the language of the tool etcd-defrag: expressions over five variables,
 * all of them fractions, whose result is true or false.
 *
 *     dbSize > dbQuota*80/100 || dbSizeFree > 200*1024*1024
 *
 * There are numbers, strings, `true`, `false`, `nil`, lists and what joins them: `+ - * / % **`, `== != < <= > >=`, `&& || !`,
 * `| & ^ ~ << >>`, `in`, `a ? b : c`, `list[0]`, parentheses. A number without a point is a whole one, and a quotient of whole numbers
 * is cut: `dbSize > dbQuota*(80/100)` is true of everything. Objects, fields, slices and functions, which that language has too, mean
 * nothing here, since no variable is one.
 */
import { type Expression, parseExpression } from './expression.ts';
import { RuleError } from './rule-error.ts';

export { RuleError };

/** Sizes in bytes. */
export interface DatabaseSizes {
  readonly sizeBytes: number;
  readonly sizeInUseBytes: number;
  readonly quotaBytes: number;
}

const SAMPLE: DatabaseSizes = {
  sizeBytes: 100 * 1024 * 1024,
  sizeInUseBytes: 60 * 1024 * 1024,
  quotaBytes: 2 * 1024 * 1024 * 1024,
};

export class Rule {
  readonly #expression: Expression | null;

  /** Empty: true of everything. Throws {@link RuleError} for what is no rule, tried on usual sizes. */
  constructor(text: string) {
    this.#expression = text === '' ? null : parseExpression(text);
    this.holds(SAMPLE);
  }

  holds({ sizeBytes, sizeInUseBytes, quotaBytes }: DatabaseSizes): boolean {
    if (this.#expression === null) return true;
    const result = this.#expression({
      dbSize: sizeBytes,
      dbSizeInUse: sizeInUseBytes,
      dbSizeFree: sizeBytes - sizeInUseBytes,
      dbQuota: quotaBytes,
      dbQuotaUsage: sizeBytes / quotaBytes,
    });
    if (typeof result !== 'boolean') throw new RuleError("the rule isn't a boolean expression");
    return result;
  }
}
