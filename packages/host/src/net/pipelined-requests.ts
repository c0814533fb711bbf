/**
 * Requests of HTTP/1 that come before those in front of them have their answers. `node:http` puts the answers in order, but hands all requests on
 * at once, goes on behind one that ends its connection, and forgets the answers that still wait for their turn when the client leaves.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** Requests of a connection that wait for their answers, or will never have one; with more of them it ends. */
const MAX_UNANSWERED = 1024;

interface Pipeline {
  /** The answers that are due, in order, and what they are to. */
  readonly due: Map<ServerResponse, IncomingMessage>;
  /** Nothing that comes is looked at any more. */
  isEnding: boolean;
  /** Requests that nobody has looked at. `node:http` holds them as long as their connection. */
  ignored: number;
  onIdle: (() => void) | null;
}

/** By connection. */
export class PipelinedRequests {
  readonly #pipelines = new WeakMap<Duplex, Pipeline>();

  /** Remembers a request until it has its answer. False: its connection ends, or ends with an answer before that one. */
  take(request: IncomingMessage, response: ServerResponse): boolean {
    const pipeline = this.#pipelineOf(request.socket);
    if (pipeline.isEnding) pipeline.ignored++;
    if (pipeline.due.size + pipeline.ignored >= MAX_UNANSWERED) request.socket.destroy();
    if (pipeline.isEnding || request.socket.destroyed) {
      request.resume();
      return false;
    }
    pipeline.due.set(response, request);
    response.on('close', () => {
      pipeline.due.delete(response);
      if (pipeline.due.size === 0) pipeline.onIdle?.();
    });
    return true;
  }

  /** Nothing that comes on it from now on is taken. */
  end(socket: Duplex): void {
    this.#pipelineOf(socket).isEnding = true;
  }

  isEnding(socket: Duplex): boolean {
    return this.#pipelines.get(socket)?.isEnding === true;
  }

  /** Whether no answer is due. */
  isIdle(socket: Duplex): boolean {
    return (this.#pipelines.get(socket)?.due.size ?? 0) === 0;
  }

  /**
   * Ends the connection with `last`, which must not stand where an answer that is due is expected: behind those, or in the place of the only one, if
   * its request will never be whole.
   */
  endWith(socket: Duplex, last: () => void): void {
    const pipeline = this.#pipelineOf(socket);
    pipeline.isEnding = true;
    const due = [...pipeline.due];
    if (due.every(([, request]) => request.complete)) {
      if (due.length === 0) last();
      else pipeline.onIdle = last;
      return;
    }
    const [[response]] = due as [[ServerResponse, IncomingMessage]];
    if (due.length === 1 && !response.headersSent) last();
    else socket.destroy();
  }

  #pipelineOf(socket: Duplex): Pipeline {
    const known = this.#pipelines.get(socket);
    if (known !== undefined) return known;
    const pipeline: Pipeline = { due: new Map(), isEnding: false, ignored: 0, onIdle: null };
    this.#pipelines.set(socket, pipeline);
    socket.on('close', () => {
      pipeline.onIdle = null;
      for (const response of pipeline.due.keys()) {
        // The one whose turn it is hears of it by itself.
        if (response.socket === null && !response.writableFinished) response.emit('close');
      }
    });
    return pipeline;
  }
}
