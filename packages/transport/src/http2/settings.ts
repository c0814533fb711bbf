/** The peer's SETTINGS: read, checked, and kept as the numbers that the connection works with. */
import {
  DEFAULT_MAX_FRAME_BYTES,
  ErrorCode,
  LARGEST_MAX_FRAME_BYTES,
  MAX_WINDOW_BYTES,
  readUint32,
  SETTING_BYTES,
  Setting,
} from './protocol.ts';

/** -1 where the frames read so far say nothing. */
export class PeerSettings {
  headerTableBytes = -1;
  initialWindowBytes = -1;
  maxFrameBytes = -1;
  maxConcurrentStreams = -1;
  maxHeaderListBytes = -1;

  /**
   * Takes over the entries of one SETTINGS payload `bytes[start, end)`, whose length is a multiple of {@link
   * SETTING_BYTES}. Returns the error code of the first value that is not allowed, NO_ERROR otherwise. Of
   * several values for one setting the last counts: nothing happens between them.
   */
  read(bytes: Uint8Array, start: number, end: number): number {
    for (let at = start; at < end; at += SETTING_BYTES) {
      const id = (bytes[at]! << 8) | bytes[at + 1]!;
      const errorCode = this.#set(id, readUint32(bytes, at + 2));
      if (errorCode !== ErrorCode.NO_ERROR) return errorCode;
    }
    return ErrorCode.NO_ERROR;
  }

  #set(id: number, value: number): number {
    switch (id) {
      case Setting.HEADER_TABLE_SIZE:
        this.headerTableBytes = value;
        break;
      case Setting.ENABLE_PUSH:
        if (value > 1) return ErrorCode.PROTOCOL_ERROR;
        break;
      case Setting.MAX_CONCURRENT_STREAMS:
        this.maxConcurrentStreams = value;
        break;
      case Setting.INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW_BYTES) return ErrorCode.FLOW_CONTROL_ERROR;
        this.initialWindowBytes = value;
        break;
      case Setting.MAX_FRAME_SIZE:
        if (value < DEFAULT_MAX_FRAME_BYTES || value > LARGEST_MAX_FRAME_BYTES)
          return ErrorCode.PROTOCOL_ERROR;
        this.maxFrameBytes = value;
        break;
      case Setting.MAX_HEADER_LIST_SIZE:
        this.maxHeaderListBytes = value;
        break;
      default:
      // Settings that we don't know are to be ignored.
    }
    return ErrorCode.NO_ERROR;
  }
}
