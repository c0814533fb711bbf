/**
 * What judges the members of a simulation, for histories that were recorded elsewhere: the {@link Model} is fed with the committed log, then
 * says what every answer and every event must have been.
 */
export { AnswerChecks, type Bounds, type Verdict } from './checks.ts';
export { type KeyVersion, Model } from './model.ts';
export { textOf } from './trace.ts';
export { WatchChecks, type WatchedRange } from './watch-checks.ts';
