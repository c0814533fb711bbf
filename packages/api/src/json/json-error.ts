/** JSON that is none, or that does not fit the message it is read as. The text is that of Go's `encoding/json` and `protojson`. */
export class JsonError extends Error {
  override readonly name = 'JsonError';
}
