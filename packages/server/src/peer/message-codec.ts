/**
 * The stream of ordinary messages, whose frames are
 *
 *   8 bytes   length, big-endian
 *   length    raftpb.Message
 *
 * The link is kept alive by a heartbeat from nobody to nobody.
 */
import { Message, MessageType, sizeMessage, writeMessage } from '@etcd/api/raftpb';
import { readU64, U64_BYTES, writeU64 } from './big-endian.ts';
import { checkFrameLength, decodeOwnMessage, type FrameFormat } from './frame-decoder.ts';
import type { FrameEncoder, FrameTarget } from './frame-target.ts';

const LINK_HEARTBEAT = new Message({ type: MessageType.MsgHeartbeat });

export class MessageEncoder implements FrameEncoder {
  encode(message: Message, target: FrameTarget): number {
    const size = sizeMessage(message);
    const length = U64_BYTES + size;
    const at = target.reserve(length);
    writeMessage(message, target.bytes, writeU64(target.bytes, at, size));
    return length;
  }

  encodeHeartbeat(target: FrameTarget): number {
    return this.encode(LINK_HEARTBEAT, target);
  }
}

export class MessageFormat implements FrameFormat {
  frameLength(bytes: Uint8Array, start: number, end: number): number {
    return end - start < U64_BYTES ? -U64_BYTES : checkFrameLength(U64_BYTES + readU64(bytes, start));
  }

  decodeFrame(bytes: Uint8Array, start: number, end: number, isOwn: boolean): Message | null {
    const message = decodeOwnMessage(bytes, start + U64_BYTES, end, isOwn);
    return isLinkHeartbeat(message) ? null : message;
  }
}

/** Raft's own heartbeats say from whom and to whom they are. */
function isLinkHeartbeat(message: Message): boolean {
  return message.type === MessageType.MsgHeartbeat && message.from === 0n && message.to === 0n;
}
