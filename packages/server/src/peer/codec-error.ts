/** What a peer sent is not what the protocol says. It ends the stream that it came on, and nothing else. */

/**
 * - `frame-type`: a byte that begins no frame
 * - `too-large`: a length or count beyond its limit
 * - `message`: a length that does not fit what it counts, or bytes that are no raftpb
 * - `http`: not an HTTP response, or one whose head or chunk sizes are beyond their limits
 */
export type PeerCodecErrorCode = 'frame-type' | 'too-large' | 'message' | 'http';

export class PeerCodecError extends Error {
  override readonly name = 'PeerCodecError';
  readonly code: PeerCodecErrorCode;

  constructor(code: PeerCodecErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
