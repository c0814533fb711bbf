/**
 * Values of flags as Go writes and reads them: durations, integers with their ranges, booleans. Programs that take
 * etcd's flags read them with these, so that what one accepts the other does too, and refuses in the same words.
 */
export { formatGoDuration, parseGoDuration } from './go-duration.ts';
export {
  clampToSafeNumber,
  GO_INTEGER_RANGES,
  type GoIntegerType,
  type NumberProblem,
  parseGoBool,
  parseGoInteger,
} from './go-number.ts';
