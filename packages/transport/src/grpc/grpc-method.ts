/** The methods that a server offers, and their counters. */

import { GRPC_CODE_NAMES } from '@etcd/base';
import type { ServerCall } from './server-call.ts';

/**
 * Called when the request has arrived: at once with the message of a unary call, with the only message of a
 * server stream when the client has also ended its side. The bytes are a view of the chunk they came in; a
 * view may be kept, and keeps that chunk alive.
 */
export type MessageHandler = (call: ServerCall, bytes: Uint8Array, start: number, end: number) => void;
/** Called when the call begins; sets {@link ServerCall.receiver} to get its messages. */
export type StreamHandler = (call: ServerCall) => void;

/** Follows the calls of a method. Hot where there is one: whoever wants to know pays for it, nobody else. */
export interface CallObserver {
  /** A call begins. Null: it is not followed. */
  begin(call: ServerCall): CallTrace | null;
}

/** Follows one call. */
export interface CallTrace {
  /** The call is over, with this status; called once. The message is empty where the client gets none. */
  onEnd(code: number, message: string): void;
  /** Where who follows wants to know more than how the call ended. */
  readonly parts?: CallParts | undefined;
}

export type TraceAttributes = Readonly<Record<string, string | number | boolean>>;

/** Takes note of what happens inside of a call, as long as it goes on. */
export interface CallParts {
  /** Something has happened, outside of any part. */
  addEvent(name: string, attributes?: TraceAttributes): void;
  /** A part begins, which ends with the call at the latest. Null: it is not followed. */
  begin(name: string, attributes: TraceAttributes): PartTrace | null;
  /** All parts are over: the call has its answer, which may still be on its way. */
  endAll(): void;
}

/** Follows one part of a call. What is told after its end is ignored. */
export interface PartTrace {
  addEvent(name: string, attributes?: TraceAttributes): void;
  end(): void;
}

export const MethodKind = { UNARY: 0, SERVER_STREAM: 1, CLIENT_STREAM: 2, BIDI: 3 } as const;

export class GrpcMethod {
  /** As in `:path`: `/package.Service/Method`. */
  readonly path: string;
  readonly service: string;
  readonly name: string;
  readonly kind: number;
  readonly onMessage: MessageHandler;
  readonly onCall: StreamHandler;

  // Plain numbers, for whoever makes metrics of them.
  started = 0;
  messagesReceived = 0;
  messagesSent = 0;
  /** Bytes of those messages, decompressed, without their prefixes. */
  bytesReceived = 0;
  bytesSent = 0;
  /** Follows the calls; null: nobody does. */
  observer: CallObserver | null = null;
  /** How many calls ended with each status code. */
  readonly handled = new Float64Array(GRPC_CODE_NAMES.length);

  constructor(path: string, kind: number, onMessage: MessageHandler, onCall: StreamHandler) {
    const slash = path.lastIndexOf('/');
    this.path = path;
    this.service = path.slice(1, slash);
    this.name = path.slice(slash + 1);
    this.kind = kind;
    this.onMessage = onMessage;
    this.onCall = onCall;
  }
}
