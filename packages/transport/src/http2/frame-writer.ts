/** Builds the frames that are not DATA in a connection's output. */
import type { Output } from './output.ts';
import { copyRange } from './output.ts';
import {
  Flag,
  FRAME_HEADER_BYTES,
  FrameType,
  PING_BYTES,
  SETTING_BYTES,
  writeFrameHeader,
  writeUint32,
} from './protocol.ts';

const HEADERS = FrameType.HEADERS << 8;
const RST_STREAM = FrameType.RST_STREAM << 8;
const SETTINGS = FrameType.SETTINGS << 8;
const PING = FrameType.PING << 8;
const GOAWAY = FrameType.GOAWAY << 8;
const WINDOW_UPDATE = FrameType.WINDOW_UPDATE << 8;
const CONTINUATION = FrameType.CONTINUATION << 8;

const WORD_BYTES = 4;

/** HEADERS with as many CONTINUATION frames as `block` needs. */
export function writeHeaders(
  output: Output,
  streamId: number,
  block: Uint8Array,
  endStream: boolean,
  maxFrameBytes: number,
): void {
  let typeAndFlags: number = HEADERS | (endStream ? Flag.END_STREAM : 0);
  let sent = 0;
  do {
    const length = Math.min(block.length - sent, maxFrameBytes);
    if (sent + length === block.length) typeAndFlags |= Flag.END_HEADERS;
    const at = output.reserve(FRAME_HEADER_BYTES + length);
    writeFrameHeader(output.bytes, at, length, typeAndFlags, streamId);
    copyRange(output.bytes, at + FRAME_HEADER_BYTES, block, sent, sent + length);
    typeAndFlags = CONTINUATION;
    sent += length;
  } while (sent < block.length);
}

export function writeRstStream(output: Output, streamId: number, errorCode: number): void {
  const at = output.reserve(FRAME_HEADER_BYTES + WORD_BYTES);
  writeFrameHeader(output.bytes, at, WORD_BYTES, RST_STREAM, streamId);
  writeUint32(output.bytes, at + FRAME_HEADER_BYTES, errorCode);
}

export function writeWindowUpdate(output: Output, streamId: number, increment: number): void {
  const at = output.reserve(FRAME_HEADER_BYTES + WORD_BYTES);
  writeFrameHeader(output.bytes, at, WORD_BYTES, WINDOW_UPDATE, streamId);
  writeUint32(output.bytes, at + FRAME_HEADER_BYTES, increment);
}

export function writeSettings(
  output: Output,
  settings: readonly (readonly [id: number, value: number])[],
): void {
  const length = settings.length * SETTING_BYTES;
  let at = output.reserve(FRAME_HEADER_BYTES + length);
  writeFrameHeader(output.bytes, at, length, SETTINGS, 0);
  at += FRAME_HEADER_BYTES;
  for (const [id, value] of settings) {
    output.bytes[at] = id >>> 8;
    output.bytes[at + 1] = id;
    writeUint32(output.bytes, at + 2, value);
    at += SETTING_BYTES;
  }
}

export function writeSettingsAck(output: Output): void {
  const at = output.reserve(FRAME_HEADER_BYTES);
  writeFrameHeader(output.bytes, at, 0, SETTINGS | Flag.ACK, 0);
}

/** `data[start, start + 8)` is the payload. */
export function writePing(output: Output, isAck: boolean, data: Uint8Array, start: number): void {
  const at = output.reserve(FRAME_HEADER_BYTES + PING_BYTES);
  writeFrameHeader(output.bytes, at, PING_BYTES, PING | (isAck ? Flag.ACK : 0), 0);
  copyRange(output.bytes, at + FRAME_HEADER_BYTES, data, start, start + PING_BYTES);
}

export function writeGoaway(
  output: Output,
  lastStreamId: number,
  errorCode: number,
  debugText: string,
): void {
  const debugData = Buffer.from(debugText, 'latin1');
  const length = 2 * WORD_BYTES + debugData.length;
  const at = output.reserve(FRAME_HEADER_BYTES + length);
  writeFrameHeader(output.bytes, at, length, GOAWAY, 0);
  writeUint32(output.bytes, at + FRAME_HEADER_BYTES, lastStreamId);
  writeUint32(output.bytes, at + FRAME_HEADER_BYTES + WORD_BYTES, errorCode);
  output.bytes.set(debugData, at + FRAME_HEADER_BYTES + 2 * WORD_BYTES);
}
