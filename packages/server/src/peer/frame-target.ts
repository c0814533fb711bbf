/** Where encoders write: space for a frame at a time. */
import type { Message } from '@etcd/api/raftpb';

export interface FrameTarget {
  /** The array that the last {@link reserve} was in. */
  readonly bytes: Uint8Array;
  /** Where `length` bytes of {@link bytes} may be written, and count as written. */
  reserve(length: number): number;
}

/** One of the two protocols of streams. An encoder belongs to one connection: it may depend on what it wrote before. */
export interface FrameEncoder {
  /** Returns the length of the frame in bytes. */
  encode(message: Message, target: FrameTarget): number;
  /** A frame that only keeps the link alive. */
  encodeHeartbeat(target: FrameTarget): number;
}
