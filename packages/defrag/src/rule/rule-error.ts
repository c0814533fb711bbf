/** A rule that is none, or that has no answer; the message is for its author. */
export class RuleError extends Error {
  override readonly name = 'RuleError';
}
