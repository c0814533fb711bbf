/** The two streams in each direction between two members. */
import type { MemberId } from '@etcd/api';
import { AppendEncoder, AppendFormat } from './append-codec.ts';
import type { FrameFormat } from './frame-decoder.ts';
import type { FrameEncoder } from './frame-target.ts';
import { MessageEncoder, MessageFormat } from './message-codec.ts';

export interface StreamKind {
  /** As logs have it. */
  readonly name: string;
  /** What the id of the member that asks for it is appended to. */
  readonly path: string;
  createEncoder(): FrameEncoder;
  createFormat(local: MemberId, remote: MemberId): FrameFormat;
}

export const STREAM_PREFIX = '/raft/stream';

export const APPEND_STREAM: StreamKind = {
  name: 'stream MsgApp v2',
  // Of the protocol before this one, whose place it took.
  path: `${STREAM_PREFIX}/msgapp`,
  createEncoder: () => new AppendEncoder(),
  createFormat: (local, remote) => new AppendFormat(local, remote),
};

export const MESSAGE_STREAM: StreamKind = {
  name: 'stream Message',
  path: `${STREAM_PREFIX}/message`,
  createEncoder: () => new MessageEncoder(),
  createFormat: () => new MessageFormat(),
};

export const STREAM_KINDS: readonly StreamKind[] = [APPEND_STREAM, MESSAGE_STREAM];

/** A connection on which nothing has come for so long is dead. */
export const READ_TIMEOUT_MS = 5000;
export const LINK_HEARTBEAT_MS = READ_TIMEOUT_MS / 3;
