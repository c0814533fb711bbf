/**
 * What malformed protobuf input gets. Readers throw it from deep inside a message; the outermost `decodeX` adds the
 * message's name and makes the offset relative to the message's first byte.
 */

/**
 * - `truncated`: the input ends inside a field, or a length points past the end of what contains it
 * - `varint`: a varint of more than 64 bits
 * - `field-number`: field number 0, or one that no `.proto` file can declare
 * - `wire-type`: one of the two that do not exist
 * - `group`: an end-group without its start
 * - `depth`: sub-messages or groups nested deeper than {@link MAX_MESSAGE_DEPTH}
 * - `utf8`: a proto3 string that is not UTF-8
 */
export type DecodeErrorCode =
  | 'truncated'
  | 'varint'
  | 'field-number'
  | 'wire-type'
  | 'group'
  | 'depth'
  | 'utf8';

/**
 * How deep a message that can contain itself may be nested. A transaction inside a transaction counts two. etcd's limit
 * of 128 operations on a path through nested transactions stays far below it, the stack far above.
 */
export const MAX_MESSAGE_DEPTH = 1000;

/** The input is not an encoding of the message. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
  readonly code: DecodeErrorCode;
  /** What is wrong, without where. */
  readonly problem: string;
  /** Full name of the message that was asked for, as `etcdserverpb.PutRequest`. */
  readonly messageType: string;
  /** Bytes from the start of that message to the place. */
  readonly offset: number;

  constructor(code: DecodeErrorCode, problem: string, messageType: string, offset: number) {
    super(`${messageType}: ${problem} at offset ${offset}`);
    this.code = code;
    this.problem = problem;
    this.messageType = messageType;
    this.offset = offset;
  }
}

/** For a reader that knows neither message nor start: `position` counts from the start of the array. */
export function malformed(code: DecodeErrorCode, problem: string, position: number): DecodeError {
  return new DecodeError(code, problem, 'message', position);
}

/** Gives an error of a reader its message's name; passes every other error on as it is. */
export function inMessage(error: unknown, messageType: string, start: number): unknown {
  if (!(error instanceof DecodeError)) return error;
  return new DecodeError(error.code, error.problem, messageType, error.offset - start);
}
